"""What a selector sees of a frame, and what a selector is."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.records import Point, Query, Verdict

ROUNDING_01 = 1e-3  # half-precision entropies leave [0, 1] by about this much
MARGIN, SECOND = "margin_HW", "second_HW"  # what a selector may say it `needs`


@dataclass(frozen=True)
class Asked:
    """A pixel that was asked about before, and what came back: None where no answer is there yet."""

    point: Point
    verdict: Verdict | None = None


@dataclass(frozen=True, eq=False)
class FrameView:
    """One scored frame at its own size.

    `entropy_HW` is -Σ p log p / log C, float32 in [0, 1]; `prediction_HW` holds class ids, uint8. Where `askable_HW` is
    False nobody is asked (the camera's own car); None means everywhere may be asked. What was `asked` before is never
    asked again: those pixels are taken out of `askable_HW` here.

    Only there if the selector `needs` it: `margin_HW`, the distance p1 - p2 of the two most probable classes, float32
    in [0, 1], and `second_HW`, the class ids predicted from another look at the frame (mirrored, coarser). `sequence`
    and `index` say where in which drive the frame lies.

    Raises:
        DataError: sizes differ, entropy or margin are not numbers in [0, 1], or a pixel asked lies outside.
    """

    key: str
    entropy_HW: NDArray[np.float32]
    prediction_HW: NDArray[np.uint8]
    askable_HW: NDArray[np.bool_] | None = None
    margin_HW: NDArray[np.float32] | None = None
    second_HW: NDArray[np.uint8] | None = None
    sequence: str = ""
    index: int = 0
    asked: tuple[Asked, ...] = ()

    def __post_init__(self) -> None:
        if self.entropy_HW.ndim != 2 or not self.entropy_HW.size:
            raise DataError(f"{self.key}: the entropy map has shape {self.entropy_HW.shape}; expected height x width.")
        for name in ("prediction", "askable", "margin", "second"):
            map_HW = getattr(self, f"{name}_HW")
            if map_HW is not None and map_HW.shape != self.size_HW:
                raise DataError(f"{self.key}: the {name} map is {map_HW.shape}, the entropy map {self.size_HW}.")
        if self.askable_HW is not None and self.askable_HW.dtype != np.bool_:
            raise DataError(f"{self.key}: the askable map is {self.askable_HW.dtype}; expected bool.")
        advice = "Divide by the logarithm of the number of classes; NaN comes from a network that diverged."
        _check_01(self.key, "entropy", self.entropy_HW, advice)
        if self.margin_HW is not None:
            _check_01(self.key, "margin", self.margin_HW, "It is the difference of the two largest probabilities.")
        if self.asked:
            object.__setattr__(self, "askable_HW", self._without_asked())

    @property
    def size_HW(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.entropy_HW.shape
        return height, width

    def needed(self, name: str) -> NDArray[Any]:
        """Return the map `name` that a selector said it needs.

        Raises:
            DataError: it was not computed.
        """
        map_HW: NDArray[Any] | None = getattr(self, name)
        if map_HW is None:
            raise DataError(f"{self.key}: the view has no {name}, which this selector needs. Compute what it `needs`.")
        return map_HW

    def candidates(self) -> NDArray[np.int64]:
        """Return the pixels that may be asked, as row * width + column."""
        if self.askable_HW is None:
            return np.arange(self.entropy_HW.size)
        return np.flatnonzero(self.askable_HW)

    def _without_asked(self) -> NDArray[np.bool_]:
        askable_HW = np.ones(self.size_HW, np.bool_) if self.askable_HW is None else self.askable_HW.copy()
        rows, columns = np.array([(asked.point.row, asked.point.column) for asked in self.asked]).T
        outside = (rows >= self.size_HW[0]) | (columns >= self.size_HW[1])
        if outside.any():
            raise DataError(
                f"{self.key}: {int(outside.sum())} of the pixels asked before lie outside its {self.size_HW[0]} x "
                f"{self.size_HW[1]} (height x width). Were they asked on frames of another size?"
            )
        askable_HW[rows, columns] = False
        return askable_HW


class Selector(Protocol):
    """Sees every frame once, in any order, and then turns its budget into questions.

    Several may share the frames: each is made with the same arguments (`frames` counts all), sees a part, and one of
    them merges the others.
    """

    even: ClassVar[bool]  # every frame gets the same number of questions, give or take one
    chance: ClassVar[bool]  # the seed decides which pixels are asked; otherwise it only names the questions

    @property
    def needs(self) -> frozenset[str]:
        """Which of a view's optional maps (MARGIN, SECOND) must be there."""
        ...

    def see(self, view: FrameView) -> None:
        """Note what `finish` needs of one frame.

        Raises:
            DataError: this frame was seen before.
        """
        ...

    def merge(self, other: Self) -> None:
        """Take over what `other` noted of its frames.

        Raises:
            DataError: both saw the same frame.
        """
        ...

    def finish(self) -> list[Query]:
        """Return the questions, in key order and within a frame the most wanted first.

        Raises:
            DataError: not all frames were seen.
            BudgetError: too many frames have too few pixels to ask about.
        """
        ...


def _check_01(key: str, name: str, map_HW: NDArray[np.float32], advice: str) -> None:
    low, high = float(map_HW.min()), float(map_HW.max())  # NaN if any value is
    if not (low >= -ROUNDING_01 and high <= 1 + ROUNDING_01):
        raise DataError(f"{key}: {name} from {low:g} to {high:g}; expected 0 to 1. {advice}")
