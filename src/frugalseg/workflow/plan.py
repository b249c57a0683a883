"""`plan`: what a budget buys with each strategy and kind of question, and what the next hour is predicted to bring."""

import math
from dataclasses import asdict
from typing import Any

from frugalseg.core.cost import Budget
from frugalseg.core.measured_cost import ProjectCost
from frugalseg.core.runs import RunInfo
from frugalseg.evaluation.confusion import Confusions
from frugalseg.evaluation.forecast import Forecast, forecast
from frugalseg.evaluation.surprise import Group, Reply
from frugalseg.workflow import catalog
from frugalseg.workflow.control_slice import control_points
from frugalseg.workflow.evidence import replies
from frugalseg.workflow.pricing import Prices
from frugalseg.workflow.project import CONFUSIONS, Project
from frugalseg.workflow.rounds import Scored, believed, label_stages, own_series
from frugalseg.workflow.status import next_command

CELL = "a 64x64 cell"
TOO_FEW = "too few rounds to say: at least one round has to be answered, retrained and evaluated"


def plan(project: Project, budget: str | None) -> dict[str, Any]:
    """Return what `budget` (default: the project's) buys, the machine's time, and the forecast; nothing is written.

    Raises:
        BudgetError: the budget cannot be read or buys nothing.
    """
    parsed, prices = Budget.parse(budget or project.settings.budget), Prices(project)
    frames, runs, cost = len(project.manifest("target")), project.list(), prices.common
    seconds = parsed.human_seconds(frames, cost.model)
    known = replies(believed(label_stages(runs)))
    series = own_series(project)
    ahead = _forecast(series, seconds)
    return {
        "budget": str(parsed),
        "frames": frames,
        "human_seconds": seconds,
        "cost": cost.facts,
        "strategies": [
            _strategy_row(project, name, parsed, frames, prices.of(name), known.get(name, []))
            for name in catalog.SELECTORS
        ],
        "kinds": _kinds(seconds, frames, cost),
        "device": _device(project, runs),
        "series": [_series_row(scored) for scored in series],
        "min_gain_per_hour": project.settings.min_gain_per_hour,
        "forecast": ahead and {name: _facts(one) for name, one in ahead.items()} | {"rounds": len(series) - 1},
        "advice": _advice(ahead, project.settings.min_gain_per_hour),
        "next": next_command(project, budget=str(parsed)),
    }


def forecast_words(project: Project) -> str:
    """Say in one sentence what the next hour is predicted to bring."""
    words = _advice(_forecast(own_series(project), 3600.0), project.settings.min_gain_per_hour)
    return words[0].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _strategy_row(
    project: Project, name: str, budget: Budget, frames: int, cost: ProjectCost, known: list[Reply]
) -> dict[str, Any]:
    """Return what a strategy would ask at its own `cost`; shares are those of its answers so far, None without any."""
    if name in catalog.IMAGE_SELECTORS:
        return _image_row(name, budget, frames, cost)
    config = project.stage_config("selector", name, None, [])
    points = budget.total_points(frames, cost.model)
    control = control_points(points, project.settings.control_share, name)
    per_cell = getattr(config, "points_per_cell", None)
    group = Group.of(known)
    shares = {"unnamed_share": group.unnamed_share, "edge_share": group.edge_share}
    shares |= {"surprise_share": group.surprise.value}
    return {
        "strategy": name,
        "images": None,
        "points": points,
        "control_points": control,
        "per_image": points / frames,
        "cells": math.ceil((points - control) / per_cell) if per_cell else None,
        "answers_so_far": group.answers,
        **{name: None if math.isnan(value) else value for name, value in shares.items()},
        "seconds_each": cost.model.expected("point"),
        "human_seconds": cost.model.seconds("point", points),
    }


def _image_row(name: str, budget: Budget, frames: int, cost: ProjectCost) -> dict[str, Any]:
    """Return what a strategy of whole images would ask: as many images as the budget pays for, perhaps none."""
    seconds_each = cost.model.seconds("image", 1)
    images = min(frames, cost.model.affords("image", budget.human_seconds(frames, cost.model)))
    of_points = ("points", "control_points", "per_image", "cells", "answers_so_far")
    shares = ("unnamed_share", "edge_share", "surprise_share")
    return {
        "strategy": name,
        "images": images,
        **dict.fromkeys((*of_points, *shares)),
        "seconds_each": seconds_each,
        "human_seconds": images * seconds_each,
    }


def _kinds(seconds: float, frames: int, cost: ProjectCost) -> list[dict[str, Any]]:
    """Return how many questions of each kind the same time buys."""
    names = {"point": "single pixel", "region": CELL, "review": "review of one mask", "image": "full image"}
    rows = []
    for kind, name in names.items():
        count = cost.model.affords(kind, seconds)
        rows.append(
            {"kind": name, "seconds_each": cost.model.expected(kind), "count": count, "per_image": count / frames}
        )
    return rows


def _device(project: Project, runs: list[RunInfo]) -> dict[str, float | None]:
    """Return the machine's seconds for each stage of a round, as the newest stage of the kind took; None if unknown."""
    target = len(project.manifest("target"))
    select = _newest([run for run in runs if run.extra.get("frames_scored", target)], "select-")
    select_s = select.wall_s / max(select.extra.get("frames_scored", target), 1) * target if select else None
    retrain = _newest(runs, f"retrain-{project.settings.retrain_method}")
    retrain_s = None
    if retrain is not None:
        steps = project.stage_config("method", project.settings.retrain_method, None, []).steps
        retrain_s = retrain.wall_s / max(retrain.config["steps"], 1) * steps
    evaluate = _newest(runs, "evaluate")
    evaluate_s = evaluate.wall_s if evaluate else None if project.has("validation") else 0.0
    parts = (select_s, retrain_s, evaluate_s)
    known = [part for part in parts if part is not None]
    round_s = math.fsum(known) if len(known) == len(parts) else None
    return {"select_s": select_s, "retrain_s": retrain_s, "evaluate_s": evaluate_s, "round_s": round_s}


def _newest(runs: list[RunInfo], prefix: str) -> RunInfo | None:
    return next((run for run in reversed(runs) if run.name.startswith(prefix)), None)


def _series_row(scored: Scored) -> dict[str, Any]:
    hours = scored.human_seconds / 3600
    return {"model": scored.model.folder.name, "hours": hours, "miou": scored.evaluation.extra["miou"]}


def _forecast(series: list[Scored], budget_s: float) -> dict[str, Forecast] | None:
    """Return forecasts for the next hour and for the next budget; None with too few rounds."""
    comparable = [one for one in series if _scored_on(one) == _scored_on(series[-1])]
    models = [(one.human_seconds / 3600, Confusions.load(one.evaluation.folder / CONFUSIONS)) for one in comparable]
    ahead = {name: forecast(models, hours) for name, hours in (("next_hour", 1.0), ("next_round", budget_s / 3600))}
    known = {name: one for name, one in ahead.items() if one is not None}
    return known if len(known) == len(ahead) else None


def _scored_on(scored: Scored) -> str:
    """Return the hash of the validation frames that a model was scored on."""
    return str(scored.evaluation.content["inputs"]["validation"]["sha256"])


def _facts(one: Forecast) -> dict[str, Any]:
    """Return a forecast in mIoU points."""
    gain = {name: 100 * value for name, value in asdict(one.gain).items() if name in ("value", "low", "high")}
    return {"gain": gain["value"], "low": gain["low"], "high": gain["high"], "hours": one.hours, "far": one.far}


def _advice(ahead: dict[str, Forecast] | None, least_points: float) -> str:
    """Say what the forecast of the next hour means."""
    if ahead is None:
        return TOO_FEW
    hour = ahead["next_hour"]
    low, middle, high = (100 * value for value in (hour.gain.low, hour.gain.value, hour.gain.high))
    side = "at least" if middle >= least_points else "below"
    far = f" An hour is far beyond the {60 * hour.spent_h:.0f} min answered so far: a guess." if hour.far else ""
    return (
        f"the next hour is predicted to bring {middle:+.1f} points of mIoU ({low:+.1f} to {high:+.1f}), {side} the "
        f"{least_points:g} you asked for (min_gain_per_hour): {hour.advice(least_points / 100)}.{far}"
    )
