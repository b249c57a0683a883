"""The semantic network g, as propagation sees it: its two best classes at each pixel, how far apart, and how sure.

Legend: H x W pixels, C classes, D features on g's own grid h x w. Four bytes a pixel stand for a frame's C class
probabilities.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.propagation.motion import Picture


def _none() -> NDArray[np.float16]:
    return np.zeros((0, 1, 1), np.float16)


@dataclass(frozen=True, eq=False)
class Guess:
    """The most probable class, the runner-up, and p(first) - p(second) and p(first) in 255ths: H x W uint8 each.

    `deep_Dhw` is what the network's last layer saw of the whole frame, where it says so.
    """

    first_HW: NDArray[np.uint8]
    second_HW: NDArray[np.uint8]
    margin_HW: NDArray[np.uint8]
    sure_HW: NDArray[np.uint8]
    deep_Dhw: NDArray[np.float16] = field(default_factory=_none)

    @classmethod
    def of(cls, probability_CHW: NDArray[np.floating], deep_Dhw: NDArray[np.float16] | None = None) -> "Guess":
        """Return the guess of class probabilities; the smaller id comes first among equals.

        Raises:
            DataError: fewer than two classes.
        """
        classes = len(probability_CHW)
        if classes < 2:
            raise DataError(f"a guess needs two classes or more, got probabilities of {classes}.")
        first_HW = probability_CHW.argmax(axis=0)
        best_HW = np.take_along_axis(probability_CHW, first_HW[None], 0)[0]
        others_CHW = probability_CHW.copy()
        np.put_along_axis(others_CHW, first_HW[None], -1.0, 0)
        second_HW = others_CHW.argmax(axis=0)
        next_HW = np.take_along_axis(others_CHW, second_HW[None], 0)[0]
        margin_HW = np.rint((best_HW - next_HW).clip(0, 1) * 255)
        sure_HW = np.rint(best_HW.clip(0, 1) * 255)
        first, second, margin, sure = (part.astype(np.uint8) for part in (first_HW, second_HW, margin_HW, sure_HW))
        return cls(first, second, margin, sure, _none() if deep_Dhw is None else deep_Dhw)

    def shares(self, classes: int) -> NDArray[np.float32]:
        """Return C x H x W: how the two classes share a probability of 1; the others have 0."""
        margin_HW = self.margin_HW.astype(np.float32) / 255
        shares_CHW = np.zeros((classes, *self.first_HW.shape), np.float32)
        np.put_along_axis(shares_CHW, self.second_HW[None].astype(np.intp), (1 - margin_HW)[None] / 2, 0)
        np.put_along_axis(shares_CHW, self.first_HW[None].astype(np.intp), (1 + margin_HW)[None] / 2, 0)
        return shares_CHW


class Semantic(Protocol):
    """A semantic network, whichever it is."""

    def guess(self, picture: Picture) -> Guess:
        """Return what it says of a picture, at the picture's size."""
        ...


class Recent:
    """A semantic network that remembers what it said of the last `frames` pictures: walks come back to the same ones.

    Pictures are told apart by their pixels.
    """

    def __init__(self, semantic: Semantic, frames: int) -> None:
        self._semantic, self._frames = semantic, frames
        self._said: OrderedDict[str, Guess] = OrderedDict()

    def guess(self, picture: Picture) -> Guess:
        """Return what it says, or said."""
        if picture.digest not in self._said:
            self._said[picture.digest] = self._semantic.guess(picture)
            if len(self._said) > self._frames:
                self._said.popitem(last=False)
        self._said.move_to_end(picture.digest)
        return self._said[picture.digest]
