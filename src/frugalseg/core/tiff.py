"""What a TIFF's tags promise, compared with what the file holds.

Pillow leaves pixels that no strip or tile covers at zero, reads on behind a strip that is too short, and makes room for
one whole tile however large its tag says it is. Zero is a class, so the tags are compared first.
"""

import math
from pathlib import Path

from PIL import Image

from frugalseg.core.errors import ImageFileError
from frugalseg.core.limits import PIXEL_CAP

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262  # tags of TIFF 6.0
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANES = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
PLAIN, SEPARATE, YCBCR = 1, 2, 6
LOSSY = (6, 7, 34712, 50001)  # old and new JPEG, JPEG 2000, WebP


def check_tiff(path: Path, image: Image.Image, file_bytes: int) -> None:
    """Compare the number, place and length of strips or tiles with the image's size.

    Raises:
        ImageFileError: some are missing, too short or outside the file, or a tile is larger than any image may be.
    """
    width, height = _one(image, WIDTH), _one(image, HEIGHT)
    tiled = bool(_tag(image, TILE_OFFSETS))
    if tiled:
        part_width, part_height = _one(image, TILE_WIDTH), _one(image, TILE_HEIGHT)
    else:
        part_width, part_height = width, min(_one(image, ROWS_PER_STRIP, height), height)
    if part_width < 1 or part_height < 1 or part_width * part_height > PIXEL_CAP:
        raise ImageFileError(f"{path}: its tiles are {part_width} x {part_height} pixels; expected 1 to {PIXEL_CAP:,}.")
    separate = _one(image, PLANES, 1) == SEPARATE
    needed = math.ceil(width / part_width) * math.ceil(height / part_height)
    needed *= _one(image, SAMPLES, 1) if separate else 1
    starts = _tag(image, TILE_OFFSETS if tiled else STRIP_OFFSETS)
    lengths = _tag(image, TILE_BYTES if tiled else STRIP_BYTES) or (file_bytes - starts[0],) * (len(starts) == 1)
    there = sum(length > 0 for _, length in zip(starts[:needed], lengths[:needed], strict=False))
    if there < needed:
        raise ImageFileError(f"{path}: only {there} of {needed} strips of its pixels are there. Copy it again.")
    if any(start + length > file_bytes for start, length in zip(starts[:needed], lengths[:needed], strict=True)):
        raise ImageFileError(f"{path}: the file ends too early. Copy it again.")
    if _one(image, COMPRESSION, PLAIN) == PLAIN and _one(image, PHOTOMETRIC, 1) != YCBCR:
        expected = _plain_bytes(image, width, height, part_width, part_height, separate, tiled)
        if sum(lengths[:needed]) < expected:
            raise ImageFileError(
                f"{path}: only {sum(lengths[:needed])} of {expected} bytes of its rows are there. Copy it again."
            )


def is_lossy(image: Image.Image) -> bool:
    """Return whether a TIFF's pixels went through a compression that changes them."""
    return _one(image, COMPRESSION, PLAIN) in LOSSY


def _plain_bytes(
    image: Image.Image, width: int, height: int, part_width: int, part_height: int, separate: bool, tiled: bool
) -> int:
    """Return the bytes that pixels need when they are not compressed; rows begin at whole bytes."""
    bits = _tag(image, BITS) or (1,)
    bits_pixel = bits[0] if separate else sum(bits) if len(bits) > 1 else bits[0] * _one(image, SAMPLES, 1)
    rows = math.ceil(height / part_height) * part_height if tiled else height
    columns = math.ceil(width / part_width)
    one_layer = rows * columns * ((part_width * bits_pixel + 7) // 8)
    return one_layer * (_one(image, SAMPLES, 1) if separate else 1)


def _tag(image: Image.Image, tag: int) -> tuple[int, ...]:
    value = getattr(image, "tag_v2", {}).get(tag, ())
    return value if isinstance(value, tuple) else (value,)


def _one(image: Image.Image, tag: int, default: int = 0) -> int:
    values = _tag(image, tag)
    return int(values[0]) if values else default
