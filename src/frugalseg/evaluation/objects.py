"""Scores in which every object counts alike, and scores of whole categories, as Cityscapes defines them.

IoU is ruled by what is large: one bus outweighs twenty people far away. iIoU (Cordts et al., CVPR 2016;
evalPixelLevelSemanticLabeling.py) weighs the pixels of each object of the truth by the mean size of its class over its
own size: iIoU = iTP / (iTP + FP + iFN). False positives belong to no object and are not weighted. A category's IoU
takes its classes for one; its iIoU takes an object for found where anything of the category was predicted, and exists
only where all its classes have objects.

Differs: our means run over what occurs in the truth; the script's also take in, as 0, what is only predicted.

Legend: C classes, K categories.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.errors import DataError, LabelShapeError
from frugalseg.evaluation.confusion import Counts, Tally, mean_where, ratio

NO_CATEGORY = -1


@dataclass(frozen=True)
class ObjectHits:
    """One object of the truth: its class, its pixels, and how many were predicted as its class and as its category."""

    key: str
    number: int
    class_id: int
    pixels: int
    hits: int
    category_hits: int

    def __post_init__(self) -> None:
        if not (self.pixels > 0 and 0 <= self.hits <= self.category_hits <= self.pixels):
            raise DataError(
                f"frame {self.key}, object {self.number}: {self.hits} and {self.category_hits} of {self.pixels} pixels "
                "are no counts of hits as class and as category."
            )


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which categories there are, which one each class is in (NO_CATEGORY: none), and a class's mean pixels an object.

    `instance_px_C` is NaN for classes that are not scored by object.
    """

    categories: tuple[str, ...]
    category_C: NDArray[np.int64]
    instance_px_C: NDArray[np.float64]

    @classmethod
    def of(cls, dataset: ClassSet, project: ClassSet) -> "Grouping":
        """Return what the data set's class list says, for the project's classes."""
        table = dataset.map_to(project).table
        names = tuple(dataset.categories)
        category_C, instance_px_C = np.full(len(project), NO_CATEGORY), np.full(len(project), np.nan)
        for number, members in enumerate(dataset.categories.values()):
            category_C[[new for name in members if (new := table[dataset.index(name)]) != IGNORE]] = number
        for name, size_px in dataset.instance_px.items():
            if (new := table[dataset.index(name)]) != IGNORE and np.isnan(instance_px_C[new]):
                instance_px_C[new] = size_px  # of several classes that become one, the first
        return cls(names, category_C, instance_px_C)

    @property
    def by_object_K(self) -> NDArray[np.bool_]:
        """Categories all of whose classes are scored by object."""
        known_C = ~np.isnan(self.instance_px_C)
        members = [self.category_C == number for number in range(len(self.categories))]
        return np.array([bool(own_C.any() and known_C[own_C].all()) for own_C in members], bool)


@dataclass(frozen=True, eq=False)
class ObjectScores:
    """Fractions 0–1, NaN where there is nothing to score; means over the classes and categories that occur."""

    category_iou_K: NDArray[np.float64]
    category_miou: float
    iiou_C: NDArray[np.float64]
    miiou: float
    category_iiou_K: NDArray[np.float64]
    category_miiou: float


def object_hits(
    key: str,
    objects_HW: NDArray[np.integer],
    class_of: Mapping[int, int],
    prediction_HW: NDArray[np.uint8],
    grouping: Grouping,
) -> list[ObjectHits]:
    """Count the hits of each object of a frame whose class is scored by object.

    Args:
        key: The frame's.
        objects_HW: Number of the object at each pixel; numbers that `class_of` does not know are none.
        class_of: Class id of each object.
        prediction_HW: Class ids; IGNORE is a miss.
        grouping: The categories.

    Raises:
        LabelShapeError: the two differ in size.
    """
    if objects_HW.shape != prediction_HW.shape:
        raise LabelShapeError(
            f"frame {key}: objects are {objects_HW.shape}, the prediction is {prediction_HW.shape} (height, width).\n"
            "Predict at the label's size."
        )
    scored = {number: c for number, c in class_of.items() if not np.isnan(grouping.instance_px_C[c])}
    category_of = np.full(256, NO_CATEGORY)
    category_of[: len(grouping.category_C)] = grouping.category_C
    found = []
    for number in np.unique(objects_HW[np.isin(objects_HW, list(scored))]).tolist():
        predicted, class_id = prediction_HW[objects_HW == number], scored[number]
        hits = int((predicted == class_id).sum())
        category = grouping.category_C[class_id]
        of_category = int((category_of[predicted] == category).sum()) if category != NO_CATEGORY else hits
        found.append(ObjectHits(key, number, class_id, len(predicted), hits, of_category))
    return found


def object_scores(matrix: Counts, found: Iterable[ObjectHits], grouping: Grouping) -> ObjectScores:
    """Return the scores of a merged confusion matrix, C x (C + 1), and of the objects of the same frames."""
    found, classes = list(found), matrix.shape[0]
    tally = Tally.of(matrix)
    in_KC = grouping.category_C[None] == np.arange(len(grouping.categories))[:, None]
    truth_K, predicted_K = in_KC @ tally.truth, in_KC @ tally.predicted
    hits_K = np.array([matrix[np.ix_(own_C, np.r_[own_C, False])].sum() for own_C in in_KC], np.int64)
    category_iou_K = ratio(hits_K, truth_K + predicted_K - hits_K)

    hits_C, misses_C = _weighted(found, grouping, classes, of_category=False)
    iiou_C = ratio(hits_C, hits_C + misses_C + tally.predicted - tally.hits)
    iiou_C[np.isnan(grouping.instance_px_C)] = np.nan
    category_hits_C, category_misses_C = _weighted(found, grouping, classes, of_category=True)
    weighted_K, missed_K = in_KC @ category_hits_C, in_KC @ category_misses_C
    category_iiou_K = ratio(weighted_K, weighted_K + missed_K + predicted_K - hits_K)
    category_iiou_K[~grouping.by_object_K] = np.nan
    present_C = np.bincount([one.class_id for one in found], minlength=classes) > 0
    return ObjectScores(
        category_iou_K=category_iou_K,
        category_miou=float(mean_where(category_iou_K, truth_K > 0)),
        iiou_C=iiou_C,
        miiou=float(mean_where(iiou_C, present_C)),
        category_iiou_K=category_iiou_K,
        category_miiou=float(mean_where(category_iiou_K, (in_KC @ present_C) & grouping.by_object_K)),
    )


def _weighted(
    found: list[ObjectHits], grouping: Grouping, classes: int, of_category: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weighted hits and misses of each class; summed exactly, so that the order of objects does not matter."""
    hits: list[list[float]] = [[] for _ in range(classes)]
    misses: list[list[float]] = [[] for _ in range(classes)]
    for one in found:
        weight = float(grouping.instance_px_C[one.class_id]) / one.pixels
        hit = one.category_hits if of_category else one.hits
        hits[one.class_id].append(weight * hit)
        misses[one.class_id].append(weight * (one.pixels - hit))
    return np.array([math.fsum(values) for values in hits]), np.array([math.fsum(values) for values in misses])
