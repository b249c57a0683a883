"""What is read and written of one stretch of a video: frames in order of time, maps, and a log of what is done."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.codec import write_label_png
from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame
from frugalseg.data.pixels import read_frame
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.spread import Shot
from frugalseg.workflow.propagate_plan import FRAMES


def shots(frames: Sequence[Frame], label_of: Callable[[Frame], NDArray[np.uint8] | None]) -> Iterator[Shot]:
    """Yield frames with their pictures, and labels where there are any.

    A frame that cannot be read ends the track and is named; a label that cannot be read is an error.
    """
    for frame in frames:
        try:
            picture = Picture(frame.key, read_frame(frame))
        except DataError as error:
            yield Shot(frame.key, None, reason=str(error))
            continue
        yield Shot(frame.key, picture, label_of(frame))


def write_maps(folder: Path, key: str, maps: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write a frame's maps, by kind, each whole or not at all."""
    for kind, map_HW in maps.items():
        write_label_png(folder / kind / f"{key}.png", map_HW, durable=True)


def log_of(folder: Path, number: int) -> Path:
    """Return where what a process says while it is at a stretch goes."""
    return folder / FRAMES / f"{number}.log"


@contextmanager
def appended(folder: Path, number: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give what adds rows to a stretch's log, each on the disk before the next; after a line cut off by a kill."""
    log = folder / FRAMES / f"{number}.jsonl"
    whole = log.read_text(encoding="utf-8") if log.is_file() else ""
    with open(log, "a", encoding="utf-8") as file:
        if whole and not whole.endswith("\n"):
            file.write("\n")

        def write(row: dict[str, Any]) -> None:
            file.write(json.dumps(row) + "\n")
            file.flush()

        yield write


def read_rows(folder: Path, number: int) -> list[dict[str, Any]]:
    """Return what is written down of a stretch; a line cut off by a kill is left out."""
    path = folder / FRAMES / f"{number}.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
