"""Series of rounds: which answers the next questions follow, so that none is asked twice and no answer is lost.

A series is the project's own, or that of one random control. A model may ask several times before anything is learned
from its answers; each selection then follows the answers to the one before, as if a round lay between.
"""

from pathlib import Path

from frugalseg.core.errors import StageOrderError
from frugalseg.core.runs import RunInfo
from frugalseg.workflow.project import Project
from frugalseg.workflow.rounds import (
    EARLIER,
    ancestors,
    chain,
    is_control,
    label_stages,
    learned_from,
    questions_of,
    selection_strategy,
)


def answers_to_follow(project: Project, start: Path, strategy: str) -> Path | None:
    """Return the label stage that the next questions of the model of `start` follow; None if they are the first.

    That is the newest of the same series which it, or a model it goes on from, asked for and no model has learned from
    yet; else the one it has learned from. People's answers never follow what only a simulated annotator said.
    """
    known = learned_from(start)
    base = questions_of(RunInfo.read(known)) if known is not None else None
    models = {start, *(run.folder for run in ancestors(start))}
    runs = project.list()
    learned = {questions_of(label) for run in runs if run.has_input("answers") for label in chain(run.input("answers"))}
    waiting = []
    for labels in label_stages(runs):
        if not labels.has_input("questions") or questions_of(labels) in learned:
            continue
        selection = RunInfo.read(labels.input("questions"))
        ours = _series(project, selection_strategy(selection)) == _series(project, strategy)
        goes_on = base is None or base in map(questions_of, chain(labels.folder))
        if ours and goes_on and selection.input("model").parent in models:
            waiting.append(labels)
    people = [labels for labels in waiting if not _simulated(labels)]
    if waiting:
        return (people or waiting)[-1].folder
    return _newest_export(project, RunInfo.read(known)) if known is not None else None


def answers_before(project: Project, selection: RunInfo, simulated: bool) -> Path | None:
    """Return the label stage whose answers count together with the next ones to `selection`, or None.

    What the model that asks had learned from always counts. Of what was answered since, only what the same kind of
    annotator said, people or the simulated one. Of several exports of the same answers the newest counts.
    """
    if not selection.has_input(EARLIER):
        return None
    learned = {questions_of(run) for run in chain(learned_from(selection.input("model").parent))}
    for run in reversed(chain(selection.input(EARLIER))):
        if questions_of(run) in learned or _simulated(run) == simulated:
            return _newest_export(project, run)
    return None


def newest_answers(project: Project) -> Path:
    """Return the newest label stage, or the end of its series where that is a new export of an earlier round's.

    Raises:
        StageOrderError: nothing has been answered yet.
    """
    labels = label_stages(project.list())
    if not labels:
        raise StageOrderError(
            f"{project.folder}: an answered round of questions is needed first. "
            f"Run: frugalseg select {project.folder}, then frugalseg label {project.folder}"
        )
    newest = questions_of(max(labels, key=lambda run: run.ordinal))
    return [run for run in labels if newest in map(questions_of, chain(run.folder))][-1].folder


def outdated(project: Project, labels: Path) -> list[RunInfo]:
    """Return the rounds before `labels` whose answers were handed on again since; `labels` holds the older ones."""
    return [run for run in chain(labels)[:-1] if _newest_export(project, run) != run.folder]


def _series(project: Project, strategy: str) -> str:
    """Return the name of the series that a selection of `strategy` belongs to."""
    own = project.settings.strategy
    return strategy if is_control(strategy, own) else own


def _newest_export(project: Project, labels: RunInfo) -> Path:
    """Return the newest label stage with answers to the same questions by the same kind of annotator."""
    same = [
        run.folder
        for run in project.list()
        if run.name == "label" and questions_of(run) == questions_of(labels) and _simulated(run) == _simulated(labels)
    ]
    return same[-1] if same else labels.folder


def _simulated(labels: RunInfo) -> bool:
    return bool(labels.extra.get("simulated"))
