"""Arrays to pictures inside an HTML file: photos as JPEG, label maps as palette PNG, names on their regions.

Nothing is read or fetched: every picture is a data URI made of pixels we hold.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.classes import IGNORE
from frugalseg.evaluation.wording import shorten

MAX_SIDE = 640  # of an embedded picture: sharp at 320 CSS px on a dense screen or at 200 % zoom
FIXED, BROKEN, STILL_WRONG, RIGHT = 0, 1, 2, 3  # values of a change map
CHANGE_COLORS = np.array([(0, 114, 178), (230, 120, 0), (128, 128, 132), (235, 235, 238)], np.uint8)  # Okabe-Ito's
WRONG_COLOR = np.array((213, 60, 0), np.uint8)  # near Okabe-Ito's vermilion
TAG_HEIGHT = 0.038  # of the frame's width: 12 px in a panel 320 px wide


@dataclass(frozen=True)
class Tag:
    """A class name written on a region; x, y, size in the frame's own pixels."""

    text: str
    x: float
    y: float
    size: float


def photo_uri(image: NDArray[Any], quality: int = 84, side: int = MAX_SIDE) -> str:
    """Encode an image (H x W or H x W x channels; uint8, uint16 or float in 0–1) as a JPEG data URI."""
    return _uri(Image.fromarray(rgb8(shrink(image, side=side))), "JPEG", quality=quality)


def entropy_uri(entropy_01_HW: NDArray[np.floating[Any]], side: int = MAX_SIDE) -> str:
    """Encode an entropy map in 0–1 with the colours of `entropy_palette`; NaN counts as 0."""
    small = np.nan_to_num(shrink(entropy_01_HW.astype(np.float32), side=side))
    index_HW = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
    return _uri(Image.fromarray(entropy_palette()[index_HW]), "JPEG", quality=84, subsampling=0)


def entropy_palette() -> NDArray[np.uint8]:
    """Return 256 x 3 colours, dark = certain, bright = uncertain; lightness rises, so it reads without colour."""
    levels = np.arange(256, dtype=np.uint8)[:, None]
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_MAGMA)[:, 0, ::-1], np.uint8)  # as matplotlib


def label_uri(label_HW: NDArray[np.uint8], colors_C3: NDArray[np.uint8], side: int = MAX_SIDE) -> str:
    """Encode class ids as a palette PNG in the classes' colours; IGNORE is transparent."""
    picture = Image.fromarray(shrink(label_HW, nearest=True, side=side))  # 8-bit grey; the palette turns it into "P"
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors_C3)] = colors_C3
    picture.putpalette(palette.tobytes())
    return _uri(picture, "PNG", transparency=IGNORE, optimize=True)


def change_map(
    truth_HW: NDArray[np.uint8], before_HW: NDArray[np.uint8], after_HW: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return FIXED, BROKEN, STILL_WRONG or RIGHT for each labelled pixel, IGNORE elsewhere."""
    was, now = before_HW == truth_HW, after_HW == truth_HW
    change_HW = np.select([now & ~was, was & ~now, ~was & ~now], [FIXED, BROKEN, STILL_WRONG], RIGHT).astype(np.uint8)
    return np.where(truth_HW == IGNORE, np.uint8(IGNORE), change_HW)


def error_uri(
    image: NDArray[Any], truth_HW: NDArray[np.uint8], prediction_HW: NDArray[np.uint8], side: int = MAX_SIDE
) -> str:
    """Encode the image in pale grey with wrong pixels in WRONG_COLOR; pixels without a truth are dark."""
    grey_HW = rgb8(shrink(image, side=side)).mean(axis=2)
    truth, prediction = (shrink(map_HW, nearest=True, side=side) for map_HW in (truth_HW, prediction_HW))
    shown = np.repeat(115 + 0.5 * grey_HW[..., None], 3, axis=2)
    wrong = (truth != IGNORE) & (truth != prediction)
    shown[wrong] = 0.3 * shown[wrong] + 0.7 * WRONG_COLOR
    shown[truth == IGNORE] *= 0.35
    return _uri(Image.fromarray(shown.astype(np.uint8)), "JPEG", quality=80, subsampling=0)


def overlay_uri(
    image: NDArray[Any], ids_HW: NDArray[np.uint8], colors_C3: NDArray[np.uint8], side: int = MAX_SIDE
) -> str:
    """Encode the image in grey under the colours of ids; pixels whose id has no colour, IGNORE above all, are dark."""
    grey_HW = rgb8(shrink(image, side=side)).mean(axis=2)
    ids = shrink(ids_HW, nearest=True, side=side)
    palette = np.zeros((256, 3), np.float64)
    palette[: len(colors_C3)] = colors_C3
    shown = 0.42 * grey_HW[..., None] + 0.58 * palette[ids]
    shown[ids >= len(colors_C3)] = 0.3 * grey_HW[ids >= len(colors_C3)][:, None]
    return _uri(Image.fromarray(shown.astype(np.uint8)), "JPEG", quality=82, subsampling=0)


def place_names(label_HW: NDArray[np.uint8], names: Sequence[str]) -> tuple[Tag, ...]:
    """Write each class's name where its region is widest, larger regions first, if it fits and covers no other name."""
    small_HW = shrink(label_HW, nearest=True)
    scale, width = label_HW.shape[1] / small_HW.shape[1], small_HW.shape[1]
    size = TAG_HEIGHT * width
    boxes: list[tuple[float, float, float]] = []  # x, y, half width
    tags: list[Tag] = []
    areas = np.bincount(small_HW.ravel(), minlength=256)[: len(names)]
    for class_id in np.argsort(-areas, kind="stable"):
        if areas[class_id] < size * size:
            break
        text = shorten(names[class_id], 14)
        half = size * (0.34 * len(text) + 0.2)  # of a bold sans-serif
        x, y, room = _widest(small_HW == class_id)
        x = min(max(x, half), width - half)
        covered = any(abs(x - other) < half + reach and abs(y - line) < 1.1 * size for other, line, reach in boxes)
        if room >= 0.6 * size and not covered:
            boxes.append((x, y, half))
            tags.append(Tag(text, round(x * scale, 1), round(y * scale, 1), round(size * scale, 1)))
    return tuple(tags)


def shrink(array: NDArray[Any], nearest: bool = False, side: int = MAX_SIDE) -> NDArray[Any]:
    """Scale down so that no side exceeds `side`; smaller arrays stay as they are."""
    height, width = array.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return array
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    shrunk: NDArray[Any] = cv2.resize(array, size, interpolation=cv2.INTER_NEAREST if nearest else cv2.INTER_AREA)
    return shrunk


def rgb8(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return H x W x 3 uint8: the first three channels, or the first as grey; uint16 and 0–1 floats are rescaled."""
    channels = image[..., None] if image.ndim == 2 else image
    picked = channels[..., :3] if channels.shape[2] >= 3 else channels[..., [0, 0, 0]]
    if np.issubdtype(picked.dtype, np.floating):
        picked = np.round(np.clip(np.nan_to_num(picked), 0, 1) * 255)
    elif picked.dtype == np.uint16:
        picked = picked >> 8
    rgb: NDArray[np.uint8] = picked.astype(np.uint8)
    return rgb


def _widest(mask_HW: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return x, y and radius of the largest disc inside the mask; the frame's border counts as outside."""
    padded = np.pad(mask_HW.astype(np.uint8), 1)
    distance_HW = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    row, column = np.unravel_index(int(distance_HW.argmax()), distance_HW.shape)
    return float(column - 1), float(row - 1), float(distance_HW[row, column])


def _uri(picture: Image.Image, format: str, **options: Any) -> str:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return f"data:image/{format.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
