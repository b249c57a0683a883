"""What is said of a video at the end: what got a label and from where, where tracks end, what to label next."""

import csv
import io
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.files import write_atomic
from frugalseg.core.records import Manifest
from frugalseg.data.sequences import BEGINS, Run
from frugalseg.propagation.confidence import Confidence
from frugalseg.workflow.propagate_files import read_rows
from frugalseg.workflow.propagate_next import label_next
from frugalseg.workflow.propagate_plan import CONFIDENCE, TABLE
from frugalseg.workflow.stage import Options

COLUMNS = ("key", "before", "before_k", "after", "after_k", "known", "confidence", "accepted", "points")
NEXT = 5  # frames that it would help most to label, as named at the end


def made_of(folder: Path, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row a frame that got a label, of whole frames and of points together."""
    by_key: dict[str, dict[str, Any]] = {}
    for number in numbers:
        for row in read_rows(folder, number):
            if "key" in row:
                by_key[row["key"]] = by_key.get(row["key"], {}) | row
    return list(by_key.values())


def summary(
    folder: Path,
    manifest: Manifest,
    runs: Sequence[Run],
    numbers: Sequence[int],
    made: Sequence[dict[str, Any]],
    labelled: set[str],
    reach: int,
    options: Options,
) -> dict[str, Any]:
    """Write frames.csv and return what is said at the end."""
    rows = [row for number in numbers for row in read_rows(folder, number)]
    breaks = {row["break"]: row["reason"] for row in rows if "break" in row}
    breaks |= {run.frames[0].key: run.before for run in runs if run.before != BEGINS}
    left_out = [f"{one.path}: {one.reason}" for one in manifest.refused]
    for text in left_out:
        options.say(f"left out: {text}")
    for key, reason in breaks.items():
        options.say(f"{key}: a new track begins: {reason}")
    _write_table(folder / TABLE, made)
    frames = sum(len(run.frames) for run in runs)
    whole = [row for row in made if "before" in row or "after" in row]
    measure = "known" if any(row["confidence"] is None for row in whole) else "confidence"
    known = {row["key"]: row[measure] for row in whole}
    tracks = [track for run in runs for track in _tracks([frame.key for frame in run.frames], breaks)]
    return {
        "frames": frames,
        "labelled": len(labelled),
        "spread": len(made),
        "unreached": frames - len(labelled | {row["key"] for row in made}),
        "points": sum(row.get("points", 0) for row in made),
        "tracks_ended": breaks,
        "left_out": left_out,
        "known": _mean(made, "known"),
        "confidence": _mean(made, "confidence"),
        "caution": Confidence.load(path).caution if (path := folder / CONFIDENCE).is_file() else "",
        "accepted": _mean(made, "accepted"),
        "label_next": label_next(tracks, known, labelled, reach, NEXT),
    }


def _write_table(path: Path, made: Sequence[dict[str, Any]]) -> None:
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, COLUMNS)
    table.writeheader()
    table.writerows(made)
    write_atomic(path, buffer.getvalue().encode())


def _tracks(keys: Sequence[str], breaks: Collection[str]) -> list[list[str]]:
    """Return the frames of a stretch, cut where a new track begins."""
    starts = [0, *(place for place, key in enumerate(keys) if place and key in breaks), len(keys)]
    return [list(keys[start:end]) for start, end in pairwise(starts)]


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return float(np.mean(values)) if values else None
