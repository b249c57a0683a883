"""The standing control: a share of a round's questions at uniformly drawn pixels, hidden among the chosen ones.

It is drawn first and from all pixels that may be asked, the selector's favourites included; so it is a fair sample, and
the selector gets what is left.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pydantic import Field

from frugalseg.acquisition.random_points import RandomPoints, RandomPointsConfig
from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.core.chance import seed_for
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, BudgetKind, CostModel
from frugalseg.core.records import Frame, Query
from frugalseg.data.masks import askable

CONTROL_STRATEGY = "random_points"


class ControlConfig(Config):
    """How much of a round is the control; beside the selector's own settings."""

    control_share: float = Field(
        0.1, ge=0, le=0.5, description="share of a round's questions at pixels drawn at random, the standing control"
    )


def control_points(total: int, share: float, strategy: str) -> int:
    """Return how many of `total` questions are the control; none where the strategy draws at random anyway.

    At least one question is left to the strategy, and at least one is the control if there are ten.
    """
    if strategy.startswith("random"):
        return 0
    return min(max(round(share * total), int(share > 0 and total >= 10)), total - 1)


def draw_control(
    frames: Sequence[Frame], points: int, before: Mapping[str, tuple[Asked, ...]], cost: CostModel, seed: int
) -> list[Query]:
    """Return `points` questions at pixels drawn uniformly from those that may be asked and were not asked before.

    Raises:
        BudgetError: too few pixels are left to ask about.
    """
    if points < 1:
        return []
    budget = Budget(BudgetKind.POINTS, points, f"{points}points")
    selector = RandomPoints(RandomPointsConfig(), budget, len(frames), cost, seed_for(seed, "control slice"))
    for frame in frames:
        selector.see(blank_view(frame, before.get(frame.key, ())))
    return selector.finish()


def blank_view(frame: Frame, asked: tuple[Asked, ...]) -> FrameView:
    """Return a view for a draw that looks at no map of a network: of what is predicted it says nothing."""
    size_HW = (frame.height, frame.width)
    blank = np.zeros(size_HW, np.float32), np.zeros(size_HW, np.uint8)
    return FrameView(frame.key, *blank, askable(frame), sequence=frame.sequence, index=frame.index, asked=asked)


def mixed(chosen: Sequence[Query], control: Sequence[Query]) -> list[Query]:
    """Return all questions in key order, the control's at random places among the chosen ones of their frame.

    The chosen ones keep their order. So nobody can tell by its place which question belongs to the control.
    """
    ranked: dict[str, list[tuple[float, str, Query]]] = defaultdict(list)
    for key, own in _by_key(chosen).items():
        ranked[key] += [((place + 0.5) / len(own), query.id, query) for place, query in enumerate(own)]
    for query in control:
        ranked[query.key].append((seed_for(0, "place", query.id) / 2.0**63, query.id, query))
    return [query for key in sorted(ranked) for _, _, query in sorted(ranked[key], key=lambda entry: entry[:2])]


def _by_key(queries: Iterable[Query]) -> dict[str, list[Query]]:
    groups: dict[str, list[Query]] = defaultdict(list)
    for query in queries:
        groups[query.key].append(query)
    return groups
