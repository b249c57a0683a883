"""What questions bought: the rows of `bench point_da` with what was asked for each, as page, Markdown and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalseg.evaluation import wording
from frugalseg.evaluation.bench_page import asked_section, bench_context
from frugalseg.evaluation.bench_table import BenchData, BenchMethod, MeanSd
from frugalseg.evaluation.bench_text import bench_json, bench_markdown, interval_json, markdown_table, mean_sd, number
from frugalseg.evaluation.compare import CurvePoint, Interval, paired_bootstrap_mean
from frugalseg.evaluation.confusion import Confusions, scores
from frugalseg.evaluation.page import fill, write_html

CURVE = "cells of highest entropy"  # the series of the ablation in K; a row of another strategy is its own series


@dataclass(frozen=True)
class Asked:
    """What was asked before a row's training: K cells a frame; points a frame, seconds and mistakes, means over seeds.

    Seconds and mistakes are of all frames together. `series` says which rows lie on one curve.
    """

    cells: int
    points: float
    seconds: float
    wrong: float
    series: str = CURVE


@dataclass(frozen=True, eq=False)
class PointsData:
    """A comparison and what was asked for those of its rows that asked; `active` and `random` cost the same."""

    bench: BenchData
    asked: Mapping[str, Asked]
    active: str
    random: str


def gain_of_selection(data: PointsData) -> Interval | None:
    """Return mIoU of the active row minus the random one's, mean over seeds; None where no seed finished both."""
    pairs = _pairs(data)
    return paired_bootstrap_mean(pairs) if pairs else None


def verdict(data: PointsData) -> str:
    """Say whether selection paid, and whether that is told from chance."""
    gain, pairs = gain_of_selection(data), _pairs(data)
    if gain is None:
        return f"Whether selection paid cannot be said: {data.active} and {data.random} have not both finished."
    said = "is open"
    if gain.low > 0 or gain.high < 0:
        said = "can be told: it did" if gain.value > 0 else "can be told: it cost"
    up = sum(scores(active.total()).miou > scores(random.total()).miou for random, active in pairs)
    return (
        f"Whether selection paid {said}. {data.active} against {data.random}, which asks as much: "
        f"{wording.points(gain.value)} points, better with {up} of {len(pairs)} seeds, "
        f"95 % interval over frames {wording.signed_span(gain)}."
    )


def _pairs(data: PointsData) -> list[tuple[Confusions, Confusions]]:
    """Return the counts of the random and the active row of each seed that finished both."""
    runs = {method.name: {run.seed: run.confusions for run in method.runs} for method in data.bench.methods}
    random, active = runs[data.random], runs[data.active]
    return [(random[seed], active[seed]) for seed in random if seed in active]


def subset_scores(method: BenchMethod, data: BenchData) -> dict[str, MeanSd]:
    """Return mIoU over each named subset of the classes (SYNTHIA's mIoU*), mean and spread over seeds."""
    return {
        name: MeanSd.of([scores(run.confusions.total(), data.classes.subset_ids(name)).miou for run in method.runs])
        for name in data.classes.subsets
    }


def subsets_json(method: BenchMethod, data: BenchData) -> dict[str, Any]:
    """Return a row's scores over each subset, under `subsets`; nothing where nothing finished."""
    if not method.runs:
        return {}
    found = subset_scores(method, data)
    return {"subsets": {name: {"miou": number(one.mean), "sd": number(one.sd)} for name, one in found.items()}}


def curve(data: PointsData) -> list[CurvePoint]:
    """Return mIoU against people's minutes, mean ± one standard deviation over seeds."""
    return [curve_point(method, asked.seconds, asked.series) for method, asked in _asking(data)]


def curve_point(method: BenchMethod, seconds: float, series: str) -> CurvePoint:
    """Return a row's place over people's minutes, mean ± one standard deviation over seeds."""
    miou = MeanSd.of([run.scores.miou for run in method.runs])
    return CurvePoint(seconds / 60, miou.mean, miou.mean - miou.sd, miou.mean + miou.sd, method.name, series)


def points_json(data: PointsData) -> dict[str, Any]:
    """Return everything as plain JSON."""
    found = bench_json(data.bench)
    for row, method in zip(found["methods"], data.bench.methods, strict=True):
        if method.name in data.asked:
            asked = data.asked[method.name]
            row["asked"] = {"cells": asked.cells, "points_a_frame": asked.points, "human_seconds": asked.seconds}
            row["asked"]["wrong"] = asked.wrong
        row |= subsets_json(method, data.bench)
    return {**found, "selection_gain": interval_json(gain_of_selection(data)), "verdict": verdict(data)}


def points_markdown(data: PointsData) -> str:
    """Return the tables: what the questions bought, and those of every comparison."""
    lines = ["", "## What the questions bought", "", verdict(data), "", *markdown_table(_table(data)), ""]
    return bench_markdown(data.bench) + "\n".join(lines)


def _table(data: PointsData) -> list[list[str]]:
    """Return the rows that asked, the header first, as text."""
    table = [["row", "K", "points a frame", "people's time", "wrong answers", "mIoU", *data.bench.classes.subsets]]
    for method, asked in _asking(data):
        cells = [method.name, str(asked.cells), f"{asked.points:.1f}", wording.duration(asked.seconds)]
        table.append([*cells, f"{asked.wrong:.0f}", *score_cells(method, data.bench)])
    return table


def score_cells(method: BenchMethod, data: BenchData) -> list[str]:
    """Return a row's mIoU over all classes and over each subset of them, mean ± sd over seeds, as text."""
    miou = MeanSd.of([run.scores.miou for run in method.runs])
    return [mean_sd(score) for score in (miou, *subset_scores(method, data).values())]


def write_points_page(path: Path, data: PointsData) -> None:
    """Write the comparison as one self-contained HTML file."""
    write_html(path, render_points(data))


def render_points(data: PointsData) -> str:
    """Return the page's HTML; the same data give the same text."""
    asked = asked_section("K cells a frame, the same number of points in each.", _table(data), curve(data))
    words = {"title": f"{data.bench.project}: what questions bought", "verdict": verdict(data), "asked": asked}
    return fill("bench.html.j2", {**bench_context(data.bench), **words})


def _asking(data: PointsData) -> Sequence[tuple[BenchMethod, Asked]]:
    """Return the finished rows that asked, from the fewest questions to the most."""
    rows = [(method, data.asked[method.name]) for method in data.bench.finished if method.name in data.asked]
    return sorted(rows, key=lambda row: (row[1].points, row[1].series == CURVE, row[0].name))
