"""Whether a JPEG's data are as long as its pixels need, which libjpeg only warns about, and Pillow does not pass on.

A JPEG has no checksum. What can be told from its bytes: the parts follow one another up to the end marker; the restart
markers are all there and in order; and, for pictures in one pass (what cameras write), the data run out neither before
the last pixel nor after it. `MeteredJpeg` finds the latter while Pillow decodes, at no cost: the end marker is taken
away, so that a decoder short of data stops instead of painting grey; and the last bytes are handed out only when it
asks for them, so a decoder that is done without them lost its way before. Not found: damage after which the decoder
falls into step again with the right number of pixels, damage between two restart markers, and short or long data in one
pass of a progressive picture. `libjpeg_warning` finds what libjpeg notices of those, in worker processes only.
"""

import io
import os
import re
import struct
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frugalseg.core.errors import ImageFileError
from frugalseg.core.limits import PART_CAP, PIXEL_CAP, SCAN_CAP, check_size

MAGIC = b"\xff\xd8\xff"
SOI, EOI, SOS, DRI = 0xD8, 0xD9, 0xDA, 0xDD
RESTARTS = range(0xD0, 0xD8)
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that begin a picture
ARITHMETIC = range(0xC9, 0xD0)
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xff])")  # to search with; a 0 behind 255 is data
PADDING = b"\xff\0" * 8  # 64 one-bits: a decoder looks so far ahead, and no code is all ones
SLACK = 64  # bytes: cameras leave a few bytes behind the last pixel
_WARNING = re.compile(r"(Corrupt JPEG data: |Premature end of JPEG)[^\n]*")
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


@dataclass(frozen=True)
class JpegLayout:
    """A JPEG's size, its passes over the pixels, and where the data of the last pass begin and end."""

    width: int
    height: int
    scans: int
    data_start: int
    data_stop: int


def check_jpeg(path: Path, content: bytes, pixel_cap: int = PIXEL_CAP) -> JpegLayout:
    """Return the layout of a JPEG whose parts are all there.

    Raises:
        ImageFileError: the file ends too early, its parts or restart markers do not follow one another, or it has too
            many pixels, passes or parts.
    """
    walk = _Walk(path, pixel_cap)
    place = 2
    for _ in range(PART_CAP):
        found = _MARKER.match(content, place)
        if not found:
            raise walk.damaged("its parts do not follow one another" if place < len(content) else "no end marker")
        marker, place = found[1][0], found.end()
        if marker == EOI:
            return walk.layout()
        if marker == SOI or marker in RESTARTS:
            raise walk.damaged(f"marker {marker:#x} where none may stand")
        length = int.from_bytes(content[place : place + 2], "big")
        if length < 2 or place + length > len(content):
            raise walk.damaged("it ends too early, or a part's length is wrong")
        walk.part(marker, content[place + 2 : place + length])
        place += length
        if marker == SOS:
            place = walk.scan(content, place)
    raise ImageFileError(f"{path}: more than {PART_CAP:,} parts.")


class _Walk:
    """What has been learned of a JPEG so far."""

    def __init__(self, path: Path, pixel_cap: int) -> None:
        self._path, self._pixel_cap = path, pixel_cap
        self._size: tuple[int, int] | None = None
        self._block = (8, 8)  # width and height in pixels of what lies between two steps of a pass with all components
        self._components, self._in_scan, self._interval, self._scans = 0, 0, 0, 0
        self._data = (0, 0)

    def damaged(self, what: str) -> ImageFileError:
        return ImageFileError(f"{self._path}: the file is damaged ({what}). Copy it again.")

    def part(self, marker: int, data: bytes) -> None:
        """Learn from a part with a length."""
        if marker in FRAMES:
            self._frame(marker, data)
        elif marker == DRI and len(data) == 2:
            self._interval = int.from_bytes(data, "big")
        elif marker == SOS:
            self._in_scan = data[0] if data else 0
            self._scans += 1
            if self._size is None or not self._in_scan:
                raise self.damaged("its pixels come before its size")
            if self._scans > SCAN_CAP:
                raise ImageFileError(f"{self._path}: more than {SCAN_CAP} passes over the pixels. Save it plainly.")

    def _frame(self, marker: int, data: bytes) -> None:
        if marker in ARITHMETIC:
            raise ImageFileError(f"{self._path}: arithmetic coding is not supported. Save it as a common JPEG.")
        if len(data) < 6 or len(data) != 6 + 3 * data[5] or self._size is not None:
            raise self.damaged("its header makes no sense")
        height, width = struct.unpack_from(">HH", data, 1)
        check_size(self._path, width, height, self._pixel_cap)
        sampling = data[7::3]
        if data[5] > 1:
            self._block = 8 * max(value >> 4 for value in sampling), 8 * max(value & 15 for value in sampling)
        self._size, self._components = (width, height), data[5]
        if not all(self._block):
            raise self.damaged("its header makes no sense")

    def scan(self, content: bytes, start: int) -> int:
        """Compare the restart markers of one pass and return where its data stop."""
        place, restarts = start, 0
        while found := _NEXT_MARKER.search(content, place):
            if found[1][0] not in RESTARTS:
                break
            if found[1][0] != RESTARTS[restarts % 8]:
                raise self.damaged("its restart markers are out of order")
            restarts, place = restarts + 1, found.end()
        if not found:
            raise self.damaged("no end marker")
        if restarts < self._expected_restarts():
            raise self.damaged(f"only {restarts} of {self._expected_restarts()} restart markers are there")
        stop = found.start()
        while content[stop - 1] == 0xFF:  # more than one may stand before a marker
            stop -= 1
        self._data = start, stop
        return stop

    def _expected_restarts(self) -> int:
        """Return how many restart markers a pass needs; 0 also where that depends on the component it is about."""
        if not self._interval or self._in_scan != self._components or self._size is None:
            return 0
        across, down = (-(-length // block) for length, block in zip(self._size, self._block, strict=True))
        return (across * down - 1) // self._interval

    def layout(self) -> JpegLayout:
        if self._size is None or not self._scans:
            raise self.damaged("it has no pixels")
        return JpegLayout(*self._size, self._scans, *self._data)


class MeteredJpeg(io.BytesIO):
    """A JPEG in one pass, to be decoded from; afterwards `check` tells whether the data were too long.

    Data that are too short end in Pillow's own error for a truncated file.
    """

    def __init__(self, path: Path, content: bytes, layout: JpegLayout) -> None:
        super().__init__(content[: layout.data_stop] + PADDING)
        self._path, self._held = path, max(layout.data_start, layout.data_stop - SLACK)
        self._all_given = False

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, and no further than to where the last bytes begin."""
        place = self.tell()
        if size is not None and 0 < self._held - place < size:
            size = self._held - place
        piece = super().read(size)
        self._all_given = self._all_given or self.tell() > self._held
        return piece

    def check(self) -> None:
        """Compare, after all pixels have been decoded.

        Raises:
            ImageFileError: the last bytes were not needed.
        """
        if not self._all_given:
            raise ImageFileError(f"{self._path}: the file is damaged (data are left over). Copy it again.")


def libjpeg_warning(content: bytes) -> str:
    """Decode a JPEG once more, in OpenCV, and return what libjpeg says is wrong with its data, or "".

    libjpeg tells it on the process's error stream and nowhere else. That stream is taken over meanwhile, so this is for
    processes of one thread, such as those of `data.workers`.
    """
    import cv2

    sys.stderr.flush()
    with tempfile.TemporaryFile() as heard:
        kept = os.dup(2)
        try:
            os.dup2(heard.fileno(), 2)
            cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)  # all codes, few pixels
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        heard.seek(0)
        found = _WARNING.search(heard.read().decode(errors="replace"))
    left_over = _LEFT_OVER.search(found[0]) if found else None
    return found[0] if found and not (left_over and int(left_over[1]) <= SLACK) else ""
