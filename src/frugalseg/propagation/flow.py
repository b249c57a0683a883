"""Backward flow on the target's grid: where each pixel of a target frame was in a source frame.

Legend: H x W pixels of both frames, 2 = (columns, rows). A place is (column, row) in pixels, centres at whole numbers.
A place outside the source is marked, never clamped in silence: what was clamped looks like an answer and is none.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError

FIXED_PER_PX = 64  # steps a pixel of the int16 form: ± 511.98 px at 1/128 px of error
FIXED_NOTHING = np.int16(-32768)  # no flow is known here, or it is too long for the form

Pixels = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Flow:
    """`px_HW2` (float32: columns, rows) with source[p + px] = target[p], and where that place is known and in view.

    Where `valid_HW` is False the numbers are the best guess there is (a place out of view), or 0.
    """

    px_HW2: Pixels
    valid_HW: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.px_HW2.shape != (*self.valid_HW.shape, 2) or self.px_HW2.dtype != np.float32:
            raise DataError(
                f"flow is {self.px_HW2.shape} {self.px_HW2.dtype} with a mask of {self.valid_HW.shape}; "
                "expected height x width x 2 float32 and height x width."
            )

    @classmethod
    def of(cls, px_HW2: NDArray[np.floating]) -> "Flow":
        """Return a flow that is valid where its place is finite and inside a source of the same size."""
        px_HW2 = px_HW2.astype(np.float32)  # a copy: what gave the numbers may use its memory again
        known_HW = np.isfinite(px_HW2).all(axis=2)
        px_HW2[~known_HW] = 0.0
        columns_HW, rows_HW = places(px_HW2)
        return cls(px_HW2, known_HW & inside(columns_HW, rows_HW))

    @classmethod
    def still(cls, size_HW: tuple[int, int]) -> "Flow":
        """Return the flow of a picture that stays as it is."""
        return cls(np.zeros((*size_HW, 2), np.float32), np.ones(size_HW, np.bool_))

    @property
    def size_HW(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.valid_HW.shape
        return height, width

    def to_fixed(self) -> NDArray[np.int16]:
        """Return the flow as int16, H x W x 2; what is too long, or marked though its place is in view, is nothing.

        What leaves the view keeps its numbers: that it is marked follows from them.
        """
        steps_HW2 = np.rint(self.px_HW2 * FIXED_PER_PX)
        hidden_HW = ~self.valid_HW & inside(*places(self.px_HW2))
        kept_HW = (np.abs(steps_HW2) <= 32767).all(axis=2) & ~hidden_HW
        return np.where(kept_HW[..., None], steps_HW2, FIXED_NOTHING).astype(np.int16)

    @classmethod
    def from_fixed(cls, fixed_HW2: NDArray[np.int16]) -> "Flow":
        """Return what `to_fixed` wrote."""
        px_HW2 = fixed_HW2.astype(np.float32) / FIXED_PER_PX
        px_HW2[(fixed_HW2 == FIXED_NOTHING).any(axis=2)] = np.nan
        return cls.of(px_HW2)


def places(px_HW2: Pixels) -> tuple[Pixels, Pixels]:
    """Return the columns and the rows (H x W each) that a flow points to."""
    height, width = px_HW2.shape[:2]
    columns_HW = px_HW2[..., 0] + np.arange(width, dtype=np.float32)[None, :]
    rows_HW = px_HW2[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return columns_HW, rows_HW


def inside(columns_HW: Pixels, rows_HW: Pixels) -> NDArray[np.bool_]:
    """Tell which places lie on a pixel of a picture of the same size: up to half a pixel beyond the outer centres."""
    height, width = columns_HW.shape
    return np.asarray((columns_HW >= -0.5) & (columns_HW < width - 0.5) & (rows_HW >= -0.5) & (rows_HW < height - 0.5))


def compose(near: Flow, far: Flow) -> Flow:
    """Return the flow target → source from `near` (target → middle) and `far` (middle → source).

    far's numbers are read between its pixels (bilinear, the outermost repeated); its validity at the nearest pixel. A
    place out of the middle frame's view stays marked: what was there is not known.

    Raises:
        DataError: the two differ in size.
    """
    if near.size_HW != far.size_HW:
        raise DataError(
            f"cannot compose flows of {near.size_HW} and {far.size_HW} (height x width): frames of one track have one "
            "size."
        )
    columns_HW, rows_HW = places(near.px_HW2)
    moved_HW2 = cv2.remap(far.px_HW2, columns_HW, rows_HW, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    px_HW2 = near.px_HW2 + np.asarray(moved_HW2, np.float32)
    seen_HW = pick_nearest(far.valid_HW.astype(np.uint8), near, 0) == 1
    return Flow(px_HW2, seen_HW & inside(*places(px_HW2)))


def pick_nearest(source_HW: NDArray[np.uint8], flow: Flow, outside: int | None) -> NDArray[np.uint8]:
    """Return `source_HW` as seen from the target, each pixel from the nearest one.

    Where the flow is marked it is `outside`; with None the nearest pixel that the source has.
    """
    columns_HW, rows_HW = places(flow.px_HW2)
    moved_HW = np.asarray(
        cv2.remap(source_HW, columns_HW, rows_HW, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
    return moved_HW if outside is None else np.where(flow.valid_HW, moved_HW, np.uint8(outside))
