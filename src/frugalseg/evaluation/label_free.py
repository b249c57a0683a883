"""Which model is the best, without a single target label: how sure it is, how steady, and what it still knows.

Three measures of a model, each reported by itself:

* `entropy_01`: mean normalised entropy over the pixels of a sample of target frames; lower is better.
* `agreement`: the mIoU between its predictions and those on changed copies of the same frames (mirrored, smaller, other
  colours), mean over the changes; higher is better. The mean runs over all classes, and one that is never predicted
  counts 0: a model that forgets classes is steadier for it, and must not gain by it.
* `source_miou`: mIoU on labelled source frames, where the project has any; higher is better.

The rule: each measure ranks the candidates from 1 (best) to 0 (worst), evenly spaced, ties sharing the mean of their
places; the score is the mean of these ranks, and the highest wins. Entropy alone would choose what was trained to be
sure of itself, right or wrong (MinEnt); agreement alone what always says the same.

Legend: C classes, H x W pixels, N candidates.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE
from frugalseg.evaluation.confusion import Counts, Tally, confusion

LEAST_TO_CORRELATE = 3


@dataclass(frozen=True)
class Judgement:
    """What is known of a model without target labels; fractions 0–1."""

    entropy_01: float
    agreement: float
    agreement_by_change: Mapping[str, float]
    same_pixels: float
    source_miou: float | None = None

    @property
    def measures(self) -> dict[str, float]:
        """The measures of the rule, higher is better."""
        known = {"certainty": 1 - self.entropy_01, "agreement": self.agreement}
        return known if self.source_miou is None else {**known, "source_miou": self.source_miou}


class UnlabelledTally:
    """Integer counts and one sum over the frames seen so far: memory does not grow with their number."""

    def __init__(self, classes: int, changes: Iterable[str]) -> None:
        self._classes = classes
        self._by_change: dict[str, Counts] = {name: np.zeros((classes, classes + 1), np.int64) for name in changes}
        self._entropy, self._pixels = 0.0, 0

    def see(
        self,
        prediction_HW: NDArray[np.uint8],
        entropy_HW: NDArray[np.float32],
        changed: Mapping[str, NDArray[np.uint8]],
        usable_HW: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count a frame: its prediction, its entropy, and the predictions on its changed copies, laid back over it.

        Only pixels where `usable_HW` is true count (None: all).
        """
        if usable_HW is not None:
            prediction_HW = np.where(usable_HW, prediction_HW, np.uint8(IGNORE))
            entropy_HW = entropy_HW[usable_HW]
        self._entropy += float(entropy_HW.sum(dtype=np.float64))
        self._pixels += entropy_HW.size
        for name, matrix in self._by_change.items():
            matrix += confusion(prediction_HW, changed[name], self._classes)

    def judgement(self, source_miou: float | None = None) -> Judgement:
        """Return the measures over all frames seen; without a usable pixel nothing is certain and nothing agrees."""
        by_change = {name: agreement_of(matrix) for name, matrix in self._by_change.items()}
        same = sum(int(matrix.trace()) for matrix in self._by_change.values())
        compared = sum(int(matrix.sum()) for matrix in self._by_change.values())
        return Judgement(
            entropy_01=self._entropy / self._pixels if self._pixels else 1.0,
            agreement=math.fsum(by_change.values()) / len(by_change),
            agreement_by_change=by_change,
            same_pixels=same / compared if compared else 0.0,
            source_miou=source_miou,
        )


def agreement_of(matrix: Counts) -> float:
    """Return the mean IoU of two predictions over all C classes; a class that neither predicts counts 0."""
    return float(np.nan_to_num(Tally.of(matrix).iou).mean())


def rank_scores(judgements: Sequence[Judgement]) -> list[float]:
    """Return each candidate's score under the rule, 0–1; a measure that not all of them have is left out."""
    if not judgements:
        return []
    names = [name for name in judgements[0].measures if all(name in other.measures for other in judgements)]
    if len(judgements) == 1:
        return [1.0]
    places_N = [(ranks([one.measures[name] for one in judgements]) - 1) / (len(judgements) - 1) for name in names]
    return [float(score) for score in np.mean(places_N, axis=0)]


def best(judgements: Sequence[Judgement]) -> int:
    """Return the index of the candidate the rule chooses; of equals the steadiest, of those the first."""
    scores = rank_scores(judgements)
    return max(range(len(scores)), key=lambda index: (scores[index], judgements[index].agreement, -index))


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Return each value's place from 1 (lowest) to N; equal values share the mean of their places."""
    values_N = np.asarray(values, np.float64)
    below_N = (values_N[None] < values_N[:, None]).sum(axis=1)
    equal_N = (values_N[None] == values_N[:, None]).sum(axis=1)
    places_N: NDArray[np.float64] = below_N + (equal_N + 1) / 2
    return places_N


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, or None for fewer than three pairs or where one side is all equal."""
    if len(one) < LEAST_TO_CORRELATE:
        return None
    centred = [places_N - places_N.mean() for places_N in (ranks(one), ranks(other))]
    norm = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / norm if norm else None
