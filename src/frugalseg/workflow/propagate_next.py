"""Which frames of a video to label next: those whose labels would settle the most doubt around them."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def label_next(
    stretches: Sequence[Sequence[str]], known_01: Mapping[str, float], labelled: Collection[str], reach: int, count: int
) -> list[str]:
    """Return up to `count` frames, the one first that helps most.

    A label helps every frame within `reach` of its own, in its stretch. The frame is taken that has the most doubt
    around it, then that doubt counts as settled, and so on (greedy maximum coverage); of equals the one that is
    least known itself, then the earlier. Where no doubt is left there are fewer.

    Args:
        stretches: The frames' keys in order of time; no label crosses from one to the next.
        known_01: How much of a frame is known, or how sure; frames that are not named here are not known at all.
        labelled: Frames that people labelled, which have no doubt and are not named again.
        reach: Frames that a label is carried at most.
        count: How many are wanted.
    """
    doubts = [
        np.array([0.0 if key in labelled else 1.0 - known_01.get(key, 0.0) for key in keys]) for keys in stretches
    ]
    free = [np.array([key not in labelled for key in keys], np.bool_) for keys in stretches]
    best = [_best(doubt_N, free_N, reach) for doubt_N, free_N in zip(doubts, free, strict=True)]
    found: list[str] = []
    while len(found) < count and best:
        number = max(range(len(best)), key=lambda one: best[one][0])
        gain, place = best[number]
        if gain <= 0:
            break
        found.append(stretches[number][place])
        doubts[number][max(place - reach, 0) : place + reach + 1] = 0.0
        free[number][place] = False
        best[number] = _best(doubts[number], free[number], reach)
    return found


def _best(doubt_N: NDArray[np.float64], free_N: NDArray[np.bool_], reach: int) -> tuple[float, int]:
    """Return the most doubt around a free frame, and its place; 0 where there is none."""
    if not free_N.any():
        return 0.0, 0
    upto_N = np.concatenate([[0.0], doubt_N.cumsum()])
    places_N = np.arange(len(doubt_N))
    around_N = upto_N[np.minimum(places_N + reach + 1, len(doubt_N))] - upto_N[np.maximum(places_N - reach, 0)]
    around_N = np.where(free_N, np.round(around_N, 9), -1.0)  # sums differ in their last digit
    most_N = around_N == around_N.max()
    return float(around_N.max()), int(np.where(most_N, doubt_N, -1.0).argmax())
