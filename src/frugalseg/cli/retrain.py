"""`frugalseg retrain`: train with people's answers."""

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

EXAMPLES = (
    "frugalseg retrain city --method point_da",
    "frugalseg retrain city --method mada --set unlabelled=mean_teacher",
    "frugalseg retrain city --answers 6 --set steps=1000",
    "frugalseg retrain city --propagated none",
)
Propagated = Annotated[
    str | None,
    typer.Option(
        "--propagated",
        metavar="RUN|none",
        help=f"`propagate` stage whose labels are learned too, {RUN}; default: the newest of these answers",
    ),
]


def command(
    project: ProjectFolder,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="a method that learns from answers; default: the project's"),
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option("--answers", metavar="RUN", help=f"`label` stage to learn from, {RUN}; default: the newest"),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="RUN", help=f"go on from the model of {RUN}; default: the one that asked"),
    ] = None,
    propagated: Propagated = None,
    config: ConfigFile = None,
    preset: Preset = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train with people's answers, from the network that asked the questions.

    Answers that `frugalseg propagate` has spread through the target's video are learned with them.
    Interrupted training goes on with the same command; finished training is not done again.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import next_command
        from frugalseg.workflow.train import retrain

        opened = Project.open(project)
        begin, answered = stage_folder(opened, start), stage_folder(opened, answers)
        alone = propagated == "none"
        spread = None if alone else stage_folder(opened, propagated)
        chosen = with_preset(
            opened, method or opened.settings.retrain_method, preset, options(config, settings, dry_run, quiet)
        )
        result = retrain(opened, method, begin, answered, chosen, spread, alone)
    show_stage(result, as_json, next_command=next_command(opened))
