"""Choosing whole images: what is seen of a frame, what a strategy says of all of them, and the questions that follow.

Whole images are costly, so a frame is asked about once, in all rounds together. A strategy is a pure function of the
views in key order; so neither the order of the frames nor the number of workers that looked at them can matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.anchors import Anchors, ImageVectors
from frugalseg.core.chance import key_hash, seed_for
from frugalseg.core.errors import BudgetError, DataError
from frugalseg.core.records import Query, QueryKind

VECTORS, LIKENESS, SOURCE = "vectors_CF", "likeness_01", "source"  # what a strategy may say it `needs`
ROUNDING_01 = 1e-3  # half-precision means leave [0, 1] by about this much
LEAST_01 = 1e-9  # of a likeness: what single precision rounds to 0 has finite odds, too


@dataclass(frozen=True, eq=False)
class ImageView:
    """One scored frame as a whole: `entropy_01` is the mean of -Σ p log p / log C over its pixels.

    `sequence` and `index` say where in which drive it lies; `asked` whether people labelled it in an earlier round: it
    is not asked again.

    Only there if the strategy `needs` it: `vectors_CF` and `present_C`, the mean feature of each predicted class and
    which classes there are; `likeness_01`, the mean probability at which the discriminator takes it for the source's.

    Raises:
        DataError: entropy or likeness are not numbers in [0, 1].
    """

    key: str
    entropy_01: float
    sequence: str = ""
    index: int = 0
    asked: bool = False
    vectors_CF: NDArray[np.float32] | None = None
    present_C: NDArray[np.bool_] | None = None
    likeness_01: float | None = None

    def __post_init__(self) -> None:
        for name in ("entropy_01", "likeness_01"):
            value = getattr(self, name)
            if value is not None and not -ROUNDING_01 <= value <= 1 + ROUNDING_01:
                raise DataError(f"{self.key}: {name} = {value:g}; expected 0 to 1. NaN: the network diverged.")


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a strategy says of N images: a score each (higher = more wanted).

    `order` holds the places of the images to ask, the most wanted first; None means by score. Where there are anchors,
    there are also each image's nearest one, the vectors that were compared with them, and the source's as they were
    compared.
    """

    score_N: NDArray[np.float64]
    order: list[int] | None = None
    anchor_N: NDArray[np.int64] | None = None
    anchors: Anchors | None = None
    vectors: ImageVectors | None = None
    source: ImageVectors | None = None


class ImageStrategy(Protocol):
    """How whole images are chosen. It is made with its settings only."""

    name: str
    chance: ClassVar[bool]  # the seed decides which images are asked; otherwise it only names the questions
    needs: ClassVar[frozenset[str]]

    def judge(self, views: Sequence[ImageView], total: int, seed: int, source: ImageVectors | None) -> Opinion:
        """Say how much each image is wanted, where `total` will be asked.

        The views are in key order; `source` is there if SOURCE is needed. A larger `total` must want the same images
        first.
        """
        ...


@dataclass(frozen=True)
class RankedImage:
    """One row of the table of all frames: how much it was wanted, and the anchor it lies nearest to, if any.

    Those `asked` were labelled in full before, and could not be chosen.
    """

    key: str
    score: float
    chosen: bool
    anchor: int | None = None
    asked: bool = False


class ImageSelector:
    """Sees every frame once, in any order, and then turns a number of images into questions.

    Several may share the frames: each is made with the same arguments (`frames` counts all), sees a part, and one of
    them merges the others. A view is some 200 bytes; with vectors it is C x F numbers of 4 bytes.
    """

    def __init__(self, strategy: ImageStrategy, total: int, frames: int, seed: int) -> None:
        self.strategy, self._total, self._frames, self._seed = strategy, total, frames, seed
        self._views: dict[str, ImageView] = {}

    def see(self, view: ImageView) -> None:
        """Note one frame.

        Raises:
            DataError: this frame was seen before.
        """
        if view.key in self._views:
            raise DataError(f"{self.strategy.name}: frame {view.key} was scored twice. Give every frame once.")
        self._views[view.key] = view

    def merge(self, other: "ImageSelector") -> None:
        """Take over what `other` saw.

        Raises:
            DataError: both saw the same frame.
        """
        for view in other._views.values():
            self.see(view)

    def finish(self, source: ImageVectors | None = None) -> tuple[list[Query], list[RankedImage], Opinion]:
        """Return the questions, the table of all frames, both in key order, and what the strategy said.

        Raises:
            DataError: not all frames were seen, or a view lacks what the strategy needs.
            BudgetError: fewer images are left to ask about than the budget pays for.
        """
        if len(self._views) != self._frames:
            raise DataError(
                f"{self.strategy.name}: {len(self._views)} of {self._frames} frames scored. Score them all."
            )
        views = [self._views[key] for key in sorted(self._views)]
        opinion = self.strategy.judge(views, self._total, self._seed, source)
        order = by_score(views, opinion.score_N) if opinion.order is None else opinion.order
        if len(order) < self._total:
            raise BudgetError(
                f"{self.strategy.name}: the budget pays for {self._total} images, but of {len(views)} frames only "
                f"{len(order)} have not been labelled yet. Lower the budget."
            )
        chosen, anchor_N = set(order[: self._total]), opinion.anchor_N
        table = [
            RankedImage(
                view.key,
                float(opinion.score_N[n]),
                n in chosen,
                None if anchor_N is None else int(anchor_N[n]),
                view.asked,
            )
            for n, view in enumerate(views)
        ]
        return [self._question(row) for row in table if row.chosen], table, opinion

    def _question(self, row: RankedImage) -> Query:
        name = self.strategy.name
        return Query(f"{seed_for(self._seed, name, row.key):016x}", row.key, QueryKind.IMAGE, name, score=row.score)


def by_score(views: Sequence[ImageView], score_N: NDArray[np.float64]) -> list[int]:
    """Return the places of the images that may be asked, the highest score first; ties fall by the key's hash."""
    free = [number for number, view in enumerate(views) if not view.asked]
    return sorted(free, key=lambda number: rank_of(views[number].key, float(score_N[number])))


def rank_of(key: str, score: float) -> tuple[float, int, str]:
    """Return what images are sorted by, the most wanted first."""
    return -score, key_hash(key), key


def odds_against_source(view: ImageView) -> float:
    """Return (1 - f) / f, f being the mean probability at which the discriminator takes an image for the source's.

    Raises:
        DataError: it was not asked.
    """
    if view.likeness_01 is None:
        raise DataError(f"{view.key}: the view has no {LIKENESS}, which this selector needs.")
    likeness_01 = min(max(view.likeness_01, LEAST_01), 1.0)
    return (1 - likeness_01) / likeness_01


def stacked(views: Sequence[ImageView]) -> ImageVectors:
    """Return the vectors of the views.

    Raises:
        DataError: one has none.
    """
    if bare := [view.key for view in views if view.vectors_CF is None or view.present_C is None]:
        raise DataError(f"{bare[0]}: the view has no vectors_CF, which this selector needs.")
    vectors_NCF = np.stack([view.vectors_CF for view in views if view.vectors_CF is not None])
    present_NC = np.stack([view.present_C for view in views if view.present_C is not None])
    return ImageVectors(tuple(view.key for view in views), vectors_NCF, present_NC)
