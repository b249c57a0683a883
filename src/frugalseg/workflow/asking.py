"""What every selection of a round begins with: which model asks, what earlier rounds asked, what an answer costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalseg.core.chance import seed_for
from frugalseg.core.cost import Budget
from frugalseg.core.measured_cost import ProjectCost
from frugalseg.core.runs import RunInfo
from frugalseg.workflow.pricing import Prices
from frugalseg.workflow.project import MODEL, Project
from frugalseg.workflow.rounds import EARLIER, chain, learned_from, own_model


@dataclass(frozen=True)
class Asking:
    """One selection. `earlier` is the label stage of the round before, `number` this round's, `seed` its own."""

    project: Project
    strategy: str
    config: Any
    budget: Budget
    start: Path
    earlier: Path | None
    labels: Sequence[RunInfo]
    cost: ProjectCost

    @classmethod
    def begin(
        cls,
        project: Project,
        strategy: str,
        config: Any,
        budget: str | None,
        start: Path | None,
        simulated: bool = False,
    ) -> "Asking":
        """Return the next selection of a project; without `start` the newest model of its own series asks.

        `simulated` says that an oracle is going to answer: its answers cost no second opinion.

        Raises:
            StageOrderError: there is no model yet.
            BudgetError: the budget cannot be read.
        """
        parsed = Budget.parse(budget or project.settings.budget)
        if start is None:
            start = own_model(project) or project.latest_model()
        earlier = learned_from(start)
        labels = chain(earlier)
        cost = Prices(project, labels, simulated).of(strategy)
        return cls(project, strategy, config, parsed, start, earlier, labels, cost)

    @property
    def number(self) -> int:
        """The number of this round in its series, from 1."""
        return len(self.labels) + 1

    @property
    def seed(self) -> int:
        """The seed of this round: the same draw from nearly the same pixels would land beside the old points."""
        seed = self.project.settings.seed
        return seed if self.number == 1 else seed_for(seed, "round", self.number)

    @property
    def name(self) -> str:
        """The stage's name."""
        return f"select-{self.strategy}"

    @property
    def inputs(self) -> dict[str, Path]:
        """What every selection reads."""
        inputs = {"target": self.project.manifest_folder("target"), "model": self.start / MODEL}
        return inputs | ({EARLIER: self.earlier} if self.earlier is not None else {})

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the outcome besides the inputs."""
        return {"strategy": self.strategy, "budget": str(self.budget), **self.config.model_dump(mode="json")}

    @property
    def shares(self) -> dict[str, float]:
        """What besides decides how many points a budget in time or images buys."""
        if self.budget.counts_points:
            return {}
        return {"overlap": self.cost.model.overlap, "gold": self.cost.model.gold}

    def facts(self, human_seconds: float) -> dict[str, Any]:
        """What is known before anything is computed."""
        return {"round": self.number, "human_seconds_planned": human_seconds, "cost": self.cost.facts}
