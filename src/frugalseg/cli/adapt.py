"""`frugalseg adapt`: train without people's answers."""

from typing import Annotated

import typer

from frugalseg.cli.options import (
    RUN,
    ConfigFile,
    DryRun,
    Json,
    Preset,
    ProjectFolder,
    Quiet,
    Settings,
    options,
    stage_folder,
    with_preset,
)
from frugalseg.cli.output import logs_on_stderr, show_stage

EXAMPLES = ("frugalseg adapt city --method cbst", "frugalseg adapt city --method cbst --set steps=1000 --set seed=1")


def command(
    project: ProjectFolder,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="a method that needs no answers; default: the project's"),
    ] = None,
    start: Annotated[str | None, typer.Option("--start", metavar="RUN", help=f"go on from the model of {RUN}")] = None,
    config: ConfigFile = None,
    preset: Preset = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network for the target without people's answers.

    Checks every label first and reports all that is wrong with them at once. Interrupted training goes on with the same
    command; finished training is not done again.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import next_command
        from frugalseg.workflow.train import adapt

        opened = Project.open(project)
        begin = stage_folder(opened, start)
        chosen = with_preset(
            opened, method or opened.settings.adapt_method, preset, options(config, settings, dry_run, quiet)
        )
        result = adapt(opened, method, begin, chosen)
    show_stage(result, as_json, next_command=next_command(opened))
