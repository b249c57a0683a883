"""random_points: uniform pixels, the plainest control: a selector has to beat it at the same number of points.

Every frame gets the same number of questions, give or take one, uniform over the pixels that may be asked.
"""

from typing import ClassVar

from frugalseg.acquisition.grid import Shortlist, draw_in
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import generator
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query, Region

STRATEGY = "random_points"


class RandomPointsConfig(Config):
    """random_points has no settings."""


class RandomPoints:
    """Uniform pixels; all questions score 0 and have no cell."""

    even: ClassVar[bool] = True
    chance: ClassVar[bool] = True
    needs: frozenset[str] = frozenset()

    def __init__(self, config: RandomPointsConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config, self._seed = config, seed
        self._shortlist = Shortlist(STRATEGY, seed, budget.total_points(frames, cost), frames)

    def see(self, view: FrameView) -> None:
        """Draw the points of one frame."""
        rng = generator(self._seed, STRATEGY, view.key)
        self._shortlist.offer(view, draw_in(view, Region(0, 0, *view.size_HW), rng, self._shortlist.depth))

    def merge(self, other: "RandomPoints") -> None:
        """Take over what `other` saw."""
        self._shortlist.merge(other._shortlist)

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        return self._shortlist.queries()
