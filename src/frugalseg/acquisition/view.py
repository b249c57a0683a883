"""What a selector sees of a frame, and what a selector is."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.records import Query

ROUNDING_01 = 1e-3  # half-precision entropies leave [0, 1] by about this much


@dataclass(frozen=True, eq=False)
class FrameView:
    """One scored frame at its own size.

    `entropy_HW` is -Σ p log p / log C, float32 in [0, 1]; `prediction_HW` holds class ids, uint8. Where `askable_HW` is
    False nobody is asked (the camera's own car, pixels asked before); None means everywhere may be asked.

    Raises:
        DataError: sizes differ or the entropy is not a number in [0, 1].
    """

    key: str
    entropy_HW: NDArray[np.float32]
    prediction_HW: NDArray[np.uint8]
    askable_HW: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.entropy_HW.ndim != 2 or not self.entropy_HW.size:
            raise DataError(f"{self.key}: the entropy map has shape {self.entropy_HW.shape}; expected height x width.")
        for name, map_HW in (("prediction", self.prediction_HW), ("askable", self.askable_HW)):
            if map_HW is not None and map_HW.shape != self.size_HW:
                raise DataError(f"{self.key}: the {name} map is {map_HW.shape}, the entropy map {self.size_HW}.")
        if self.askable_HW is not None and self.askable_HW.dtype != np.bool_:
            raise DataError(f"{self.key}: the askable map is {self.askable_HW.dtype}; expected bool.")
        low, high = float(self.entropy_HW.min()), float(self.entropy_HW.max())  # NaN if any entropy is
        if not (low >= -ROUNDING_01 and high <= 1 + ROUNDING_01):
            raise DataError(
                f"{self.key}: entropy from {low:g} to {high:g}; expected 0 to 1. "
                "Divide by the logarithm of the number of classes; NaN comes from a network that diverged."
            )

    @property
    def size_HW(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.entropy_HW.shape
        return height, width


class Selector(Protocol):
    """Sees every frame once, in any order, and then turns its budget into questions."""

    def see(self, view: FrameView) -> None:
        """Note what `finish` needs of one frame.

        Raises:
            DataError: this frame was seen before.
        """
        ...

    def finish(self) -> list[Query]:
        """Return the questions, in key order and within a frame the most wanted first.

        Raises:
            DataError: not all frames were seen.
            BudgetError: too many frames have too few pixels to ask about.
        """
        ...
