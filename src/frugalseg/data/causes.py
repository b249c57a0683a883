"""Why a label does not fit: the likely cause and the mend, guessed from the ids, colours and sizes that were found."""

from collections.abc import Set

import numpy as np

from frugalseg.core.classes import IGNORE, ClassSet, Color
from frugalseg.core.records import Frame
from frugalseg.data.facts import FrameFacts, LabelFacts

TRAIN_IDS = tuple(range(19))  # Cityscapes' ids for training; its files hold 0–33, of which 7 is road
LABEL_IDS = frozenset(range(34))
SCORED_LABEL_IDS = (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)  # of the same 19 classes
EDGE_RATIO = 0.3  # a blurred label has mixed ids in a smaller share of its pixels, even a small one
SHOWN = 6
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def unknown_ids(label: LabelFacts, classes: ClassSet) -> dict[int, int]:
    """Return the pixels of each raw id that the class set does not list."""
    unknown = classes.lookup[label.raw_ids] < 0
    return dict(zip(label.raw_ids[unknown].tolist(), label.raw_pixels[unknown].tolist(), strict=True))


def ids_what(unknown: dict[int, int], classes: ClassSet) -> str:
    """Say which ids nobody knows, the most frequent first."""
    listed = sorted(unknown.items(), key=lambda entry: (-entry[1], entry[0]))
    more = f" and {len(listed) - SHOWN} more values" if len(listed) > SHOWN else ""
    shown = ", ".join(f"{raw_id} ({pixels} pixels)" for raw_id, pixels in listed[:SHOWN])
    return (
        f"ids that {classes.name!r} does not list: {shown}{more}. "
        f"Known: {ranges(known_ids(classes))}, ignored: {ranges(sorted(classes.ignored_ids))}."
    )


def ids_mend(label: LabelFacts, unknown: dict[int, int], present: Set[int], classes: ClassSet, kind: str) -> str:
    """Guess why ids are unknown.

    Args:
        label: What holds them, read as `kind` (of `records.LABEL_KINDS`) says.
        unknown: Their pixels.
        present: The ids of the whole set, which tell more than those of one file.
        classes: The set's classes.
        kind: The frame's `label_kind`.
    """
    cause = _not_red(present, classes) if kind == "red" else ""
    cause = cause or _sixteen_bits(label) or _cityscapes(present, classes) or _no_class(set(unknown))
    cause = cause or _shifted(present, classes) or _mixed(label, unknown, classes)
    cause = cause or (
        "a class list that does not belong to these labels. Add the ids to classes.toml, as a class or under `ignore`."
    )
    return f"Likely cause: {cause}"


def colors_what(label: LabelFacts, classes: ClassSet) -> str:
    """Say which colours a label holds that should hold ids, with the classes that have these colours."""
    names = _names_of_colors(classes)
    shown = ", ".join(
        f"{color} ({f'{names[color]}, ' if color in names else ''}{pixels} pixels)"
        for color, pixels in label.colors[:SHOWN]
    )
    more = f" and {len(label.colors) - SHOWN} more colours" if len(label.colors) > SHOWN else ""
    return f"one channel of class ids was expected, this is a picture in colours (red, green, blue): {shown}{more}."


def colors_mend(label: LabelFacts, classes: ClassSet) -> str:
    """Guess why a label is in colours."""
    names = _names_of_colors(classes)
    known = sum(pixels for color, pixels in label.colors if color in names)
    if known >= 0.5 * label.height * label.width:
        cause = "the classes' colours instead of their ids. Read them as such: label_kind=colors in the SPEC."
        other = next((list(color) for color, _ in label.colors if color not in names), None)
        if other:
            cause += f" For {tuple(other)}, no class's, write 255 = {other} under [label_colors] in classes.toml."
    elif label.flat and all(green == blue == 0 for (_, green, blue), _ in label.colors):
        cause = "ids in the red channel. Read them there: label_kind=red in the SPEC."
    elif label.flat and all(red == green == blue for (red, green, blue), _ in label.colors):
        cause = (
            "ids saved in three equal channels. Save one of them as a grey PNG, or write label_kind=red in the SPEC."
        )
    elif label.flat:
        cause = (
            "colours that stand for classes, but not those of classes.toml. Write the files' colours into it "
            "and label_kind=colors in the SPEC."
        )
    else:
        cause = "a photograph where a label should be. Check which folder holds the labels."
    return f"Likely cause: {cause}"


def size_what(frame: Frame, size_HW: tuple[int, int], label: LabelFacts) -> str:
    """Say both sizes."""
    return (
        f"label is {label.height}x{label.width} but its image {frame.image} is {size_HW[0]}x{size_HW[1]} "
        "(height x width)."
    )


def size_mend(size_HW: tuple[int, int], label: LabelFacts, facts: FrameFacts) -> str:
    """Guess why image and label differ in size."""
    height, width = size_HW
    if (label.height, label.width) == (width, height):
        if facts.image_turn in SIDEWAYS and facts.label_turn not in SIDEWAYS:
            return (
                f"Likely cause: EXIF rotation. The image says orientation {facts.image_turn} and is turned, its label "
                "was drawn on the unturned pixels. Remove the image's tag (exiftool -Orientation= FILE), or turn the "
                "label."
            )
        if facts.label_turn in SIDEWAYS and facts.image_turn not in SIDEWAYS:
            return (
                f"Likely cause: EXIF rotation. The label says orientation {facts.label_turn} and is turned, its image "
                "is not. Remove the label's tag (exiftool -Orientation= FILE)."
            )
        return "Likely cause: the label was saved transposed (height and width swapped). Transpose it back."
    if abs(label.height / height - label.width / width) < 0.02 * label.height / height:
        factor = label.width / width
        return (
            f"Likely cause: one of them was resized (the label is {factor:.3g} times its image). "
            f"Resize the label to {height}x{width} with nearest-neighbour, so that no ids are mixed."
        )
    return "Likely cause: image and label do not belong together, or one was cropped. Check the files' names."


def known_ids(classes: ClassSet) -> list[int]:
    """Return the raw ids of all classes."""
    return sorted(raw_id for entry in classes.classes for raw_id in entry.raw_ids)


def ranges(ids: list[int]) -> str:
    """Write 0 1 2 5 as 0–2, 5."""
    parts: list[list[int]] = []
    for raw_id in ids:
        if parts and raw_id == parts[-1][-1] + 1:
            parts[-1].append(raw_id)
        else:
            parts.append([raw_id])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in parts) or "none"


def _not_red(present: Set[int], classes: ClassSet) -> str:
    if present <= {0, *classes.colors[:, 0].tolist()}:
        return "the classes' colours, not ids in the red channel. Read them as such: label_kind=colors in the SPEC."
    return ""


def _sixteen_bits(label: LabelFacts) -> str:
    largest = int(label.raw_ids.max(initial=0))
    if largest <= 255:
        return ""
    return (
        f"16-bit instance ids (class * 1000 + instance: {largest} is class {largest // 1000}). "
        "Use the files that hold class ids."
    )


def _no_class(unknown: set[int]) -> str:
    if unknown == {IGNORE}:
        return "255 usually means `no class`. Add it to `ignore` in classes.toml."
    return ""


def _shifted(present: Set[int], classes: ClassSet) -> str:
    """Ids that begin one higher or one lower than the class list's."""
    known = known_ids(classes)
    first, last = known[0], known[-1]
    unknown = {raw_id for raw_id in present if classes.lookup[raw_id] < 0} - {IGNORE}
    if known != list(range(first, last + 1)):
        return ""
    mend = f"Shift the ids in classes.toml (id = {{}} for {classes.names[0]}, and so on), or those in the files."
    if unknown == {last + 1} and first not in present:
        return (
            f"ids are off by one: the files count from {first + 1}, classes.toml from {first}. {mend.format(first + 1)}"
        )
    if unknown == {last + 1}:
        return f"a class that classes.toml lacks: it ends at {last}. Add it, or add {last + 1} to `ignore`."
    if unknown == {first - 1} and last not in present:
        return (
            f"ids are off by one: the files count from {first - 1}, classes.toml from {first}. {mend.format(first - 1)}"
        )
    if unknown == {first - 1}:
        return f"{first - 1} often means `no class` where classes count from {first}. Add it to `ignore`."
    return ""


def are_train_ids(present: Set[int], classes: ClassSet) -> bool:
    """Return whether a class list of Cityscapes' labelIds was given files of trainIds."""
    found = present - {IGNORE}
    return tuple(known_ids(classes)) == SCORED_LABEL_IDS and found <= set(TRAIN_IDS) and min(found, default=19) < 7


def _cityscapes(present: Set[int], classes: ClassSet) -> str:
    if are_train_ids(present, classes):
        return "Cityscapes trainIds (0–18), not labelIds (0–33). Use the *_labelIds.png files, or list the trainIds."
    more = present - {*TRAIN_IDS, IGNORE}
    if tuple(known_ids(classes)) == TRAIN_IDS and more and more <= LABEL_IDS and more != {19}:  # that: off by one
        return (
            "Cityscapes labelIds (0–33), not trainIds (0–18). Use the *_labelTrainIds.png files, or list the labelIds."
        )
    return ""


def _mixed(label: LabelFacts, unknown: dict[int, int], classes: ClassSet) -> str:
    """Several rare values: a label resized with interpolation; many values everywhere: a photograph."""
    share = sum(unknown.values()) / (label.height * label.width)
    if len(unknown) > 2 and share < EDGE_RATIO:
        return (
            f"the label was resized with interpolation, which mixes ids along edges ({100 * share:.2g} % of its "
            "pixels). Resize the original with nearest-neighbour."
        )
    if not label.flat and len(label.raw_ids) > 2 * len(known_ids(classes)) + 2:
        return "a grey photograph, or a picture of something else, where a label should be. Check the folders."
    return ""


def _names_of_colors(classes: ClassSet) -> dict[Color, str]:
    table = {entry.color: entry.name for entry in classes.classes}
    table |= {color: _name_of_id(classes, raw_id) for raw_id, color in classes.label_colors.items()}
    return table


def _name_of_id(classes: ClassSet, raw_id: int) -> str:
    class_id = int(np.asarray(classes.lookup)[raw_id])
    return classes.names[class_id] if class_id < len(classes) else "no class"
