"""What answers cost in a project: its common prices, and each strategy's own where it has asked before."""

from collections import defaultdict
from collections.abc import Iterable

from frugalseg.core.cost import CostModel
from frugalseg.core.measured_cost import ProjectCost, learn_cost
from frugalseg.core.records import QueryKind, Verdict
from frugalseg.core.runs import RunInfo
from frugalseg.workflow.project import Project
from frugalseg.workflow.rounds import believed, label_stages, questions_and_answers


class Prices:
    """The prices that `labels` (default: all label stages of the project that count) tell of.

    Simulated answers are never mixed with people's: they count where no person has answered, so that a rehearsal plans
    as the real thing would. `simulated`: an oracle is to answer, so nothing is asked twice and nobody is checked.
    """

    def __init__(self, project: Project, labels: Iterable[RunInfo] | None = None, simulated: bool = False) -> None:
        runs = believed(label_stages(project.list()) if labels is None else labels)
        everybody: dict[str, list[float]] = defaultdict(list)
        self._seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for run in runs:
            queries, answers = questions_and_answers([run])
            asked = {query.id: query for query in queries}
            for answer in answers:
                if not answer.seconds:  # a row that only says what holds
                    continue
                query = asked[answer.query]
                kinds = [str(query.kind)]
                if query.kind is QueryKind.POINT and answer.verdict is Verdict.AMBIGUOUS:
                    kinds.append("boundary_point")
                for kind in kinds:
                    everybody[kind].append(answer.seconds)
                    self._seconds[query.strategy][kind].append(answer.seconds)
        gold = project.settings.gold if project.gold_domain else 0.0
        prior = CostModel() if simulated else CostModel(overlap=project.settings.overlap, gold=gold)
        rehearsed = all(run.extra.get("simulated") for run in runs)
        self.common = learn_cost(prior, everybody, simulated=rehearsed)

    def of(self, strategy: str) -> ProjectCost:
        """Return what the questions of `strategy` cost: the common prices drawn towards the medians of its answers."""
        own = learn_cost(self.common.model, self._seconds.get(strategy, {}), self.common.simulated)
        return ProjectCost(own.model, {**self.common.measured, **own.measured}, self.common.simulated)
