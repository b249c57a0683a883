"""The answered points of one unbroken stretch of a video, followed to the frames around them, over what is there."""

from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import read_label_png
from frugalseg.core.records import Provenance
from frugalseg.data.sequences import Run
from frugalseg.propagation.motion import Neighbours
from frugalseg.propagation.points import Followed, PointSpreader
from frugalseg.propagation.spread import Break, SpreadConfig
from frugalseg.workflow.propagate_files import StretchLog, opened_log, read_rows, shots
from frugalseg.workflow.propagate_plan import PROVENANCE, LabelSource, Plan

DONE = "followed"  # in the row that says that all points of a stretch have been


def follow_run(folder: Path, number: int, plan: Plan, run: Run, source: LabelSource, neighbours: Neighbours) -> None:
    """Follow the answered points of the stretch `number` of the video; what is done is left out."""
    rows = read_rows(folder, number)
    if any(DONE in row for row in rows) or not any(map(source.has_points, run.frames)):
        return
    done = {row["key"] for row in rows if "points" in row}
    whole = {row["key"] for row in rows if "known" in row and "points" not in row}
    spreader = PointSpreader(neighbours, plan.config.part(SpreadConfig))
    with opened_log(folder, number) as log:
        for event in spreader.run(shots(run.frames, source.points)):
            if isinstance(event, Break):
                log.add({"break": event.key, "reason": event.reason})
            elif event.key not in done:
                log.add(_lay_over(folder, event, log, event.key in whole))
        log.add({DONE: number})


def _lay_over(folder: Path, followed: Followed, log: StretchLog, whole: bool) -> dict[str, Any]:
    """Write a frame's points, over its label if it has one of a `whole` frame; return its row."""
    key, come_HW = followed.key, followed.label_HW != IGNORE
    found = {
        "labels": followed.label_HW,
        PROVENANCE: np.where(come_HW, Provenance.PROPAGATED_POINT, Provenance.UNKNOWN).astype(np.uint8),
        "origin": followed.origin_HW,
        "confidence": np.rint(followed.confidence_HW * 255).astype(np.uint8),
    }
    if whole:
        for kind, map_HW in found.items():
            path = folder / kind / f"{key}.png"
            below_HW = read_label_png(path) if path.is_file() else np.full_like(map_HW, 255)  # no confidence: all sure
            found[kind] = np.where(come_HW, map_HW, below_HW)
    log.write(key, found)
    known = float((found["labels"] != IGNORE).mean())
    sure = float(found["confidence"].mean() / 255)
    return {"key": key, "points": int(come_HW.sum()), "known": known, "confidence": sure, "accepted": known}
