"""How far a network's confidence can be believed: reliability histogram and expected calibration error.

Guo et al., ICML 2017, equations 2-3, with M = 15 bins ((m-1)/M, m/M] of the largest class probability; pixels whose
truth is IGNORE are not counted. Differs: kept per predicted class, and every count is an integer (confidence as whole
units of 2^-20), so that parts merge exactly in any order and memory does not grow with the data.

Legend: C classes, B bins. Counts are C x B x 3: pixels, right ones, sum of their confidence in units of 2^-20.
"""

import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.arrays import check_npz
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ArtifactError, DataError
from frugalseg.evaluation.confusion import ratio

BINS = 15  # Guo et al.'s
UNIT = 1 << 20  # of confidence: an error below 5e-7, and 2^43 pixels before int64 overflows
PIXELS, RIGHT, CONFIDENCE = range(3)  # last axis of the counts


@dataclass(frozen=True, eq=False)
class Reliability:
    """Counts of any number of frames, C x B x 3 int64.

    Raises:
        DataError: another shape or type, negative counts, or more right pixels than pixels.
    """

    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        fits = self.counts.ndim == 3 and self.counts.shape[1:] == (BINS, 3) and self.counts.dtype == np.int64
        if not fits or (self.counts < 0).any() or (self.counts[..., RIGHT] > self.counts[..., PIXELS]).any():
            raise DataError(
                f"got a reliability histogram of {self.counts.shape} {self.counts.dtype}; expected C x {BINS} x 3 "
                "int64 without negative counts and with no more right pixels than pixels."
            )

    @classmethod
    def empty(cls, classes: int) -> "Reliability":
        """Return the counts of no frame."""
        return cls(np.zeros((classes, BINS, 3), np.int64))

    @classmethod
    def count(
        cls,
        truth_HW: NDArray[np.uint8],
        prediction_HW: NDArray[np.uint8],
        confidence_HW: NDArray[np.floating[Any]],
        classes: int,
    ) -> "Reliability":
        """Count one frame; `confidence_HW` is the probability of the predicted class, in (0, 1].

        Raises:
            DataError: the three differ in size, or a confidence on a labelled pixel is no number in 0–1.
        """
        if not truth_HW.shape == prediction_HW.shape == confidence_HW.shape:
            raise DataError(
                f"label {truth_HW.shape}, prediction {prediction_HW.shape} and confidence {confidence_HW.shape} "
                "(height, width) differ in size; all three must be the frame's."
            )
        seen = (truth_HW != IGNORE) & (prediction_HW != IGNORE)
        truth, prediction = truth_HW[seen], prediction_HW[seen].astype(np.int64)
        confidence = confidence_HW[seen].astype(np.float64)
        # 2^-20 over 1: a softmax in float32 rounds
        if not np.isfinite(confidence).all() or confidence.min(initial=1) < 0 or confidence.max(initial=0) > 1 + 1e-6:
            raise DataError("a confidence is no probability in 0–1; the network's output is not finite, or no softmax.")
        bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(np.int64)
        units = np.rint(confidence * UNIT)
        flat, size = prediction * BINS + bins, classes * BINS
        columns = (
            np.bincount(flat, minlength=size),
            np.bincount(flat[prediction == truth], minlength=size),
            np.bincount(flat, weights=units, minlength=size),  # float64 is exact up to 2^53, i.e. 2^33 pixels a frame
        )
        return cls(np.stack([np.asarray(column, np.int64).reshape(classes, BINS) for column in columns], axis=-1))

    def merge(self, other: "Reliability") -> "Reliability":
        """Return the counts of the frames of both, which must be different frames.

        Raises:
            DataError: another number of classes.
        """
        if other.counts.shape != self.counts.shape:
            raise DataError(f"cannot merge reliability over {len(self.counts)} and over {len(other.counts)} classes.")
        return Reliability(self.counts + other.counts)

    def curve(self, classes: Iterable[int] | None = None) -> "ReliabilityCurve":
        """Return what a reliability diagram draws, over the pixels predicted as `classes` (default: all)."""
        chosen = self.counts if classes is None else self.counts[list(classes)]
        return ReliabilityCurve.of(chosen.sum(axis=0))

    def save(self, path: Path) -> None:
        """Write an .npz; equal content gives equal bytes."""
        with open(path, "wb") as file:
            np.savez_compressed(file, counts=self.counts)

    @classmethod
    def load(cls, path: Path) -> "Reliability":
        """Read what `save` wrote; nothing in the file is ever unpickled.

        Raises:
            ArtifactError: the file is missing, damaged or something else.
        """
        try:
            check_npz(path)
            with np.load(path, allow_pickle=False) as data:
                return cls(data["counts"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, DataError) as error:
            raise ArtifactError(
                f"{path}: cannot read the reliability counts: {error}.\nRun the evaluation again."
            ) from error


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Accuracy against confidence, bin by bin (NaN where a bin is empty), and what follows from it; fractions 0–1.

    `ece` is the mean over pixels of |accuracy - confidence| of their bin; `gap` is mean confidence minus accuracy:
    positive is overconfident. NaN without any pixel.
    """

    pixels_B: NDArray[np.int64]
    accuracy_B: NDArray[np.float64]
    confidence_B: NDArray[np.float64]
    ece: float
    accuracy: float
    confidence: float

    @classmethod
    def of(cls, counts_B3: NDArray[np.int64]) -> "ReliabilityCurve":
        """Work out the curve of B x 3 counts."""
        pixels, right, units = (counts_B3[:, column] for column in (PIXELS, RIGHT, CONFIDENCE))
        whole = int(pixels.sum())
        gaps = np.abs(right - units / UNIT).sum()  # |accuracy - confidence| x pixels of each bin
        return cls(
            pixels_B=pixels,
            accuracy_B=ratio(right, pixels),
            confidence_B=ratio(units / UNIT, pixels),
            ece=float(gaps / whole) if whole else math.nan,
            accuracy=float(right.sum() / whole) if whole else math.nan,
            confidence=float(units.sum() / UNIT / whole) if whole else math.nan,
        )

    @property
    def gap(self) -> float:
        """Mean confidence minus accuracy."""
        return self.confidence - self.accuracy
