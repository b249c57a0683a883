"""Spatial priors: how often each class lies where in the frame (CBST, section 4.4 and figure 2), counted on the source.

q_n(c) is the frequency of class c at position n, smoothed by a Gaussian and normalised to sum 1 over the positions.

Differs from the paper, which leaves it open: frequencies are counted on a coarse grid (int64, so that they merge by
sums) on which every frame is laid out whole, whatever its size; the Gaussian's width is a share of the frame's width,
so that it does not depend on the resolution (the paper: a 70 x 70 kernel on frames of 1052 x 1914, no sigma given). A
class that the source does not hold has no prior (0/0): q = 0, it takes no pseudo-labels.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from frugalseg.core.classes import IGNORE


class SpatialCounts:
    """Pixels of each class in each cell of a grid laid over the frame: C x rows x columns, int64."""

    def __init__(self, classes: int, grid_hw: tuple[int, int]) -> None:
        self.counts = np.zeros((classes, *grid_hw), np.int64)

    def add(self, label_HW: NDArray[np.uint8]) -> None:
        """Count one frame's labels; IGNORE counts nowhere."""
        classes, rows, columns = self.counts.shape
        height, width = label_HW.shape
        row_H = np.arange(height) * rows // height
        column_W = np.arange(width) * columns // width
        cell_HW = row_H[:, None] * columns + column_W[None]
        usable_HW = label_HW != IGNORE
        places = label_HW[usable_HW].astype(np.int64) * (rows * columns) + cell_HW[usable_HW]
        self.counts += np.bincount(places, minlength=self.counts.size).reshape(self.counts.shape)

    def merge(self, other: "SpatialCounts") -> None:
        """Add another worker's counts."""
        self.counts += other.counts

    def prior(self, sigma: float) -> NDArray[np.float32]:
        """Return q, C x rows x columns, each class summing to 1 over the grid (0 for a class without a pixel).

        Args:
            sigma: Standard deviation of the smoothing, as a share of the frame's width; 0 for none.
        """
        classes, _, columns = self.counts.shape
        smooth = np.zeros(self.counts.shape, np.float64)
        for number in range(classes):
            counted = self.counts[number].astype(np.float64)
            wide = sigma * columns
            smooth[number] = (
                cv2.GaussianBlur(counted, (0, 0), wide, borderType=cv2.BORDER_REPLICATE) if wide > 0 else counted
            )
        total_C11 = smooth.sum(axis=(1, 2), keepdims=True)
        prior: NDArray[np.float64] = np.divide(smooth, total_C11, out=np.zeros_like(smooth), where=total_C11 > 0)
        return prior.astype(np.float32)


def log_prior_at(prior_Chw: NDArray[np.float32], size_HW: tuple[int, int], device: torch.device) -> Tensor:
    """Return log q at a frame's size, C x H x W float32, -inf where q = 0. The grid is spread bilinearly."""
    grid = torch.from_numpy(prior_Chw).to(device)[None]
    return functional.interpolate(grid, size_HW, mode="bilinear", align_corners=False)[0].log()
