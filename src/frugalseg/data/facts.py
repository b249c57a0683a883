"""What one look at a frame's files tells: small facts, so that those of many thousand frames can be kept.

Nothing here judges; `diagnose` does, with the facts of the whole set before it. Runs in worker processes.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.classes import IGNORE, UNKNOWN, ClassSet, Color
from frugalseg.core.codec import EXIF_ORIENTATION, FORMATS, read_image, read_label_colors
from frugalseg.core.errors import ConfigError, DataError, ImageFileError
from frugalseg.core.records import Frame
from frugalseg.data.label_kinds import read_raw
from frugalseg.data.masks import askable
from frugalseg.data.pixels import read_pixels

THUMB = 16  # side of the thumbnail that near-duplicates are verified by
FLAT_RATIO = 0.9  # of horizontal neighbours that are equal: label maps have more, photographs fewer
MANY_COLORS = 256  # a label map has fewer
STRIDE = 4  # every fourth row and column is enough for a mean
LUMA = 0.299, 0.587, 0.114  # ITU-R BT.601
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class ImageLook:
    """A decoded image: its size, its look in 0–1, what near-duplicates are found by, whether it is a label map.

    `warmth` is mean red minus mean blue. `twin` is a file of the same name in the folder for labels.
    """

    height: int
    width: int
    brightness_01: float
    contrast_01: float
    saturation_01: float
    warmth: float
    hash64: int
    thumb: bytes
    like_label: bool
    twin: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class LabelFacts:
    """A decoded label: its size, its raw ids with their pixels, and the pixels of each class where the mask allows.

    A label in colours where ids were expected has `colors` (the most frequent first) instead.
    """

    height: int
    width: int
    flat: bool
    raw_ids: NDArray[np.int64]
    raw_pixels: NDArray[np.int64]
    class_pixels: NDArray[np.int64]
    colors: tuple[tuple[Color, int], ...] = ()


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """All that was seen of a frame; an error is the message of what went wrong, "" for nothing.

    `image_turn` and `label_turn` are EXIF orientations (1: none). `usable_ratio` is the share of pixels that the ego
    mask leaves. `died`: its worker process did not survive it, and nothing is known.
    """

    image: ImageLook | None = None
    label: LabelFacts | None = None
    changed: bool = False
    image_error: str = ""
    label_error: str = ""
    mask_error: str = ""
    image_turn: int = 1
    label_turn: int = 1
    usable_ratio: float = 1.0
    died: bool = False


@dataclass(frozen=True)
class Inspector:
    """Looks at the frames of one data set, whose labels have the class set `classes`; counts classes of `project`.

    Without `images` only labels are read.
    """

    classes: ClassSet
    project: ClassSet
    images: bool = True

    def __call__(self, frame: Frame) -> FrameFacts:
        """Return the facts of a frame; what is wrong with its files is among them."""
        found: dict[str, Any] = {}
        if self.images:
            found |= _see("image_error", lambda: self._image(frame))
        if frame.mask is not None:
            found |= _see("mask_error", lambda: {"usable_ratio": _usable_ratio(frame)})
        if frame.label is not None:
            found |= _see("label_error", lambda: {"label": self._label(frame, masked="mask_error" not in found)})
            turns = exif_turns(frame, size_of(frame, found.get("image")), found.get("label"))
            found |= dict(zip(("image_turn", "label_turn"), turns, strict=True))
        return FrameFacts(**found)

    @cached_property
    def _lookup(self) -> NDArray[np.int16]:
        return self.classes.map_to(self.project).raw_lookup()

    def _image(self, frame: Frame) -> dict[str, Any]:
        path = Path(frame.image)
        image_HWC, changed = _read(frame)
        rgb_HWC = (image_HWC >> 8).astype(np.uint8) if image_HWC.dtype == np.uint16 else image_HWC
        like_label = _is_label_map(path, rgb_HWC, self.project, self.classes)
        twin = _twin(path) if like_label and frame.label is None else ""
        height, width = rgb_HWC.shape[:2]
        return {"image": ImageLook(height, width, *_look(rgb_HWC), like_label, twin), "changed": changed}

    def _label(self, frame: Frame, masked: bool) -> LabelFacts:
        assert frame.label is not None  # the caller's condition
        try:
            raw_HW = read_raw(frame, self.classes)
        except ImageFileError:
            colours = _colors(Path(frame.label)) if frame.label_kind == "ids" else None
            if colours is None:
                raise
            return colours
        found = label_facts(raw_HW)
        usable_HW = askable(frame) if masked and frame.mask else None
        if usable_HW is None or usable_HW.shape != raw_HW.shape:
            return replace(found, class_pixels=self._count_classes(found.raw_ids, found.raw_pixels))
        counts = np.bincount(raw_HW[usable_HW])
        return replace(found, class_pixels=self._count_classes(np.arange(len(counts)), counts))

    def _count_classes(self, raw_ids: NDArray[np.int64], raw_pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        pixels_C = np.zeros(len(self.project), np.int64)
        classes = self._lookup[raw_ids]
        known = (classes != UNKNOWN) & (classes != IGNORE)
        np.add.at(pixels_C, classes[known], raw_pixels[known])
        return pixels_C


def label_facts(raw_HW: NDArray[np.uint16]) -> LabelFacts:
    """Return the facts of a label of raw ids; no class is counted yet."""
    counts = np.bincount(raw_HW.ravel())
    ids = np.flatnonzero(counts)
    height, width = raw_HW.shape
    return LabelFacts(height, width, _is_flat(raw_HW[..., None]), ids, counts[ids], np.zeros(0, np.int64))


def _read(frame: Frame) -> tuple[NDArray[Any], bool]:
    """Return an image, and whether it is another file than was listed; what is hashed is what is decoded.

    Raises:
        ImageFileError: it cannot be used.
    """
    try:
        return read_pixels(frame, strict=True), False
    except ImageFileError:
        if not frame.sha256:
            raise
        return read_pixels(frame, strict=True, verify=False), True  # raises again for damage


def _see(error: str, look: Any) -> dict[str, Any]:
    """Return what `look` finds, or {error: message} for what a file can do wrong."""
    try:
        found: dict[str, Any] = look()
        return found
    except (DataError, ConfigError) as refusal:
        return {error: str(refusal)}
    except MemoryError:
        return {error: "it needs more memory than one file may take"}
    except OSError as refusal:  # gone, or unreadable, since it was listed
        return {error: f"{refusal.filename}: cannot be read: {refusal.strerror}."}


def _usable_ratio(frame: Frame) -> float:
    usable_HW = askable(frame)
    return 1.0 if usable_HW is None else float(usable_HW.mean())


def _look(rgb_HWC: NDArray[np.uint8]) -> tuple[float, float, float, float, int, bytes]:
    """Return brightness, contrast, saturation, warmth, the 64-bit hash and the thumbnail."""
    red_N, green_N, blue_N = rgb_HWC[::STRIDE, ::STRIDE].reshape(-1, 3).T.astype(np.float32) / 255
    luma_N = LUMA[0] * red_N + LUMA[1] * green_N + LUMA[2] * blue_N
    highest_N = np.maximum(np.maximum(red_N, green_N), blue_N)
    saturation = (highest_N - np.minimum(np.minimum(red_N, green_N), blue_N)).mean()
    small_HW = cv2.resize(cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    thumb_HW = cv2.resize(small_HW, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    # pHash: the signs of the 64 slowest cosines but the mean, against their median
    cosines = cv2.dct(small_HW.astype(np.float32))[:9, :9].ravel()[1:65]
    bits = np.packbits(cosines > np.median(cosines))
    hash64 = int.from_bytes(bits.tobytes(), "big")
    light = float(luma_N.mean()), float(luma_N.std()), float(saturation), float(red_N.mean() - blue_N.mean())
    return *light, hash64, thumb_HW.tobytes()


def _is_flat(image_HWC: NDArray[Any]) -> bool:
    rows = image_HWC[::STRIDE]
    if rows.shape[1] < 2:
        return False
    return float((rows[:, 1:] == rows[:, :-1]).all(axis=2).mean()) >= FLAT_RATIO


def _is_label_map(path: Path, rgb_HWC: NDArray[np.uint8], *class_sets: ClassSet) -> bool:
    """Return whether an image is a label map: flat, few values, and those are grey, a palette's, or class colours."""
    if not _is_flat(rgb_HWC):
        return False
    values, counts = _packed_colors(rgb_HWC)
    if not 2 <= len(values) <= MANY_COLORS:  # one colour: a black frame, not a label
        return False
    colors_N3 = np.stack([values >> 32, values >> 16 & 0xFFFF, values & 0xFFFF], axis=1)
    if (colors_N3 == colors_N3[:, :1]).all():
        return True
    known = {tuple(color) for classes in class_sets for color in classes.colors.tolist()}
    familiar = np.array([tuple(color) in known for color in colors_N3.tolist()])
    if counts[familiar].sum() >= 0.8 * counts.sum():
        return True
    with Image.open(path, formats=FORMATS) as image:
        return image.mode == "P"


def _colors(path: Path) -> LabelFacts | None:
    """Return the facts of a label file that is a colour picture, or None for one that is damaged or a lossy label."""
    try:
        rgb_HWC = read_image(path)
        flat = _is_flat(rgb_HWC)
        if flat:  # no photograph astray: then it counts what compression did to its colours
            read_label_colors(path)
    except ImageFileError:
        return None
    values, counts = _packed_colors(rgb_HWC)
    order = np.argsort(-counts, kind="stable")[:MANY_COLORS]
    colors = tuple(
        ((value >> 32, value >> 16 & 0xFFFF, value & 0xFFFF), count)
        for value, count in zip(values[order].tolist(), counts[order].tolist(), strict=True)
    )
    none = np.zeros(0, np.int64)
    height, width = rgb_HWC.shape[:2]
    return LabelFacts(height, width, flat, none, none, none, colors)


def size_of(frame: Frame, image: ImageLook | None) -> tuple[int, int]:
    """Return (height, width) of a frame's image: as it was seen, or as it was listed."""
    return (image.height, image.width) if image else (frame.height, frame.width)


def _packed_colors(rgb_HWC: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the colours, each as one number of three times 16 bits, and their pixels.

    Numbers, as `np.unique` of rows takes many seconds for a large picture.
    """
    values, counts = np.unique(rgb_HWC.astype(np.int64) @ np.array([1 << 32, 1 << 16, 1]), return_counts=True)
    return values, counts.astype(np.int64)


def exif_turns(frame: Frame, size_HW: tuple[int, int], label: LabelFacts | None) -> tuple[int, int]:
    """Return the EXIF orientations of image and label.

    They are looked up where they matter: where sizes differ, or the format often has one.
    """
    differ = label is not None and (label.height, label.width) != size_HW
    if not differ and Path(frame.image).suffix.lower() == ".png":
        return 1, 1
    assert frame.label is not None  # the caller's condition
    return _turn(Path(frame.image)), _turn(Path(frame.label)) if differ else 1


def _turn(path: Path) -> int:
    try:
        with Image.open(path, formats=FORMATS) as image:
            return 1 if image.format == "TIFF" else int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # a damaged file is told elsewhere
        return 1


def _twin(path: Path) -> str:
    """Return the picture of the same name in `labels/` beside `images/`, or ""."""
    if "images" not in path.parts:
        return ""
    place = len(path.parts) - 1 - path.parts[::-1].index("images")
    stem = Path(*path.parts[:place], "labels", *path.parts[place + 1 :]).with_suffix("")
    found = [twin for suffix in PHOTO_SUFFIXES if (twin := stem.with_name(stem.name + suffix)).is_file()]
    return str(found[0]) if found else ""
