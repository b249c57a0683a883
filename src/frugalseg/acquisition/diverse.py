"""diverse: spread the questions over what the pool shows: over frames that do not look alike, and within each frame.

A frame that looks like one of its drive that is asked about (a lattice of 16 x 32 pixels is predicted nearly the same),
in the order of the keys' hashes, is left out as long as the others have pixels left. Within a frame random pixels are
asked that keep apart from each other and from those asked before, less often around earlier ambiguous answers.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from frugalseg.acquisition.grid import Shortlist
from frugalseg.acquisition.maps import Glance, favoured, unlike
from frugalseg.acquisition.picks import pick_apart
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import pixel_hash, uniform
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query

STRATEGY = "diverse"
FEWEST = 128  # questions that a frame has ready for others that look like it


class DiverseConfig(Config):
    """Settings of diverse."""

    tolerance: float = Field(
        0.1,
        ge=0,
        le=1,
        description="frames of one drive look alike if at most this share of them is predicted otherwise",
    )
    apart: float = Field(
        0.05, ge=0, le=1, description="how far questions of a frame keep apart, as a share of its longer side"
    )
    ambiguous_radius_px: float = Field(
        8.0,
        ge=0,
        description="radius in which an earlier ambiguous answer makes a question less likely; 0 = off",
    )


class Diverse:
    """Random pixels apart from each other, in frames that do not look alike; all questions score 0."""

    even: ClassVar[bool] = False
    chance: ClassVar[bool] = True
    needs: frozenset[str] = frozenset()

    def __init__(self, config: DiverseConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config, self._seed = config, seed
        self._shortlist = Shortlist(STRATEGY, seed, budget.total_points(frames, cost), frames, at_least=FEWEST)
        self._glances: list[Glance] = []

    def see(self, view: FrameView) -> None:
        """Draw the points of one frame, and note what it looks like."""
        flat = np.arange(view.entropy_HW.size)
        draw_HW = uniform(pixel_hash(f"{self._seed}/{STRATEGY}/{view.key}", flat)).reshape(view.size_HW)
        order_HW = favoured(draw_HW, view, self.config.ambiguous_radius_px)
        apart_px = round(self.config.apart * max(view.size_HW))
        candidates = pick_apart(view, order_HW, self._shortlist.depth, apart_px)
        candidates["score"] = 0
        self._shortlist.offer(view, candidates)
        self._glances.append(Glance.at(view))

    def merge(self, other: "Diverse") -> None:
        """Take over what `other` saw."""
        self._shortlist.merge(other._shortlist)
        self._glances += other._glances

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        return self._shortlist.queries(unlike(self._glances, self.config.tolerance))
