"""The page that `propagate` writes beside its labels: what got a label, how sure, from where, and what to doubt."""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import read_label_png
from frugalseg.core.errors import DataError
from frugalseg.core.records import Manifest
from frugalseg.data.pixels import read_frame
from frugalseg.data.sequences import Run
from frugalseg.evaluation import wording
from frugalseg.evaluation.bench_text import settings_text
from frugalseg.evaluation.carried_page import CarriedFrame, CarriedPage, Frames, TableSection, write_page
from frugalseg.evaluation.tables import Tile
from frugalseg.propagation.spread import ORIGINS
from frugalseg.workflow.propagate_plan import Plan

PAGE = "propagate.html"
SHOWN = 5  # frames of the strip, and doubted ones
MEASURES = ("known", "confidence", "accepted")
Rows = Sequence[Mapping[str, Any]]


def write_spread_page(
    folder: Path, manifest: Manifest, plan: Plan, runs: Sequence[Run], rows: Rows, found: Mapping[str, Any]
) -> None:
    """Write the page of a finished folder.

    Args:
        folder: Where the labels lie.
        manifest: The video.
        plan: How they were made.
        runs: Its unbroken stretches.
        rows: One a frame that got a label, as in frames.csv.
        found: What is said at the end.
    """
    by_key = {row["key"]: row for row in rows}
    far = [row for row in rows if "before_k" in row or "after_k" in row]  # not those that only points came to
    strip = [_frame(folder, manifest, by_key[key]) for key in _strip(runs, by_key)]
    doubted = [_frame(folder, manifest, by_key.get(key, {"key": key})) for key in found["label_next"]]
    lead = "Frame after frame of the longest gap between labelled ones."
    least = "Their labels would help most: much around them is not known, or not sure."
    pictures = [
        Frames("strip", "Frame by frame", lead, [one for one in strip if one]),
        Frames("doubted", "What to label next", least, [one for one in doubted if one]),
    ]
    page = CarriedPage(
        title=f"{manifest.name}: labels spread through video",
        project=manifest.name,
        verdict=_verdict(found),
        lead="Means over frames by their distance from the nearest labelled one. Confidence is how often such pixels "
        f"are right, as calibrated on the labelled frames; pixels without a label count 0. {found['caution']}".rstrip(),
        what="of pixels, %",
        panels={"": {name: curve for name in MEASURES if (curve := _curve(far, name))}} if far else {},
        classes=plan.classes,
        origins=ORIGINS,
        tables=[TableSection("distances", "By distance", "Shares of pixels in per cent.", _by_distance(far))],
        pictures=pictures,
        facts=[("settings", settings_text(plan.settings)), ("labels", plan.labels or "the data set's own")],
        footer="No truth was needed for any number here, and none is claimed.",
        tiles=_tiles(found),
        said=list(found["tracks_ended"].items()),
        said_title="Where tracks end",
        command=("frugalseg", *sys.argv[1:]),
    )
    write_page(folder / PAGE, page)


def _verdict(found: Mapping[str, Any]) -> str:
    got = f"{found['spread']} frames got a label from {found['labelled']} labelled ones"
    out = f"; {found['unreached']} are out of reach of any" if found["unreached"] else ""
    sure = "" if found["confidence"] is None else f"; about {wording.share(found['confidence'])} of pixels are right"
    return f"{got}{out}{sure}."


def _tiles(found: Mapping[str, Any]) -> list[Tile]:
    counts = [("frames", found["frames"]), ("labelled", found["labelled"]), ("spread to", found["spread"])]
    shares = [(name, found[name]) for name in MEASURES if found[name] is not None]
    tiles = [Tile(name, ((wording.whole(count), "frames"),)) for name, count in counts]
    return [*tiles, *(Tile(name, ((wording.percent(value), "% of pixels"),)) for name, value in shares)]


def distance(row: Mapping[str, Any]) -> int:
    """Return how far away the nearest labelled frame is."""
    return min(int(row[name]) for name in ("before_k", "after_k") if name in row)


def _curve(rows: Rows, name: str) -> dict[int, float]:
    """Return the mean of a measure at each distance; nothing where it was not measured."""
    by_k: dict[int, list[float]] = {}
    for row in rows:
        if row[name] is not None:
            by_k.setdefault(distance(row), []).append(row[name])
    return {k: float(np.mean(by_k[k])) for k in sorted(by_k)}


def _by_distance(rows: Rows) -> list[list[str]]:
    curves, places = {name: _curve(rows, name) for name in MEASURES}, [distance(row) for row in rows]
    table = [["k", "frames", *MEASURES]]
    for k in sorted(set(places)):
        table.append([str(k), str(places.count(k)), *(wording.percent(curves[n].get(k, math.nan)) for n in MEASURES)])
    return table


def _strip(runs: Sequence[Run], by_key: Mapping[str, Any]) -> list[str]:
    """Return some frames of the longest stretch of frames that got labels, evenly spread."""
    longest: list[str] = []
    for run in runs:
        gap: list[str] = []
        for frame in run.frames:
            gap = [*gap, frame.key] if frame.key in by_key else []
            longest = gap if len(gap) > len(longest) else longest
    places = sorted({round(place) for place in np.linspace(0, len(longest) - 1, min(SHOWN, len(longest)))})
    return [longest[place] for place in places]


def _frame(folder: Path, manifest: Manifest, row: Mapping[str, Any]) -> CarriedFrame | None:
    """Return a frame with its label, origins and confidence, empty where none came to it.

    None where its picture cannot be read any more.
    """
    key, ends = row["key"], []
    for side in ("before", "after"):
        if row.get(side) is not None:
            ends.append(f"{row[f'{side}_k']} from {row[side]}")
    try:
        image = read_frame(manifest.by_key[key])
    except DataError:
        return None
    maps = {kind: folder / kind / f"{key}.png" for kind in ("labels", "origin", "confidence")}
    confidence = read_label_png(maps["confidence"]) / np.float32(255) if maps["confidence"].is_file() else None
    reached, nothing_HW = maps["labels"].is_file(), np.zeros(image.shape[:2], np.uint8)
    return CarriedFrame(
        key=key,
        note=", ".join(ends),
        image=image,
        labels={"label": read_label_png(maps["labels"]) if reached else nothing_HW + np.uint8(IGNORE)},
        origin_HW=read_label_png(maps["origin"]) if reached else nothing_HW,
        confidence_01_HW=confidence,
    )
