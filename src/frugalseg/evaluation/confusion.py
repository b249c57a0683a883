"""Counting: one int64 matrix a frame, and every score from the sum of these matrices.

Legend: F frames, C classes. A confusion matrix is C x (C + 1): rows are the truth, columns the prediction, the last
column counts labelled pixels for which nothing was predicted (IGNORE). Those are misses. Pixels whose truth is IGNORE
are not counted at all. mIoU comes from the merged matrix, never from a mean of frames' mIoU.
"""

import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.arrays import check_npz
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ArtifactError, ConfigError, DataError, LabelShapeError, UnknownIdError

Counts = NDArray[np.int64]


def confusion(label_HW: NDArray[np.integer], prediction_HW: NDArray[np.integer], classes: int) -> Counts:
    """Count how often each true class was predicted as each class.

    Args:
        label_HW: class ids 0 … classes-1, IGNORE where unknown.
        prediction_HW: the same; IGNORE on a labelled pixel counts as a miss.
        classes: C.

    Returns:
        C x (C + 1) int64, rows = truth, last column = nothing predicted.

    Raises:
        LabelShapeError: the two differ in size.
        UnknownIdError: an id that is no class and not IGNORE.
    """
    if label_HW.shape != prediction_HW.shape:
        raise LabelShapeError(
            f"label is {_size(label_HW)} but the prediction is {_size(prediction_HW)} (height x width).\n"
            "Predict at the label's size, or resize the prediction with nearest-neighbour."
        )
    pairs = (_bytes(label_HW, "label").astype(np.uint16) << 8) | _bytes(prediction_HW, "prediction")
    joint = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
    _refuse_unknown(joint.sum(axis=1), classes, "label")
    _refuse_unknown(joint.sum(axis=0), classes, "prediction")
    return joint[:classes, [*range(classes), IGNORE]].astype(np.int64)


class Tally(NamedTuple):
    """What IoU needs of a matrix: pixels of each class that are right, true and predicted (… x C each)."""

    hits: NDArray[Any]
    truth: NDArray[Any]
    predicted: NDArray[Any]

    @classmethod
    def of(cls, matrix: NDArray[Any]) -> "Tally":
        """Tally one matrix, or a stack of them along leading axes; C x C and C x (C + 1) are both welcome."""
        classes = matrix.shape[-2]
        square = matrix[..., :classes]
        return cls(square.diagonal(axis1=-2, axis2=-1), matrix.sum(axis=-1), square.sum(axis=-2))

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union; NaN where a class is neither true nor predicted."""
        return ratio(self.hits, self.truth + self.predicted - self.hits)


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one merged matrix, as fractions 0–1; NaN where there is nothing to score.

    The means run over the classes of `ids` that occur in the truth; a class that is only predicted has IoU 0 in
    `iou_C` and harms the others as false positives, but is not in the mean. Pixel accuracy counts the pixels whose
    true class is in `ids`.
    """

    iou_C: NDArray[np.float64]
    accuracy_C: NDArray[np.float64]
    truth_px_C: Counts
    predicted_px_C: Counts
    ids: tuple[int, ...]
    miou: float
    mean_accuracy: float
    pixel_accuracy: float


def scores(matrix: Counts, ids: Sequence[int] | None = None) -> Scores:
    """Return IoU and accuracies of a merged matrix (C x C or C x (C + 1)); the means run over `ids`, default all.

    Raises:
        ConfigError: `ids` is empty, names a class twice, or is out of range.
    """
    tally = Tally.of(matrix)
    chosen = check_ids(ids, matrix.shape[0])
    accuracy_C = ratio(tally.hits, tally.truth)
    present = tally.truth[chosen] > 0
    return Scores(
        iou_C=tally.iou,
        accuracy_C=accuracy_C,
        truth_px_C=tally.truth.astype(np.int64),
        predicted_px_C=tally.predicted.astype(np.int64),
        ids=tuple(chosen),
        miou=float(mean_where(tally.iou[chosen], present)),
        mean_accuracy=float(mean_where(accuracy_C[chosen], present)),
        pixel_accuracy=float(ratio(tally.hits[chosen].sum(), tally.truth[chosen].sum())),
    )


class Confusions:
    """Confusion matrices by frame key: the same frame twice counts once, merging is exact in any order.

    Raises:
        DataError: a matrix of another shape, or two different matrices for one key.
    """

    def __init__(self, classes: int, matrices: Iterable[tuple[str, Counts]] = ()) -> None:
        self.classes = classes
        self._by_key: dict[str, Counts] = {}
        for key, matrix in matrices:
            self.add(key, matrix)

    def add(self, key: str, matrix: Counts) -> None:
        """Add one frame's matrix; adding it again changes nothing."""
        expected = (self.classes, self.classes + 1)
        if matrix.shape != expected or matrix.dtype != np.int64 or (matrix < 0).any():
            raise DataError(
                f"frame {key!r}: got a confusion matrix of {matrix.shape} {matrix.dtype}, "
                f"expected {expected} int64 without negative counts."
            )
        known = self._by_key.setdefault(key, matrix)
        if known is not matrix and not np.array_equal(known, matrix):
            raise DataError(
                f"frame {key!r} was scored twice with different results ({known.sum()} and {matrix.sum()} pixels).\n"
                "Two predictions or labels share this key; evaluate them apart."
            )

    def merge(self, other: "Confusions") -> "Confusions":
        """Return the frames of both."""
        if other.classes != self.classes:
            raise DataError(f"cannot merge confusions of {self.classes} and of {other.classes} classes.")
        return Confusions(self.classes, [*self._by_key.items(), *other._by_key.items()])

    @property
    def keys(self) -> tuple[str, ...]:
        """Frame keys, sorted."""
        return tuple(sorted(self._by_key))

    def __len__(self) -> int:
        return len(self._by_key)

    def __getitem__(self, key: str) -> Counts:
        return self._by_key[key]

    def total(self) -> Counts:
        """Return the merged matrix, C x (C + 1)."""
        total = np.zeros((self.classes, self.classes + 1), np.int64)
        for matrix in self._by_key.values():
            total += matrix
        return total

    def stack(self) -> Counts:
        """Return F x C x (C + 1) in key order."""
        shape = (len(self), self.classes, self.classes + 1)
        return np.array([self._by_key[key] for key in self.keys], np.int64).reshape(shape)

    def save(self, path: Path) -> None:
        """Write an .npz (keys as JSON text, matrices); equal content gives equal bytes."""
        keys = json.dumps(self.keys).encode()
        with open(path, "wb") as file:
            np.savez_compressed(file, keys=np.frombuffer(keys, np.uint8), matrices=self.stack())

    @classmethod
    def load(cls, path: Path) -> "Confusions":
        """Read what `save` wrote; nothing in the file is ever unpickled.

        Raises:
            ArtifactError: the file is missing, damaged or something else.
        """
        try:
            check_npz(path)
            with np.load(path, allow_pickle=False) as data:
                keys, matrices = json.loads(data["keys"].tobytes()), data["matrices"]
            if not all(isinstance(key, str) for key in keys):
                raise ValueError("keys are no text")
            if matrices.ndim != 3 or len(keys) != len(matrices) or len(set(keys)) != len(keys):
                raise ValueError(f"{len(keys)} keys and an array of {matrices.shape}")
            return cls(matrices.shape[1], zip(keys, matrices, strict=True))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            EOFError,
            zipfile.BadZipFile,
            DataError,
        ) as error:
            raise ArtifactError(
                f"{path}: cannot read the confusion matrices: {error}.\nRun the evaluation again."
            ) from error


def check_ids(ids: Sequence[int] | None, classes: int) -> list[int]:
    """Return `ids` as a list (None: all classes).

    Raises:
        ConfigError: empty, twice, or out of range.
    """
    chosen = list(range(classes)) if ids is None else [int(class_id) for class_id in ids]
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= class_id < classes for class_id in chosen):
        raise ConfigError(f"class ids to average over are {chosen}; expected different ids in 0–{classes - 1}.")
    return chosen


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; NaN where `whole` is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    divided: NDArray[np.float64] = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=divided, where=whole > 0)
    return divided


def mean_where(values: NDArray[np.float64], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Average over the last axis where `present`; NaN where nothing is."""
    return ratio(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))


def _bytes(ids: NDArray[np.integer], what: str) -> NDArray[np.uint8]:
    """Return `ids` as uint8 without wrapping around."""
    if ids.dtype != np.uint8 and ids.size and (ids.min() < 0 or ids.max() > IGNORE):
        raise UnknownIdError(f"{what} holds values from {ids.min()} to {ids.max()}; expected class ids 0–{IGNORE}.")
    return ids.astype(np.uint8, copy=False)


def _refuse_unknown(pixels_by_id: NDArray[np.integer], classes: int, what: str) -> None:
    unknown = [class_id for class_id in np.flatnonzero(pixels_by_id) if classes <= class_id < IGNORE]
    if unknown:
        found = ", ".join(f"{class_id} ({pixels_by_id[class_id]} px)" for class_id in unknown[:5])
        raise UnknownIdError(
            f"{what} holds ids that are no class: {found}; expected 0–{classes - 1}, or {IGNORE} to ignore.\n"
            "Map raw ids to class ids first (the class set's lookup does it)."
        )


def _size(array_HW: NDArray[Any]) -> str:
    return "x".join(map(str, array_HW.shape))
