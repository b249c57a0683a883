"""Frames in order of time: what comes before and after a frame, and where a sequence is broken.

A sequence is broken where a frame is missing (its number is not the last one's plus the sequence's usual step), where
the size changes, and, of frames that are files, where much more time than usual passes. Nothing may be carried over a
break: what asks for frames around another one gets those up to it, and the reason why there are no more.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame
from frugalseg.data.pixels import read_frame

LONG = 3.0  # times the usual time between two frames: no neighbours any more
BEGINS, ENDS = "the sequence begins there", "the sequence ends there"


@dataclass(frozen=True)
class Around:
    """Neighbouring frames in order of time, the one asked about at `place`.

    `before` and `after` say why there are fewer than were asked for on that side; empty where there are not.
    """

    frames: tuple[Frame, ...]
    place: int
    before: str = ""
    after: str = ""

    def at(self, offset: int) -> Frame | None:
        """Return the frame so many steps later (earlier where negative), or None."""
        at = self.place + offset
        return self.frames[at] if 0 <= at < len(self.frames) else None


@dataclass(frozen=True)
class Run:
    """Frames of a sequence without a break, and what lies at either end."""

    frames: tuple[Frame, ...]
    before: str
    after: str


class Sequences:
    """All frames by sequence and time. Finding a frame and its neighbours takes no search.

    Frames without a sequence (`sequence` empty) have no neighbours.

    Raises:
        DataError: two frames of a sequence have one number.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        by_name: dict[str, list[Frame]] = {}
        for frame in frames:
            by_name.setdefault(frame.sequence or f"/{frame.key}", []).append(frame)  # no sequence's name begins so
        self._runs = {name: _runs(_in_order(members)) for name, members in sorted(by_name.items())}
        self._places = {
            frame.key: (run, place)
            for runs in self._runs.values()
            for run in runs
            for place, frame in enumerate(run.frames)
        }

    def runs(self) -> Iterator[Run]:
        """Yield the unbroken stretches of all sequences."""
        for runs in self._runs.values():
            yield from runs

    def around(self, key: str, before: int, after: int | None = None) -> Around:
        """Return the frames up to `before` steps before a frame and `after` steps after it (as many if not given).

        Raises:
            DataError: there is no such frame, or a negative number of steps.
        """
        after = before if after is None else after
        if before < 0 or after < 0:
            raise DataError(f"{key}: {before} frames before and {after} after it were asked for; expected 0 or more.")
        run, place = self._find(key)
        first, last = max(0, place - before), min(len(run.frames), place + after + 1)
        return Around(
            frames=run.frames[first:last],
            place=place - first,
            before=run.before if place - before < 0 else "",
            after=run.after if place + after >= len(run.frames) else "",
        )

    def neighbour(self, key: str, offset: int) -> Frame | None:
        """Return the frame `offset` steps after a frame (before it where negative); None beyond a break.

        Raises:
            DataError: there is no such frame.
        """
        run, place = self._find(key)
        return run.frames[place + offset] if 0 <= place + offset < len(run.frames) else None

    def _find(self, key: str) -> tuple[Run, int]:
        if key not in self._places:
            raise DataError(f"there is no frame {key!r} in the {len(self._runs)} sequences of this data.")
        return self._places[key]


def stream(frames: Iterable[Frame]) -> Iterator[tuple[Frame, NDArray[np.uint8]]]:
    """Yield each frame with its pixels, H x W x 3 uint8, one at a time; of a video each frame is decoded once.

    Raises:
        ImageFileError: a frame cannot be read (as `pixels.read_frame`).
    """
    for frame in frames:
        yield frame, read_frame(frame)


def _in_order(frames: list[Frame]) -> list[Frame]:
    order = sorted(frames, key=lambda frame: (frame.index, frame.key))
    for earlier, later in pairwise(order):
        if earlier.index == later.index:
            raise DataError(
                f"sequence {earlier.sequence!r}: {earlier.key!r} and {later.key!r} are both number {later.index}. "
                "Give each its own number, or sequences of their own."
            )
    return order


def _runs(frames: list[Frame]) -> list[Run]:
    step, usual_s = _usual(frames)
    breaks = [_broken(earlier, later, step, usual_s) for earlier, later in pairwise(frames)]
    reasons = [BEGINS, *breaks, ENDS]
    cuts = [0, *(place for place, reason in enumerate(breaks, 1) if reason), len(frames)]
    return [Run(tuple(frames[first:last]), reasons[first], reasons[last]) for first, last in pairwise(cuts)]


def _usual(frames: list[Frame]) -> tuple[int, float]:
    """Return the most frequent step of numbers (the smallest of several), and the median time between frames."""
    steps = Counter(later.index - earlier.index for earlier, later in pairwise(frames))
    step = min(steps, key=lambda step: (-steps[step], step), default=1)
    gaps = [gap for earlier, later in pairwise(frames) if (gap := _gap_s(earlier, later)) is not None]
    return step, statistics.median(gaps) if gaps else 0.0


def _gap_s(earlier: Frame, later: Frame) -> float | None:
    """Return the time between two frames that are files; a video's frames follow each other whatever time passes."""
    if earlier.time_s is None or later.time_s is None or earlier.pts is not None:
        return None
    return later.time_s - earlier.time_s


def _broken(earlier: Frame, later: Frame, step: int, usual_s: float) -> str:
    if later.index - earlier.index != step:
        missing = f"{earlier.index + step}" if later.index > earlier.index + step else "in between"
        return f"between {earlier.key} and {later.key} frame {missing} is missing"
    if (earlier.height, earlier.width) != (later.height, later.width):
        sizes = f"{earlier.height}x{earlier.width} to {later.height}x{later.width} (height x width)"
        return f"the size changes from {sizes} between {earlier.key} and {later.key}"
    gap_s = _gap_s(earlier, later)
    if gap_s is not None and gap_s > LONG * usual_s:
        return f"{gap_s:.1f} s pass between {earlier.key} and {later.key}, {usual_s:.2f} s between others"
    return ""
