"""The paper's recursion in a stream of frames: what goes on to the next frame is this frame's finished label.

Warp-Refine Propagation (Ganeshan et al., ICCV 2021): L_k = warp(L_k-1) (equation 3), with a network's guess where the
last frame, warped, does not fit (5 and 6), mended before it goes on (8). The flows are composed nonetheless: they say
what is out of the labelled frame's view, and how well its picture fits, which decides where two labels meet.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from frugalseg.propagation.chain import Anchor, Carried, Reached, Recursion
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.inpaint import GUESSED, REFINED, WARPED, Draft, InpaintConfig, Inpainted
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.semantic import Semantic
from frugalseg.propagation.warp import WINDOW_PX


class Refines(Protocol):
    """What turns a draft into a refined label; `refine.Refiner` does."""

    def refine(self, draft: Draft) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return class ids and sources (`inpaint`'s)."""
        ...


class Walk(Protocol):
    """The way of a label from frame to frame; `chain.Chain` and `Recurrent` are ones."""

    @property
    def here(self) -> Reached:
        """Its end."""
        ...

    def advance(self, picture: Picture) -> Flow:
        """Go on to the next frame and return the flow from it to the frame before."""
        ...


class Recurrent:
    """A chain whose label is finished in every frame before it goes on."""

    def __init__(
        self,
        anchor: Anchor,
        neighbours: Neighbours,
        classes: int,
        extend: bool,
        tau: float,
        semantic: Semantic | None = None,
        refiner: Refines | None = None,
    ) -> None:
        self._refiner = refiner
        self._carried: Carried | Inpainted
        if semantic is None:
            self._carried = Carried(anchor, neighbours, Recursion.PAPER, classes, extend)
        else:
            config = InpaintConfig(tau=tau, window_px=WINDOW_PX, recursion="paper")
            self._carried = Inpainted(anchor, neighbours, semantic, config)
        self.here = self._carried.chain.here

    def advance(self, picture: Picture) -> Flow:
        """Go on to the next frame, finish its label, and return the flow from it to the frame before.

        Raises:
            DataError: its size is another.
        """
        if isinstance(self._carried, Carried):
            label_HW = self._carried.advance(picture)
            source_HW = np.full_like(label_HW, WARPED)
        else:
            draft = self._carried.advance(picture)
            label_HW, source_HW = draft.label_HW, draft.source_HW
            if self._refiner is not None:
                label_HW, source_HW = self._refiner.refine(draft)
                self._carried.replace(label_HW, source_HW)
        chain = self._carried.chain
        self.here = replace(chain.here, label_HW=label_HW, source_HW=source_HW)
        return chain.step


def carried_source(label_HW: NDArray[np.uint8], reached: Sequence[Reached]) -> NDArray[np.uint8]:
    """Return where each pixel of a fused label comes from (`inpaint`'s), by the carried labels that say the same.

    Of several the one nearest to a person's label: warped, else refined, else guessed.
    """
    kinds = (WARPED, REFINED, GUESSED)
    says = [
        np.any([(there.label_HW == label_HW) & (there.source_HW == kind) for there in reached], axis=0)
        for kind in kinds
    ]
    return np.select(says, kinds, WARPED).astype(np.uint8)
