"""`frugalseg plan`: what a budget buys."""

from typing import Any

from frugalseg.cli.options import BudgetText, Json, ProjectFolder, Quiet
from frugalseg.cli.output import Table, logs_on_stderr, pairs, show

EXAMPLES = ("frugalseg plan city --budget 2h", "frugalseg plan city --budget 20points/image --json")

STRATEGY = {
    "strategy": "strategy",
    "images": "images",
    "points": "points",
    "control_points": "of them control",
    "per_image": "an image",
    "cells": "cells",
    "human_seconds": "people's s",
    "answers_so_far": "answers so far",
    "unnamed_share": "without a class",
    "edge_share": "at an edge",
    "surprise_share": "surprises",
}
KIND = {"kind": "kind of question", "seconds_each": "s each", "count": "for the same time", "per_image": "an image"}
SERIES = {"model": "model", "hours": "people's hours", "miou": "mIoU"}


def command(
    project: ProjectFolder,
    budget: BudgetText = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what a budget buys: points, cells and images, people's seconds, the machine's time; write nothing.

    Seconds are priors until the project has answers of its own. After a round it also says what the next hour is
    predicted to bring, and whether that is worth it (`min_gain_per_hour` in project.toml).
    """
    with logs_on_stderr():
        from frugalseg.workflow.plan import plan
        from frugalseg.workflow.project import Project

        found = plan(Project.open(project), budget)
    facts = {
        "budget": found["budget"],
        "target frames": found["frames"],
        "people's minutes": found["human_seconds"] / 60,
    }
    facts |= {"seconds are": _source(found["cost"])}
    facts |= {"asked twice": f"{found['cost']['overlap']:.0%}", "known answers": f"{found['cost']['gold']:.0%}"}
    device = {f"machine: {name.removesuffix('_s')}, s": seconds for name, seconds in found["device"].items()}
    show(
        found,
        as_json,
        pairs({**facts, **device}),
        _table(found["strategies"], STRATEGY),
        _table(found["kinds"], KIND),
        _table(found["series"], SERIES),
        f"Forecast: {found['advice']}",
        f"Next: {found['next']}",
    )


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> Table:
    return Table([[row[name] for name in columns] for row in rows], tuple(columns.values()))


def _source(cost: dict[str, Any]) -> str:
    """Say where the seconds come from."""
    if not cost["measured"]:
        return "priors (no answers yet, or too few)"
    parts = [f"{one['answers']} answers about a {kind.replace('_', ' ')}" for kind, one in cost["measured"].items()]
    return f"drawn towards the medians of {' and '.join(parts)}{', simulated' if cost['simulated'] else ''}"
