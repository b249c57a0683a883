"""What a PNG's chunks say, and whether all of its rows are there.

Pillow fills missing rows with zeros and does not look at the checksums of pixel data; zero is a class. So every chunk's
checksum is compared and the data are unpacked once, in pieces, before Pillow may decode the file.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from frugalseg.core.errors import ImageFileError
from frugalseg.core.limits import PART_CAP, PIXEL_CAP, check_size

MAGIC = b"\x89PNG\r\n\x1a\n"
PIECE = 1 << 20  # bytes read or unpacked at a time
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel's numbers, by colour type
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
MAY_TURN = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # chunks that may hold an orientation


@dataclass(frozen=True)
class PngHeader:
    """Size, bits a number, colour type, whether rows are spread over passes, whether an orientation may be given."""

    width: int
    height: int
    bits: int
    colour: int
    interlaced: bool
    may_turn: bool = False

    @property
    def data_bytes(self) -> int:
        """Bytes of the unpacked rows, each with its filter byte."""
        passes = ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        return sum(self._pass_bytes(*step) for step in passes)

    def _pass_bytes(self, left: int, top: int, right: int, down: int) -> int:
        width, height = -((left - self.width) // right), -((top - self.height) // down)
        return height * (1 + (width * self.bits * SAMPLES[self.colour] + 7) // 8) if width > 0 and height > 0 else 0


def check_png(path: Path, content: bytes, pixel_cap: int = PIXEL_CAP) -> PngHeader:
    """Return the header of a whole PNG.

    Raises:
        ImageFileError: a checksum is wrong, the file ends too early, its data are more or fewer than its rows need, or
            it has too many pixels or parts.
    """
    header, may_turn, got, unpacker = None, False, 0, zlib.decompressobj()
    for kind, piece in _pieces(path, io.BytesIO(content)):
        if (kind == b"IHDR") != (header is None):
            raise ImageFileError(f"{path}: the file is damaged (it does not begin with one header). Copy it again.")
        if header is None:
            header = _read_header(path, piece, pixel_cap)
        elif kind == b"IDAT":
            got += _unpacked(path, unpacker, piece, header.data_bytes + PIECE - got)
        may_turn = may_turn or kind in MAY_TURN
    if header is None:
        raise ImageFileError(f"{path}: the file ends too early. Copy it again.")
    if got < header.data_bytes:
        raise ImageFileError(f"{path}: only {got} of {header.data_bytes} bytes of its rows are there. Copy it again.")
    if not unpacker.eof:
        raise ImageFileError(f"{path}: the file is damaged (its data end before their checksum). Copy it again.")
    return replace(header, may_turn=may_turn)


def _pieces(path: Path, file: io.BytesIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield (chunk's name, next piece of its data) up to the end chunk; a chunk's checksum is compared at its end."""
    file.seek(len(MAGIC))
    for _ in range(PART_CAP):
        start = file.read(8)
        length, kind = struct.unpack(">I4s", start) if len(start) == 8 else (0, b"")
        checksum = zlib.crc32(kind)
        while True:
            piece = file.read(min(length, PIECE))
            checksum, length = zlib.crc32(piece, checksum), length - len(piece)
            yield kind, piece
            if not piece or not length:
                break
        stored = file.read(4)
        if length or len(stored) < 4:
            raise ImageFileError(f"{path}: the file ends too early. Copy it again.")
        if stored != struct.pack(">I", checksum):
            raise ImageFileError(f"{path}: the file is damaged (wrong checksum in its {kind!r} part). Copy it again.")
        if kind == b"IEND":
            return
    raise ImageFileError(f"{path}: more than {PART_CAP:,} parts.")


def _read_header(path: Path, data: bytes, pixel_cap: int) -> PngHeader:
    if len(data) == 13:
        width, height, bits, colour, _, _, interlace = struct.unpack(">IIBBBBB", data)
        check_size(path, width, height, pixel_cap)
        if colour in SAMPLES and interlace in (0, 1):
            return PngHeader(width, height, bits, colour, interlace == 1)
    raise ImageFileError(f"{path}: the file is damaged (its header makes no sense). Copy it again.")


def _unpacked(path: Path, unpacker: "zlib._Decompress", data: bytes, room: int) -> int:
    """Unpack a piece of data, keep none of it, and return how many bytes it gave."""
    got = 0
    try:
        while data and not unpacker.eof:
            got += len(unpacker.decompress(data, PIECE))
            data = unpacker.unconsumed_tail
            if got > room:
                raise ImageFileError(f"{path}: holds more data than its pixels need.")
    except zlib.error as error:
        raise ImageFileError(f"{path}: the file is damaged ({error}). Copy it again.") from error
    return got
