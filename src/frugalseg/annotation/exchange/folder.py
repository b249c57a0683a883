"""folder: the chosen frames as image files, and label files of the same names back, whatever tool drew them.

    FOLDER/images/KEY.png    a copy of each frame's file; of a video, the frame alone
    FOLDER/classes.toml      what the numbers in a label mean; 255 is no class
    FOLDER/minutes.csv       key, minutes: how long people took for each frame
    FOLDER/labels/KEY.png    what comes back; frames that are not there yet may follow with a later import

Labels are checked like those of a source: size, ids or colours, damage. All that is wrong is said in one go.
"""

import csv
import hashlib
import io
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.codec import write_picture_png
from frugalseg.core.errors import DataError, DataProblems, ImageFileError, MissingPairError, ReaderError
from frugalseg.core.files import read_regular, write_atomic
from frugalseg.core.records import Frame, Manifest
from frugalseg.data.diagnose import as_error, diagnose
from frugalseg.data.facts import FrameFacts, Inspector
from frugalseg.data.labels import LabelReader
from frugalseg.data.listing import LABEL_SUFFIXES, list_files
from frugalseg.data.pixels import read_frame
from frugalseg.data.workers import each

IMAGES, LABELS, CLASSES, MINUTES = "images", "labels", "classes.toml", "minutes.csv"
HEADER = ["key", "minutes"]
LONGEST_MIN = 24 * 60.0  # more for one frame is a slip of the pen


@dataclass(frozen=True)
class Returned:
    """What came back: frames with their label files, seconds of people's time by key, and the keys still missing."""

    frames: tuple[Frame, ...]
    classes: ClassSet
    seconds: Mapping[str, float]
    missing: tuple[str, ...]

    def masks(self, project: ClassSet) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield each frame's key and mask (class ids of the project), one in memory at a time.

        Raises:
            DataError: a label was changed since it was checked, and no longer fits.
        """
        reader = LabelReader(self.classes, project)
        for frame in self.frames:
            yield frame.key, reader.read(frame)


class FolderFormat:
    """Writes and reads such folders."""

    def write(self, folder: Path, frames: Sequence[Frame], classes: ClassSet) -> None:
        """Write copies of the frames, the classes, and a table for the minutes.

        Raises:
            DataError: the folder holds something, or an image is not the one that was listed.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder}: there is something here already. Choose an empty or a new folder.")
        for frame in frames:
            write_image(folder / IMAGES, frame)
        (folder / LABELS).mkdir(parents=True, exist_ok=True)
        write_atomic(folder / CLASSES, numbered(classes).to_toml().encode())
        table = io.StringIO(newline="")
        csv.writer(table).writerows([HEADER, *([frame.key, ""] for frame in frames)])
        write_atomic(folder / MINUTES, table.getvalue().encode())

    def read(
        self,
        folder: Path,
        frames: Sequence[Frame],
        project: ClassSet,
        label_kind: str = "ids",
        minutes_each: float | None = None,
    ) -> Returned:
        """Return the labels that came back for `frames`, all of them checked.

        Args:
            folder: Where they lie.
            frames: The frames that were asked about.
            project: The project's classes; the folder's own classes.toml says what stands in the files.
            label_kind: Where the files hold their ids: `ids`, `red` or `colors`.
            minutes_each: What a frame took where minutes.csv does not say.

        Raises:
            ReaderError: there is no such folder, or nothing came back.
            DataProblems: everything that is wrong with the files, the names or the minutes.
        """
        if not (folder / LABELS).is_dir():
            raise ReaderError(f"{folder}: no folder {LABELS}/ here. Put each frame's label in it as KEY.png.")
        by_key, listing = {frame.key: frame for frame in frames}, list_files(folder / LABELS, LABEL_SUFFIXES)
        problems: list[DataError] = [ImageFileError(f"{one.path}: {one.reason}") for one in listing.refused]
        problems += [
            MissingPairError(f"{path}: no frame {key!r} was asked about. Check the name; expected one in {MINUTES}.")
            for key, path in listing.files.items()
            if key not in by_key
        ]
        back = sorted(listing.files.keys() & by_key.keys())
        if not back and not problems:
            raise ReaderError(f"{folder / LABELS}: no label of the {len(frames)} frames is here yet.")
        given, slips = read_minutes(folder / MINUTES, by_key)
        seconds, unknown = _seconds(folder / MINUTES, back, given, minutes_each)
        found = tuple(replace(by_key[key], label=str(listing.files[key]), label_kind=label_kind) for key in back)
        own = folder / CLASSES
        classes = ClassSet.from_toml(own) if own.is_file() else numbered(project)
        missing = tuple(sorted(by_key.keys() - set(back)))
        problems += [*slips, *unknown]
        problems += _damage(Manifest(str(folder), found, classes), project)
        if problems:
            raise DataProblems(problems, str(folder))
        return Returned(found, classes, seconds, missing)


def write_image(folder: Path, frame: Frame) -> None:
    """Write a frame under its key: its file as it is, or the one picture of its video.

    Raises:
        DataError: the image is missing, damaged, or not the one that was listed.
    """
    path = folder / f"{frame.key}{'.png' if frame.pts is not None else Path(frame.image).suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if frame.pts is not None:
        write_picture_png(path, read_frame(frame))
        return
    content = read_regular(Path(frame.image))
    if frame.sha256 and hashlib.sha256(content).hexdigest() != frame.sha256:
        raise ImageFileError(f"{frame.image}: changed since it was listed. Run `frugalseg init` again.")
    write_atomic(path, content)


def _damage(labels: Manifest, project: ClassSet) -> list[DataError]:
    """Return what is wrong with the label files, which are opened in processes of their own."""
    facts = [FrameFacts(died=True)] * len(labels)
    for position, found in each(Inspector(labels.classes, project, images=False), labels.frames):
        facts[position] = found or facts[position]
    wrong = diagnose(labels, facts, project, need_labels=True)
    told = {finding.key for finding in wrong}
    empty = [
        ImageFileError(f"{frame.label}: no pixel has a class. Finish the label, or remove the file.")
        for frame, fact in zip(labels, facts, strict=True)
        if frame.key not in told and fact.label is not None and not fact.label.class_pixels.any()
    ]
    return [*map(as_error, wrong), *empty]


def numbered(classes: ClassSet) -> ClassSet:
    """Return the classes with their class id as the only raw id of each, and 255 for none."""
    own = tuple(replace(entry, raw_ids=(number,)) for number, entry in enumerate(classes.classes))
    return ClassSet(classes.name, own, (IGNORE,))


def read_minutes(path: Path, keys: Container[str]) -> tuple[dict[str, float], list[DataError]]:
    """Return minutes by key, and what is wrong in the table; empty cells are left out, a missing table is empty."""
    if not path.is_file():
        return {}, []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return {}, [DataError(f"{path}: cannot read this table: {error}.")]
    if not rows or rows[0] != HEADER or any(len(row) != len(HEADER) for row in rows):
        return {}, [DataError(f"{path}: expected the columns {', '.join(HEADER)} in every row.")]
    found: dict[str, float] = {}
    problems: list[DataError] = []
    for key, text in rows[1:]:
        if not text.strip():
            continue
        try:
            minutes = float(text)
        except ValueError:
            minutes = math.nan
        if key not in keys:
            problems.append(DataError(f"{path}: no frame {key!r} was asked about. Check the name."))
        elif key in found:
            problems.append(DataError(f"{path}: {key} stands there twice. Keep one row."))
        elif not 0 < minutes <= LONGEST_MIN:
            problems.append(DataError(f"{path}: {key} took {text!r} minutes; expected a number up to {LONGEST_MIN:g}."))
        else:
            found[key] = minutes
    return found, problems


def _seconds(
    path: Path, keys: Sequence[str], given: Mapping[str, float], each: float | None
) -> tuple[dict[str, float], list[DataError]]:
    """Return each frame's seconds, and one problem for the frames whose time nobody has said."""
    silent = [key for key in keys if key not in given]
    if silent and each is None:
        more = f" and {len(silent) - 5} more" if len(silent) > 5 else ""
        what = f"{path}: how long did {', '.join(silent[:5])}{more} take? Fill in the minutes, or give --minutes."
        return {}, [DataError(what)]
    return {key: 60 * given.get(key, each or 0.0) for key in keys}, []
