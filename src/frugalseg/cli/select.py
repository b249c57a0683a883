"""`frugalseg select`: choose what people are asked."""

from typing import Annotated

import typer

from frugalseg.cli.options import (
    RUN,
    BudgetText,
    ConfigFile,
    DryRun,
    Json,
    ProjectFolder,
    Quiet,
    Settings,
    options,
    stage_folder,
)
from frugalseg.cli.output import logs_on_stderr, show_stage

EXAMPLES = (
    "frugalseg select city --strategy expected_gain --budget 50points/image",
    "frugalseg select city --budget 2h --dry-run",
    "frugalseg select city --strategy multi_anchor --budget 5%images",
)


def command(
    project: ProjectFolder,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="NAME", help="how to choose; default: the project's")
    ] = None,
    budget: BudgetText = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="RUN", help=f"ask with the model of {RUN}; default: the newest")
    ] = None,
    control_share: Annotated[
        float | None,
        typer.Option(
            "--control-share",
            metavar="SHARE",
            help="share of the questions drawn at random, 0 to 0.5; default: the project's (0.1)",
        ),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose what people are asked: one pass of a model over the target turns a budget into questions.

    Some strategies ask for whole images, the others for pixels; `frugalseg methods` lists them.

    A tenth of the questions about pixels, hidden among the others, is drawn at random: the report compares what came
    back. What earlier rounds asked is not asked again, nor what was answered since and waits for `retrain`; the same
    command again is the same selection.

    With --dry-run it says how many points or images the budget buys and how long people will need.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.select import select
        from frugalseg.workflow.status import next_command

        opened = Project.open(project)
        begin = stage_folder(opened, start)
        share = [] if control_share is None else [f"control_share={control_share}"]
        chosen = options(config, [*(settings or []), *share], dry_run, quiet)
        result = select(opened, strategy, budget, begin, chosen)
    show_stage(result, as_json, next_command=next_command(opened))
