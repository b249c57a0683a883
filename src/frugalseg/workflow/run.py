"""`run`: all stages in order, each of them a no-op where it is done; it stops where people's answers are due."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from frugalseg.core.errors import StageOrderError
from frugalseg.workflow.catalog import IMAGE_SELECTORS
from frugalseg.workflow.evaluate import evaluate_stage
from frugalseg.workflow.label import label
from frugalseg.workflow.project import IMPORT, Project
from frugalseg.workflow.report import report_stage
from frugalseg.workflow.select import select
from frugalseg.workflow.stage import Options, StageResult
from frugalseg.workflow.start import import_model
from frugalseg.workflow.train import adapt, retrain

POINT_CONTROL = "random_points"  # as many points, uniform over the pixels: the strongest of random choices
IMAGE_CONTROL = "random_images"  # that of whole images
OWN_CONTROLS = {"entropy_patches": "random_patches"}  # the paper's: as many points in randomly chosen cells


def run(project: Project, simulate: bool, options: Options, rounds: int | None = None) -> dict[str, Any]:
    """Run source_only, the project's method, the rounds (default: as many as the project's), and the report.

    A round is selection, answers, retraining and evaluation; each goes on from the network of the round before.

    Returns:
        mIoU of each scored model (`source_only`, `adapted`, `retrained` and, with `control`, `control`), `rounds` with
        one entry a round, the report's path, and where people's answers are due (`answers_due`) if that is why it
        stopped.
    """
    settings, count = project.settings, rounds or project.settings.rounds
    plan = replace(options, config=None, overrides=())
    if options.dry_run:
        return {"stages": _plan(project, count)}
    found: dict[str, Any] = {"rounds": []}
    start = adapt(project, "source_only", None, plan) if project.has("source") else _given_model(project, plan)
    _score(project, "source_only", start, found, plan)
    if project.has("source") and settings.adapt_method != "source_only":
        start = adapt(project, settings.adapt_method, start.where, plan)
        _score(project, "adapted", start, found, plan)
    series = {"retrained": settings.strategy} | ({"control": _control(settings.strategy)} if settings.control else {})
    for name, strategy in series.items():
        if not _run_rounds(project, name, strategy, count, start, simulate, found, plan):
            break
    found["report"] = str(report_stage(project, plan).where / "report.html")
    return found


def _control(strategy: str) -> str:
    """Return the random choice that a strategy has to beat."""
    return IMAGE_CONTROL if strategy in IMAGE_SELECTORS else OWN_CONTROLS.get(strategy, POINT_CONTROL)


def _run_rounds(
    project: Project,
    name: str,
    strategy: str,
    count: int,
    start: StageResult,
    simulate: bool,
    found: dict[str, Any],
    options: Options,
) -> bool:
    """Run one series of rounds; return whether all were run: where people's answers are due it stops."""
    for number in range(1, count + 1):
        options.say(f"{strategy}: round {number} of {count}.")
        selection = select(project, strategy, None, start.where, options, simulated=simulate)
        answers = label(project, True, selection.where, options).where if simulate else _answers(project, selection)
        if answers is None:
            found["answers_due"] = str(selection.where)
            return False
        start = retrain(project, project.settings.retrain_method, start.where, answers, options)
        _score(project, name, start, found, options)
        given = project.run(str(answers)).extra
        row = {"series": name, "round": number, "strategy": strategy, "answers": given["answers"]}
        row |= {"human_seconds": given["human_seconds"], "miou": found.get(name)}
        found["rounds"].append(row)
    return True


def _given_model(project: Project, options: Options) -> StageResult:
    """Return the stage of the checkpoint that stands in for the source."""
    if project.settings.checkpoint is None:
        raise StageOrderError(
            f"{project.folder}: neither source data nor a trained model to start from.\n"
            f"Give one: frugalseg init {project.folder} --source SPEC, or --checkpoint MODEL"
        )
    imported = [run for run in project.list() if run.name == IMPORT]
    if imported:  # the files it came from may be gone
        return StageResult(IMPORT, imported[-1].folder, imported[-1].extra, done_before=True)
    return import_model(project, options)


def _score(project: Project, name: str, trained: StageResult, found: dict[str, Any], options: Options) -> None:
    if project.has("validation"):
        found[name] = evaluate_stage(project, trained.where, options).found["miou"]


def _answers(project: Project, selection: StageResult) -> Path | None:
    """Return the newest stage that holds answers to the questions of `selection`, or None."""
    labels = [run for run in project.list() if run.name == "label" and run.has_input("questions")]
    found = [run.folder for run in labels if run.input("questions") == selection.where]
    return found[-1] if found else None


def _plan(project: Project, rounds: int) -> list[str]:
    settings = project.settings
    models = ["adapt source_only", f"adapt {settings.adapt_method}"] if project.has("source") else ["the checkpoint"]
    one = [f"select {settings.strategy} {settings.budget}", "label", f"retrain {settings.retrain_method}"]
    stages = list(dict.fromkeys(models))
    for number in range(1, rounds + 1):
        stages += one if rounds == 1 else [f"round {number}: {stage}" for stage in one]
    return [*stages, *(["evaluate each model"] if project.has("validation") else []), "report"]
