"""The records that cross borders between layers: frozen, checked once at birth, trusted afterwards.

Pixel coordinates are (row, column) of the frame at its own size, counted from 0 at the top left.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.choose import unknown_name
from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.errors import AnswerError, DataError

LABEL_KINDS = ("ids", "red", "colors")


@dataclass(frozen=True)
class Frame:
    """One image and what is known of it. Everything downstream speaks of it by `key`.

    `label` is None where there is no label on disk; `mask` names an image whose zero pixels are the camera's own car.
    `label_kind` says where a label file holds its raw ids: in one channel or a palette's indices (`ids`), in the red
    channel (`red`), or as the colours that the class set gives them (`colors`).

    `sequence` and `index` are the video that the frame is from and its number there, `time_s` its time there in seconds
    where it is known. Of a frame inside a video file, `image` is the video and `pts` the frame's presentation time in
    ticks of its stream; `data.pixels.read_pixels` reads either kind. `instances` names a file of 16 bits in which each
    object's pixels hold raw id x `instance_base` + the object's number.
    """

    key: str
    image: str
    label: str | None
    sequence: str
    index: int
    split: str
    width: int
    height: int
    sha256: str
    mask: str | None = None
    label_kind: str = "ids"
    time_s: float | None = None
    pts: int | None = None
    instances: str | None = None
    instance_base: int | None = None

    def __post_init__(self) -> None:
        if not self.key or not self.key.isprintable() or len(self.key.encode()) > 255:  # undecodable names: unprintable
            raise DataError(f"{self.image}: frame key {self.key!r} is empty, longer than 255 bytes or not printable.")
        if "\\" in self.key or any(part in ("", ".", "..") for part in self.key.split("/")):
            raise DataError(f"{self.image}: frame key {self.key!r} is no plain relative path, and files are named so.")
        if self.width < 1 or self.height < 1:
            raise DataError(f"{self.image}: size {self.width}x{self.height} (width x height) has no pixels.")
        if self.label_kind not in LABEL_KINDS:
            raise DataError(f"{self.image}: {unknown_name('label_kind', self.label_kind, LABEL_KINDS)}")
        if self.time_s is not None and not math.isfinite(self.time_s):
            raise DataError(f"{self.image}: time {self.time_s} is not a finite number of seconds.")
        if (self.instances is None) != (self.instance_base is None) or (self.instance_base or 1) < 1:
            raise DataError(
                f"{self.image}: instances {self.instances!r} and instance_base {self.instance_base!r} go together: a "
                "file, and what its values are divided by to give the raw id (Cityscapes 1000, KITTI 256)."
            )


@dataclass(frozen=True)
class Refused:
    """A file of a data set that cannot be used, and why. Bytes that are no text are written as escapes."""

    path: str
    reason: str

    def __post_init__(self) -> None:  # as text that every table can hold
        for name in ("path", "reason"):
            object.__setattr__(self, name, getattr(self, name).encode("utf-8", "backslashreplace").decode("utf-8"))


@dataclass(frozen=True)
class Manifest:
    """All frames of one data set, in key order, with the class set of its label files, and the files left out.

    Raises:
        DataError: two frames share a key.
    """

    name: str
    frames: tuple[Frame, ...]
    classes: ClassSet
    refused: tuple[Refused, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", tuple(sorted(self.frames, key=lambda frame: frame.key)))
        object.__setattr__(self, "refused", tuple(sorted(self.refused, key=lambda entry: (entry.path, entry.reason))))
        if len(self.by_key) < len(self.frames):
            seen: set[str] = set()
            twice = sorted({f.key for f in self.frames if f.key in seen or seen.add(f.key)})  # type: ignore[func-returns-value]
            raise DataError(f"{self.name}: frame keys must differ; twice: {', '.join(twice[:5])}.")

    @cached_property
    def by_key(self) -> dict[str, Frame]:
        """Frames by key."""
        return {frame.key: frame for frame in self.frames}

    @property
    def labelled(self) -> bool:
        """Whether every frame has a label on disk (and there is at least one frame)."""
        return bool(self.frames) and all(frame.label is not None for frame in self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)


@dataclass(frozen=True)
class Point:
    """One pixel of a frame."""

    row: int
    column: int

    def __post_init__(self) -> None:
        if self.row < 0 or self.column < 0:
            raise DataError(f"point ({self.row}, {self.column}) lies outside every image.")


@dataclass(frozen=True)
class Region:
    """A rectangle: rows [top, top + height), columns [left, left + width)."""

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.top < 0 or self.left < 0 or self.height < 1 or self.width < 1:
            raise DataError(f"region {self} has no pixels or begins outside the image.")

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices, to index an H x W array."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


class QueryKind(StrEnum):
    """What is asked about: one pixel, a region, or a whole image."""

    POINT = "point"
    REGION = "region"
    IMAGE = "image"


@dataclass(frozen=True)
class Query:
    """One question to a person. `score` is the selector's (higher = more wanted); `cell` the region it came from.

    A POINT query has a `point`; a REGION query has its region in `cell`; an IMAGE query has neither.
    """

    id: str
    key: str
    kind: QueryKind
    strategy: str
    score: float
    point: Point | None = None
    cell: Region | None = None

    def __post_init__(self) -> None:
        if (self.kind is QueryKind.POINT) != (self.point is not None):
            raise DataError(
                f"query {self.id}: a {self.kind} query {'needs a' if self.point is None else 'has no'} point."
            )
        if self.kind is QueryKind.REGION and self.cell is None:
            raise DataError(f"query {self.id}: a region query needs its region.")
        if not math.isfinite(self.score):
            raise DataError(f"query {self.id}: score {self.score} is not a finite number.")


class Verdict(StrEnum):
    """What came back: a class, a mask of the whole image, or one of three kinds of "no"."""

    CLASS = "class"
    MASK = "mask"  # kept beside the answers, as a file of the frame's name
    AMBIGUOUS = "ambiguous"  # a boundary or a mixed pixel
    NONE = "none"  # none of the classes
    SKIP = "skip"  # not now, somebody else first


@dataclass(frozen=True)
class Answer:
    """One person's reply to one query, and the seconds it took. `revealed`: after a look at the model's guess.

    Raises:
        AnswerError: a class without the verdict CLASS or the reverse, or seconds that are no duration.
    """

    query: str
    verdict: Verdict
    class_id: int | None
    annotator: str
    seconds: float
    revealed: bool = False

    def __post_init__(self) -> None:
        if (self.verdict is Verdict.CLASS) != (self.class_id is not None):
            raise AnswerError(f"answer to {self.query}: verdict {self.verdict} does not go with class {self.class_id}.")
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise AnswerError(f"answer to {self.query}: {self.seconds} is not a number of seconds.")


class Provenance(IntEnum):
    """Where a pixel's label comes from; the values stand in provenance PNGs."""

    UNKNOWN = 0
    HUMAN_POINT = 1
    HUMAN_REGION = 2
    HUMAN_MASK = 3
    PSEUDO_LABEL = 4
    PROPAGATED = 5
    PROPAGATED_POINT = 6  # a person's point, followed to this frame


HUMAN = (Provenance.HUMAN_POINT, Provenance.HUMAN_REGION, Provenance.HUMAN_MASK)
SPREAD = (Provenance.PROPAGATED, Provenance.PROPAGATED_POINT)


@dataclass(frozen=True, eq=False)
class PartialLabel:
    """A frame's labels so far: class ids (H x W uint8, IGNORE where unknown) and where each comes from (H x W uint8).

    Raises:
        DataError: sizes differ, or a labelled pixel has no provenance, or an unlabelled one has.
    """

    key: str
    label: NDArray[np.uint8]
    provenance: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.label.shape != self.provenance.shape or self.label.ndim != 2:
            raise DataError(
                f"{self.key}: label {self.label.shape} and provenance {self.provenance.shape} differ in size."
            )
        if ((self.label == IGNORE) != (self.provenance == Provenance.UNKNOWN)).any():
            raise DataError(f"{self.key}: each labelled pixel needs a provenance and no other pixel may have one.")
