"""Backward flow on the target's grid: where each pixel of a target frame was in a source frame.

Legend: H x W pixels of both frames, 2 = (columns, rows). A place is (column, row) in pixels, centres at whole numbers.
A place outside the source is marked, never clamped in silence: what was clamped looks like an answer and is none.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError

FIXED_PER_PX = 64  # steps a pixel of the int16 form: ± 511.98 px at 1/128 px of error
FIXED_NOTHING = np.int16(-32768)  # no flow is known here, or it is too long for the form
LONGEST_PX = 32767.5 / FIXED_PER_PX
ROUNDS = np.float32(1.5 * 2**23 / FIXED_PER_PX)  # beside it float32's numbers lie a step apart
AS_STEPS = np.full(4, FIXED_PER_PX, np.float64)  # a scalar as OpenCV takes it

Pixels = NDArray[np.float32]
Number = TypeVar("Number", np.uint8, np.float32)


@dataclass(frozen=True, eq=False)
class Flow:
    """`px_HW2` (float32: columns, rows) with source[p + px] = target[p], and where that is known (None: everywhere).

    Where `valid_HW` is False the numbers are the best guess there is (a place out of view), or 0.
    """

    px_HW2: Pixels
    known_HW: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        mask = self.px_HW2.shape[:2] if self.known_HW is None else self.known_HW.shape
        if self.px_HW2.shape != (*mask, 2) or len(mask) != 2 or self.px_HW2.dtype != np.float32:
            raise DataError(
                f"flow is {self.px_HW2.shape} {self.px_HW2.dtype} with a mask of {mask}; "
                "expected height x width x 2 float32 and height x width."
            )

    @classmethod
    def of(cls, px_HW2: NDArray[np.floating], copy: bool = True) -> "Flow":
        """Return a flow that is valid where its place is finite and inside a source of the same size.

        Without `copy` float32 numbers are taken as they are: for who made the array and keeps it for nobody else.
        """
        px_HW2 = px_HW2.astype(np.float32, copy=copy)
        if np.isfinite(px_HW2).all():
            return cls(px_HW2)
        known_HW = np.isfinite(px_HW2).all(axis=2)
        px_HW2[~known_HW] = 0.0
        return cls(px_HW2, known_HW)

    @classmethod
    def still(cls, size_HW: tuple[int, int]) -> "Flow":
        """Return the flow of a picture that stays as it is."""
        return cls(np.zeros((*size_HW, 2), np.float32))

    @property
    def size_HW(self) -> tuple[int, int]:
        """Height and width."""
        return self.px_HW2.shape[0], self.px_HW2.shape[1]

    @cached_property
    def valid_HW(self) -> NDArray[np.bool_]:
        """Where it is known and in the source's view."""
        inside_HW = inside(self.places_HW2)
        return inside_HW if self.known_HW is None else inside_HW & self.known_HW

    @cached_property
    def places_HW2(self) -> Pixels:
        """The places that it points to."""
        return places(self.px_HW2)

    def to_fixed(self) -> NDArray[np.int16]:
        """Return the flow as int16, H x W x 2; what is too long, or marked though its place is in view, is nothing.

        What leaves the view keeps its numbers: that it is marked follows from them.
        """
        steps = cv2.multiply(self.px_HW2, AS_STEPS, dtype=cv2.CV_16S)  # half to even; too long: the ends
        steps_HW2 = np.asarray(steps, np.int16)
        if self.known_HW is not None:
            steps_HW2[~self.known_HW & inside(self.places_HW2)] = FIXED_NOTHING
        if max(self.px_HW2.max(initial=0), -self.px_HW2.min(initial=0)) >= LONGEST_PX:
            steps_HW2[(np.abs(self.px_HW2) >= LONGEST_PX).any(axis=2)] = FIXED_NOTHING
        return steps_HW2

    @classmethod
    def from_fixed(cls, fixed_HW2: NDArray[np.int16]) -> "Flow":
        """Return what `to_fixed` wrote."""
        px_HW2 = np.multiply(fixed_HW2, np.float32(1 / FIXED_PER_PX), dtype=np.float32)  # a power of two: exact
        if fixed_HW2.min(initial=0) != FIXED_NOTHING:
            return cls(px_HW2)
        known_HW = (fixed_HW2 != FIXED_NOTHING).all(axis=2)
        px_HW2[~known_HW] = 0.0
        return cls(px_HW2, known_HW)

    def rounded(self) -> "Flow":
        """Return what `from_fixed` makes of what `to_fixed` writes, mostly without writing it."""
        if self.known_HW is not None or max(self.px_HW2.max(initial=0), -self.px_HW2.min(initial=0)) >= LONGEST_PX:
            return Flow.from_fixed(self.to_fixed())
        px_HW2 = self.px_HW2 + ROUNDS  # half to even
        px_HW2 -= ROUNDS  # a zero is never -0, as there is none in int16
        return Flow(px_HW2)


def places(px_HW2: Pixels) -> Pixels:
    """Return the places (columns, rows) that a flow points to, in the form that `cv2.remap` takes."""
    return px_HW2 + _own_places(px_HW2.shape[0], px_HW2.shape[1])


@lru_cache(maxsize=4)
def _own_places(height: int, width: int) -> Pixels:
    """Return each pixel's own place; read-only, since all share it."""
    own_HW2 = np.moveaxis(np.indices((height, width), np.float32)[::-1], 0, 2).copy()
    own_HW2.flags.writeable = False
    return own_HW2


def inside(places_HW2: Pixels) -> NDArray[np.bool_]:
    """Tell which places lie on a pixel of a picture of the same size: up to half a pixel beyond the outer centres."""
    height, width = places_HW2.shape[:2]
    end = tuple(float(np.nextafter(np.float32(size - 0.5), np.float32(0))) for size in (width, height))  # still inside
    found_HW: NDArray[np.bool_] = np.asarray(cv2.inRange(places_HW2, (-0.5, -0.5), end), np.uint8) != 0
    return found_HW


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
    px_HW2 = read_at(far.px_HW2, near.places_HW2)
    px_HW2 += near.px_HW2
    seen_HW = pick_nearest(far.valid_HW.view(np.uint8), near, None).view(np.bool_)
    seen_HW &= near.valid_HW
    return Flow(px_HW2, seen_HW)


def read_at(source: NDArray[Number], places_HW2: Pixels, how: int = cv2.INTER_LINEAR) -> NDArray[Number]:
    """Return what a picture or map has at places, between its pixels or at the nearest; the outermost are repeated."""
    # An empty array in place of None would be taken for a map.
    found = cv2.remap(source, places_HW2, None, how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(found, source.dtype)


def pick_nearest(source_HW: NDArray[np.uint8], flow: Flow, outside: int | None) -> NDArray[np.uint8]:
    """Return `source_HW` as seen from the target, each pixel from the nearest one.

    Where the flow is marked it is `outside`; with None the nearest pixel that the source has.
    """
    moved_HW = read_at(source_HW, flow.places_HW2, cv2.INTER_NEAREST)
    return moved_HW if outside is None else np.where(flow.valid_HW, moved_HW, np.uint8(outside))
