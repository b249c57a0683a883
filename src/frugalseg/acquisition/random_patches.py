"""random_patches: the random control of "Labeling Where Adapting Fails" (Pan et al., section 4.2).

As entropy_patches, but the K cells of a frame are drawn uniformly from the cells that hold a pixel to ask about.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from frugalseg.acquisition.grid import Grid, Shortlist, draw, draw_in_cells
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import generator
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query

STRATEGY = "random_patches"


class RandomPatchesConfig(Config):
    """Settings of random_patches; the defaults are the paper's."""

    rows: int = Field(8, ge=1, le=4096, description="grid rows over the frame")
    columns: int = Field(16, ge=1, le=4096, description="grid columns over the frame")
    points_per_cell: int = Field(5, ge=1, description="N, questions in each selected cell")


class RandomPatches:
    """K random cells a frame with N random points each; all questions score 0."""

    even: ClassVar[bool] = True
    chance: ClassVar[bool] = True
    needs: frozenset[str] = frozenset()

    def __init__(self, config: RandomPatchesConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config, self._seed = config, seed
        self._grid = Grid(config.rows, config.columns)
        self._shortlist = Shortlist(STRATEGY, seed, budget.total_points(frames, cost), frames, self._grid)

    def see(self, view: FrameView) -> None:
        """Draw the cells of one frame, and points in them."""
        cells = np.flatnonzero(self._grid.askable_pixels(view))
        ranked_cells = cells[draw(generator(self._seed, STRATEGY, view.key), len(cells), len(cells))]
        candidates = draw_in_cells(
            view,
            self._grid,
            ranked_cells,
            self.config.points_per_cell,
            self._shortlist.depth,
            lambda cell: generator(self._seed, STRATEGY, view.key, cell),
        )
        self._shortlist.offer(view, candidates)

    def merge(self, other: "RandomPatches") -> None:
        """Take over what `other` saw."""
        self._shortlist.merge(other._shortlist)

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        return self._shortlist.queries()
