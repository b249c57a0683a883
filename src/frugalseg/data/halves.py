"""Labelled video split for methods that learn from it: what is scored is never learned from, nor are its neighbours.

Only one drive is densely labelled as a rule, and its neighbouring frames are nearly the same picture. So each stretch
is cut into parts that follow each other, halves by default: each part is scored once, with what was learned from the
other parts, `gap` frames or more away. With several drives whole sequences can be held out instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame
from frugalseg.data.folds import fold_of
from frugalseg.data.sequences import Run

Split = Literal["parts", "sequences"]
HELD_OUT = "what lies beyond is scored, or too near to it"


@dataclass(frozen=True)
class Half:
    """One part to be scored and what may be learned from for it: stretches of frames in order of time each."""

    scored: tuple[Run, ...]
    learned: tuple[Run, ...]


def halves(runs: Sequence[Run], parts: int, gap: int, split: Split) -> tuple[Half, ...]:
    """Return what is scored in each of `parts` rounds, and learned from for it; every frame is scored in one round.

    Args:
        runs: Unbroken stretches of video.
        parts: Two for halves.
        gap: Frames next to a scored part that nothing is learned from; of no use between sequences.
        split: Cut each stretch, or hold out whole sequences.

    Raises:
        DataError: fewer than two parts, or fewer sequences than parts.
    """
    if parts < 2:
        raise DataError(f"{parts} part(s) of a video: expected 2 or more, or nothing is left to learn from.")
    if split == "sequences":
        fold = fold_of([frame for run in runs for frame in run.frames], parts)
        of_part = [[run for run in runs if fold[run.frames[0].key] == part] for part in range(parts)]
        return tuple(
            Half(tuple(own), tuple(run for other in of_part if other is not own for run in other)) for own in of_part
        )
    return tuple(_part(runs, part, parts, gap) for part in range(parts))


def _part(runs: Sequence[Run], part: int, parts: int, gap: int) -> Half:
    """Return a part of each stretch, and what lies before and after it at a distance."""
    scored: list[Run] = []
    learned: list[Run] = []
    for run in runs:
        count = len(run.frames)
        first, end = count * part // parts, count * (part + 1) // parts
        scored += _run(run.frames[first:end])
        learned += [*_run(run.frames[: max(0, first - gap)]), *_run(run.frames[end + gap :])]
    return Half(tuple(scored), tuple(learned))


def _run(frames: tuple[Frame, ...]) -> list[Run]:
    return [Run(frames, HELD_OUT, HELD_OUT)] if frames else []
