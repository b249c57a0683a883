"""Rare-class sampling of labelled frames (DAFormer, Hoyer et al., CVPR 2022, section 3.3).

A class c is drawn with P(c) ∝ exp((1 - f_c) / T), f_c its share of all labelled pixels, then one of the frames that
show c, then a window of it in which enough of c is left. Which frame that is depends on (seed, step, rank, slot) alone.

Differs from the paper: only a share `ratio` of the draws goes this way, the others run through all frames as ever. The
paper has thousands of source frames; among a few dozen a rare class may stand in two, which would be seen without end.
"How much of c" is a share of the pixels, where the paper counts them for one size of frame.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator


@dataclass(frozen=True)
class Wish:
    """A frame to draw (its number), and the class that at least `share` of its window's pixels should have."""

    frame: int
    class_id: int
    share: float


@dataclass(frozen=True, eq=False)
class RareClassSampler:
    """Draws frames by class. F frames, C classes.

    Args:
        pixels_FC: Labelled pixels of each class in each frame, at least one in all.
        temperature: T; the smaller, the more the rarest classes are preferred.
        ratio: Share of the draws that goes by class.
        share: Of a frame's labelled pixels, to count as showing a class; of a window's pixels, to be good enough.
        seed: The run's.
    """

    pixels_FC: NDArray[np.int64]
    temperature: float
    ratio: float
    share: float
    seed: int

    def draw(self, step: int, rank: int, slot: int) -> Wish | None:
        """Return which frame comes at this place, or None where it is not drawn by class."""
        rng = generator(self.seed, "rare class", step, rank, slot)
        if rng.random() >= self.ratio:
            return None
        class_id = int(rng.choice(len(self.probability_C), p=self.probability_C))
        return Wish(int(rng.choice(self.frames_of_class[class_id])), class_id, self.share)

    @cached_property
    def probability_C(self) -> NDArray[np.float64]:
        """How likely each class is to be drawn; 0 for classes that no frame shows."""
        return class_probabilities(self.pixels_FC.sum(axis=0), self.temperature)

    @cached_property
    def frames_of_class(self) -> tuple[NDArray[np.intp], ...]:
        """The frames that show each class."""
        return frames_by_class(self.pixels_FC, self.share)

    @property
    def probability_F(self) -> NDArray[np.float64]:
        """How likely each frame is to come next, by class or in its turn."""
        by_class_F = np.zeros(len(self.pixels_FC))
        for probability, frames in zip(self.probability_C, self.frames_of_class, strict=True):
            if len(frames):
                by_class_F[frames] += probability / len(frames)
        return self.ratio * by_class_F + (1 - self.ratio) / len(self.pixels_FC)


def class_probabilities(pixels_C: NDArray[np.int64], temperature: float) -> NDArray[np.float64]:
    """Return P(c) = exp((1 - f_c) / T) / Σ exp((1 - f) / T) over the classes that occur, and 0 for the others."""
    present = pixels_C > 0
    frequency = pixels_C[present] / pixels_C.sum()
    power = np.exp((frequency.min() - frequency) / temperature)  # the same quotient, and no overflow at small T
    probability_C = np.zeros(len(pixels_C))
    probability_C[present] = power / power.sum()
    return probability_C


def frames_by_class(pixels_FC: NDArray[np.int64], share: float) -> tuple[NDArray[np.intp], ...]:
    """Return for each class the frames in which it has at least `share` of the labelled pixels.

    Where none has so many, all frames that show it at all.
    """
    enough_FC = (pixels_FC > 0) & (pixels_FC >= share * pixels_FC.sum(axis=1, keepdims=True))
    return tuple(
        np.flatnonzero(enough if enough.any() else pixels > 0)
        for enough, pixels in zip(enough_FC.T, pixels_FC.T, strict=True)
    )
