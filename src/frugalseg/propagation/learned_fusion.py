"""Which of two labelled frames to believe where they say different things: a logistic choice with fixed weights.

Ours. `fuse` lets each frame vote as its warped picture fits around the pixel. That leaves much to win: an oracle that
picked the right frame of two would gain 5 to 9 mIoU. What else tells them apart: how the pictures fit over smaller and
larger squares, what the surroundings say, and to which class those pixels around belong that have this pixel's colour
and that both frames agree on, which pulls a label to the edges of the picture. The weights are those of
`benchmarks/propagation_fusion.py`, fitted on drives of the toy city, and no label of a user's is needed.

Each feature is of the first frame against the second: with the two swapped it changes its sign, and there is no
constant, so no side is preferred.

Legend: H x W pixels, C classes, N disputed pixels, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.fuse import Fused, Warp, votes
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.warp import averaged

WEIGHTS = {  # of each feature; fitted, see above
    "seen": 0.74,
    "votes": 0.74,
    "surroundings": 0.71,
    "fit over 1": 0.74,
    "fit over 11": 1.15,
    "colour": 0.31,
}
FIT_WINDOWS_PX = (1, 11)
ERROR_FLOOR = 4.0  # RGB distance that noise alone makes
VOTE_FLOOR, COLOUR_FLOOR = 0.02, 0.05  # votes below which a ratio tells no more
COLOUR_REACH_PX, COLOUR_NEAR_PX, COLOUR_ALIKE = 3, 1.5, 15.0  # square looked at, and the two bells' widths (px, RGB)


@dataclass(frozen=True, eq=False)
class Dispute:
    """Pixels that two warps have different classes for: flat numbers N, both classes 2 x N, and features N x F."""

    places_N: NDArray[np.intp]
    ids_2N: NDArray[np.uint8]
    features_NF: NDArray[np.float32]


def choose(
    fused: Fused, picture: Picture, warps: Sequence[Warp], classes: int, scale: float, extend: bool = False
) -> Fused:
    """Return what `fuse` gave with each disputed pixel's class chosen anew; the same with other than two warps.

    Disputed are pixels that both labelled frames see and say different classes of; with `extend` also those out of
    one's or both's view, whose label there is that of the nearest pixel in view.
    """
    if len(warps) != 2:
        return fused
    found = dispute(picture, warps, classes, scale, extend)
    second_N = (found.features_NF @ np.array(list(WEIGHTS.values()), np.float32) < 0).astype(np.intp)
    label_HW, winner_HW = fused.label_HW.copy(), fused.warp_HW.copy()
    each_N = np.arange(len(second_N))
    label_HW.ravel()[found.places_N] = found.ids_2N[second_N, each_N]
    seen_2N = np.stack([warp.flow.valid_HW.ravel()[found.places_N] for warp in warps])
    winner_HW.ravel()[found.places_N] = np.where(seen_2N[second_N, each_N], second_N, IGNORE)
    return Fused(label_HW, winner_HW)


def dispute(picture: Picture, warps: Sequence[Warp], classes: int, scale: float, extend: bool) -> Dispute:
    """Return the pixels that two warps dispute, with what tells which one is right."""
    one, other = warps
    seen_HW = one.flow.valid_HW & other.flow.valid_HW
    differ_HW = one.nearest_HW != other.nearest_HW
    places_N = np.flatnonzero(differ_HW if extend else differ_HW & seen_HW)
    ids_2N = np.stack([warp.nearest_HW.ravel()[places_N] for warp in warps])
    seen_2N = np.stack([warp.flow.valid_HW.ravel()[places_N] for warp in warps]).astype(np.float32)
    around_2N = _surroundings(warps, places_N, ids_2N)
    alike_2N = _alike(picture, one, ~differ_HW & seen_HW, places_N, ids_2N)
    rows = [seen_2N[0] - seen_2N[1], _ratio(_votes(warps, places_N, ids_2N, classes, scale), VOTE_FLOOR)]
    rows.append(around_2N[0] - around_2N[1])
    for window_px in FIT_WINDOWS_PX:
        misfits = [averaged(_distance(warp), window_px).ravel()[places_N] for warp in warps]
        rows.append(-_ratio(np.stack(misfits), ERROR_FLOOR))
    rows.append(_ratio(alike_2N, COLOUR_FLOOR))
    return Dispute(places_N, ids_2N, np.stack(rows, axis=1).astype(np.float32))


def _distance(warp: Warp) -> NDArray[np.float32]:
    assert warp.distance_HW is not None  # `Reached.warp` gives it
    return warp.distance_HW


def _ratio(values_2N: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    above_2N = np.log(values_2N + np.float32(floor))
    return np.asarray(above_2N[0] - above_2N[1], np.float32)


def _votes(
    warps: Sequence[Warp], places_N: NDArray[np.intp], ids_2N: NDArray[np.uint8], classes: int, scale: float
) -> NDArray[np.float32]:
    """Return what both classes get in `fuse`'s count, 2 x N; 1 is all that one frame can give."""
    total_CN = votes(warps, places_N, classes, scale)
    return total_CN[np.minimum(ids_2N, classes), np.arange(len(places_N))].astype(np.float32)


def _surroundings(warps: Sequence[Warp], places_N: NDArray[np.intp], ids_2N: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the share of both classes in the 3 x 3 pixels around, summed over both frames' labels, 2 x N."""
    found_2N = np.zeros(ids_2N.shape, np.float32)
    for warp in warps:
        padded_HW = np.pad(warp.nearest_HW, 1, mode="edge")
        rows_N, columns_N = np.divmod(places_N, warp.nearest_HW.shape[1])
        for down, right in product(range(3), repeat=2):
            found_2N += padded_HW[rows_N + down, columns_N + right] == ids_2N
    return found_2N / np.float32(9)


def _alike(
    picture: Picture,
    warp: Warp,
    agreed_HW: NDArray[np.bool_],
    places_N: NDArray[np.intp],
    ids_2N: NDArray[np.uint8],
) -> NDArray[np.float32]:
    """Return what pixels around that both frames agree on give to both classes, by nearness and colour, 2 x N."""
    reach = COLOUR_REACH_PX
    rgb_HWC = np.pad(picture.rgb_HWC, ((reach, reach), (reach, reach), (0, 0)), mode="edge").astype(np.float32)
    label_HW, agreed_HW = np.pad(warp.nearest_HW, reach, mode="edge"), np.pad(agreed_HW, reach)
    rows_N, columns_N = np.divmod(places_N, warp.nearest_HW.shape[1])
    own_N3 = rgb_HWC[rows_N + reach, columns_N + reach]
    found_2N = np.zeros(ids_2N.shape, np.float32)
    for down, right in product(range(2 * reach + 1), repeat=2):
        place = rows_N + down, columns_N + right
        apart_N = ((rgb_HWC[place] - own_N3) ** 2).sum(axis=1)
        away = ((down - reach) ** 2 + (right - reach) ** 2) / (2 * COLOUR_NEAR_PX**2)
        weight_N = np.exp(-apart_N / np.float32(2 * COLOUR_ALIKE**2) - np.float32(away)) * agreed_HW[place]
        found_2N += weight_N * (label_HW[place] == ids_2N)
    return found_2N
