"""Warp-inpaint: Warp-Refine Propagation (Ganeshan et al., ICCV 2021), equations 3-7.

A pixel keeps its warped label where the warped picture fits (photometric error below τ), and gets the semantic
network's guess elsewhere, out of view above all. Not in the text and in no public code: τ. The paper's error is a
single pixel's, ours may be averaged over a window (`window_px`). `recursion = composed` warps the anchor's own label
once and compares with the anchor's picture; `paper` goes from frame to frame. What a person left IGNORE stays IGNORE
where the warp is trusted, as the paper's ignore class does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from frugalseg.core.classes import IGNORE
from frugalseg.core.config import Config
from frugalseg.propagation.chain import Anchor, Chain
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.semantic import Guess, Semantic
from frugalseg.propagation.warp import photometric_error, warp_nearest

# Where a pixel's label comes from; values of source maps.
NOWHERE, WARPED, GUESSED, REFINED = range(4)


class InpaintConfig(Config):
    """When a warped label is trusted, and how it is carried."""

    tau: float = Field(30.0, gt=0, description="RGB distance (0–441) from which a warped label is not trusted")
    window_px: int = Field(1, ge=1, description="side of the square the distance is averaged over; the paper: 1")
    recursion: Literal["paper", "composed"] = Field(
        "composed", description="warp the label again at each step, or compose the flows and warp it once"
    )


@dataclass(frozen=True, eq=False)
class Draft:
    """A frame's label before refinement, and what it was made from; H x W each.

    `label_HW` is L^W, `warped_HW` the warp alone, `trusted_HW` the paper's M, `error_HW` the photometric error
    (infinite out of view), `source_HW` tells warped from guessed pixels, `k` how many frames away the label was.
    `agreed_HW` tells where several labelled frames see the place and say the same; None where only one has a say.
    `warped_source_HW` tells where the warped label came from itself; None: all of it from the anchor.
    """

    picture: Picture
    label_HW: NDArray[np.uint8]
    warped_HW: NDArray[np.uint8]
    error_HW: NDArray[np.float32]
    trusted_HW: NDArray[np.bool_]
    source_HW: NDArray[np.uint8]
    guess: Guess
    k: int
    agreed_HW: NDArray[np.bool_] | None = None
    warped_source_HW: NDArray[np.uint8] | None = None


def inpaint(
    picture: Picture,
    warped_HW: NDArray[np.uint8],
    error_HW: NDArray[np.float32],
    guess: Guess,
    tau: float,
    k: int,
    warped_source_HW: NDArray[np.uint8] | None = None,
) -> Draft:
    """Return M x warped + (1 - M) x guess with M = error < τ (equations 5 and 6).

    `warped_source_HW` tells where the warped label came from itself; by default it is all the anchor's.
    """
    trusted_HW = error_HW < tau
    label_HW = np.where(trusted_HW, warped_HW, guess.first_HW)
    carried_HW: NDArray[np.uint8] | int = WARPED if warped_source_HW is None else warped_source_HW
    source_HW = np.where(trusted_HW, carried_HW, GUESSED).astype(np.uint8)
    source_HW[label_HW == IGNORE] = NOWHERE
    return Draft(
        picture, label_HW, warped_HW, error_HW, trusted_HW, source_HW, guess, k, warped_source_HW=warped_source_HW
    )


class Inpainted:
    """A label carried along a chain by warp-inpaint."""

    def __init__(self, anchor: Anchor, neighbours: Neighbours, semantic: Semantic, config: InpaintConfig) -> None:
        self.chain, self._semantic, self._config = Chain(anchor, neighbours), semantic, config
        self._label_HW = anchor.label_HW
        self._source_HW = np.where(anchor.label_HW == IGNORE, NOWHERE, WARPED).astype(np.uint8)

    def advance(self, picture: Picture) -> Draft:
        """Go on to the next frame and return its draft.

        Raises:
            DataError: its size is another.
        """
        before = self.chain.here.picture
        step = self.chain.advance(picture)
        window_px, here = self._config.window_px, self.chain.here
        if self._config.recursion == "paper":
            warped_HW, source_HW = warp_nearest(self._label_HW, step), warp_nearest(self._source_HW, step)
            error_HW = photometric_error(picture.rgb_HWC, before.rgb_HWC, step, window_px)
        else:
            warped_HW, source_HW = warp_nearest(here.anchor.label_HW, here.flow), None
            error_HW = photometric_error(picture.rgb_HWC, here.anchor.picture.rgb_HWC, here.flow, window_px)
        guess = self._semantic.guess(picture)
        draft = inpaint(picture, warped_HW, error_HW, guess, self._config.tau, here.steps, source_HW)
        self.replace(draft.label_HW, draft.source_HW)
        return draft

    def replace(self, label_HW: NDArray[np.uint8], source_HW: NDArray[np.uint8]) -> None:
        """Let the paper's recursion go on from another label of this frame, such as a refined one (equation 8)."""
        self._label_HW, self._source_HW = label_HW, source_HW


def cycle(
    anchor: Anchor, pictures: Sequence[Picture], neighbours: Neighbours, semantic: Semantic, config: InpaintConfig
) -> Draft:
    """Carry a label to the last of `pictures` and back (equations 9-12) and return the draft of the anchor's frame.

    The way back uses flow computed backwards, not the forward flow turned round, which would make the cycle clean for
    nothing. Its `k` is the whole way, there and back.
    """
    there = Inpainted(anchor, neighbours, semantic, config)
    drafts = [there.advance(picture) for picture in pictures]
    back = Inpainted(Anchor(pictures[-1], drafts[-1].label_HW), neighbours, semantic, config)
    for picture in (*reversed(pictures[:-1]), anchor.picture):
        draft = back.advance(picture)
    return replace(draft, k=2 * len(pictures))
