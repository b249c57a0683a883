"""`frugalseg demo`: the whole loop on the toy city."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from frugalseg.cli.options import DryRun, Json, Quiet, options
from frugalseg.cli.output import Table, logs_on_stderr, pairs, show

EXAMPLES = ("frugalseg demo", "frugalseg demo city --seed 1 --open")


def command(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="where the demo is written")] = Path(
        "frugalseg-demo"
    ),
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="seed of training and of the choice of questions")
    ] = 0,
    open_report: Annotated[bool, typer.Option("--open", help="open the report in the browser at the end")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole loop on a generated toy city: adapt, select, answer, retrain, evaluate, report.

    Needs no GPU, no data and no network; answers are simulated from ground truth. FOLDER becomes an ordinary project,
    so every other verb works on it afterwards. An interrupted demo goes on with the same command.
    """
    with logs_on_stderr():
        from frugalseg.workflow.demo import DATA, demo

        found = {} if dry_run else demo(folder, seed, options(quiet=quiet))
    if dry_run:
        frames = {name: sequences * length for name, (_, _, sequences, length) in DATA.items()}
        plan = {"dry_run": True, "folder": folder, "frames": frames, "seed": seed}
        show(plan, as_json, "The demo would draw these frames, train three networks and write a report:", pairs(plan))
        return
    scores = [(name, found.get(name)) for name in ("source_only", "adapted", "retrained", "control")]
    table = Table([row for row in scores if row[1] is not None], ("model", "mIoU"))
    show(found, as_json, table, f"Report: {found['report']}  ({found['seconds']:.0f} s)")
    if open_report:
        webbrowser.open(Path(found["report"]).resolve().as_uri())
