"""Images and labels from files we do not trust: what is accepted is decoded whole, the rest is refused by name.

Rules: formats by content, not by name (PNG, JPEG, TIFF, WebP, BMP); one picture a file; pixels counted from the header
before decoding; EXIF orientation applied to images and labels alike; palettes become RGB, CMYK and YCbCr too, alpha is
dropped, grey becomes three equal channels; 16 bits stay 16 bits. A damaged file is an error, never zeros.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from frugalseg.core.errors import ImageFileError
from frugalseg.core.files import file_hash, write_atomic
from frugalseg.core.png import PngHeader, check_png

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
PIXEL_CAP = 64_000_000
BYTE_CAP = 512_000_000
EXIF_ORIENTATION, TIFF_BITS, TIFF_PHOTOMETRIC = 274, 258, 262  # tags


def image_size(path: Path, pixel_cap: int = PIXEL_CAP) -> tuple[int, int]:
    """Return (height, width) as `read_image` gives it, EXIF orientation applied; no pixel is decoded.

    Raises:
        ImageFileError: as `read_image`, as far as the header tells.
    """
    with _opened(path, pixel_cap) as source:
        width, height = source.image.size
        return (width, height) if source.orientation in (5, 6, 7, 8) else (height, width)


def read_image(path: Path, pixel_cap: int = PIXEL_CAP) -> NDArray[Any]:
    """Return an image as H x W x 3 RGB, uint8 or uint16.

    Raises:
        ImageFileError: no regular file, not one of the formats, several pictures, over the cap, or damaged.
    """
    with _opened(path, pixel_cap) as source:
        if source.bits > 8:
            array = _read_deep(source)
            array = array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)
        else:
            array = np.array(source.image.convert("RGB"))
        return _turned(array, source.orientation)


def read_label(path: Path, pixel_cap: int = PIXEL_CAP) -> NDArray[np.uint16]:
    """Return a label file's raw ids, H x W uint16: grey values, or palette indices (never the palette's colours).

    Raises:
        ImageFileError: as `read_image`; also for colour images and lossy formats, which hold no ids.
    """
    with _opened(path, pixel_cap) as source:
        if source.image.format not in ("PNG", "TIFF", "BMP"):
            raise ImageFileError(
                f"{path}: a label in {source.image.format} has lost its ids to compression. Expected PNG or TIFF."
            )
        if source.image.mode not in ("L", "P", "1") and not source.image.mode.startswith("I"):
            raise ImageFileError(
                f"{path}: expected one channel of class ids, got a {source.image.mode} image.\n"
                "It looks like a label in colours; convert the colours to ids, or name the file that holds ids."
            )
        ids_HW = _read_deep(source) if source.bits > 8 else _stored_values(source)
        return _turned(ids_HW.astype(np.uint16), source.orientation)


def read_label_png(path: Path) -> NDArray[np.uint8]:
    """Return an 8-bit label that `write_label_png` wrote, H x W.

    Raises:
        ImageFileError: it is missing, damaged, or holds values above 255.
    """
    label = read_label(path)
    if label.max(initial=0) > 255:
        raise ImageFileError(f"{path}: class ids are 0–255, got {int(label.max())}.")
    return label.astype(np.uint8)


def write_label_png(path: Path, label_HW: NDArray[np.uint8], durable: bool = False) -> None:
    """Write class ids as a grey 8-bit PNG; with `durable` so that it survives a power cut."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(label_HW, np.uint8)).save(buffer, "PNG", compress_level=3)
    if durable:
        write_atomic(path, buffer.getvalue())
    else:
        path.write_bytes(buffer.getvalue())


def file_sha256(path: Path) -> str:
    """Return the sha256 of a regular file.

    Raises:
        ImageFileError: it is no regular file, or cannot be read.
    """
    _check_regular(path)
    return file_hash(path)


def encode_rle(mask_HW: NDArray[np.bool_]) -> list[int]:
    """Return run lengths of a mask, row by row, beginning with the number of False pixels (perhaps 0)."""
    flat = np.concatenate([[False], np.asarray(mask_HW, bool).ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(count) for count in np.diff(np.concatenate([[0], edges, [flat.size - 1]]))]


def decode_rle(counts: list[int], size_HW: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of run lengths that `encode_rle` gave.

    Raises:
        ImageFileError: counts that are no whole numbers from 0 up, or do not add up to the number of pixels.
    """
    pixels = size_HW[0] * size_HW[1]
    if not all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= pixels for count in counts):
        raise ImageFileError(f"run lengths must be whole numbers from 0 to {pixels}.")
    if sum(counts) != pixels:
        raise ImageFileError(
            f"run lengths add up to {sum(counts)}, the mask has {size_HW[0]} x {size_HW[1]} = {pixels} pixels."
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size_HW)


@dataclass(frozen=True)
class _Source:
    """An opened file: bits of each number in it, and the EXIF orientation that is still to be applied (1: none)."""

    path: Path
    image: Image.Image
    bits: int
    orientation: int


@contextmanager
def _opened(path: Path, pixel_cap: int) -> Iterator[_Source]:
    """Open an image and check what can be known before decoding; whatever Pillow raises meanwhile becomes one error."""
    _check_regular(path)
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # a switch of the whole process, which other libraries turn on
    try:
        # Not by path: Pillow would map the file into memory, and scramble the pixels of a turned TIFF.
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
            _check_extent(path, image, pixel_cap)
            png = check_png(path) if image.format == "PNG" else None
            yield _Source(path, image, png.bits if png else _bits(image), _orientation(image, png))
    except (ImageFileError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise ImageFileError(
            f"{path}: no image of a format we accept ({', '.join(FORMATS)}), or damaged at its start."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(f"{path}: more pixels than the limit of {pixel_cap:,}. Scale it down.") from error
    except Exception as error:  # Pillow raises many kinds for damaged data
        raise ImageFileError(f"{path}: the file is damaged ({error}). Copy it again.") from error


def _check_regular(path: Path) -> None:
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        raise ImageFileError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}.") from error
    if not stat.S_ISREG(state.st_mode):
        raise ImageFileError(f"{path}: not a regular file (a folder, pipe or device).")
    if state.st_size > BYTE_CAP:
        raise ImageFileError(f"{path}: {state.st_size / 1e6:.0f} MB; the limit is {BYTE_CAP / 1e6:.0f} MB.")


def _check_extent(path: Path, image: Image.Image, pixel_cap: int) -> None:
    width, height = image.size
    if width < 1 or height < 1 or width * height > pixel_cap:
        raise ImageFileError(f"{path}: {width} x {height} pixels; expected 1 to {pixel_cap:,}. Scale it down.")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise ImageFileError(f"{path}: holds {frames} pictures; expected one. Save them as files of their own.")


def _bits(image: Image.Image) -> int:
    if image.format != "TIFF":
        return 8
    bits = getattr(image, "tag_v2", {}).get(TIFF_BITS, (1,))
    return int(max(bits if isinstance(bits, tuple) else (bits,)))


def _orientation(image: Image.Image, png: PngHeader | None) -> int:
    if image.format == "TIFF" or (png and not png.may_turn):  # Pillow and OpenCV turn TIFFs themselves
        return 1
    return int(image.getexif().get(EXIF_ORIENTATION, 1))


def _stored_values(source: _Source) -> NDArray[Any]:
    """Undo what Pillow does to grey values for display: 2 and 4 bits stretched to 0–255, "white is zero" inverted."""
    values_HW = np.asarray(source.image)
    if source.image.mode == "P":
        return values_HW
    values_HW = values_HW if source.image.mode == "L" else values_HW.astype(np.uint8) * 255
    if getattr(source.image, "tag_v2", {}).get(TIFF_PHOTOMETRIC) == 0:
        values_HW = 255 - values_HW
    highest = 2**source.bits - 1 if source.image.mode == "L" else 1
    return values_HW // (255 // highest)


def _read_deep(source: _Source) -> NDArray[Any]:
    """Decode 16 bits with OpenCV (Pillow cuts colour down to 8), as H x W or H x W x 3 RGB, uint16."""
    import cv2

    if source.image.mode == "CMYK":
        raise ImageFileError(f"{source.path}: {source.bits}-bit CMYK; convert it to RGB.")
    array = cv2.imdecode(np.fromfile(source.path, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ImageFileError(f"{source.path}: {source.bits}-bit data cannot be decoded. Copy it again.")
    if array.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(f"{source.path}: {array.dtype} pixels; expected 8 or 16 bits.")
    if array.ndim == 2:
        return array
    return array[..., :3][..., ::-1] if array.shape[2] >= 3 else array[..., 0]


def _turned(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation (EXIF 2.3, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)
