"""Several warps of labels into one: each votes with the classes around its place, the better its picture fits the more.

Legend: H x W pixels, C classes, N disputed pixels. Only pixels that any warp is unsure of, or that warps disagree on
(4–12 %), are voted on; the result is the same as that of full one-hot maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.flow import Flow, places
from frugalseg.propagation.warp import warp_nearest

ERROR_SCALE = 20.0  # RGB distance at which a warp's vote falls to 1/e; 5 to 20 differ by .4 (benchmarks/propagation.py)


@dataclass(frozen=True, eq=False)
class Warp:
    """A label, the flow that brings it to the target, and the picture's error there, finite everywhere.

    Where flow is marked label and error are those of the nearest pixel in view.
    """

    label_HW: NDArray[np.uint8]
    flow: Flow
    error_HW: NDArray[np.float32]

    @cached_property
    def nearest_HW(self) -> NDArray[np.uint8]:
        """The label by nearest pixels, where flow is marked the nearest in view."""
        return warp_nearest(self.label_HW, self.flow, extend=True)

    @cached_property
    def seen_error_HW(self) -> NDArray[np.float32]:
        """The picture's error, infinite where flow is marked."""
        return np.where(self.flow.valid_HW, self.error_HW, np.float32(np.inf))

    @cached_property
    def _corner(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        columns_HW, rows_HW = places(self.flow.px_HW2)
        return np.floor(columns_HW).astype(np.int32), np.floor(rows_HW).astype(np.int32)

    @cached_property
    def pure_HW(self) -> NDArray[np.bool_]:
        """Tells where the four pixels around the place have one class."""
        left_HW, top_HW = self._corner
        padded_HW = np.pad(self.label_HW, 1, mode="edge")
        corners = [padded_HW[row : row - 1 or None, column : column - 1 or None] for row in (0, 1) for column in (0, 1)]
        alike_HW = (corners[0] == corners[1]) & (corners[0] == corners[2]) & (corners[0] == corners[3])
        height, width = self.label_HW.shape
        return np.asarray(alike_HW[top_HW.clip(-1, height - 1) + 1, left_HW.clip(-1, width - 1) + 1])

    def shares(self, chosen_N: NDArray[np.intp], classes: int) -> NDArray[np.float64]:
        """Return N x (C + 1) bilinear class shares at flat pixel numbers, IGNORE last; the outermost labels go on."""
        height, width = self.label_HW.shape
        columns_N, rows_N = (place.ravel()[chosen_N] for place in places(self.flow.px_HW2))
        left_N, top_N = (corner.ravel()[chosen_N] for corner in self._corner)
        total = np.zeros(len(chosen_N) * (classes + 1))
        for below in (0, 1):
            for right in (0, 1):
                weight_N = np.abs(1 - right - (columns_N - left_N)) * np.abs(1 - below - (rows_N - top_N))
                place_N = (top_N + below).clip(0, height - 1), (left_N + right).clip(0, width - 1)
                ids_N = np.minimum(self.label_HW[place_N], classes)
                at_N = np.arange(len(chosen_N)) * (classes + 1) + ids_N
                total += np.bincount(at_N, weight_N, minlength=len(total))
        return total.reshape(-1, classes + 1)


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
    labels = np.stack([warp.nearest_HW for warp in warps])
    errors = np.stack([warp.error_HW if extend else warp.seen_error_HW for warp in warps])
    best_HW = errors.argmin(axis=0)
    label_HW = np.take_along_axis(labels, best_HW[None], 0)[0]
    winner_HW = best_HW.astype(np.uint8)
    disputed_HW = np.zeros(label_HW.shape, np.bool_)
    for warp, error_HW in zip(warps, errors, strict=True):
        disputed_HW |= np.isfinite(error_HW) & ~(warp.pure_HW & (warp.nearest_HW == label_HW))
    chosen_N = np.flatnonzero(disputed_HW)
    if len(chosen_N):
        errors_N = errors.reshape(len(warps), -1)[:, chosen_N]
        weights_N = np.exp((errors_N.min(axis=0) - errors_N) / scale)
        votes = [w[:, None] * warp.shares(chosen_N, classes) for w, warp in zip(weights_N, warps, strict=True)]
        won_N = np.sum(votes, axis=0).argmax(axis=1)
        label_HW.ravel()[chosen_N] = np.where(won_N == classes, IGNORE, won_N)
        given = np.stack([vote[np.arange(len(chosen_N)), won_N] for vote in votes])
        winner_HW.ravel()[chosen_N] = given.argmax(axis=0)
    marked = np.stack([~warp.flow.valid_HW for warp in warps])
    winner_HW[np.take_along_axis(marked, winner_HW[None].astype(np.intp), 0)[0]] = IGNORE
    return Fused(label_HW if extend else np.where(winner_HW == IGNORE, np.uint8(IGNORE), label_HW), winner_HW)
