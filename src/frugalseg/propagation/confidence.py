"""How far each pixel of a propagated label can be believed: a small logistic model, calibrated on labelled frames.

Ours. Features of a pixel: photometric error over 5 x 5 pixels, distance to the label's nearest edge, whether the warps
agree, how many of them look there, how far the label was carried. Fitted where both the propagated and the true label
are known: on labelled frames whose label went away and came back, or to which another frame's label was carried. What
came back is compared with itself, so it knows nothing of the same edge being drawn in another way in another frame; a
feature that says so takes this up, and is off wherever confidence is asked for.

Legend: N pixels, F features, H x W a frame.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import pixel_hash
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ArtifactError, DataError
from frugalseg.core.files import write_atomic
from frugalseg.propagation.fuse import Warp
from frugalseg.propagation.warp import edge_distance

FEATURES = (
    "error", "edge", "error_x_edge", "agree", "alone", "unseen", "distance", "distance_x_edge", "returned",
    "returned_x_edge",
)  # fmt: skip
FAR_PX, ERROR_CAP = 32.0, 200.0  # beyond which a feature tells nothing more
CONSTANT = 1e-4  # spread of a feature below which it is the same everywhere
ENOUGH = 1000  # pixels to calibrate on
RIDGE = 1e-3  # of the logistic fit, per pixel: keeps weights finite where a feature decides alone
ROUNDS = 50  # of Newton's method; it converges in about eight
BINS = 64  # of the recalibration: equally many pixels each

Floats = NDArray[np.float64]


def pixel_features(
    label_HW: NDArray[np.uint8], warps: Sequence[Warp], k: int, returned: bool = False
) -> NDArray[np.float32]:
    """Return F x H x W features of a fused label.

    Args:
        label_HW: The label they are about.
        warps: What it was fused from.
        k: How many frames away the nearest labelled one is.
        returned: Whether a warp is the frame's own label that came back.
    """
    errors = np.stack([warp.seen_error_HW for warp in warps])
    reached = np.isfinite(errors)
    others = np.stack([warp.nearest_HW for warp in warps])
    error_HW = np.log1p(np.minimum(errors.min(axis=0), ERROR_CAP)) / np.log1p(ERROR_CAP)
    edge_HW = np.log1p(np.minimum(edge_distance(label_HW), FAR_PX)) / np.log1p(FAR_PX)
    agree_HW = ((others == label_HW) | ~reached).all(axis=0)
    alone_HW = reached.sum(axis=0) < len(warps)
    far_HW = np.full_like(error_HW, np.log1p(k) / np.log1p(10))
    sure_HW, unseen_HW = error_HW * edge_HW, ~reached.any(axis=0)
    rows = [error_HW, edge_HW, sure_HW, agree_HW, alone_HW, unseen_HW, far_HW, far_HW * edge_HW]
    rows += [np.full_like(edge_HW, returned), returned * edge_HW]
    return np.stack(rows).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Examples:
    """Pixels whose propagated label can be checked: F features each (N x F), and whether the label is right."""

    features_NF: NDArray[np.float32]
    right_N: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        key: str,
        features_FHW: NDArray[np.float32],
        label_HW: NDArray[np.uint8],
        truth_HW: NDArray[np.uint8],
        most: int,
    ) -> "Examples":
        """Return at most `most` pixels of a frame, those where both labels say something; chosen by a hash."""
        known_N = np.flatnonzero((label_HW != IGNORE) & (truth_HW != IGNORE))
        if len(known_N) > most:
            order = np.argsort(pixel_hash(key, known_N), kind="stable")
            known_N = np.sort(known_N[order[:most]])
        features_NF = features_FHW.reshape(len(features_FHW), -1)[:, known_N].T
        return cls(np.ascontiguousarray(features_NF), (label_HW == truth_HW).ravel()[known_N])

    @classmethod
    def joined(cls, parts: Iterable["Examples"]) -> "Examples":
        """Return all pixels of several frames."""
        listed = list(parts)
        return cls(np.concatenate([p.features_NF for p in listed]), np.concatenate([p.right_N for p in listed]))

    @property
    def carried(self) -> "Examples":
        """Those whose label came from other frames alone; all, where these are too few to tell anything."""
        from_others = self.features_NF[:, FEATURES.index("returned")] == 0
        return (
            Examples(self.features_NF[from_others], self.right_N[from_others]) if from_others.sum() >= ENOUGH else self
        )


@dataclass(frozen=True)
class Confidence:
    """A fitted model: features brought to mean 0 and spread 1, logistic weights, then a growing map to shares right.

    `caution` says why it may promise too much; empty where nothing is known against it.
    """

    mean: tuple[float, ...]
    gain: tuple[float, ...]  # 1 / spread; 0 for features that told nothing
    weights: tuple[float, ...]  # the last is the constant
    knots: tuple[float, ...]
    shares: tuple[float, ...]
    caution: str = ""

    @classmethod
    def fit(cls, examples: Examples) -> "Confidence":
        """Fit the logistic model on every other pixel and recalibrate on the rest.

        Raises:
            DataError: too few pixels, or all right, or all wrong: there is nothing to tell apart.
        """
        count, right = len(examples.right_N), int(examples.right_N.sum())
        if count < ENOUGH or right in (0, count):
            raise DataError(
                f"confidence: {count} pixels with a known label to calibrate on, {right} of them right; expected "
                f"{ENOUGH:,} or more with some of each. Give more labelled frames with frames around them."
            )
        fitted, held = slice(0, None, 2), slice(1, None, 2)
        features_NF = examples.features_NF.astype(np.float64)
        mean, scale = features_NF[fitted].mean(axis=0), features_NF[fitted].std(axis=0)
        scale[scale < CONSTANT] = np.inf  # tells nothing
        design = _design(features_NF, mean, 1 / scale)
        weights = logistic(design[fitted], examples.right_N[fitted])
        knots, shares = _recalibrate(_sigmoid(design[held] @ weights), examples.right_N[held])
        numbers = [tuple(map(float, part)) for part in (mean, 1 / scale, weights, knots, shares)]
        return cls(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])

    def of(self, features_FHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the confidence of each pixel, H x W in 0–1."""
        return self._of(features_FHW.reshape(len(features_FHW), -1).T).reshape(features_FHW.shape[1:])

    def threshold(self, examples: Examples, precision: float) -> float:
        """Return the lowest confidence from which on at least `precision` of the examples are right; infinity if none.

        Raises:
            DataError: a precision outside (0, 1].
        """
        if not 0 < precision <= 1:
            raise DataError(f"precision {precision} is no share; expected a number above 0, up to 1, such as 0.987.")
        confidence_N = self._of(examples.features_NF)
        order = np.argsort(-confidence_N, kind="stable")
        levels = confidence_N[order]
        last_N = np.append(levels[1:] < levels[:-1], True)  # equal confidences are accepted together
        enough = np.cumsum(examples.right_N[order]) >= precision * np.arange(1, len(order) + 1)
        found = np.flatnonzero(enough & last_N)
        return float(levels[found[-1]]) if len(found) else float("inf")

    def save(self, path: Path) -> None:
        """Write the model as JSON."""
        write_atomic(path, json.dumps({"features": FEATURES, **asdict(self)}, indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> "Confidence":
        """Read what `save` wrote.

        Raises:
            ArtifactError: it is missing, damaged, or of other features.
        """
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if tuple(content.pop("features")) != FEATURES:
                raise ValueError("it is about other features")
            caution = str(content.pop("caution", ""))
            numbers = {name: tuple(map(float, content[name])) for name in cls.__dataclass_fields__ if name != "caution"}
            model = cls(**numbers, caution=caution)
            model.check()
            return model
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{path}: no confidence model ({error}). Calibrate again.") from error

    def check(self) -> None:
        """Check that the numbers fit together.

        Raises:
            ValueError: they do not.
        """
        sizes = len(self.mean), len(self.gain), len(self.weights) - 1
        numbers = np.array([*self.mean, *self.gain, *self.weights, *self.knots, *self.shares])
        if set(sizes) != {len(FEATURES)} or len(self.knots) != len(self.shares) or not self.knots:
            raise ValueError(f"sizes {sizes} and {len(self.knots)} steps for {len(FEATURES)} features")
        if not np.isfinite(numbers).all() or min(self.gain) < 0 or not 0 <= min(self.shares) <= max(self.shares) <= 1:
            raise ValueError("numbers out of range")

    def _of(self, features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        design = _design(features_NF.astype(np.float64), np.array(self.mean), np.array(self.gain))
        raw_N = _sigmoid(design @ np.array(self.weights))
        return np.interp(raw_N, self.knots, self.shares).astype(np.float32)


def _design(features_NF: Floats, mean: Floats, gain: Floats) -> Floats:
    return np.hstack([(features_NF - mean) * gain, np.ones((len(features_NF), 1))])


def _sigmoid(score_N: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(score_N, -40, 40))))


def logistic(design_NF: Floats, right_N: NDArray[np.bool_]) -> Floats:
    """Return ridge logistic regression's F weights by Newton's method; the last column is the constant, not shrunk."""
    count, size = design_NF.shape
    ridge = np.diag([RIDGE * count] * (size - 1) + [1e-9])
    weights = np.zeros(size)
    for _ in range(ROUNDS):
        share_N = _sigmoid(design_NF @ weights)
        slope = design_NF.T @ (right_N - share_N) - ridge @ weights
        bend = (design_NF * (share_N * (1 - share_N))[:, None]).T @ design_NF + ridge
        move = np.linalg.solve(bend, slope)
        weights += move
        if np.abs(move).max() < 1e-8:
            break
    return weights


def _recalibrate(raw_N: Floats, right_N: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return knots and shares of a growing map from raw confidence to share right (isotonic regression over bins)."""
    order = np.argsort(raw_N, kind="stable")
    parts = [part for part in np.array_split(order, min(BINS, len(order))) if len(part)]
    blocks = [[float(raw_N[part].mean()), float(right_N[part].mean()), float(len(part)), 1.0] for part in parts]
    pooled: list[list[float]] = []
    for knot, share, weight, bins in blocks:
        pooled.append([knot * weight, share * weight, weight, bins])
        while len(pooled) > 1 and pooled[-2][1] * pooled[-1][2] >= pooled[-1][1] * pooled[-2][2]:
            last = pooled.pop()
            pooled[-1] = [a + b for a, b in zip(pooled[-1], last, strict=True)]
    return np.array([p[0] / p[2] for p in pooled]), np.array([p[1] / p[2] for p in pooled])
