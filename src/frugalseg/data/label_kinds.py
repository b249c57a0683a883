"""Where label files hold their raw ids: in one channel, in the red channel of three, or as colours."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import ClassSet, Color
from frugalseg.core.codec import read_label, read_label_colors
from frugalseg.core.errors import ConfigError, ImageFileError, MissingPairError, UnknownIdError
from frugalseg.core.records import Frame

MANY_COLORS = 2  # times the colours of the class set: more than that is a picture, or a blurred label


def read_raw(frame: Frame, classes: ClassSet | None = None) -> NDArray[np.uint16]:
    """Return the raw ids of a frame's label as they stand in its file, H x W; nothing is mapped or masked.

    `classes` is the class set of the data set; only labels made of colours need it.

    Raises:
        MissingPairError: the frame has no label.
        ImageFileError: the file is damaged or no label.
        UnknownIdError: a colour that the class set does not list.
    """
    if frame.label is None:
        raise MissingPairError(f"{frame.image}: there is no label for this image, and one is needed here.")
    return read_ids(Path(frame.label), frame.label_kind, classes)


def read_ids(path: Path, kind: str, classes: ClassSet | None) -> NDArray[np.uint16]:
    """Return a label file's raw ids, H x W.

    Args:
        path: The file.
        kind: One of `records.LABEL_KINDS`.
        classes: The class set of the file; only `colors` needs it.

    Raises:
        ImageFileError: the file is damaged, no label, or of a format that has lost its ids.
        UnknownIdError: a colour that the class set does not list.
    """
    if kind == "ids":
        return read_label(path)
    rgb_HWC = read_label_colors(path)
    if kind == "red":
        return rgb_HWC[..., 0].astype(np.uint16)
    if classes is None:
        raise ConfigError(f"{path}: this label is made of colours, and only its class set tells what they mean.")
    return _ids_of_colors(path, rgb_HWC, classes)


def color_table(classes: ClassSet) -> dict[Color, int]:
    """Return which raw id each colour of a label file means: `label_colors`, and each other class's own colour.

    Raises:
        ConfigError: one colour for two raw ids.
    """
    looks = {raw_id: color for raw_id, color in classes.label_colors.items()}
    for entry in classes.classes:
        if not any(raw_id in looks for raw_id in entry.raw_ids):
            looks[entry.raw_ids[0]] = entry.color
    table: dict[Color, int] = {}
    for raw_id, color in sorted(looks.items()):
        if table.setdefault(color, raw_id) != raw_id:
            raise ConfigError(
                f"class set {classes.name!r}: colour {color} means raw ids {table[color]} and {raw_id}, so labels made "
                "of colours cannot be read. Give each its own `color` in classes.toml."
            )
    return table


def _ids_of_colors(path: Path, rgb_HWC: NDArray[Any], classes: ClassSet) -> NDArray[np.uint16]:
    if rgb_HWC.dtype != np.uint8:
        raise ImageFileError(f"{path}: a label made of colours has 8 bits a channel, this one has 16.")
    table = color_table(classes)
    packed_HW = _packed(rgb_HWC)
    known = _packed(np.array(list(table), np.uint8))
    order = np.argsort(known)
    place_HW = np.searchsorted(known, packed_HW, sorter=order).clip(max=len(known) - 1)
    nearest_HW = order[place_HW]
    unknown_HW = known[nearest_HW] != packed_HW
    if unknown_HW.any():
        raise UnknownIdError(_unknown_colors(path, rgb_HWC[unknown_HW], table, classes))
    ids_HW: NDArray[np.uint16] = np.array(list(table.values()), np.uint16)[nearest_HW]
    return ids_HW


def _packed(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    wide = rgb.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _unknown_colors(path: Path, colors_N3: NDArray[np.uint8], table: dict[Color, int], classes: ClassSet) -> str:
    values, counts = np.unique(_packed(colors_N3), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    colors = [(int(v) >> 16, int(v) >> 8 & 255, int(v) & 255) for v in values[order]]
    listed = ", ".join(
        f"{color} ({count} pixels)" for color, count in zip(colors[:6], counts[order].tolist(), strict=False)
    )
    more = f" and {len(colors) - 6} more colours" if len(colors) > 6 else ""
    return (
        f"{path}: colours (red, green, blue) that {classes.name!r} does not list: {listed}{more}.\n"
        f"Likely cause: {_likely_cause(colors, table)}"
    )


def _likely_cause(unknown: list[Color], table: dict[Color, int]) -> str:
    if unknown == [(0, 0, 0)]:
        return "black usually means `no class`. Add 255 to `ignore` and `255 = [0, 0, 0]` to [label_colors]."
    if len(unknown) > MANY_COLORS * len(table):
        return "many more colours than classes: a photograph, or a label with mixed edges (resized, or compressed)."
    if all(red == green == blue for red, green, blue in unknown):
        return "grey values: the file holds ids, not colours. Read it with label_kind=ids."
    if all(green == blue == 0 for _, green, blue in unknown):
        return "only the red channel is used: it holds ids. Read it with label_kind=red."
    if all(color[::-1] in table for color in unknown):
        return "red and blue are swapped (OpenCV writes blue, green, red). Write the file again with the order turned."
    return "a class list that does not belong to these labels. Give the colours in classes.toml, or in [label_colors]."
