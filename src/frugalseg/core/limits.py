"""What a file we do not trust may ask for at most: bytes, pixels, parts. Everything beyond is refused by name."""

from pathlib import Path

from frugalseg.core.errors import ImageFileError

PIXEL_CAP = 64_000_000
BYTE_CAP = 512_000_000  # 64 million pixels of four 16-bit numbers, not compressed
PART_CAP = 200_000  # chunks of a PNG, segments of a JPEG: PNG writers cut data into 8 kB, 1.6 GB then
SCAN_CAP = 100  # passes of a progressive JPEG; writers use about 10, and each pass visits every pixel


def check_size(path: Path, width: int, height: int, pixel_cap: int = PIXEL_CAP) -> None:
    """Refuse an image without pixels, or with too many of them.

    Raises:
        ImageFileError: width x height is not between 1 and `pixel_cap`.
    """
    if width < 1 or height < 1 or width * height > pixel_cap:
        raise ImageFileError(f"{path}: {width} x {height} pixels; expected 1 to {pixel_cap:,}. Scale it down.")
