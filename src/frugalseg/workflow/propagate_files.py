"""What is read and written of one stretch of a video: frames in order of time, maps, and a log of what is done."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.codec import png_bytes
from frugalseg.core.errors import DataError
from frugalseg.core.files import sync_folder, write_whole
from frugalseg.core.records import Frame
from frugalseg.data.pixels import read_frame
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.spread import Shot
from frugalseg.workflow.propagate_plan import FRAMES

SYNC_S = 1.0  # of work that a kill may undo


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


def log_of(folder: Path, number: int) -> Path:
    """Return where what a process says while it is at a stretch goes."""
    return folder / FRAMES / f"{number}.log"


class StretchLog:
    """Writes what becomes of a stretch's frames: a row is never there without the files it is about.

    A file is whole when it is there. The writer's thread waits for the disk while the next frame is made. Rows wait for
    their files, and for these files' folders to be synced, once for all frames of `SYNC_S` seconds; what has no row
    after a kill is made again.
    """

    def __init__(self, folder: Path, rows: TextIO, writer: ThreadPoolExecutor) -> None:
        self._folder, self._rows, self._writer = folder, rows, writer
        self._waiting: list[str] = []
        self._unwritten: list[Future[None]] = []
        self._unsynced: set[Path] = set()
        self._settled_s = time.monotonic()

    def write(self, key: str, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Write a frame's maps and pictures, by kind, each as KIND/KEY.png; they are not changed any more."""
        for kind, pixels in pictures.items():
            path = self._folder / kind / f"{key}.png"
            self._unwritten.append(self._writer.submit(_write_png, path, pixels))
            self._unsynced.add(path.parent)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; about a frame after its files."""
        self._waiting.append(json.dumps(row) + "\n")
        if time.monotonic() - self._settled_s >= SYNC_S:
            self.settle()

    def settle(self) -> None:
        """Let no row wait any longer.

        Raises:
            ArtifactError, OSError: a file could not be written; then no more rows are.
        """
        for file in self._unwritten:
            file.result()
        for folder in sorted(self._unsynced):
            sync_folder(folder)
        self._rows.write("".join(self._waiting))
        self._rows.flush()
        self._unwritten.clear()
        self._unsynced.clear()
        self._waiting.clear()
        self._settled_s = time.monotonic()


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    write_whole(path, png_bytes(pixels))


@contextmanager
def opened_log(folder: Path, number: int) -> Iterator[StretchLog]:
    """Give a stretch's log to add to, after a line cut off by a kill; in the end no row waits, whatever was raised.

    Where a file could not be written the rows since then are left out: their frames are made again.
    """
    path = folder / FRAMES / f"{number}.jsonl"
    whole = path.read_text(encoding="utf-8") if path.is_file() else ""
    with open(path, "a", encoding="utf-8") as rows, ThreadPoolExecutor(1) as writer:
        if whole and not whole.endswith("\n"):
            rows.write("\n")
        log = StretchLog(folder, rows, writer)
        try:
            yield log
        except BaseException as error:
            try:
                log.settle()
            except Exception as other:  # what stopped the work matters more
                error.add_note(f"Nor could all that was done be written: {other}")
            raise
        log.settle()


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
