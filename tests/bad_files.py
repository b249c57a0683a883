"""Files of RELIABILITY's cases 1-21 that a user may come across, made on the spot: what no reader of ours may swallow.

Loaded by its path, by the codec's tests and by the journey through the command line.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

MAGIC = b"\x89PNG\r\n\x1a\n"
RGB = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
IDS = np.random.default_rng(1).integers(0, 4, (64, 48), np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int,
    height: int,
    depth: int,
    colour: int,
    data: bytes,
    before: bytes = b"",
    after: bytes = b"",
    interlace: int = 0,
) -> bytes:
    """A PNG from its parts; all checksums are right."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return MAGIC + header + before + chunk(b"IDAT", data) + after + chunk(b"IEND", b"")


def rows(array: NDArray[np.generic]) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in array))


def saved(array: NDArray[np.generic], kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 480, width: int = 640) -> NDArray[np.uint8]:
    """A picture that compresses as photographs do."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3)
    return ((blurred - blurred.min()) / np.ptp(blurred) * 255).astype(np.uint8)


def tiff(tags: dict[int, int | tuple[int, ...]], data: bytes, following: int = 0) -> bytes:
    """A little-endian TIFF whose data begin at byte 8; tags are numbers of 4 bytes, tuples of them stand at the end."""
    place = 8 + len(data) + 2 + 12 * len(tags) + 4
    entries, tail = b"", b""
    for tag, value in sorted(tags.items()):
        values = value if isinstance(value, tuple) else (value,)
        where = values[0] if len(values) == 1 else place + len(tail)
        tail += b"" if len(values) == 1 else struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHII", tag, 4, len(values), where)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data
    return head + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + tail


GREY_48X64 = {256: 48, 257: 64, 258: 8, 259: 1, 262: 1, 277: 1}


def grey_tiff(**changed: int | tuple[int, ...]) -> bytes:
    """48 x 64 grey pixels in 8 strips; `changed` are tags by number, as t278=8."""
    tags: dict[int, int | tuple[int, ...]] = {**GREY_48X64, 278: 8, 279: (384,) * 8}
    tags[273] = tuple(8 + 384 * strip for strip in range(8))
    return tiff(tags | {int(name[1:]): value for name, value in changed.items()}, IDS.tobytes())


def tiled_bomb() -> bytes:
    """8 x 8 pixels in one tile of 900 million."""
    data = zlib.compress(b"\0" * 1000)
    tags = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: 30_000, 323: 30_000, 324: 8, 325: len(data)}
    return tiff(tags, data)


def long_chain(pictures: int = 50_000) -> bytes:
    """A TIFF of very many pictures: to count them is to read them all."""
    first = grey_tiff()
    start = struct.unpack_from("<I", first, 4)[0]
    size = 2 + 12 * struct.unpack_from("<H", first, start)[0]
    tags, place = first[start : start + size], len(first)
    chain = b"".join(tags + struct.pack("<I", place + (size + 4) * (n + 1)) for n in range(pictures - 1))
    head = first[: start + size] + struct.pack("<I", place) + first[start + size + 4 :]
    return head + chain + tags + struct.pack("<I", 0)


def jpeg(**options: object) -> bytes:
    return saved(smooth(), "JPEG", **{"quality": 90, **options})


def jpeg_hole() -> bytes:
    """A third of the data is missing, the end marker is there: libjpeg paints the rest grey."""
    whole = jpeg()
    start, stop = whole.find(b"\xff\xda") + 14, len(whole) - 2
    third = (stop - start) // 3
    return whole[: start + third] + whole[start + 2 * third :]


def jpeg_surplus() -> bytes:
    whole = jpeg()
    return whole[:-2] + b"\x11" * 400 + whole[-2:]


def jpeg_lost_restart(order: bool) -> bytes:
    whole = jpeg(restart_marker_rows=1)
    place = whole.find(b"\xff\xd3", whole.find(b"\xff\xda"))
    return whole[:place] + (b"\xff\xd5" if order else b"") + whole[place + 2 :]


def jpeg_many_scans(scans: int = 4000) -> bytes:
    """A progressive picture whose last pass comes again and again: each costs a walk over all pixels."""
    whole = saved(np.full((2000, 2000), 99, np.uint8), "JPEG", progressive=True)
    last = whole.rfind(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + whole[-2:]


def jpeg_with_exif_page() -> bytes:
    exif = Image.Exif()
    exif[270] = "<script>alert(1)</script>"
    return saved(smooth(64, 48), "JPEG", quality=95, exif=exif)


def thirteen_thousand() -> bytes:
    packer = zlib.compressobj(9)
    row = b"\0" * 13_001 * 100
    return png(13_000, 13_000, 8, 0, b"".join([packer.compress(row) for _ in range(130)]) + packer.flush())


def bomb(kind: bytes, unpacked: int = 30_000_000) -> bytes:
    """A text or colour profile that unpacks to very much more than it is."""
    packed = zlib.compress(b"\0" * unpacked, 1)
    return png(48, 64, 8, 0, rows(IDS), chunk(kind, (b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0") + packed))


def flipped(whole: bytes, share: float = 0.5) -> bytes:
    place = int(len(whole) * share)
    return whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]


def long_text() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "<script>" * 1_250_000)
    return saved(RGB, pnginfo=text)


def webp_canvas() -> bytes:
    """A header of 16 million x 255 pixels; some decoders make room for them at once."""
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + (2**24 - 1).to_bytes(3, "little") + b"\xfe\0\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp_run_lengths() -> bytes:
    """A BMP whose rows end early: 48 x 64 grey pixels, one pixel a row."""
    data = b"\1\7\0\0" * 64 + b"\0\1"
    palette = bytes(value for n in range(256) for value in (n, n, n, 0))
    info = struct.pack("<IiiHHIIiiII", 40, 48, 64, 1, 8, 1, len(data), 0, 0, 256, 0)
    offset = 14 + len(info) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + info + palette + data


@dataclass(frozen=True)
class BadFile:
    """A file of a case, and what an error about it says when it is read as an image (None: it is accepted)."""

    case: str
    content: Callable[[], bytes]
    refused: str | None
    suffix: str = ".png"


def several(kind: str) -> bytes:
    return saved(RGB, kind, save_all=True, append_images=[Image.fromarray(255 - RGB)])


def cut(kind: str, share: float = 0.6) -> bytes:
    whole = saved(RGB, kind)
    return whole[: int(len(whole) * share)]


BAD_FILES = (
    BadFile("1 header of 20000x20000", lambda: png(20_000, 20_000, 8, 2, zlib.compress(b"")), "400000000|pixels"),
    BadFile("1 header of 2^31 x 2^31", lambda: png(2**31 - 1, 2**31 - 1, 8, 2, zlib.compress(b"")), "pixels"),
    BadFile("1 webp canvas of 4 billion", webp_canvas, "pixels|damaged", ".webp"),
    BadFile("2 10000x10000 over our cap", lambda: png(10_000, 10_000, 8, 0, zlib.compress(b"")), "expected 1 to 64,0"),
    BadFile("3 164 KB that unpack to 13000x13000", thirteen_thousand, "13000 x 13000 pixels; expected 1 to 64,000,000"),
    BadFile("4 checksums fit but 20 of 64 rows", lambda: png(48, 64, 8, 0, rows(IDS[:20])), "of its rows are there"),
    BadFile("4 tiff with 3 of 8 strips", lambda: grey_tiff(t273=(8, 392, 776), t279=(384,) * 3), "3 of 8 strips"),
    BadFile("4 tiff with short strips", lambda: grey_tiff(t279=(100,) * 8), "only 800 of 3072 bytes", ".tif"),
    BadFile("4 tiff with an empty strip", lambda: grey_tiff(t279=(384,) * 7 + (0,)), "7 of 8 strips", ".tif"),
    BadFile("4 tiff pointing behind its end", lambda: grey_tiff(t273=(9**7,) * 8), "ends too early", ".tif"),
    BadFile("4 bmp whose rows end early", bmp_run_lengths, "run lengths", ".bmp"),
    *(
        BadFile(f"5 truncated {kind}", lambda kind=kind: cut(kind), "damaged|too early")
        for kind in ("PNG", "TIFF", "BMP", "WEBP", "JPEG")
    ),
    BadFile("5 jpeg without its middle", jpeg_hole, "the file is damaged", ".jpg"),
    BadFile("5 jpeg without its end marker", lambda: jpeg()[:-2], "the file is damaged", ".jpg"),
    BadFile("5 jpeg with data left over", jpeg_surplus, "data are left over", ".jpg"),
    BadFile("5 jpeg without one restart marker", lambda: jpeg_lost_restart(False), "restart markers", ".jpg"),
    BadFile("5 jpeg with a restart out of order", lambda: jpeg_lost_restart(True), "restart markers", ".jpg"),
    BadFile("6 flipped bit", lambda: flipped(saved(IDS)), "the file is damaged"),
    BadFile("7 zero width", lambda: png(0, 4, 8, 0, zlib.compress(b"")), "0 x 4 pixels"),
    BadFile("7 zero height", lambda: png(4, 0, 8, 0, zlib.compress(b"")), "4 x 0 pixels"),
    BadFile("8 eps named png", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "no image of a"),
    BadFile("9 svg named png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='9'/>", "no image of a format"),
    BadFile("9 empty file", lambda: b"", "no image of a format"),
    BadFile("9 gif named png", lambda: saved(IDS, "GIF"), "no image of a format"),
    *(BadFile(f"10 two pictures in a {kind}", lambda kind=kind: several(kind), "pictures") for kind in ("PNG", "WEBP")),
    BadFile("10 two pictures in a TIFF", lambda: several("TIFF"), "holds several pictures", ".tif"),
    BadFile("10 a chain of 50000 pictures", long_chain, "holds several pictures", ".tif"),
    BadFile("10 a jpeg of 4000 passes", jpeg_many_scans, "more than 100 passes", ".jpg"),
    BadFile("11 float", lambda: saved(np.ones((64, 48), np.float32), "TIFF"), "float32 pixels; expected 8", ".tif"),
    BadFile(
        "18 float with NaN", lambda: saved(np.full((64, 48), np.nan, np.float32), "TIFF"), "float32 pixels", ".tif"
    ),
    BadFile("13 10 MB of text", long_text, None),
    BadFile("13 html in exif", jpeg_with_exif_page, None, ".jpg"),
    BadFile("14 icc bomb", lambda: bomb(b"iCCP"), "the file is damaged"),
    BadFile("14 zTXt bomb", lambda: bomb(b"zTXt"), "the file is damaged"),
    BadFile("14 iTXt bomb", lambda: bomb(b"iTXt"), "the file is damaged"),
    BadFile("14 tile of 900 million pixels", tiled_bomb, "its tiles are 30000 x 30000 pixels", ".tif"),
    BadFile("14 more data than pixels", lambda: png(48, 64, 8, 0, zlib.compress(b"\0" * 3 * 10**7)), "more data than"),
    BadFile(
        "14 png of 300000 parts",
        lambda: png(48, 64, 8, 0, rows(IDS), before=chunk(b"prVt", b"") * 300_000),
        "more than 200,000 parts",
    ),
)


ODD = "not a regular file"
NO_FILES = {"pipe.png": ODD, "folder.png": ODD, "zero.png": ODD, "loop.png": "cannot be", "lost.png": "cannot be"}


def put_no_files(folder: Path) -> None:
    """Put into `folder` what is no regular file (case 21): the names of NO_FILES, with what an error says of each."""
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "lost.png").symlink_to("nowhere.png")
    (folder / "zero.png").symlink_to("/dev/zero")
