"""Rounds: which answers a model has learned from, what was asked before, and what each round brought.

A round is a selection, its answers, the network trained on all answers so far, and its score. A selection names the
answers of the round before it among its inputs, so rounds are a chain and two series of rounds (the project's own and a
random control) never mix.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from frugalseg.acquisition.view import Asked
from frugalseg.core.records import Answer, Point, Query, Verdict
from frugalseg.core.runs import RUN_JSON, RunInfo
from frugalseg.core.table import read_records
from frugalseg.workflow.project import ANSWERS, MODEL_STAGES, QUESTIONS, Project

EARLIER = "earlier"  # input of `select` and `label`: the label stage of the round before
EVERYTHING = "every frame in full"


@dataclass(frozen=True)
class Round:
    """One round as far as it has come: each of the later stages may be None. `number` counts from 1 in its series."""

    number: int
    strategy: str
    selection: RunInfo
    labels: RunInfo | None
    model: RunInfo | None
    evaluation: RunInfo | None


@dataclass(frozen=True)
class Scored:
    """A model of the project's own series with its evaluation, and all the people's seconds that went into it."""

    model: RunInfo
    evaluation: RunInfo
    human_seconds: float


def chain(labels: Path | None) -> list[RunInfo]:
    """Return the label stages up to `labels`, the first round first; none for None."""
    found: list[RunInfo] = []
    while labels is not None:
        run = RunInfo.read(labels)
        found.append(run)
        labels = run.input(EARLIER) if run.has_input(EARLIER) else None
    return found[::-1]


def learned_from(stage: Path) -> Path | None:
    """Return the newest label stage that the model of `stage`, or a model it goes on from, was trained with."""
    return next((run.input("answers") for run in ancestors(stage) if run.has_input("answers")), None)


def ancestors(stage: Path) -> list[RunInfo]:
    """Return the stages whose models led to that of `stage`, itself first."""
    found = []
    while (stage / RUN_JSON).is_file():  # else a model from outside, or one of the networks a stage kept
        run = RunInfo.read(stage)
        found.append(run)
        if not run.has_input("model"):
            break
        stage = run.input("model").parent
    return found


def human_seconds(stage: Path) -> float:
    """Return the people's seconds in the model of `stage`: of all rounds that it, or one before it, learned from."""
    labels = {
        run.folder: run
        for model in ancestors(stage)
        if model.has_input("answers")
        for run in chain(model.input("answers"))
    }
    known = label_stages(sorted(labels.values(), key=lambda run: run.ordinal))
    return sum(float(run.extra["human_seconds"]) for run in known)


def questions_and_answers(labels: Iterable[RunInfo]) -> tuple[list[Query], list[Answer]]:
    """Return all questions of these label stages, and all answers, in the order they came."""
    queries: list[Query] = []
    answers: list[Answer] = []
    for run in labels:
        if run.has_input("questions"):
            queries += read_records(run.input("questions") / QUESTIONS, Query)
            answers += read_records(run.folder / ANSWERS, Answer)
    return queries, answers


def label_stages(runs: Iterable[RunInfo]) -> list[RunInfo]:
    """Return the label stages among `runs` that count: of several exports of one selection's answers the newest."""
    return list({questions_of(run): run for run in runs if run.name == "label"}.values())


def questions_of(labels: RunInfo) -> Path:
    """Return what a label stage answers: the folder of the selection, or its own where nobody had to ask."""
    return labels.input("questions") if labels.has_input("questions") else labels.folder


def believed(labels: Iterable[RunInfo]) -> list[RunInfo]:
    """Return the stages among `labels` to learn from: people's; the simulated ones as long as no person answered.

    The two never mix: a rehearsal says nothing of people who have answered.
    """
    runs = list(labels)
    return [run for run in runs if not run.extra.get("simulated")] or runs


def asked_before(labels: Iterable[RunInfo]) -> dict[str, tuple[Asked, ...]]:
    """Return the points of each frame, by key, that these rounds asked, each with the last verdict about it."""
    queries, answers = questions_and_answers(labels)
    verdicts = {answer.query: answer.verdict for answer in answers}
    found: dict[str, dict[Point, Asked]] = defaultdict(dict)
    for query in queries:
        if query.point is not None:
            found[query.key][query.point] = Asked(query.point, verdicts.get(query.id))
    return {key: tuple(points.values()) for key, points in found.items()}


def labelled_in_full(labels: Iterable[RunInfo]) -> frozenset[str]:
    """Return the keys of the frames that these rounds have a mask of."""
    queries, answers = questions_and_answers(labels)
    masked = {answer.query for answer in answers if answer.verdict is Verdict.MASK}
    return frozenset(query.key for query in queries if query.id in masked)


def strategy_of(run: RunInfo) -> str | None:
    """Return how the questions were chosen that a trained stage learned from; None if it learned from no answers."""
    if not run.has_input("answers"):
        return None
    answers = RunInfo.read(run.input("answers"))
    if answers.has_input("questions"):
        return selection_strategy(RunInfo.read(answers.input("questions")))
    return EVERYTHING if answers.name == "label" else None  # None: nobody was asked


def selection_strategy(selection: RunInfo) -> str:
    """Return the strategy of a select stage."""
    return selection.name.partition("-")[2]


def is_control(strategy: str | None, own: str) -> bool:
    """Return whether questions of `strategy` are there for comparison, in a project that asks by `own`."""
    return strategy is not None and strategy.startswith("random") and strategy != own


def own_model(project: Project) -> Path | None:
    """Return the newest stage with a model of the project's own series: no control, no ceiling; None before all."""
    own = project.settings.strategy
    for run in reversed(project.list()):
        strategy = strategy_of(run) if run.name.startswith(MODEL_STAGES) else EVERYTHING
        if strategy != EVERYTHING and not is_control(strategy, own):
            return run.folder
    return None


def own_series(project: Project) -> list[Scored]:
    """Return the scored models of the project's own series: the last one before any answer, then one a round."""
    newest = own_model(project)
    scored = {run.input("model").parent: run for run in project.list() if run.name == "evaluate"}
    found: list[Scored] = []
    for run in ancestors(newest) if newest is not None else []:
        if run.folder in scored:
            found.append(Scored(run, scored[run.folder], human_seconds(run.folder)))
        if not run.has_input("answers") and found:
            break
    return found[::-1]


def rounds(project: Project) -> list[Round]:
    """Return all rounds of all series, in the order they were begun; a selection asked anew counts once more."""
    runs = project.list()
    found = []
    for selection in [run for run in runs if run.name.startswith("select-")]:
        labels = _last(runs, "label", "questions", selection.folder)
        model = _last(runs, "retrain", "answers", labels.folder) if labels else None
        evaluation = _last(runs, "evaluate", "model", model.folder / "model") if model else None
        number = len(chain(selection.input(EARLIER))) + 1 if selection.has_input(EARLIER) else 1
        found.append(Round(number, selection_strategy(selection), selection, labels, model, evaluation))
    return found


def _last(runs: list[RunInfo], prefix: str, name: str, path: Path) -> RunInfo | None:
    """Return the newest stage of `runs` whose input `name` is `path`."""
    found = [run for run in runs if run.name.startswith(prefix) and run.has_input(name) and run.input(name) == path]
    return found[-1] if found else None
