"""What every selection of a round begins with: which model asks, what earlier rounds asked, what an answer costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frugalseg.core.artifact import content_hash, fingerprint_of
from frugalseg.core.chance import seed_for
from frugalseg.core.cost import Budget
from frugalseg.core.measured_cost import ProjectCost
from frugalseg.core.runs import RunInfo
from frugalseg.workflow.pricing import Prices
from frugalseg.workflow.project import MODEL, Project
from frugalseg.workflow.rounds import EARLIER, chain, learned_from, own_model
from frugalseg.workflow.series import answers_to_follow


@dataclass(frozen=True)
class Asking:
    """One selection. `earlier` is the label stage of the round before, `number` this round's, `seed` its own.

    `alone`: it follows what its model has learned from, and nothing else, so that selectors can be compared.
    `simulated`: an oracle is going to answer.
    """

    project: Project
    strategy: str
    config: Any
    budget: Budget
    start: Path
    earlier: Path | None
    labels: Sequence[RunInfo]
    cost: ProjectCost
    alone: bool = False
    simulated: bool = False

    @classmethod
    def begin(
        cls,
        project: Project,
        strategy: str,
        config: Any,
        budget: str | None,
        start: Path | None,
        alone: bool = False,
        simulated: bool = False,
    ) -> "Asking":
        """Return the next selection of a project; without `start` the newest model of its own series asks.

        It follows all answers that nobody has learned from yet (`answers_to_follow`), unless it is `alone`. `simulated`
        says that an oracle is going to answer: its answers cost no second opinion.

        Raises:
            StageOrderError: there is no model yet.
            BudgetError: the budget cannot be read.
        """
        parsed = Budget.parse(budget or project.settings.budget)
        if start is None:
            start = own_model(project) or project.latest_model()
        earlier = learned_from(start) if alone else answers_to_follow(project, start, strategy)
        labels = chain(earlier)
        cost = Prices(project, labels, simulated).of(strategy)
        return cls(project, strategy, config, parsed, start, earlier, labels, cost, alone, simulated)

    def or_the_same(self, inputs: Mapping[str, Path], settings: Mapping[str, Any]) -> "Asking":
        """Return the finished selection that this command made before, by what it followed then; else this one.

        So a command given again asks nothing new, whatever has been answered in the meantime.
        """
        finished = [run for run in self.project.list() if run.name == self.name and not self.alone]
        hashes = {name: content_hash(path) for name, path in inputs.items() if name != EARLIER} if finished else {}
        for run in reversed(finished):
            earlier = run.input(EARLIER) if run.has_input(EARLIER) else None
            if earlier is not None and not earlier.is_dir():
                continue
            whole = hashes | ({EARLIER: content_hash(earlier)} if earlier is not None else {})
            if fingerprint_of(self.name, settings, self.project.settings.seed, whole) == run.fingerprint:
                labels = chain(earlier)
                cost = Prices(self.project, labels, self.simulated).of(self.strategy)
                return replace(self, earlier=earlier, labels=labels, cost=cost)
        return self

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
