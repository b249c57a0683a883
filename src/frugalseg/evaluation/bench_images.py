"""What labelled frames and each part of a method bought: the rows of `bench mada` as page, Markdown and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalseg.evaluation import wording
from frugalseg.evaluation.bench_page import asked_section, bench_context
from frugalseg.evaluation.bench_points import curve_point, score_cells, subsets_json
from frugalseg.evaluation.bench_table import BenchData, BenchMethod
from frugalseg.evaluation.bench_text import bench_json, bench_markdown, interval_json, markdown_table
from frugalseg.evaluation.compare import CurvePoint, Interval, paired_bootstrap_mean
from frugalseg.evaluation.confusion import Confusions, scores
from frugalseg.evaluation.page import fill, write_html


@dataclass(frozen=True)
class AskedImages:
    """What a row learned from: frames labelled in full and people's seconds for all of them, means over seeds.

    `over` is the row that it changes in one thing only; `series` says which rows lie on one curve.
    """

    frames: float
    seconds: float
    over: str
    series: str


@dataclass(frozen=True, eq=False)
class ImagesData:
    """A comparison, and what was asked for those of its rows that asked."""

    bench: BenchData
    asked: Mapping[str, AskedImages]


def added(data: ImagesData, name: str) -> Interval | None:
    """Return mIoU of a row minus that of the row it changes, mean over seeds; None where no seed finished both."""
    pairs = _pairs(data, name)
    return paired_bootstrap_mean(pairs) if pairs else None


def _pairs(data: ImagesData, name: str) -> list[tuple[Confusions, Confusions]]:
    runs = {method.name: {run.seed: run.confusions for run in method.runs} for method in data.bench.methods}
    before, after = runs[data.asked[name].over], runs[name]
    return [(before[seed], after[seed]) for seed in after if seed in before]


def _better(pairs: list[tuple[Confusions, Confusions]]) -> int:
    """Return with how many seeds the second is better."""
    return sum(scores(after.total()).miou > scores(before.total()).miou for before, after in pairs)


def added_text(data: ImagesData, name: str) -> str:
    """Say what a row adds: "+1.2 over m1 (+0.4 to +2.0), 3 of 3 seeds"; a dash where it cannot be said."""
    gain, pairs = added(data, name), _pairs(data, name)
    if gain is None:
        return wording.NOTHING
    up = _better(pairs)
    span = f" ({wording.signed_span(gain)})" if wording.signed_span(gain) else ""
    return f"{wording.points(gain.value)} over {data.asked[name].over}{span}, {up} of {len(pairs)} seeds"


def verdict(data: ImagesData) -> str:
    """Say which parts pay: told from chance by an interval over frames without 0 and by all of two seeds or more."""
    said: dict[str, list[str]] = {"can be told to pay": [], "can be told to cost": [], "open": []}
    for method in _asking(data):
        gain, pairs = added(data, method.name), _pairs(data, method.name)
        if gain is None:
            continue
        told, up = "open", _better(pairs)
        if len(pairs) > 1 and gain.low > 0 and up == len(pairs):
            told = "can be told to pay"
        if len(pairs) > 1 and gain.high < 0 and not up:
            told = "can be told to cost"
        said[told].append(f"{method.name} over {data.asked[method.name].over}")
    parts = [f"{told}: {', '.join(rows)}" for told, rows in said.items() if rows]
    return f"{'; '.join(parts)[0].upper()}{'; '.join(parts)[1:]}." if parts else "Nothing finished that asked."


def images_json(data: ImagesData) -> dict[str, Any]:
    """Return everything as plain JSON."""
    found = bench_json(data.bench)
    for row, method in zip(found["methods"], data.bench.methods, strict=True):
        if method.name in data.asked:
            asked = data.asked[method.name]
            row["asked"] = {"frames": asked.frames, "human_seconds": asked.seconds, "over": asked.over}
            row["added"] = interval_json(added(data, method.name))
        row |= subsets_json(method, data.bench)
    return {**found, "verdict": verdict(data)}


def images_markdown(data: ImagesData) -> str:
    """Return the tables: what each part adds, and those of every comparison."""
    lines = ["", "## What frames and parts bought", "", verdict(data), "", *markdown_table(_table(data)), ""]
    return bench_markdown(data.bench) + "\n".join(lines)


def write_images_page(path: Path, data: ImagesData) -> None:
    """Write the comparison as one self-contained HTML file."""
    write_html(path, render_images(data))


def render_images(data: ImagesData) -> str:
    """Return the page's HTML; the same data give the same text."""
    lead = (
        "Frames that people labelled in full, and what a row adds to the one that it changes in one thing; ranges are "
        "95 % intervals from resampling the validation frames."
    )
    asked = asked_section(lead, _table(data), curve(data))
    words = {"title": f"{data.bench.project}: what labelled frames and each part bought", "verdict": verdict(data)}
    return fill("bench.html.j2", {**bench_context(data.bench), **words, "asked": asked})


def curve(data: ImagesData) -> list[CurvePoint]:
    """Return mIoU against people's minutes, mean ± one standard deviation over seeds."""
    return [
        curve_point(method, data.asked[method.name].seconds, data.asked[method.name].series) for method in _asking(data)
    ]


def _table(data: ImagesData) -> list[list[str]]:
    table = [["row", "frames", "people's time", "mIoU", *data.bench.classes.subsets, "adds, points"]]
    for method in _asking(data):
        asked = data.asked[method.name]
        cells = [method.name, f"{asked.frames:.0f}", wording.duration(asked.seconds), *score_cells(method, data.bench)]
        table.append([*cells, added_text(data, method.name)])
    return table


def _asking(data: ImagesData) -> list[BenchMethod]:
    """Return the finished rows that asked, in the order of the comparison."""
    return [method for method in data.bench.finished if method.name in data.asked]
