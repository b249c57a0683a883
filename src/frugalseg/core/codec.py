"""Images and labels from files we do not trust: what is accepted is decoded whole, the rest is refused by name.

Rules: formats by content, not by name (PNG, JPEG, TIFF, WebP, BMP); one picture a file; pixels counted from the header
before decoding; EXIF orientation applied to images and labels alike; palettes become RGB, CMYK and YCbCr too, alpha is
dropped, grey becomes three equal channels; 16 bits stay 16 bits. A damaged file is an error, never zeros (what a JPEG
cannot tell of its damage stands in `core.jpeg`).

A file is read once: what is checked, hashed and decoded are the same bytes, whoever writes to it meanwhile.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from frugalseg.core.errors import ImageFileError
from frugalseg.core.files import read_regular, write_atomic
from frugalseg.core.jpeg import MAGIC as JPEG_MAGIC
from frugalseg.core.jpeg import MeteredJpeg, check_jpeg, libjpeg_warning
from frugalseg.core.limits import PIXEL_CAP, check_size
from frugalseg.core.png import MAGIC as PNG_MAGIC
from frugalseg.core.png import PngHeader, check_png
from frugalseg.core.tiff import BITS, PHOTOMETRIC, check_tiff, is_lossy

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
EXIF_ORIENTATION = 274  # tag


@dataclass(frozen=True)
class ImageFacts:
    """An image's height and width as `read_image` gives them, and the sha256 of its file."""

    height: int
    width: int
    sha256: str


def image_facts(path: Path, pixel_cap: int = PIXEL_CAP, strict: bool = False) -> ImageFacts:
    """Return size and hash of an image file, read once, that `read_image` can decode.

    `strict` also refuses what `core.jpeg.libjpeg_warning` finds, and is for processes of one thread.

    Raises:
        ImageFileError: as `read_image`.
    """
    with _opened(path, pixel_cap) as source:
        width, height = source.image.size
        height, width = (width, height) if source.orientation in (5, 6, 7, 8) else (height, width)
        _try_out(source, strict)
        return ImageFacts(height, width, hashlib.sha256(source.content).hexdigest())


def image_size(path: Path, pixel_cap: int = PIXEL_CAP) -> tuple[int, int]:
    """Return (height, width) as `read_image` gives it, EXIF orientation applied.

    Raises:
        ImageFileError: as `read_image`.
    """
    facts = image_facts(path, pixel_cap)
    return facts.height, facts.width


def read_image(path: Path, pixel_cap: int = PIXEL_CAP, sha256: str = "", strict: bool = False) -> NDArray[Any]:
    """Return an image as H x W x 3 RGB, uint8 or uint16; with `sha256` only if the bytes decoded have that hash.

    `strict` as for `image_facts`.

    Raises:
        ImageFileError: no regular file, not one of the formats, several pictures, over a limit, damaged, or changed.
    """
    with _opened(path, pixel_cap, sha256) as source:
        return _pixels(source, strict)


def read_label(path: Path, pixel_cap: int = PIXEL_CAP, sha256: str = "") -> NDArray[np.uint16]:
    """Return a label file's raw ids, H x W uint16: grey values, or palette indices (never the palette's colours).

    Raises:
        ImageFileError: as `read_image`; also for colour images and lossy formats, which hold no ids.
    """
    with _opened(path, pixel_cap, sha256) as source:
        _check_lossless(source)
        if source.image.mode not in ("L", "P", "1") and not source.image.mode.startswith("I"):
            raise ImageFileError(
                f"{path}: expected one channel of class ids, got a {source.image.mode} image.\n"
                "A label in colours is read with label_kind=colors in the SPEC, one with ids in its red channel with "
                "label_kind=red; a mask needs one channel."
            )
        ids_HW = _read_deep(source) if source.bits > 8 else _stored_values(source)
        return _turned(ids_HW.astype(np.uint16), source.orientation)


def read_label_colors(path: Path, pixel_cap: int = PIXEL_CAP) -> NDArray[Any]:
    """Return a label file that holds its ids as colours or in one of its channels, as `read_image` gives it.

    Raises:
        ImageFileError: as `read_image`; also for lossy formats, which hold no ids.
    """
    with _opened(path, pixel_cap) as source:
        _check_lossless(source)
        return _pixels(source, strict=False)


def read_label_png(path: Path) -> NDArray[np.uint8]:
    """Return an 8-bit label that `write_label_png` wrote, H x W.

    Raises:
        ImageFileError: it is missing, damaged, or holds values above 255.
    """
    label = read_label(path)
    if label.max(initial=0) > 255:
        raise ImageFileError(f"{path}: class ids are 0–255, got {int(label.max())}.")
    return label.astype(np.uint8)


def write_label_png(path: Path, label_HW: NDArray[np.uint8]) -> None:
    """Write class ids as a grey 8-bit PNG."""
    path.write_bytes(png_bytes(label_HW))


def write_picture_png(path: Path, rgb_HWC: NDArray[np.uint8]) -> None:
    """Write a picture as an 8-bit PNG that survives a power cut."""
    write_atomic(path, png_bytes(rgb_HWC))


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Return class ids (H x W) or a picture (H x W x 3 RGB) as an 8-bit PNG."""
    if pixels.ndim == 2:  # ids are runs, and rows repeat: a third of Pillow's time, and smaller than its level 3
        import cv2

        how = {
            cv2.IMWRITE_PNG_COMPRESSION: 1,
            cv2.IMWRITE_PNG_STRATEGY: cv2.IMWRITE_PNG_STRATEGY_RLE,
            cv2.IMWRITE_PNG_FILTER: cv2.IMWRITE_PNG_FILTER_UP,
        }
        _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels, np.uint8), [*chain(*how.items())])
        return encoded.tobytes()
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a regular file.

    Raises:
        ImageFileError: it is no regular file, or cannot be read.
    """
    return hashlib.sha256(read_regular(path)).hexdigest()


@dataclass(frozen=True)
class _Source:
    """An opened file: bits of each number in it, and the EXIF orientation that is still to be applied (1: none)."""

    path: Path
    content: bytes
    image: Image.Image
    bits: int
    orientation: int
    metered: MeteredJpeg | None


@contextmanager
def _opened(path: Path, pixel_cap: int, sha256: str = "") -> Iterator[_Source]:
    """Open an image and check what can be known before decoding; whatever Pillow raises meanwhile becomes one error."""
    content = read_regular(path)
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise ImageFileError(f"{path}: the file has changed since it was listed. Run `frugalseg init` again.")
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # a switch of the whole process, which other libraries turn on
    try:
        png = check_png(path, content, pixel_cap) if content.startswith(PNG_MAGIC) else None
        jpeg = check_jpeg(path, content, pixel_cap) if content.startswith(JPEG_MAGIC) else None
        metered = MeteredJpeg(path, content, jpeg) if jpeg and jpeg.scans == 1 else None
        # Not by path: Pillow would map the file into memory, and scramble the pixels of a turned TIFF.
        with Image.open(metered or io.BytesIO(content), formats=FORMATS) as image:
            check_size(path, *image.size, pixel_cap)
            _check_one_picture(path, image)
            if image.format == "TIFF":
                check_tiff(path, image, len(content))
            bits = png.bits if png else _bits(image)
            yield _Source(path, content, image, bits, _orientation(image, png), metered)
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


def _check_one_picture(path: Path, image: Image.Image) -> None:
    if getattr(image, "is_animated", False):
        # A TIFF's pictures are a chain; to count them is to read them all.
        count = "several" if image.format == "TIFF" else getattr(image, "n_frames", "several")
        raise ImageFileError(f"{path}: holds {count} pictures; expected one. Save them as files of their own.")
    if any(tile[0] == "bmp_rle" for tile in getattr(image, "tile", ())):  # rows may end early, and are black then
        raise ImageFileError(f"{path}: a BMP with run lengths. Save it as PNG.")


def _check_lossless(source: _Source) -> None:
    if source.image.format not in ("PNG", "TIFF", "BMP") or is_lossy(source.image):
        raise ImageFileError(
            f"{source.path}: a label in {source.image.format} has lost its ids to compression. Expected PNG or TIFF, "
            "with lossless compression."
        )


def _pixels(source: _Source, strict: bool) -> NDArray[Any]:
    if source.bits > 8:
        array = _read_deep(source)
        array = array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)
    else:
        array = np.array(_loaded(source, strict).convert("RGB"))
    return _turned(array, source.orientation)


def _try_out(source: _Source, strict: bool) -> None:
    """Decode as little as shows the damage: a PNG's data have been unpacked already, a JPEG's are all in small, too."""
    if source.image.format == "PNG":
        return
    if source.bits > 8:
        _read_deep(source)
        return
    if source.image.format == "JPEG":
        source.image.draft("L", (1, 1))  # an eighth of the size, brightness only
    _loaded(source, strict)


def _loaded(source: _Source, strict: bool) -> Image.Image:
    source.image.load()
    if source.metered:
        source.metered.check()
    if strict and source.image.format == "JPEG" and (warning := libjpeg_warning(source.content)):
        raise ImageFileError(f"{source.path}: the file is damaged ({warning}). Copy it again.")
    return source.image


def _bits(image: Image.Image) -> int:
    if image.format != "TIFF":
        return 8
    bits = getattr(image, "tag_v2", {}).get(BITS, (1,))
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
    if getattr(source.image, "tag_v2", {}).get(PHOTOMETRIC) == 0:
        values_HW = 255 - values_HW
    highest = 2**source.bits - 1 if source.image.mode == "L" else 1
    return values_HW // (255 // highest)


def _read_deep(source: _Source) -> NDArray[Any]:
    """Decode 16 bits with OpenCV (Pillow cuts colour down to 8), as H x W or H x W x 3 RGB, uint16."""
    import cv2

    if source.image.mode == "CMYK":
        raise ImageFileError(f"{source.path}: {source.bits}-bit CMYK; convert it to RGB.")
    array = cv2.imdecode(np.frombuffer(source.content, np.uint8), cv2.IMREAD_UNCHANGED)
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
