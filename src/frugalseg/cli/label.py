"""`frugalseg label`: answer the questions of a selection."""

from typing import Annotated

import typer

from frugalseg.cli.options import RUN, ConfigFile, DryRun, Json, ProjectFolder, Quiet, Settings, options, stage_folder
from frugalseg.cli.output import logs_on_stderr, show_stage

EXAMPLES = (
    "frugalseg label city --simulate",
    "frugalseg label city --simulate --questions 5",
    "frugalseg label city --simulate --set wrong_rate=0.05 --set skip_rate=0.02",
)


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
    config: ConfigFile = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer the questions of a selection.

    This version has no annotation page yet: --simulate lets an oracle answer where the target's labels are on disk.
    Its settings say how often it skips, doubts or errs; `ledger.json` in the stage's folder counts what it said.
    """
    with logs_on_stderr():
        from frugalseg.workflow.label import label
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import next_command

        opened = Project.open(project)
        chosen = options(config, settings, dry_run, quiet)
        result = label(opened, simulate, stage_folder(opened, questions), chosen)
    show_stage(result, as_json, next_command=next_command(opened))
