"""Several warps of labels into one: each votes with the classes around its place, the better its picture fits the more.

Legend: H x W pixels, C classes, N disputed pixels. Only pixels that any warp is unsure of, or that warps disagree on
(4–12 %), are voted on; the result is the same as that of full one-hot maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.flow import Flow, read_at
from frugalseg.propagation.warp import warp_nearest

OUTVOTED = 0.999  # of the best warp's vote: what the others' together stay below where nothing need be counted
ERROR_SCALE = 20.0  # RGB distance at which a warp's vote falls to 1/e; 5 to 20 differ by .4 (benchmarks/propagation.py)


def corners_alike(label_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 1 for each corner between four pixels of one class, (H + 1) x (W + 1); the outermost labels go on."""
    padded_HW = np.pad(label_HW, 1, mode="edge")
    four = [padded_HW[row : row - 1 or None, column : column - 1 or None] for row in (0, 1) for column in (0, 1)]
    alike_HW: NDArray[np.bool_] = (four[0] == four[1]) & (four[0] == four[2]) & (four[0] == four[3])
    return alike_HW.view(np.uint8)


@dataclass(frozen=True, eq=False)
class Warp:
    """A label, the flow that brings it to the target, and the picture's error there, finite everywhere.

    Where flow is marked label and error are those of the nearest pixel in view. `alike_HW` is the label's
    `corners_alike`, where it is known: of the many warps of one label all have the same. `distance_HW` is the error of
    single pixels, where it is known.
    """

    label_HW: NDArray[np.uint8]
    flow: Flow
    error_HW: NDArray[np.float32]
    alike_HW: NDArray[np.uint8] | None = None
    distance_HW: NDArray[np.float32] | None = None

    @cached_property
    def nearest_HW(self) -> NDArray[np.uint8]:
        """The label by nearest pixels, where flow is marked the nearest in view."""
        return warp_nearest(self.label_HW, self.flow, extend=True)

    @cached_property
    def seen_error_HW(self) -> NDArray[np.float32]:
        """The picture's error, infinite where flow is marked."""
        return np.where(self.flow.valid_HW, self.error_HW, np.float32(np.inf))

    @cached_property
    def pure_HW(self) -> NDArray[np.bool_]:
        """Tells where the four pixels around the place have one class."""
        # The nearest to place + 1/2 is the corner below it, in the padded label; of a whole number either will do.
        corner_HW2 = self.flow.places_HW2 + np.float32(0.5)
        alike_HW = corners_alike(self.label_HW) if self.alike_HW is None else self.alike_HW
        return read_at(alike_HW, corner_HW2, cv2.INTER_NEAREST).view(np.bool_)

    def shares(self, chosen_N: NDArray[np.intp], classes: int) -> NDArray[np.float64]:
        """Return (C + 1) x N bilinear class shares at flat pixel numbers, IGNORE last; the outermost labels go on."""
        (height, width), count = self.label_HW.shape, len(chosen_N)
        columns_N, rows_N = np.ascontiguousarray(self.flow.places_HW2.reshape(-1, 2)[chosen_N].T)
        left_N, top_N = np.floor(columns_N), np.floor(rows_N)
        ways = [  # of rows and columns: the one before the place and the one after, with their weights
            [(np.clip(at_N, 0, end - 1), 1 - away_N), (np.clip(at_N + 1, 0, end - 1), away_N)]
            for at_N, away_N, end in (
                (top_N.astype(np.int32), rows_N - top_N, height),
                (left_N.astype(np.int32), columns_N - left_N, width),
            )
        ]
        cells_4N, weights_4N = np.empty((4, count), np.intp), np.empty((4, count), np.float32)
        for corner, ((row_N, below_N), (column_N, right_N)) in enumerate(product(*ways)):
            ids_N = self.label_HW.ravel()[row_N * width + column_N]
            np.multiply(np.minimum(ids_N, classes), count, out=cells_4N[corner], dtype=np.intp)
            np.multiply(right_N, below_N, out=weights_4N[corner])
        cells_4N += np.arange(count)
        found = np.bincount(cells_4N.ravel(), weights_4N.ravel(), (classes + 1) * count)
        return np.asarray(found, np.float64).reshape(classes + 1, count)


@dataclass(frozen=True, eq=False)
class Fused:
    """Class ids, and which warp gave most to them (its number; 255 where that warp's flow is marked)."""

    label_HW: NDArray[np.uint8]
    warp_HW: NDArray[np.uint8]


def fuse(warps: Sequence[Warp], classes: int, scale: float = ERROR_SCALE, extend: bool = False) -> Fused:
    """Return the class with most votes: the sum over warps of exp(-error / scale) x bilinear class share.

    IGNORE is voted for like a class. A warp whose flow is marked has no vote, and where all are marked the label is
    IGNORE; with `extend` it votes for the nearest pixels in view, whose error is mostly large. Among equals the
    smallest id wins, and the first warp.
    """
    errors = [warp.error_HW if extend else warp.seen_error_HW for warp in warps]
    label_HW, winner_HW = warps[0].nearest_HW.copy(), np.zeros(warps[0].label_HW.shape, np.uint8)
    least_HW, disputed_HW = errors[0].copy(), np.zeros(label_HW.shape, np.bool_)
    for number, (warp, error_HW) in enumerate(zip(warps[1:], errors[1:], strict=True), 1):
        better_HW = (error_HW < least_HW).view(np.uint8)
        cv2.copyTo(warp.nearest_HW, better_HW, label_HW)
        np.maximum(winner_HW, better_HW * np.uint8(number), out=winner_HW)
        np.minimum(least_HW, error_HW, out=least_HW)
    for warp in warps:
        unsure_HW = ~(warp.pure_HW & (warp.nearest_HW == label_HW))
        disputed_HW |= unsure_HW if extend else unsure_HW & warp.flow.valid_HW
    chosen_N = np.flatnonzero(disputed_HW)
    weights_N = _weights(errors, least_HW, chosen_N, scale)
    open_N = ~_settled(warps, weights_N, chosen_N)
    chosen_N, weights_N = chosen_N[open_N], [one[open_N] for one in weights_N]
    if len(chosen_N):
        votes = [warp.shares(chosen_N, classes) for warp in warps]
        for weight_N, vote in zip(weights_N, votes, strict=True):
            vote *= weight_N
        won_N = reduce(np.add, votes).argmax(axis=0)
        label_HW.ravel()[chosen_N] = np.where(won_N == classes, IGNORE, won_N)
        cells_N = won_N * len(chosen_N) + np.arange(len(chosen_N))
        winner_HW.ravel()[chosen_N] = np.argmax([vote.ravel()[cells_N] for vote in votes], axis=0)
    for number, warp in enumerate(warps):
        np.copyto(winner_HW, np.uint8(IGNORE), where=(winner_HW == number) & ~warp.flow.valid_HW)
    return Fused(label_HW if extend else np.where(winner_HW == IGNORE, np.uint8(IGNORE), label_HW), winner_HW)


def votes(
    warps: Sequence[Warp], chosen_N: NDArray[np.intp], classes: int, scale: float = ERROR_SCALE
) -> NDArray[np.float64]:
    """Return all votes at flat pixel numbers, (C + 1) x N, IGNORE last; those of the best warp there add up to 1.

    A warp whose flow is marked votes for the nearest pixels in view.
    """
    errors = [warp.error_HW for warp in warps]
    weights_N = _weights(errors, np.minimum.reduce(errors), chosen_N, scale)
    shares = [warp.shares(chosen_N, classes) * weight for warp, weight in zip(warps, weights_N, strict=True)]
    return np.asarray(reduce(np.add, shares), np.float64)


def agreed(warps: Sequence[Warp], label_HW: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Tell where two labelled frames or more all see a place and say this label; None with fewer frames."""
    if len(warps) < 2:
        return None
    same = [(warp.nearest_HW == label_HW) & warp.flow.valid_HW for warp in warps]
    return np.asarray(np.all(same, axis=0), np.bool_)


def _weights(
    errors: Sequence[NDArray[np.float32]], least_HW: NDArray[np.float32], chosen_N: NDArray[np.intp], scale: float
) -> list[NDArray[np.float32]]:
    """Return each warp's vote at flat pixel numbers, 1 for the best."""
    least_N = least_HW.ravel()[chosen_N]
    return [np.exp((least_N - error_HW.ravel()[chosen_N]) / scale) for error_HW in errors]


def _settled(
    warps: Sequence[Warp], weights_N: Sequence[NDArray[np.float32]], chosen_N: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Tell where the best warp wins without counting: each with a vote gives it to one class, and it outvotes all."""
    settled_N: NDArray[np.bool_] = reduce(np.add, weights_N) - 1 < OUTVOTED
    for warp, weight_N in zip(warps, weights_N, strict=True):
        settled_N &= warp.pure_HW.ravel()[chosen_N] | (weight_N == 0)
    return settled_N
