"""`frugalseg label`: answer the questions of a selection."""

from typing import Annotated

import typer

from frugalseg.cli.options import RUN, DryRun, Json, ProjectFolder, Quiet, options, stage_folder
from frugalseg.cli.output import logs_on_stderr, show_stage

EXAMPLES = ("frugalseg label city --simulate", "frugalseg label city --simulate --questions 5")


def command(
    project: ProjectFolder,
    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="answer from ground truth, with people's seconds and ambiguity as priors say"),
    ] = False,
    questions: Annotated[
        str | None,
        typer.Option("--questions", metavar="RUN", help=f"`select` stage to answer, {RUN}; default: the newest"),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer the questions of a selection.

    This version has no annotation page yet: --simulate lets an oracle answer where the target's labels are on disk.
    """
    with logs_on_stderr():
        from frugalseg.workflow.label import label
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import next_command

        opened = Project.open(project)
        result = label(opened, simulate, stage_folder(opened, questions), options(dry_run=dry_run, quiet=quiet))
    show_stage(result, as_json, next_command=next_command(opened))
