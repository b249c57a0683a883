"""global_points: the most uncertain pixels of the whole pool, whatever frame they lie in.

A pixel's score is its entropy. Frames compete: a frame of which the network is sure may not be asked about at all. Ties
are broken by a hash of (key, pixel).
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from frugalseg.acquisition.maps import trusted
from frugalseg.acquisition.pool import Pool, first
from frugalseg.acquisition.view import FrameView
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query

STRATEGY = "global_points"


class GlobalPointsConfig(Config):
    """Settings of global_points."""

    ambiguous_radius_px: float = Field(
        8.0, ge=0, description="radius in which an earlier ambiguous answer lowers the score; 0 = not at all"
    )


class GlobalPoints:
    """The pixels of highest entropy of all frames together; a question's score is its entropy."""

    even: ClassVar[bool] = False
    chance: ClassVar[bool] = False
    needs: frozenset[str] = frozenset()

    def __init__(self, config: GlobalPointsConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config, self._total = config, budget.total_points(frames, cost)
        self._pool = Pool(STRATEGY, seed, self._total, frames)

    def see(self, view: FrameView) -> None:
        """Note the most uncertain pixels of one frame."""
        flat = view.candidates()
        score_HW = trusted(view.entropy_HW.astype(np.float32, copy=False), view, self.config.ambiguous_radius_px)
        score = score_HW.ravel()[flat].clip(0, 1)
        one_stratum = np.zeros(len(flat), np.uint8)
        kept = first(one_stratum, 1 - score, self._total)
        self._pool.offer(view, one_stratum[kept], flat[kept], 1 - score[kept], score[kept])

    def merge(self, other: "GlobalPoints") -> None:
        """Take over what `other` saw."""
        self._pool.merge(other._pool)

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        return self._pool.queries()
