"""Images and labels from files we do not trust: what is accepted is decoded whole, the rest is refused by name.

Rules: formats by content, not by name (PNG, JPEG, TIFF, WebP, BMP); one picture a file; pixels counted from the header
before decoding; EXIF orientation applied to images and labels alike; palettes become RGB, CMYK and YCbCr too, alpha is
dropped, grey becomes three equal channels; 16 bits stay 16 bits. A damaged file is an error, never zeros.
"""

import os
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from frugalseg.core.artifact import file_hash, write_atomic
from frugalseg.core.errors import ImageFileError

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
PIXEL_CAP = 64_000_000
BYTE_CAP = 512_000_000
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
ImageFile.LOAD_TRUNCATED_IMAGES = False


def image_size(path: Path, pixel_cap: int = PIXEL_CAP) -> tuple[int, int]:
    """Return (height, width) from the header, after EXIF orientation; nothing is decoded.

    Raises:
        ImageFileError: as `read_image`, as far as the header tells.
    """
    with _open(path, pixel_cap) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def read_image(path: Path, pixel_cap: int = PIXEL_CAP) -> NDArray[Any]:
    """Return an image as H x W x 3 RGB, uint8 or uint16.

    Raises:
        ImageFileError: no regular file, not one of the formats, several pictures, over the cap, or damaged.
    """
    with _open(path, pixel_cap) as image:
        if image.mode.startswith("I;16") or image.mode == "I" or _is_deep(path, image):
            deep = _turn(_read_deep(path), image)
            return deep if deep.ndim == 3 else np.repeat(deep[..., None], 3, axis=2)
        try:
            upright = ImageOps.exif_transpose(image)
            return np.array(upright.convert("RGB"))
        except Exception as error:  # Pillow raises many kinds for damaged data
            raise _damaged(path, error) from error


def read_label(path: Path, pixel_cap: int = PIXEL_CAP) -> NDArray[np.uint16]:
    """Return a label file's raw ids, H x W uint16: grey values, or palette indices (never the palette's colours).

    Raises:
        ImageFileError: as `read_image`; also for colour images and lossy formats, which hold no ids.
    """
    with _open(path, pixel_cap) as image:
        if image.format not in ("PNG", "TIFF", "BMP"):
            raise ImageFileError(
                f"{path}: a label in {image.format} has lost its ids to compression. Expected PNG or TIFF."
            )
        if image.mode.startswith("I"):
            deep = _read_deep(path)
            return _turn(deep[..., 0] if deep.ndim == 3 else deep, image).astype(np.uint16)
        if image.mode not in ("L", "P", "1"):
            raise ImageFileError(
                f"{path}: expected one channel of class ids, got a {image.mode} image.\n"
                "It looks like a label in colours; convert the colours to ids, or name the file that holds ids."
            )
        try:
            return np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)
        except Exception as error:
            raise _damaged(path, error) from error


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
    import io

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
    _regular(path)
    return file_hash(path)


def encode_rle(mask_HW: NDArray[np.bool_]) -> list[int]:
    """Return run lengths of a mask, row by row, beginning with the number of False pixels (0 if it starts with True)."""
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


def _regular(path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ImageFileError(f"{path}: cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(mode):
        raise ImageFileError(f"{path}: not a regular file (a folder, pipe or device).")


def _open(path: Path, pixel_cap: int) -> Image.Image:
    """Open an image and check what its header says; nothing is decoded yet."""
    _regular(path)
    if path.stat().st_size > BYTE_CAP:
        raise ImageFileError(f"{path}: {path.stat().st_size / 1e6:.0f} MB; the limit is {BYTE_CAP / 1e6:.0f} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageFileError(
            f"{path}: no image of a format we accept ({', '.join(FORMATS)}), or damaged at its start."
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageFileError(f"{path}: more pixels than the limit of {pixel_cap:,}. Scale it down.") from error
    except Exception as error:
        raise _damaged(path, error) from error
    width, height = image.size
    if width < 1 or height < 1 or width * height > pixel_cap:
        image.close()
        raise ImageFileError(f"{path}: {width} x {height} pixels; expected 1 to {pixel_cap:,}. Scale it down.")
    if getattr(image, "n_frames", 1) > 1:
        image.close()
        raise ImageFileError(f"{path}: holds {image.n_frames} pictures; expected one. Save them as files of their own.")  # type: ignore[attr-defined]
    if image.format == "PNG":
        _check_png_rows(path, image.size)
    return image


def _check_png_rows(path: Path, size: tuple[int, int]) -> None:
    """Refuse a PNG whose data end before its last row: Pillow would fill the rest with zeros, and zero is a class."""
    header, data, ended = b"", [], False
    with open(path, "rb") as file:
        file.read(8)
        while chunk := file.read(8):
            if len(chunk) < 8:
                break
            length, kind = struct.unpack(">I4s", chunk)
            if kind == b"IHDR":
                header = file.read(length)
            elif kind == b"IDAT":
                data.append(file.read(length))
            elif kind == b"IEND":
                ended = True
                break
            else:
                file.seek(length, os.SEEK_CUR)
            file.seek(4, os.SEEK_CUR)
    if len(header) != 13 or not ended:
        raise ImageFileError(f"{path}: the file ends too early. Copy it again.")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if interlace:
        return  # rows are spread over passes; Pillow notices the end of an interlaced file itself
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 1)
    expected = height * (1 + (width * depth * samples + 7) // 8)
    inflater, got = zlib.decompressobj(), 0
    try:
        for part in data:
            pending = part
            while pending:
                got += len(inflater.decompress(pending, 1 << 20))
                pending = inflater.unconsumed_tail
                if got > expected + (1 << 20):
                    raise ImageFileError(f"{path}: holds more data than its {width} x {height} pixels need.")
        got += len(inflater.flush())
    except zlib.error as error:
        raise _damaged(path, error) from error
    if got < expected:
        rows = got // (expected // height)
        raise ImageFileError(f"{path}: only {rows} of {height} rows are in the file. Copy it again.")


def _is_deep(path: Path, image: Image.Image) -> bool:
    if image.format == "PNG":
        with open(path, "rb") as file:
            return file.read(25)[24:25] == b"\x10"
    bits = getattr(image, "tag_v2", {}).get(258, (8,)) if image.format == "TIFF" else (8,)
    return bool(max(bits if isinstance(bits, tuple) else (bits,)) > 8)


def _read_deep(path: Path) -> NDArray[Any]:
    """Decode 16 bits with OpenCV (Pillow cuts colour down to 8), as H x W or H x W x 3 RGB, uint16."""
    import cv2

    array = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ImageFileError(f"{path}: 16-bit data cannot be decoded. Copy it again.")
    if array.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(f"{path}: {array.dtype} pixels; expected 8 or 16 bits.")
    if array.ndim == 2:
        return array
    return array[..., :3][..., ::-1] if array.shape[2] >= 3 else array[..., 0]


def _turn(array: NDArray[Any], image: Image.Image) -> NDArray[Any]:
    """Apply the EXIF orientation to an array, and make grey three channels where an image is wanted."""
    orientation = image.getexif().get(0x0112, 1)
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _damaged(path: Path, error: Exception) -> ImageFileError:
    return ImageFileError(f"{path}: the file is damaged ({error}). Copy it again.")
