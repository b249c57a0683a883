"""class_balanced: as many questions of each predicted class, away from predicted boundaries, spread over the frames.

Strictly most uncertain pixels shift the class priors and lie at edges, where people cannot answer. So a question is a
random pixel of its predicted class; optionally one of the less sure part of that class in its frame. A class asks in
every frame once before it asks in any frame twice. What a class lacks (it is predicted in a few pixels only) goes to
the others; pixels near a predicted edge are asked only when a class has no others left. Around earlier ambiguous
answers entropy counts less, and a pixel is drawn less often in proportion.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from frugalseg.acquisition.maps import edge_distance, favoured, trusted
from frugalseg.acquisition.pool import Pool, first, ranks
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import pixel_hash, uniform
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query

STRATEGY = "class_balanced"
SURE, NEAR_EDGE = 1, 2  # tiers after 0: asked when the class has nothing better
TIER = 2.0**20  # more than a frame offers of a class


class ClassBalancedConfig(Config):
    """Settings of class_balanced."""

    boundary_px: int = Field(
        2, ge=0, description="pixels at most so far from another predicted class come last; 0 = no boundary margin"
    )
    unsure_share: float = Field(
        1.0, gt=0, le=1, description="share of a class in a frame, the highest entropies, that is drawn from; 1 = all"
    )
    ambiguous_radius_px: float = Field(
        8.0,
        ge=0,
        description="radius in which an earlier ambiguous answer makes a question less likely; 0 = off",
    )


class ClassBalanced:
    """Equal numbers of each predicted class over the pool; a question's score is its entropy."""

    even: ClassVar[bool] = False
    chance: ClassVar[bool] = True
    needs: frozenset[str] = frozenset()

    def __init__(self, config: ClassBalancedConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config, self._seed = config, seed
        self._pool = Pool(STRATEGY, seed, budget.total_points(frames, cost), frames, equal=True)

    def see(self, view: FrameView) -> None:
        """Draw pixels of every class that is predicted in one frame."""
        flat = view.candidates()
        classes = view.prediction_HW.ravel()[flat]
        entropy = trusted(view.entropy_HW, view, self.config.ambiguous_radius_px).ravel()[flat]
        tiers = np.zeros(len(flat), np.float32)
        near = edge_distance(view.prediction_HW).ravel()[flat] <= self.config.boundary_px
        tiers[near] = NEAR_EDGE
        if self.config.unsure_share < 1:
            tiers[~near] = SURE * sure(classes[~near], entropy[~near], self.config.unsure_share)
        order = tiers + self._draw(view).ravel()[flat]
        kept = first(classes, order, self._pool.per_frame)
        kept = kept[np.lexsort((kept, order[kept]))]
        places = ranks(classes[kept]) + tiers[kept] * np.float32(TIER)
        self._pool.offer(view, classes[kept], flat[kept], places.astype(np.float32), entropy[kept])

    def _draw(self, view: FrameView) -> NDArray[np.float32]:
        """Return uniform draws, the smallest asked first; 1 - u is exact, and a second one gives u back."""
        bits = pixel_hash(f"{self._seed}/{STRATEGY}/{view.key}", np.arange(view.entropy_HW.size))
        highest_first = 1 - uniform(bits).reshape(view.size_HW)
        return 1 - favoured(highest_first, view, self.config.ambiguous_radius_px)

    def merge(self, other: "ClassBalanced") -> None:
        """Take over what `other` saw."""
        self._pool.merge(other._pool)

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        return self._pool.queries()


def sure(classes: NDArray[np.uint8], entropy: NDArray[np.float32], unsure_share: float) -> NDArray[np.bool_]:
    """Return which pixels do not belong to the `unsure_share` of highest entropy of their class (at least one does)."""
    found = np.ones(len(classes), np.bool_)
    by_class = np.argsort(classes, kind="stable")
    for positions in np.split(by_class, np.flatnonzero(np.diff(classes[by_class])) + 1):
        if len(positions):
            kept = len(positions) - max(1, round(unsure_share * len(positions)))
            found[positions] = entropy[positions] < np.partition(entropy[positions], kept)[kept]
    return found
