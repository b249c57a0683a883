"""What an answer costs in one project: medians of its own answers in place of the priors, once there are enough.

A median does not mind the coffee break behind one answer; besides, idle time is cut at IDLE_S. With few answers the
prior still counts: as much as PRIOR_ANSWERS answers do.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from frugalseg.core.cost import CostModel

IDLE_S = 30.0  # a person who looks at one pixel for longer is away; a region or an image may well take longer
ENOUGH_ANSWERS = 30  # of a kind; below, a median says little and the prior stands
PRIOR_ANSWERS = 30  # what the prior weighs
FEW = {"image": (3, 5)}  # the same two for images: each is an hour of work, so few come, and each tells much
CUT = ("point", "boundary_point")  # kinds whose seconds are cut at IDLE_S
KINDS = (*CUT, "region", "review", "image")


@dataclass(frozen=True)
class Measured:
    """What is known of one kind: how many answers, their median seconds (idle time cut), and the seconds now used."""

    answers: int
    median_s: float
    used_s: float


@dataclass(frozen=True)
class ProjectCost:
    """The cost model of a project, and what it was measured on (nothing: priors); `simulated` if no person answered."""

    model: CostModel
    measured: Mapping[str, Measured]
    simulated: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of it: seconds of each kind, and for measured ones the answers and their median."""
        used = {f"{kind}_s": self.model.each(kind) for kind in KINDS}
        measured = {kind: {"answers": one.answers, "median_s": one.median_s} for kind, one in self.measured.items()}
        rest = {name: getattr(self.model, name) for name in ("edge_share", "overlap", "gold")}
        return {**used, **rest, "measured": measured, "simulated": self.simulated}


def learn_cost(prior: CostModel, seconds: Mapping[str, Sequence[float]], simulated: bool = False) -> ProjectCost:
    """Return `prior` with the seconds of each kind drawn towards the median of the `seconds` measured of that kind.

    With n >= ENOUGH_ANSWERS answers a kind costs (n median + PRIOR_ANSWERS prior) / (n + PRIOR_ANSWERS); with fewer the
    prior. FEW has other numbers for kinds that are seldom asked. An answer near a class edge never costs less than any
    other.
    """
    measured = {}
    for kind in KINDS:
        values = [min(value, IDLE_S) if kind in CUT else value for value in seconds.get(kind, ())]
        median_s = statistics.median(values) if values else 0.0
        enough, weight = FEW.get(kind, (ENOUGH_ANSWERS, PRIOR_ANSWERS))
        if len(values) >= enough and median_s > 0:
            count = len(values)
            used_s = (count * median_s + weight * prior.each(kind)) / (count + weight)
            measured[kind] = Measured(count, median_s, used_s)
    used = {kind: measured[kind].used_s if kind in measured else prior.each(kind) for kind in KINDS}
    model = replace(
        prior,
        point_s=used["point"],
        boundary_point_s=max(used["boundary_point"], used["point"]),
        region_s=used["region"],
        review_s=used["review"],
        image_s=used["image"],
    )
    return ProjectCost(model, measured, simulated and bool(measured))
