"""Scores of labels that were carried through video: every case counted, by distance, resampled by blocks of frames.

Legend: k is the distance in frames from a target to its labelled frame(s), C classes. IGNORE is counted as a class of
its own beside the others (the last row and column), so that both scores can be had: mIoU, where truth 255 is not
counted and a propagated 255 is a miss, and IoU with Ignore as a class, as Warp-Refine's figure 5 has it.

Neighbouring frames are nearly the same picture, and labels carried from one labelled frame go wrong together: resampled
one by one they would count one mistake many times, and intervals would be far too narrow. So what is drawn are blocks
of neighbouring targets, the same for every method, distance and seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.arrays import check_npz
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ArtifactError, DataError
from frugalseg.core.table import read_records, write_records
from frugalseg.evaluation.compare import Interval, paired_bootstrap_groups
from frugalseg.evaluation.confusion import Confusions, Counts, Tally, confusion, scores

CASES, MATRICES, ORIGINS = "cases.parquet", "cases.npz", "origins.npz"


@dataclass(frozen=True)
class CarriedCase:
    """One label that was made: its target, the labelled frames it came from, how far they are, and its block."""

    target: str
    sources: str  # one key, or two with a blank between them
    anchors: int
    k: int
    block: str

    @property
    def name(self) -> str:
        """Tells it apart from all others."""
        return f"{self.anchors} {self.k:03} {self.target} < {self.sources}"


class CarriedCounts:
    """What one method did on all its cases. Merging is exact in any order.

    `origins` counts pixels whose truth is known, 2 x origins: all of them, and those that are right.
    """

    def __init__(self, classes: int, origins: int) -> None:
        self.classes = classes
        self.cases: dict[str, CarriedCase] = {}
        self.matrices = Confusions(classes + 1)
        self.origins = np.zeros((2, origins), np.int64)

    def add(
        self,
        case: CarriedCase,
        truth_HW: NDArray[np.uint8],
        label_HW: NDArray[np.uint8],
        origin_HW: NDArray[np.uint8],
    ) -> float:
        """Count one label and return its own mIoU (NaN where nothing is known), which tells cases apart.

        Raises:
            LabelShapeError: it differs from the truth in size.
            UnknownIdError: an id that is no class.
            DataError: the case was counted with another result.
        """
        matrix = confusion(_with_ignore(truth_HW, self.classes), _with_ignore(label_HW, self.classes), self.classes + 1)
        known_HW = truth_HW != IGNORE
        right_HW = known_HW & (label_HW == truth_HW)
        if case.name not in self.cases:
            size = self.origins.shape[1]
            self.origins += [np.bincount(origin_HW[part_HW], minlength=size) for part_HW in (known_HW, right_HW)]
        self.cases[case.name] = case
        self.matrices.add(case.name, matrix)
        return scores(self._plain(matrix)).miou

    def merge(self, other: "CarriedCounts") -> "CarriedCounts":
        """Return the cases of both.

        Raises:
            DataError: a case in both, or other classes.
        """
        if twice := self.cases.keys() & other.cases.keys():
            raise DataError(f"carried labels: {min(twice)!r} was scored in two rounds; expected one of them.")
        merged = CarriedCounts(self.classes, self.origins.shape[1])
        merged.cases = self.cases | other.cases
        merged.matrices = self.matrices.merge(other.matrices)
        merged.origins = self.origins + other.origins
        return merged

    def distances(self, anchors: int) -> tuple[int, ...]:
        """Return every k that was counted with so many labelled frames, in order."""
        return tuple(sorted({case.k for case in self.cases.values() if case.anchors == anchors}))

    def total(self, anchors: int, k: int) -> Counts:
        """Return the merged matrix of one distance, (C + 1) x (C + 1), IGNORE last."""
        chosen = [name for name, case in self.cases.items() if (case.anchors, case.k) == (anchors, k)]
        whole: Counts = np.sum([self.matrices[name] for name in chosen], axis=0)
        return whole[:, : self.classes + 1]

    def miou(self, anchors: int) -> dict[int, float]:
        """Return mIoU by k, 0–1: truth 255 not counted, a propagated 255 a miss."""
        return {k: scores(self._plain(self.total(anchors, k))).miou for k in self.distances(anchors)}

    def class_iou(self, anchors: int) -> NDArray[np.float64]:
        """Return IoU of each class and of IGNORE as a class, averaged over k; NaN for what is never true nor said."""
        per_k = np.stack([Tally.of(self.total(anchors, k)).iou for k in self.distances(anchors)])
        known_C = ~np.isnan(per_k).all(axis=0)
        means_C = np.full(per_k.shape[1], np.nan)
        means_C[known_C] = np.nanmean(per_k[:, known_C], axis=0)
        return means_C

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """All blocks of targets, in order."""
        return tuple(sorted({case.block for case in self.cases.values()}))

    def by_block(self, anchors: int, k: int) -> Confusions:
        """Return the matrices of one distance summed over each block, one of every block even if it has no case."""
        sums = {block: np.zeros((self.classes, self.classes + 1), np.int64) for block in self.blocks}
        for name, case in self.cases.items():
            if (case.anchors, case.k) == (anchors, k):
                sums[case.block] += self._plain(self.matrices[name])
        return Confusions(self.classes, sums.items())

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        ordered = [self.cases[name] for name in sorted(self.cases)]
        write_records(folder / CASES, ordered, CarriedCase)
        self.matrices.save(folder / MATRICES)
        np.savez(folder / ORIGINS, origins=self.origins)

    @classmethod
    def load(cls, folder: Path) -> "CarriedCounts":
        """Read what `save` wrote.

        Raises:
            ArtifactError: it is missing, damaged, or does not fit together.
        """
        matrices, cases = Confusions.load(folder / MATRICES), read_records(folder / CASES, CarriedCase)
        try:
            check_npz(folder / ORIGINS)
            with np.load(folder / ORIGINS, allow_pickle=False) as data:
                origins = data["origins"]
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(f"{folder / ORIGINS}: damaged ({error}). Run the comparison again.") from error
        if [case.name for case in cases] != list(matrices.keys):
            raise ArtifactError(
                f"{folder}: {CASES} and {MATRICES} are about different cases. Run the comparison again."
            )
        found = cls(matrices.classes - 1, origins.shape[1])
        found.cases, found.matrices, found.origins = {case.name: case for case in cases}, matrices, origins
        return found

    def _plain(self, matrix: Counts) -> Counts:
        return matrix[: self.classes, : self.classes + 1]


def merged(parts: Iterable[CarriedCounts]) -> CarriedCounts:
    """Return the cases of all parts, which are all different."""
    first, *others = parts
    for other in others:
        first = first.merge(other)
    return first


def gain(
    base: CarriedCounts | Sequence[CarriedCounts],
    runs: Sequence[CarriedCounts],
    anchors: int,
    distances: Sequence[int] | None = None,
) -> Interval:
    """Return mIoU of a method minus the base's, mean over distances (default all) and over the runs of its seeds.

    The base is one run, of a method without chance, or one for each seed, which is then compared with the same seed's.
    The interval resamples blocks of neighbouring targets, the same ones at each distance and for both sides.

    Raises:
        DataError: the two were not scored on the same cases, or not with the same number of seeds.
    """
    bases = [base] * len(runs) if isinstance(base, CarriedCounts) else list(base)
    if len(bases) != len(runs):
        raise DataError(f"cannot compare {len(runs)} runs with {len(bases)}; give one run of each seed.")
    pairs = list(zip(bases, runs, strict=True))
    if any(one.cases.keys() != run.cases.keys() for one, run in pairs):
        raise DataError("cannot compare carried labels of different cases; score both on the same.")
    groups = [
        [(one.by_block(anchors, k), run.by_block(anchors, k)) for one, run in pairs]
        for k in (bases[0].distances(anchors) if distances is None else distances)
    ]
    return paired_bootstrap_groups(groups)


def mean_over(miou: Mapping[int, float]) -> float:
    """Return the mean over distances."""
    return float(np.mean(list(miou.values())))


def _with_ignore(ids_HW: NDArray[np.uint8], classes: int) -> NDArray[np.uint8]:
    """Return ids in which IGNORE is the class after the last."""
    if classes >= IGNORE:
        raise DataError(f"{classes} classes leave no id for Ignore; expected at most {IGNORE - 1}.")
    strange = IGNORE - 1  # an id that is no class keeps being refused
    return np.select([ids_HW == IGNORE, ids_HW == classes], [np.uint8(classes), np.uint8(strange)], ids_HW)
