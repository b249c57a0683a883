"""What a question shows: a lens of 33x33 pixels, a window of the frame, the same window a frame earlier and later.

Cut from the original pixels and encoded anew, so that nothing of the original file is served; named by content, so that
a name never means anything else.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import ImageFileError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Frame, Point, Query, Region
from frugalseg.data.pixels import read_frame

LENS_PX = 33
WINDOW_PX = 2048  # frames up to this size are shown whole; one file serves all their questions
STEP_PX = 512  # windows of larger frames begin at multiples of it, so that neighbouring points share one
QUALITY = 92  # of the windows' JPEG; the lens, by which one decides, is lossless


class MediaFolder:
    """A folder of files named by the sha256 of their content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, content: bytes, suffix: str) -> str:
        """Write a file, if it is not there yet, and return its name."""
        name = f"{hashlib.sha256(content).hexdigest()}{suffix}"
        if not (self.folder / name).is_file():
            write_atomic(self.folder / name, content)
        return name


def lens_region(size_HW: tuple[int, int], point: Point) -> Region:
    """Return the 33x33 pixels around a point, less at the frame's edge."""
    half = LENS_PX // 2
    top, left = max(0, point.row - half), max(0, point.column - half)
    return Region(
        top, left, min(size_HW[0], point.row + half + 1) - top, min(size_HW[1], point.column + half + 1) - left
    )


def window_region(size_HW: tuple[int, int], point: Point) -> Region:
    """Return the part of the frame that a question can show: all of it, or 2048 pixels a side around the point."""
    spans = []
    for length, place in zip(size_HW, (point.row, point.column), strict=True):
        size = min(length, WINDOW_PX)
        start = round((place - size / 2) / STEP_PX) * STEP_PX
        spans.append((min(max(0, start), length - size), size))
    (top, height), (left, width) = spans
    return Region(top, left, height, width)


class Renderer:
    """Writes the media of questions. `read` returns a frame's H x W x 3 uint8 pixels."""

    def __init__(
        self, media: MediaFolder, frames: Sequence[Frame], read: Callable[[Frame], NDArray[np.uint8]] | None = None
    ) -> None:
        self._media, self._read = media, read or read_frame
        self._frames = {frame.key: frame for frame in frames}
        self._beside = _neighbours(frames)
        self._pixels: dict[str, NDArray[np.uint8]] = {}
        self._windows: dict[tuple[str, Region], str] = {}

    def render(self, key: str, queries: Iterable[Query]) -> dict[str, Mapping[str, Any]]:
        """Return what each point query about frame `key` shows, by its id.

        Raises:
            ImageFileError: the frame cannot be read; a neighbour that cannot is left out.
        """
        earlier, later = self._beside.get(key, (None, None))
        self._pixels = {k: v for k, v in self._pixels.items() if k in (key, earlier, later)}
        self._windows = {place: name for place, name in self._windows.items() if place[0] in (key, earlier, later)}
        size_HW = self._image(key).shape[:2]
        found: dict[str, Mapping[str, Any]] = {}
        for query in queries:
            assert query.point is not None, "only points are shown"
            window, lens = window_region(size_HW, query.point), lens_region(size_HW, query.point)
            found[query.id] = {
                "frame": list(size_HW),
                "window": _place(self._window(key, window), window),
                "lens": _place(self._media.keep(_png(self._image(key)[lens.slices]), ".png"), lens),
                "earlier": self._beside_window(earlier, window, size_HW),
                "later": self._beside_window(later, window, size_HW),
            }
        return found

    def _window(self, key: str, window: Region) -> str:
        if (key, window) not in self._windows:
            self._windows[key, window] = self._media.keep(_jpeg(self._image(key)[window.slices]), ".jpg")
        return self._windows[key, window]

    def _beside_window(self, key: str | None, window: Region, size_HW: tuple[int, ...]) -> str | None:
        try:
            return self._window(key, window) if key and self._image(key).shape[:2] == size_HW else None
        except ImageFileError:
            return None

    def _image(self, key: str) -> NDArray[np.uint8]:
        if key not in self._pixels:
            self._pixels[key] = self._read(self._frames[key])
        return self._pixels[key]


def _neighbours(frames: Sequence[Frame]) -> dict[str, tuple[str | None, str | None]]:
    """Return the keys of the frames before and after each frame in its sequence."""
    order = sorted((frame for frame in frames if frame.sequence), key=lambda f: (f.sequence, f.index, f.key))
    beside: dict[str, tuple[str | None, str | None]] = {}
    for place, frame in enumerate(order):
        around = [order[p] if 0 <= p < len(order) else None for p in (place - 1, place + 1)]
        earlier, later = (other.key if other and other.sequence == frame.sequence else None for other in around)
        beside[frame.key] = (earlier, later)
    return beside


def _place(name: str, region: Region) -> dict[str, Any]:
    return {"name": name, "top": region.top, "left": region.left, "height": region.height, "width": region.width}


def _png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()
