"""Scene cuts: what two neighbouring frames of one scene show is mostly found again from one to the next."""

import numpy as np

from frugalseg.propagation.flow import Flow, read_at
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.warp import squared_distance

FIT = 30.0  # RGB distance below which a pixel of the frame before is found again
THINNED = 4


def scene_cut(before: Picture, now: Picture, step: Flow, least_share: float) -> str:
    """Return the reason why a track ends between two frames, or nothing if enough of one is found again."""
    found = found_again(before, now, step)
    if found >= least_share:
        return ""
    return f"a scene cut: only {100 * found:.0f} % of the frame is found again in the one before"


def found_again(before: Picture, now: Picture, step: Flow) -> float:
    """Return the share of a frame that the one before shows too, of what is in its view; 0 if nothing is.

    Looked at on every fourth pixel each way.
    """
    part = slice(None, None, THINNED), slice(None, None, THINNED)
    moved_HWC = read_at(before.rgb_HWC, np.ascontiguousarray(step.places_HW2[part]))
    squares_HW = squared_distance(np.ascontiguousarray(now.rgb_HWC[part]), moved_HWC)
    seen_HW = step.valid_HW[part]
    return float((squares_HW[seen_HW] < FIT**2).mean()) if seen_HW.any() else 0.0
