"""`frugalseg run`: all stages in order."""

from typing import Annotated

import typer

from frugalseg.cli.options import DryRun, Json, ProjectFolder, Quiet, options
from frugalseg.cli.output import Table, logs_on_stderr, show

EXAMPLES = ("frugalseg run city", "frugalseg run city --simulate")


def command(
    project: ProjectFolder,
    simulate: Annotated[bool, typer.Option("--simulate", help="answer the questions from ground truth")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run all stages in order: adapt, select, label, retrain, evaluate, report.

    Stages that are done are not done again, so the same command goes on after an interruption. Without --simulate it
    stops where people's answers are due. Its settings are the project's: PROJECT/project.toml and PROJECT/settings/.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.run import run

        found = run(Project.open(project), simulate, options(dry_run=dry_run, quiet=quiet))
    if dry_run:
        stages = [stage for stage in found["stages"] if stage]
        show({"dry_run": True, "stages": stages}, as_json, "Would run:", Table([(stage,) for stage in stages]))
        return
    scores = [(name, found[name]) for name in ("source_only", "adapted", "retrained", "control") if name in found]
    due = found.get("answers_due")
    waiting = [f"Answers are due: {due}\nNext: frugalseg label {project}"] if due else []
    show(found, as_json, Table(scores, ("model", "mIoU")), f"Report: {found['report']}", *waiting)
