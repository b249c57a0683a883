"""One interface to what estimates motion, and the flows of neighbouring frames computed once.

A motion source is given a target and a source picture and returns backward flow on the target's grid (`Flow`).
"""

import hashlib
import os
import secrets
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.files import TEMPORARY
from frugalseg.propagation.flow import FIXED_PER_PX, Flow

CHECK_BYTES = 4  # before a kept flow's numbers


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame of a video in memory: its key and pixels, H x W x 3 RGB uint8."""

    key: str
    rgb_HWC: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.rgb_HWC.ndim != 3 or self.rgb_HWC.shape[2] != 3 or self.rgb_HWC.dtype != np.uint8:
            raise DataError(
                f"{self.key}: got a picture of {self.rgb_HWC.shape} {self.rgb_HWC.dtype}; "
                "expected height x width x 3 uint8."
            )

    @property
    def size_HW(self) -> tuple[int, int]:
        """Height and width."""
        return self.rgb_HWC.shape[0], self.rgb_HWC.shape[1]

    @cached_property
    def grey_HW(self) -> NDArray[np.uint8]:
        """Its brightness."""
        return np.asarray(cv2.cvtColor(self.rgb_HWC, cv2.COLOR_RGB2GRAY), np.uint8)

    @cached_property
    def digest(self) -> str:
        """A hash of the pixels (not of the file, which may be a video)."""
        content = hashlib.blake2b(repr(self.rgb_HWC.shape).encode(), digest_size=20)
        content.update(np.ascontiguousarray(self.rgb_HWC).data)
        return content.hexdigest()


class Motion(Protocol):
    """What estimates motion between two pictures of one size."""

    @property
    def identity(self) -> str:
        """Everything the result depends on besides the pictures: name, parameters, weights, library version."""
        ...

    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        """Return the flow target → source; `start` is a first guess, which may be ignored and is never changed."""
        ...


def check_sizes(target: Picture, source: Picture) -> None:
    """Check that motion between two pictures can be asked for.

    Raises:
        DataError: they differ in size.
    """
    if target.size_HW != source.size_HW:
        raise DataError(
            f"{target.key} is {target.size_HW} and {source.key} is {source.size_HW} (height x width): there is no "
            "motion between frames of different sizes. Start a new track where the size changes."
        )


class Neighbours:
    """Flows of neighbouring frames, rounded to int16 fixed point and kept in `folder` where one is given.

    A flow is known by what both pictures show and by the motion source's identity, so a cache may serve many videos
    and settings. The rounded flow is what is used in any case: with and without a cache the results are the same bits.
    A damaged entry is computed again.
    """

    def __init__(self, motion: Motion, folder: Path | None = None) -> None:
        self.motion, self._folder = motion, folder
        self.computed = 0  # flows that were in no cache
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def flow(self, target: Picture, source: Picture) -> Flow:
        """Return the flow target → source.

        Raises:
            DataError: the pictures differ in size.
        """
        path = self._path(target, source) if self._folder is not None else None
        fixed_HW2 = _read(path, target.size_HW) if path is not None else None
        if fixed_HW2 is not None:
            return Flow.from_fixed(fixed_HW2)
        check_sizes(target, source)
        flow = self.motion.flow(target, source)
        self.computed += 1
        if path is not None:
            _write(path, flow.to_fixed())
        return flow.rounded()

    def _path(self, target: Picture, source: Picture) -> Path:
        assert self._folder is not None
        parts = "\n".join((self.motion.identity, str(FIXED_PER_PX), target.digest, source.digest))
        return self._folder / f"{hashlib.blake2b(parts.encode(), digest_size=20).hexdigest()}.flow"


def _read(path: Path, size_HW: tuple[int, int]) -> NDArray[np.int16] | None:
    """Return a cached flow, or None if it is not there, damaged, or of another shape."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    numbers = memoryview(content)[CHECK_BYTES:]
    if len(numbers) != size_HW[0] * size_HW[1] * 4 or content[:CHECK_BYTES] != _check(numbers):
        return None
    return np.frombuffer(numbers, "<i2").reshape(*size_HW, 2)


def _write(path: Path, fixed_HW2: NDArray[np.int16]) -> None:
    """Write a cached flow whole or not at all; it is not synced, since what a power cut damages is computed again."""
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    numbers = np.ascontiguousarray(fixed_HW2, "<i2").data.cast("B")
    try:
        with open(temporary, "wb", buffering=0) as file:
            file.write(_check(numbers))
            file.write(numbers)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _check(numbers: memoryview) -> bytes:
    """Return a sum over a kept flow's numbers by which damage shows."""
    return zlib.adler32(numbers).to_bytes(CHECK_BYTES, "little")
