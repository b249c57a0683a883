"""Scores of propagated labels over the distance they were carried: the protocol, and one confusion matrix a distance.

Legend: k is the distance in frames from a target to its labelled frame(s). Ground truth 255 is not counted, a
propagated 255 counts as a miss, classes absent from the truth are left out of the mean (`confusion.scores`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.evaluation.confusion import Confusions, Scores, confusion, scores

REACH = 10  # the paper's ± 10 frames
SPACING = 5


@dataclass(frozen=True)
class Case:
    """One label to be made: the target frame's number, the labelled frames it comes from, and how far they are."""

    target: int
    anchors: tuple[int, ...]
    k: int

    @property
    def name(self) -> str:
        """Tells the case apart from all others of its k."""
        return f"{self.target} from {' and '.join(map(str, self.anchors))}"


def centres(frames: int, reach: int = REACH, spacing: int = SPACING) -> tuple[int, ...]:
    """Return the protocol's centres: `reach`, `reach + spacing`, …, so that `reach` frames lie on both sides.

    Raises:
        DataError: the video is too short for any.
    """
    found = tuple(range(reach, frames - reach, spacing))
    if not found:
        raise DataError(f"a video of {frames} frames has no centre with {reach} frames on both sides; 2 x reach + 1.")
    return found


def one_anchor(frames: int, reach: int = REACH, spacing: int = SPACING) -> tuple[Case, ...]:
    """Return every case with the labelled frame at a centre and the target k = 1 … reach after or before it."""
    return tuple(
        Case(centre + side * k, (centre,), k)
        for centre in centres(frames, reach, spacing)
        for side in (1, -1)
        for k in range(1, reach + 1)
    )


def two_anchors(frames: int, reach: int = REACH, spacing: int = SPACING) -> tuple[Case, ...]:
    """Return every case with the target at a centre, midway between labelled frames k before and k after it."""
    return tuple(
        Case(centre, (centre - k, centre + k), k)
        for centre in centres(frames, reach, spacing)
        for k in range(1, reach + 1)
    )


class Curve:
    """Confusion matrices by k; the cases of one k are kept apart, so that they can be paired and resampled."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._by_k: dict[int, Confusions] = {}

    def add(self, case: Case, truth_HW: NDArray[np.uint8], label_HW: NDArray[np.uint8]) -> None:
        """Count one propagated label.

        Raises:
            LabelShapeError: it differs from the truth in size.
            UnknownIdError: an id that is no class.
        """
        counts = confusion(truth_HW, label_HW, self._classes)
        self._by_k.setdefault(case.k, Confusions(self._classes)).add(case.name, counts)

    @property
    def distances(self) -> tuple[int, ...]:
        """Every k that was counted, in order."""
        return tuple(sorted(self._by_k))

    def cases(self, k: int) -> Confusions:
        """Return the matrices of one k."""
        return self._by_k[k]

    def scores(self, ids: Sequence[int] | None = None) -> dict[int, Scores]:
        """Return the scores of each k's merged matrix."""
        return {k: scores(self._by_k[k].total(), ids) for k in self.distances}

    def miou(self) -> dict[int, float]:
        """Return mIoU by k, 0–1."""
        return {k: found.miou for k, found in self.scores().items()}


def by_anchors(cases: Iterable[Case]) -> Iterator[tuple[int, int, list[Case]]]:
    """Yield (anchor, side, its cases by growing k) of one-anchor cases: one walk along the video makes them all."""
    walks: dict[tuple[int, int], list[Case]] = {}
    for case in cases:
        (anchor,) = case.anchors
        walks.setdefault((anchor, 1 if case.target > anchor else -1), []).append(case)
    for (anchor, side), walk in walks.items():
        yield anchor, side, sorted(walk, key=lambda case: case.k)
