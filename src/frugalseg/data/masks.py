"""The ego-vehicle mask: an image whose zero pixels are the camera's own car (or anything else never to be used)."""

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
    mask_HW = _read(frame.mask)
    if mask_HW.shape != (frame.height, frame.width):
        raise LabelShapeError(
            f"{frame.mask}: the mask is {mask_HW.shape[0]}x{mask_HW.shape[1]} but {frame.image} is "
            f"{frame.height}x{frame.width} (height x width). Make the mask at the images' size."
        )
    return mask_HW


@lru_cache(maxsize=4)
def _read(path: str) -> NDArray[np.bool_]:
    mask_HW: NDArray[np.bool_] = read_label(Path(path)) > 0
    mask_HW.setflags(write=False)
    return mask_HW
