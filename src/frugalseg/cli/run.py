"""`frugalseg run`: all stages in order."""

from typing import Annotated

import typer

from frugalseg.cli.options import DryRun, Json, ProjectFolder, Quiet, options
from frugalseg.cli.output import Table, logs_on_stderr, show

EXAMPLES = ("frugalseg run city", "frugalseg run city --simulate --rounds 3")


def command(
    project: ProjectFolder,
    simulate: Annotated[bool, typer.Option("--simulate", help="answer the questions from ground truth")] = False,
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", min=1, metavar="R", help="rounds of questions in all; default: the project's"),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run all stages in order: adapt; in rounds select, label, retrain, evaluate; report.

    A round asks for the project's budget, learns from all answers so far and goes on from the network of the round
    before; nothing is asked twice. A larger --rounds later adds rounds to the finished ones.

    Stages that are done are not done again, so the same command goes on after an interruption. Without --simulate it
    stops where people's answers are due. Its settings are the project's: PROJECT/project.toml and PROJECT/settings/.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.run import run

        found = run(Project.open(project), simulate, options(dry_run=dry_run, quiet=quiet), rounds)
    if dry_run:
        rows = [(stage,) for stage in found["stages"]]
        show({"dry_run": True, "stages": found["stages"]}, as_json, "Would run:", Table(rows))
        return
    scores = [(name, found[name]) for name in ("source_only", "adapted", "retrained", "control") if name in found]
    due = found.get("answers_due")
    waiting = [f"Answers are due: {due}\nNext: frugalseg label {project}"] if due else []
    header = ("questions of", "round", "answers", "people's s", "mIoU")
    names = ("strategy", "round", "answers", "human_seconds", "miou")
    table = Table([[row[name] for name in names] for row in found["rounds"]], header)
    show(found, as_json, Table(scores, ("model", "mIoU")), table, f"Report: {found['report']}", *waiting)
