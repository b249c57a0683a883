"""Masks as run lengths, as exchange formats hold them."""

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import ImageFileError


def encode_rle(mask_HW: NDArray[np.bool_]) -> list[int]:
    """Return run lengths of a mask, row by row, beginning with the number of False pixels (perhaps 0)."""
    flat = np.concatenate([[False], np.asarray(mask_HW, bool).ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(count) for count in np.diff(np.concatenate([[0], edges, [flat.size - 1]]))]


def decode_rle(counts: list[int], size_HW: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of run lengths that `encode_rle` gave.

    Raises:
        ImageFileError: counts that are no whole numbers from 0 up, or do not add up to the number of pixels.
    """
    pixels = size_HW[0] * size_HW[1]
    if not all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= pixels for count in counts):
        raise ImageFileError(f"run lengths must be whole numbers from 0 to {pixels}.")
    if sum(counts) != pixels:
        raise ImageFileError(
            f"run lengths add up to {sum(counts)}, the mask has {size_HW[0]} x {size_HW[1]} = {pixels} pixels."
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size_HW)
