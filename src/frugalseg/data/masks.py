"""The ego-vehicle mask: an image whose zero pixels are the camera's own car (or anything else never to be used)."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.codec import read_label
from frugalseg.core.errors import LabelShapeError
from frugalseg.core.records import Frame


def askable(frame: Frame) -> NDArray[np.bool_] | None:
    """Return where a frame may be learned from and asked about (H x W), or None for everywhere.

    Raises:
        LabelShapeError: the mask has another size than the frame.
        ImageFileError: the mask cannot be read.
    """
    if frame.mask is None:
        return None
    mask_HW = _read(frame.mask, _version(frame.mask))
    if mask_HW.shape != (frame.height, frame.width):
        raise LabelShapeError(
            f"{frame.mask}: the mask is {mask_HW.shape[0]}x{mask_HW.shape[1]} but {frame.image} is "
            f"{frame.height}x{frame.width} (height x width). Make the mask at the images' size."
        )
    return mask_HW


def _version(path: str) -> tuple[int, int, int] | None:
    """Return what differs once a file has been written again; None where there is none (its reader says so then)."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


@lru_cache(maxsize=4)
def _read(path: str, version: tuple[int, int, int] | None) -> NDArray[np.bool_]:
    mask_HW: NDArray[np.bool_] = read_label(Path(path)) > 0
    mask_HW.setflags(write=False)
    return mask_HW
