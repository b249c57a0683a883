"""Several videos looked through at a time: FFmpeg decodes without holding Python's other threads up."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from frugalseg.core.errors import ImageFileError
from frugalseg.core.files import file_hash
from frugalseg.data.video import Contents, scan
from frugalseg.data.workers import processors


@dataclass(frozen=True)
class Scanned:
    """What `video.scan` found in a file, and the file's sha256."""

    contents: Contents
    sha256: str


def scan_all(paths: Sequence[Path], threads: int | None = None) -> Iterator[Scanned | ImageFileError]:
    """Yield what is in each video, or why it cannot be read, in their order; as many at a time as there are processors.

    Who stops asking, or is stopped by Ctrl-C, waits for no more than a frame.
    """
    stopped = threading.Event()

    def check() -> None:
        if stopped.is_set():
            raise CancelledError

    def look(path: Path) -> Scanned | ImageFileError:
        try:
            contents = scan(path, check)
            return Scanned(contents, file_hash(path))
        except ImageFileError as error:
            return error

    pool = ThreadPoolExecutor(max(1, min(threads or processors(), len(paths))))
    try:
        yield from pool.map(look, paths)
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
