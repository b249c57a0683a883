"""One line a frame: how well it was predicted, how unsure the network was, and which frames are worth a look.

A frame's mIoU is the mean IoU over the classes that occur in that frame's own truth; a class that is only predicted
lowers the others as false positives. It tells frames apart and is no model's score: a model's mIoU comes from the
merged matrix. A frame whose truth is IGNORE everywhere has no score. Mean entropy runs over all pixels of the frame,
labelled or not, so it can be compared with frames that have no label.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from frugalseg.core.errors import DataError
from frugalseg.evaluation.confusion import Counts, scores

Payload = TypeVar("Payload")


@dataclass(frozen=True)
class FrameScore:
    """Scores of one frame: fractions 0–1, None where nothing is labelled; `entropy_01` is 0 certain, 1 all alike.

    Raises:
        DataError: a value outside 0–1 or no number.
    """

    key: str
    labelled_px: int
    miou: float | None
    accuracy: float | None
    entropy_01: float

    def __post_init__(self) -> None:
        for name in ("miou", "accuracy", "entropy_01"):
            value = getattr(self, name)
            if value is not None and not -1e-6 <= value <= 1 + 1e-6:  # also NaN; an entropy in float32 rounds
                raise DataError(f"frame {self.key}: {name} is {value}; expected a fraction from 0 to 1.")

    @classmethod
    def of(cls, key: str, matrix: Counts, entropy_01: float) -> "FrameScore":
        """Score a frame's confusion matrix."""
        found = scores(matrix)
        return cls(key, int(matrix.sum()), _number(found.miou), _number(found.pixel_accuracy), float(entropy_01))


class Groups(NamedTuple):
    """Keys of the frames to show, the most telling first; no frame is both among the worst and the best."""

    worst: tuple[str, ...]
    best: tuple[str, ...]
    uncertain: tuple[str, ...]


def extremes(found: Iterable[FrameScore], count: int) -> Groups:
    """Return up to `count` frames with the lowest and the highest mIoU and the highest mean entropy.

    Ties go by key, so the order of the frames does not matter. Frames without a score can only be uncertain ones. With
    fewer than 2 x `count` scored frames the lower half is "worst".
    """
    frames = list(found)
    ranked = _ranked(frames)
    worst = ranked[: min(count, math.ceil(len(ranked) / 2))]
    best = ranked[::-1][: min(count, len(ranked) // 2)]
    return Groups(*(tuple(frame.key for frame in group) for group in (worst, best, _unsure(frames)[:count])))


class Keeper(Generic[Payload]):
    """Keeps what belongs to the frames of `extremes` while frames stream by: at most 3 x `count` payloads."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: dict[str, tuple[FrameScore, Payload]] = {}

    def see(self, score: FrameScore, payload: Payload) -> None:
        """Take one frame; what can no longer be among the extremes is let go."""
        self._kept[score.key] = score, payload
        seen = [kept for kept, _ in self._kept.values()]
        ranked, count = _ranked(seen), self._count
        wanted = {*ranked[:count], *ranked[max(0, len(ranked) - count) :], *_unsure(seen)[:count]}
        self._kept = {key: kept for key, kept in self._kept.items() if kept[0] in wanted}

    def kept(self) -> dict[str, Payload]:
        """Return the payloads of the frames in `extremes`, by key."""
        wanted = {key for group in extremes([score for score, _ in self._kept.values()], self._count) for key in group}
        return {key: payload for key, (_, payload) in self._kept.items() if key in wanted}


def _ranked(frames: Iterable[FrameScore]) -> list[FrameScore]:
    """Return the frames that have a score, the worst first."""
    scored = [(frame.miou, frame.key, frame) for frame in frames if frame.miou is not None]
    return [frame for *_, frame in sorted(scored, key=lambda row: row[:2])]


def _unsure(frames: Iterable[FrameScore]) -> list[FrameScore]:
    return sorted(frames, key=lambda frame: (-frame.entropy_01, frame.key))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
