"""entropy_patches: ask where the network is least sure ("Labeling Where Adapting Fails", Pan et al., section 3.2).

A grid of 8 rows x 16 columns lies over the entropy map (equation 5); the K cells of highest mean entropy get N = 5
random points each (equation 6). K follows from the budget: it is a frame's share of the points divided by N; what does
not divide goes to one more cell.

Differs: equation 5 is a sum where the text says mean; we take the mean, so that cells of unequal size compare, and over
the pixels that may be asked. Ties are broken by a hash of (key, cell). When all cells of a frame have their N points,
they get N more each, the best first. The paper has no second round and no ambiguous answers; here entropy counts less
around earlier ones, before the mean is taken.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from frugalseg.acquisition.grid import Grid, Shortlist, draw_in_cells
from frugalseg.acquisition.maps import trusted
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import generator, pixel_hash
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query

STRATEGY = "entropy_patches"


class EntropyPatchesConfig(Config):
    """Settings of entropy_patches; in a first round the defaults are the paper's."""

    rows: int = Field(8, ge=1, le=4096, description="grid rows over the frame")
    columns: int = Field(16, ge=1, le=4096, description="grid columns over the frame")
    points_per_cell: int = Field(5, ge=1, description="N, questions in each selected cell")
    ambiguous_radius_px: float = Field(
        8.0, ge=0, description="radius in which an earlier ambiguous answer lowers the entropy; 0 = not at all"
    )


class EntropyPatches:
    """The K cells a frame of highest mean entropy, with N random points each; a question's score is that mean."""

    even: ClassVar[bool] = True
    chance: ClassVar[bool] = True
    needs: frozenset[str] = frozenset()

    def __init__(self, config: EntropyPatchesConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config, self._seed = config, seed
        self._grid = Grid(config.rows, config.columns)
        self._shortlist = Shortlist(STRATEGY, seed, budget.total_points(frames, cost), frames, self._grid)

    def see(self, view: FrameView) -> None:
        """Rank the cells of one frame, and draw points in the best."""
        entropy_HW = trusted(view.entropy_HW, view, self.config.ambiguous_radius_px)
        mean_entropy = self._grid.mean(view, entropy_HW)  # equation 5
        cells = np.flatnonzero(self._grid.askable_pixels(view))
        order = np.lexsort((pixel_hash(view.key, cells), -mean_entropy[cells]))  # equation 6: the top K come first
        candidates = draw_in_cells(
            view,
            self._grid,
            cells[order],
            self.config.points_per_cell,
            self._shortlist.depth,
            lambda cell: generator(self._seed, STRATEGY, view.key, cell),
        )
        candidates["score"] = mean_entropy[candidates["cell"]]
        self._shortlist.offer(view, candidates)

    def merge(self, other: "EntropyPatches") -> None:
        """Take over what `other` saw."""
        self._shortlist.merge(other._shortlist)

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        return self._shortlist.queries()
