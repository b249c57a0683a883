"""How far a domain lies from the one it is compared with, without any label.

Score: the Fréchet distance between Gaussians fitted to per-image pooled features of the trained network
(Dowson and Landau, 1982; Heusel et al., NeurIPS 2017, "FID"). Differs: its square root, so that twice is twice as far;
and since the distance of small samples is far above zero even for one and the same domain, it stands beside a zero
level: the distance between two halves of the reference domain, over many random splits, always with as many frames.
Halves are split by sequence where no sequence holds more than half of the frames: neighbouring frames look alike.

The same splits give the zero level of the other shifts: mean entropy, shares of the predicted classes, light.

Legend: F frames, D features, S splits, M frames in a half.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.core.errors import DataError
from frugalseg.evaluation.domain_sample import DomainSample

LEAST = 8  # frames of each domain
SPLITS = 100
LEVEL = 0.95  # of splits of the reference stay below `Shift.level`
Rows = NDArray[np.intp]
Distance = Callable[[Rows, Rows], float]  # between two sets of rows of both samples together


@dataclass(frozen=True)
class Shift:
    """One measure: `value` between the two domains and `zero` between halves of the reference (medians over splits).

    `level` is what 95 % of the splits of the reference stay below.
    """

    value: float
    zero: float
    level: float

    @property
    def certain(self) -> bool:
        """Whether the domains differ by more than halves of the reference do."""
        return self.value > self.level

    @property
    def times(self) -> float:
        """`value` in units of the zero level; infinite where halves of the reference are all alike, NaN for 0/0."""
        return float(np.divide(self.value, self.zero)) if self.zero else (np.inf if self.value else np.nan)


@dataclass(frozen=True)
class Means:
    """Means of one domain: entropy 0–1, share of each predicted class, LIGHT; `frames` were looked at."""

    domain: str
    frames: int
    entropy: float
    shares: tuple[float, ...]
    light: tuple[float, ...]


@dataclass(frozen=True)
class Drift:
    """How `other` differs from `reference`, each measure with its zero level from halves of `half` frames.

    `by_sequence` says whether no sequence of the reference stands in both halves.

    `features` is in the network's own feature units, `entropy` in 0–1, `shares` the total variation distance 0–1 (half
    the sum of absolute differences), `brightness`, `contrast` and `colour` fractions of the full scale.
    """

    reference: Means
    other: Means
    half: int
    splits: int
    by_sequence: bool
    features: Shift
    entropy: Shift
    shares: Shift
    brightness: Shift
    contrast: Shift
    colour: Shift

    @property
    def score(self) -> float:
        """The drift score: feature distance in units of the zero level; about 1 where nothing has changed."""
        return self.features.times


def measure_drift(
    names: tuple[str, str], reference: DomainSample, other: DomainSample, seed: int = 0, splits: int = SPLITS
) -> Drift:
    """Return how `other` differs from `reference`; the names are the domains'.

    Raises:
        DataError: fewer than LEAST frames in one of them, or summaries of different networks.
    """
    if min(len(reference), len(other)) < LEAST:
        raise DataError(
            f"the drift of {names[1]} against {names[0]} needs at least {LEAST} frames of each, "
            f"got {len(other)} and {len(reference)}."
        )
    both = [np.concatenate([reference.stack(name), other.stack(name)]) for name in ("entropy", "shares", "light")]
    distances = _distances(frechet_distance(_both_features(reference, other)), *both)
    halvers = [Halver(reference.sequences), Halver(other.sequences)]
    half = min(halver.half for halver in halvers)
    rng = generator(seed, "drift", *names)
    zero, value = (np.empty((splits, len(distances))) for _ in range(2))
    for split in range(splits):
        first, second = halvers[0].draw(half, rng)
        apart, _ = halvers[1].draw(half, rng)
        zero[split] = [distance(first, second) for distance in distances.values()]
        value[split] = [distance(first, apart + len(reference)) for distance in distances.values()]
    columns = zip(np.median(value, 0), np.median(zero, 0), np.quantile(zero, LEVEL, axis=0), strict=True)
    shifts: dict[str, Any] = {name: Shift(*map(float, column)) for name, column in zip(distances, columns, strict=True)}
    means = _means(names[0], reference), _means(names[1], other)
    return Drift(*means, half, splits, halvers[0].by_sequence, **shifts)


class Halver:
    """Splits frames into two random halves, whole sequences together where no sequence holds more than half of them."""

    def __init__(self, sequences: Sequence[str]) -> None:
        _, self._sequence_F, frames_Q = np.unique(np.array(sequences), return_inverse=True, return_counts=True)
        self._frames, largest = len(sequences), int(frames_Q.max())
        self.by_sequence = 2 * largest <= self._frames
        if not self.by_sequence:
            self._sequence_F, largest = np.arange(self._frames), 1
        self.half = (self._frames - largest) // 2 if self.by_sequence else self._frames // 2

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Return `count` <= `half` rows of each half.

        A sequence goes to the half that is the smaller one so far, so the halves differ by at most one sequence.
        """
        order = rng.permutation(self._sequence_F.max() + 1)
        sizes, side = [0, 0], np.zeros(len(order), np.intp)
        frames_Q = np.bincount(self._sequence_F)
        for sequence in order:
            side[sequence] = int(sizes[1] < sizes[0])
            sizes[side[sequence]] += int(frames_Q[sequence])
        first, second = (np.flatnonzero(side[self._sequence_F] == half) for half in (0, 1))
        return rng.choice(first, count, replace=False), rng.choice(second, count, replace=False)


def frechet_distance(features_FD: NDArray[np.float64]) -> Distance:
    """Return the distance between sets of rows: sqrt(|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))).

    From inner products alone: with S = A A^T of the centred rows, the trace of (S1 S2)^(1/2) is the sum of the singular
    values of A1^T A2, which has as many rows and columns as there are frames, however many features there are.
    """
    centred_FD = features_FD - features_FD.mean(axis=0)  # changes nothing but the rounding
    inner_FF = centred_FD @ centred_FD.T

    def distance(one: Rows, other: Rows) -> float:
        within_one, within_other = inner_FF[np.ix_(one, one)], inner_FF[np.ix_(other, other)]
        across = inner_FF[np.ix_(one, other)]
        apart = within_one.mean() + within_other.mean() - 2 * across.mean()
        spread = sum(
            (within.trace() - len(within) * within.mean()) / (len(within) - 1) for within in (within_one, within_other)
        )
        cross = across - across.mean(axis=0) - across.mean(axis=1, keepdims=True) + across.mean()
        shared = np.linalg.svd(cross, compute_uv=False).sum() / np.sqrt((len(one) - 1) * (len(other) - 1))
        return float(np.sqrt(max(0.0, apart + spread - 2 * shared)))

    return distance


def _distances(
    features: Distance, entropy_F: NDArray[np.float64], shares_FC: NDArray[np.float64], light_FL: NDArray[np.float64]
) -> dict[str, Distance]:
    """The measures of `Drift` by name."""
    tint_F3 = light_FL[:, 2:] - light_FL[:, :1]  # colour without brightness

    def between(values: NDArray[np.float64], size: Callable[[NDArray[np.float64]], float]) -> Distance:
        return lambda one, other: float(size(values[one].mean(axis=0) - values[other].mean(axis=0)))

    return {
        "features": features,
        "entropy": between(entropy_F, np.abs),
        "shares": between(shares_FC, lambda difference_C: float(np.abs(difference_C).sum() / 2)),
        "brightness": between(light_FL[:, 0], np.abs),
        "contrast": between(light_FL[:, 1], np.abs),
        "colour": between(tint_F3, lambda difference_3: float(np.linalg.norm(difference_3))),
    }


def _both_features(reference: DomainSample, other: DomainSample) -> NDArray[np.float64]:
    one, two = reference.stack("features"), other.stack("features")
    if one.shape[1] != two.shape[1]:
        raise DataError(
            f"cannot compare {one.shape[1]} features with {two.shape[1]}: the samples come from different networks."
        )
    return np.concatenate([one, two])


def _means(domain: str, sample: DomainSample) -> Means:
    shares, light = (tuple(map(float, sample.stack(name).mean(axis=0))) for name in ("shares", "light"))
    return Means(domain, len(sample), float(sample.stack("entropy").mean()), shares, light)
