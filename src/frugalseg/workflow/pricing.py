"""What answers cost in a project: its common prices, and each strategy's own where it has asked before."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from frugalseg.core.cost import CostModel
from frugalseg.core.measured_cost import ProjectCost, learn_cost
from frugalseg.core.runs import RunInfo
from frugalseg.workflow.evidence import guesses
from frugalseg.workflow.project import Project
from frugalseg.workflow.rounds import believed, label_stages, questions_and_answers


class Prices:
    """The prices that `labels` (default: all label stages of the project that count) tell of.

    A question about a pixel where the model predicted an edge is a kind of its own: people hesitate there.
    Simulated answers are never mixed with people's: they count where no person has answered, so that a rehearsal plans
    as the real thing would. `simulated`: an oracle is to answer, so nothing is asked twice and nobody is checked.
    """

    def __init__(self, project: Project, labels: Iterable[RunInfo] | None = None, simulated: bool = False) -> None:
        runs = believed(label_stages(project.list()) if labels is None else labels)
        self._seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._edges: dict[str, list[bool]] = defaultdict(list)  # of each question about a pixel: at a predicted edge?
        for run in runs:
            self._count(run)
        gold = project.settings.gold if project.gold_domain else 0.0
        prior = CostModel() if simulated else CostModel(overlap=project.settings.overlap, gold=gold)
        rehearsed = all(run.extra.get("simulated") for run in runs)
        everybody: dict[str, list[float]] = defaultdict(list)
        for own in self._seconds.values():
            for kind, seconds in own.items():
                everybody[kind] += seconds
        edges = [at_edge for own in self._edges.values() for at_edge in own]
        self.common = _learn(prior, everybody, edges, rehearsed)

    def of(self, strategy: str) -> ProjectCost:
        """Return what the questions of `strategy` cost: the common prices drawn towards the medians of its answers."""
        edges = self._edges.get(strategy, [])
        own = _learn(self.common.model, self._seconds.get(strategy, {}), edges, self.common.simulated)
        return ProjectCost(own.model, {**self.common.measured, **own.measured}, self.common.simulated)

    def _count(self, run: RunInfo) -> None:
        if not run.has_input("questions"):
            return
        queries, answers = questions_and_answers([run])
        guess, asked = guesses(run.input("questions")), dict[str, tuple[str, str]]()
        for query in queries:
            kind = str(query.kind)
            if query.id in guess:
                self._edges[query.strategy].append(guess[query.id].at_edge)
                kind = "boundary_point" if guess[query.id].at_edge else kind
            asked[query.id] = query.strategy, kind
        for answer in answers:
            strategy, kind = asked[answer.query]
            if answer.seconds:  # else a row that only says what holds
                self._seconds[strategy][kind].append(answer.seconds)


def _learn(
    prior: CostModel, seconds: Mapping[str, Sequence[float]], edges: Sequence[bool], simulated: bool
) -> ProjectCost:
    """Return the prices that `seconds` tell of, and the share of `edges`; the prior's without any question."""
    if edges:
        prior = replace(prior, edge_share=sum(edges) / len(edges))
    return learn_cost(prior, seconds, simulated)
