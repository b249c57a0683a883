"""Scores of whole categories and of single objects in the report, as `evaluate` wrote them down."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from frugalseg.evaluation import wording

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class CoarseScores:
    """What one evaluation found beside IoU of classes (`objects.ObjectScores`); None where it has no value.

    `objects` is how many single objects were scored; without any the means over objects are None.
    """

    category_iou: Values
    category_miou: float | None
    objects: int = 0
    iiou: Values = field(default_factory=dict)
    miiou: float | None = None
    category_iiou: Values = field(default_factory=dict)
    category_miiou: float | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "CoarseScores | None":
        """Return what `evaluate` found; None where the data set has neither categories nor objects."""
        if "category_iou" not in found and "iiou" not in found:
            return None
        given = {name: found[name] for name in cls.__dataclass_fields__ if name in found}
        return cls(**{"category_iou": {}, "category_miou": None, **given})


def mean_rows(scores: Mapping[str, CoarseScores]) -> list[list[str]]:
    """Return the means of each model as text, the header first."""
    rows = [["model", "categories, mIoU", "objects, iIoU", "categories by object, iIoU"]]
    for name, one in scores.items():
        rows.append([name, *map(_percent, (one.category_miou, one.miiou, one.category_miiou))])
    return rows


def category_rows(scores: CoarseScores) -> list[list[str]]:
    """Return each category's IoU and iIoU as text, the header first."""
    rows = [["category", "IoU", "iIoU"]]
    by_object = scores.category_iiou
    return rows + [[name, _percent(iou), _percent(by_object.get(name))] for name, iou in scores.category_iou.items()]


def object_rows(scores: CoarseScores, iou: Mapping[str, float]) -> list[list[str]]:
    """Return IoU and iIoU of each class that is scored by object as text, the header first."""
    rows = [["class", "IoU", "iIoU"]]
    return rows + [[name, _percent(iou.get(name)), _percent(value)] for name, value in scores.iiou.items()]


def words(scores: CoarseScores, iou: Mapping[str, float]) -> str:
    """Say how many objects there are, and which class is found by pixels far better than by objects."""
    if not scores.objects:
        return "The data set's labels tell no single objects apart, so only categories are scored."
    gaps = {
        name: iou[name] - value
        for name, value in scores.iiou.items()
        if value is not None and not math.isnan(iou.get(name, math.nan))
    }
    text = f"{wording.whole(scores.objects)} objects."
    if gaps and max(gaps.values()) > 0:
        name = max(gaps, key=lambda key: gaps[key])
        text += (
            f" Small ones of {name} are missed most: its iIoU is {wording.percent(gaps[name])} points below its IoU."
        )
    return text


def _percent(value: float | None) -> str:
    return wording.NOTHING if value is None else wording.percent(value)


def tables(scores: CoarseScores, iou: Mapping[str, float]) -> Sequence[tuple[str, list[list[str]]]]:
    """Return the tables of one model, each with its name; those without a row are left out."""
    found = (("IoU of each category", category_rows(scores)), ("Scored by object", object_rows(scores, iou)))
    return [(name, rows) for name, rows in found if len(rows) > 1]
