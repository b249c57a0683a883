"""Labels as class ids of the project, and the check of all of them before anything learns from them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, UNKNOWN, ClassSet
from frugalseg.core.errors import DataError, DataProblems, LabelShapeError, MissingPairError, UnknownIdError
from frugalseg.core.records import Frame, Manifest
from frugalseg.data.label_kinds import read_ids
from frugalseg.data.masks import askable

CITYSCAPES_LABEL_IDS = frozenset(range(34))


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """Labelled pixels of each class (C int64), and of each class in each frame (frames x C int64, in key order)."""

    pixels: NDArray[np.int64]
    by_frame: NDArray[np.int64]


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


class LabelReader:
    """Reads a frame's label as class ids of the project; classes the project does not have become IGNORE."""

    def __init__(self, dataset: ClassSet, project: ClassSet) -> None:
        self._dataset = dataset
        self._lookup = dataset.map_to(project).raw_lookup()

    def read(self, frame: Frame) -> NDArray[np.uint8]:
        """Return class ids, H x W uint8, IGNORE where there is no class or the ego mask says so.

        Raises:
            MissingPairError: the frame has no label.
            LabelShapeError: label and image differ in size.
            UnknownIdError: a raw id or colour that the class set does not list.
            ImageFileError: the file is damaged or no label.
        """
        raw_HW = read_raw(frame, self._dataset)
        if raw_HW.shape != (frame.height, frame.width):
            raise LabelShapeError(_shape_message(frame, raw_HW.shape))
        ids_HW = self._lookup[raw_HW]
        if (ids_HW == UNKNOWN).any():
            raise UnknownIdError(_unknown_message(frame, raw_HW, ids_HW == UNKNOWN, self._dataset))
        usable_HW = askable(frame)
        if usable_HW is not None:
            ids_HW[~usable_HW] = IGNORE
        return ids_HW.astype(np.uint8)


def check_labels(
    manifest: Manifest,
    project: ClassSet,
    need: bool,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LabelCounts:
    """Read every label once and count pixels.

    Args:
        manifest: The data set.
        project: The class set to count in.
        need: Whether a frame without a label is a problem.
        progress: Called with (frames done, frames in all).

    Raises:
        DataProblems: every problem of every frame, in key order.
    """
    reader, problems = LabelReader(manifest.classes, project), list[DataError]()
    by_frame = np.zeros((len(manifest), len(project)), np.int64)
    for number, frame in enumerate(manifest):
        try:
            if frame.label is not None or need:
                by_frame[number] = np.bincount(reader.read(frame).ravel(), minlength=256)[: len(project)]
        except DataError as error:
            problems.append(error)
        progress(number + 1, len(manifest))
    if problems:
        raise DataProblems(problems, manifest.name)
    if need and not by_frame.any():
        raise MissingPairError(
            f"{manifest.name}: no labelled pixel of any class of the project ({', '.join(project.names)}).\n"
            f"The data set's classes are {', '.join(manifest.classes.names)}; check the names in both classes.toml."
        )
    return LabelCounts(by_frame.sum(axis=0), by_frame)


def _shape_message(frame: Frame, label_HW: tuple[int, ...]) -> str:
    swapped = label_HW == (frame.width, frame.height)
    hint = (
        "Height and width are swapped: the label was saved transposed, or only one of them follows its EXIF rotation."
        if swapped
        else "Resize the label with nearest-neighbour, or check the pairing in the manifest."
    )
    return (
        f"{frame.label}: label is {label_HW[0]}x{label_HW[1]} but its image {frame.image} is "
        f"{frame.height}x{frame.width} (height x width).\n{hint}"
    )


def _unknown_message(frame: Frame, raw_HW: NDArray[np.uint16], unknown_HW: NDArray[np.bool_], classes: ClassSet) -> str:
    values, counts = np.unique(raw_HW[unknown_HW], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    listed = ", ".join(f"{values[index]} ({counts[index]} pixels)" for index in order[:6])
    more = f" and {len(values) - 6} more values" if len(values) > 6 else ""
    known = sorted(raw_id for entry in classes.classes for raw_id in entry.raw_ids)
    return (
        f"{frame.label}: ids that {classes.name!r} does not list: {listed}{more}. Known: {_ranges(known)}, "
        f"ignored: {_ranges(sorted(classes.ignored_ids))}.\n"
        f"Likely cause: {_likely_cause(raw_HW, values.tolist(), known, classes, frame.label_kind)}"
    )


def _likely_cause(
    raw_HW: NDArray[np.uint16], unknown: list[int], known: list[int], classes: ClassSet, kind: str
) -> str:
    present = set(np.unique(raw_HW).tolist())
    if unknown == [IGNORE]:
        return "255 usually means `no class`. Add it to `ignore` in classes.toml."
    if kind == "red" and present <= set(classes.colors[:, 0].tolist()) | {0}:
        return "the file holds the classes' colours, not ids in its red channel. Read it with label_kind=colors."
    if max(present) > 255:
        return "these are 16-bit instance ids (class * 1000 + instance?). Use the files that hold class ids."
    if unknown in ([known[-1] + 1], [known[0] - 1]) and known == list(range(known[0], known[0] + len(known))):
        first = known[0] + (1 if unknown[0] > known[0] else -1)
        return (
            f"ids are off by one: the files count from {first}, classes.toml from {known[0]} (or a class is missing). "
            "Shift the ids in classes.toml."
        )
    if len(classes) == 19 and present <= CITYSCAPES_LABEL_IDS | {IGNORE}:
        return (
            "these are Cityscapes labelIds (0–33), not trainIds (0–18). Use the trainIds files, or list the labelIds."
        )
    if len(present) > 2 * len(known) + 2:
        return "many more values than classes: a grey-scale or colour picture, or a resized label with mixed edges."
    return (
        "a class list that does not belong to these labels. Add the ids to classes.toml, as a class or under `ignore`."
    )


def _ranges(ids: list[int]) -> str:
    """Write 0 1 2 5 as 0–2, 5."""
    parts: list[list[int]] = []
    for raw_id in ids:
        if parts and raw_id == parts[-1][-1] + 1:
            parts[-1].append(raw_id)
        else:
            parts.append([raw_id])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in parts) or "none"
