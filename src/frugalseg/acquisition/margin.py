"""margin: ask where the two most probable classes are closest (Scheffer et al., 2001: "best versus second best").

A pixel's score is 1 - (p1 - p2). Every frame gets its share of the budget, the highest scores first; ties are broken by
a hash of (key, pixel). Pixels near a predicted edge come last where `boundary_px` says so: people call them ambiguous.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from frugalseg.acquisition.grid import Shortlist
from frugalseg.acquisition.maps import edge_distance, trusted
from frugalseg.acquisition.picks import best
from frugalseg.acquisition.view import MARGIN, FrameView
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query

STRATEGY = "margin"


class MarginConfig(Config):
    """Settings of margin; the defaults are the plain rule."""

    boundary_px: int = Field(
        0, ge=0, description="pixels at most so far from another predicted class come last; 0 = no boundary margin"
    )
    ambiguous_radius_px: float = Field(
        8.0, ge=0, description="radius in which an earlier ambiguous answer lowers the score; 0 = not at all"
    )


class Margin:
    """The pixels of smallest margin of every frame; a question's score is 1 - margin."""

    even: ClassVar[bool] = True
    chance: ClassVar[bool] = False
    needs: frozenset[str] = frozenset({MARGIN})

    def __init__(self, config: MarginConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config = config
        self._shortlist = Shortlist(STRATEGY, seed, budget.total_points(frames, cost), frames)

    def see(self, view: FrameView) -> None:
        """Note the pixels of one frame with the smallest margins."""
        score_HW = np.float32(1) - view.needed(MARGIN).astype(np.float32, copy=False)
        score_HW = trusted(score_HW, view, self.config.ambiguous_radius_px)
        near_HW = None
        if self.config.boundary_px:
            near_HW = edge_distance(view.prediction_HW) <= self.config.boundary_px
        self._shortlist.offer(view, best(view, score_HW, self._shortlist.depth, near_HW))

    def merge(self, other: "Margin") -> None:
        """Take over what `other` saw."""
        self._shortlist.merge(other._shortlist)

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        return self._shortlist.queries()
