"""`run`: all stages in order, each of them a no-op where it is done; it stops where people's answers are due."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from frugalseg.core.errors import StageOrderError
from frugalseg.workflow.evaluate import evaluate_stage
from frugalseg.workflow.label import label
from frugalseg.workflow.project import IMPORT, Project
from frugalseg.workflow.report import report_stage
from frugalseg.workflow.select import select
from frugalseg.workflow.stage import Options, StageResult
from frugalseg.workflow.start import import_model
from frugalseg.workflow.train import adapt, retrain

CONTROL = "random_patches"  # the paper's control: as many points in randomly chosen cells


def run(project: Project, simulate: bool, options: Options) -> dict[str, Any]:
    """Run source_only, the project's method, selection, answers, retraining, evaluation and report.

    Returns:
        mIoU of each scored model (`source_only`, `adapted`, `retrained` and, with `control`, `control`), the report's
        path, and where people's answers are due (`answers_due`) if that is why it stopped.
    """
    settings = project.settings
    plan = replace(options, config=None, overrides=())
    if options.dry_run:
        return {"stages": _plan(project)}
    found: dict[str, Any] = {}
    start = adapt(project, "source_only", None, plan) if project.has("source") else _given_model(project, plan)
    _score(project, "source_only", start, found, plan)
    if project.has("source") and settings.adapt_method != "source_only":
        start = adapt(project, settings.adapt_method, start.where, plan)
        _score(project, "adapted", start, found, plan)
    strategies = {"retrained": settings.strategy} | ({"control": CONTROL} if settings.control else {})
    for name, strategy in strategies.items():
        selection = select(project, strategy, None, start.where, plan).where
        answers = label(project, True, selection, plan).where if simulate else _answers(project, selection)
        if answers is None:
            found["answers_due"] = str(selection)
            break
        trained = retrain(project, settings.retrain_method, start.where, answers, plan)
        _score(project, name, trained, found, plan)
    found["report"] = str(report_stage(project, plan).where / "report.html")
    return found


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


def _answers(project: Project, selection: Path) -> Path | None:
    """Return the newest stage that holds answers to the questions of `selection`, or None."""
    found = [run.folder for run in project.list() if run.name == "label" and run.input("questions") == selection]
    return found[-1] if found else None


def _plan(project: Project) -> list[str]:
    settings = project.settings
    stages = ["adapt source_only", f"adapt {settings.adapt_method}"] if project.has("source") else ["the checkpoint"]
    stages += [f"select {settings.strategy} {settings.budget}", "label", f"retrain {settings.retrain_method}"]
    return [*dict.fromkeys(stages), "evaluate each model" if project.has("validation") else "", "report"]
