"""`frugalseg select`: choose what people are asked."""

from typing import Annotated

import typer

from frugalseg.cli.options import RUN, ConfigFile, DryRun, Json, ProjectFolder, Quiet, Settings, options, stage_folder
from frugalseg.cli.output import logs_on_stderr, show_stage

EXAMPLES = (
    "frugalseg select city --strategy entropy_patches --budget 50points/image",
    "frugalseg select city --budget 2h --dry-run",
)


def command(
    project: ProjectFolder,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="NAME", help="how to choose; default: the project's")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="BUDGET",
            help="50points/image, 2000points, 2h, 30min, 5%images or 15images; default: the project's",
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="RUN", help=f"ask with the model of {RUN}; default: the newest")
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose what people are asked: one pass of a model over the target turns a budget into questions.

    With --dry-run it says how many points the budget buys and how long people will need.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.select import select
        from frugalseg.workflow.status import next_command

        opened = Project.open(project)
        begin = stage_folder(opened, start)
        result = select(opened, strategy, budget, begin, options(config, settings, dry_run, quiet))
    show_stage(result, as_json, next_command=next_command(opened))
