"""One labelled frame's label, carried away from it frame by frame.

Recursions: `paper` warps the label again at each step (Ganeshan et al., ICCV 2021, equations 1-3), `soft` does so with
class shares read between pixels, `composed` composes the flows and warps the original label once, so that rounding to
whole pixels happens once and not k times. A composed flow drifts a little at each step; asked for, it is mended there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import LabelShapeError
from frugalseg.propagation.flow import Flow, compose
from frugalseg.propagation.fuse import Warp, corners_alike
from frugalseg.propagation.motion import Motion, Neighbours, Picture
from frugalseg.propagation.warp import WINDOW_PX, averaged, harden, one_hot, photometric_error, warp_nearest, warp_soft


class Recursion(StrEnum):
    """How a label comes from one frame to the next."""

    PAPER = "paper"
    COMPOSED = "composed"
    SOFT = "soft"


@dataclass(frozen=True, eq=False)
class Anchor:
    """A labelled frame: its picture and class ids, H x W uint8, IGNORE where unknown.

    Raises:
        LabelShapeError: the two differ in size.
    """

    picture: Picture
    label_HW: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.label_HW.shape != self.picture.size_HW:
            raise LabelShapeError(
                f"{self.picture.key}: label is {self.label_HW.shape} but its frame is {self.picture.size_HW} "
                "(height x width).\nResize the label with nearest-neighbour, or check the pairing."
            )

    @cached_property
    def alike_HW(self) -> NDArray[np.uint8]:
        """Its label's `corners_alike`."""
        return corners_alike(self.label_HW)


@dataclass(frozen=True, eq=False)
class Reached:
    """A frame that an anchor's label has been brought to: the composed flow from it to the anchor, `steps` frames.

    `label_HW` and `source_HW` (`inpaint`'s) are the label that the paper's recursion has here; None where flows are
    composed and the anchor's own label is warped.
    """

    anchor: Anchor
    picture: Picture
    flow: Flow
    steps: int
    label_HW: NDArray[np.uint8] | None = None
    source_HW: NDArray[np.uint8] | None = None

    def warp(self) -> Warp:
        """Return the anchor's label with the composed flow, or what the paper's recursion has here."""
        distance_HW = photometric_error(self.picture.rgb_HWC, self.anchor.picture.rgb_HWC, self.flow, extend=True)
        error_HW = averaged(distance_HW, WINDOW_PX)
        if self.label_HW is None:
            return Warp(self.anchor.label_HW, self.flow, error_HW, self.anchor.alike_HW, distance_HW)
        still = Flow(np.zeros_like(self.flow.px_HW2), self.flow.valid_HW)
        return Warp(self.label_HW, still, error_HW, distance_HW=distance_HW)


def _misfit(target: Picture, source: Picture, flow: Flow) -> NDArray[np.float32]:
    return photometric_error(target.rgb_HWC, source.rgb_HWC, flow, WINDOW_PX, extend=True)


def mended(flow: Flow, target: Picture, source: Picture, direct: Motion) -> Flow:
    """Return at each pixel the better fitting of a flow and of the flow straight to the source that starts from it.

    The direct one does not drift, but is lost where much has changed.
    """
    straight = direct.flow(target, source, flow)
    better_HW = _misfit(target, source, straight) < _misfit(target, source, flow)
    known_HW = np.where(better_HW, straight.valid_HW, flow.valid_HW)
    return Flow(np.where(better_HW[..., None], straight.px_HW2, flow.px_HW2), known_HW)


def nearest(reached: Sequence[Reached]) -> int:
    """Return how many frames away the nearest labelled frame is."""
    return min(there.steps for there in reached)


class Chain:
    """The way from an anchor over neighbouring frames; memory does not grow with its length.

    `here` is its end, `step` the flow from there to the frame before. With `direct` composed flow is mended in each
    frame, and goes on mended.
    """

    def __init__(self, anchor: Anchor, neighbours: Neighbours, direct: Motion | None = None) -> None:
        self.step = Flow.still(anchor.picture.size_HW)
        self.here = Reached(anchor, anchor.picture, self.step, 0)
        self._neighbours, self._direct = neighbours, direct

    def advance(self, picture: Picture) -> Flow:
        """Go on to the next frame and return the flow from it to the frame before.

        Raises:
            DataError: its size is another.
        """
        before = self.here
        self.step = self._neighbours.flow(picture, before.picture)
        flow = compose(self.step, before.flow)
        if self._direct is not None:
            flow = mended(flow, picture, before.anchor.picture, self._direct)
        self.here = Reached(before.anchor, picture, flow, before.steps + 1)
        return self.step


class Carried:
    """A label carried along a chain by one of the recursions; `extend` as in `warp`."""

    def __init__(
        self, anchor: Anchor, neighbours: Neighbours, recursion: Recursion, classes: int, extend: bool = False
    ) -> None:
        self.chain = Chain(anchor, neighbours)
        self.label_HW = anchor.label_HW
        self._recursion, self._extend = recursion, extend
        self._soft_HWC = one_hot(anchor.label_HW, classes) if recursion is Recursion.SOFT else None

    def advance(self, picture: Picture) -> NDArray[np.uint8]:
        """Go on to the next frame and return its class ids, IGNORE where nothing is known."""
        step = self.chain.advance(picture)
        if self._soft_HWC is not None:
            self._soft_HWC = warp_soft(self._soft_HWC, step, self._extend)
            self.label_HW = harden(self._soft_HWC)
        elif self._recursion is Recursion.PAPER:
            self.label_HW = warp_nearest(self.label_HW, step, self._extend)
        else:
            here = self.chain.here
            self.label_HW = warp_nearest(here.anchor.label_HW, here.flow, self._extend)
        return self.label_HW
