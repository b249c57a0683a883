"""Warping labels and pictures along a flow, and how well the warped picture fits.

Legend: H x W pixels, C classes and one more channel for IGNORE. Where a flow is marked, the label is IGNORE: what comes
into view is not guessed. With `extend` it is the label of the nearest pixel in view instead; which pixels these are,
the flow's mask still says.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.flow import Flow, pick_nearest, read_at

WINDOW_PX = 5  # side of the square that an error is averaged over; single pixels are mostly noise


def warp_nearest(label_HW: NDArray[np.uint8], flow: Flow, extend: bool = False) -> NDArray[np.uint8]:
    """Return class ids as seen from the target, each from the nearest pixel; where flow is marked as said above."""
    return pick_nearest(label_HW, flow, None if extend else IGNORE)


def one_hot(label_HW: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """Return H x W x (C + 1): 1 in the channel of each pixel's class, the last channel for IGNORE."""
    return np.eye(classes + 1, dtype=np.float32)[np.minimum(label_HW, classes)]


def warp_soft(soft_HWC: NDArray[np.float32], flow: Flow, extend: bool = False) -> NDArray[np.float32]:
    """Return class shares as seen from the target, read between pixels; where flow is marked as said above."""
    moved_HWC = read_at(soft_HWC, flow.places_HW2)
    if not extend:
        moved_HWC[~flow.valid_HW] = 0.0
        moved_HWC[~flow.valid_HW, -1] = 1.0
    return moved_HWC


def harden(soft_HWC: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the class with the largest share; the smallest id among equals, IGNORE if that channel's is largest."""
    ids_HW: NDArray[np.uint8] = soft_HWC.argmax(axis=2).astype(np.uint8)
    ids_HW[ids_HW == soft_HWC.shape[2] - 1] = IGNORE
    return ids_HW


def warp_picture(rgb_HWC: NDArray[np.uint8], flow: Flow) -> NDArray[np.uint8]:
    """Return a picture as seen from the target, bilinear; the outermost pixels are repeated where flow is marked."""
    return read_at(rgb_HWC, flow.places_HW2)


def photometric_error(
    target_HWC: NDArray[np.uint8],
    source_HWC: NDArray[np.uint8],
    flow: Flow,
    window_px: int = 1,
    extend: bool = False,
) -> NDArray[np.float32]:
    """Return how far the warped source is from the target, H x W: Euclidean distance of RGB values 0–255 (equation 6).

    With `window_px` above 1 it is averaged over a square of that side. Infinite where the flow is marked, or with
    `extend` the distance to the nearest pixel in view.
    """
    error_HW = squared_distance(target_HWC, warp_picture(source_HWC, flow))
    np.sqrt(error_HW, out=error_HW)
    error_HW = averaged(error_HW, window_px)
    return error_HW if extend else np.where(flow.valid_HW, error_HW, np.float32(np.inf))


def averaged(error_HW: NDArray[np.float32], window_px: int) -> NDArray[np.float32]:
    """Return each pixel's mean over a square of that side; beyond the border the picture is mirrored."""
    if window_px == 1:
        return error_HW
    return np.asarray(cv2.blur(error_HW, (window_px, window_px), borderType=cv2.BORDER_REFLECT_101))


def squared_distance(one_HWC: NDArray[np.uint8], other_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the squared Euclidean distance of two pictures' RGB values, H x W: whole numbers, exact."""
    red_HW, *others = cv2.split(cv2.absdiff(one_HWC, other_HWC))
    squares_HW = cv2.multiply(red_HW, red_HW, dtype=cv2.CV_32F)
    for apart_HW in others:
        cv2.accumulateSquare(apart_HW, squares_HW)
    return np.asarray(squares_HW, np.float32)


def edge_distance(label_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest pixel of another class, in pixels: 1 beside an edge.

    IGNORE is a class here. Infinite where there is only one class.
    """
    beside_HW = np.zeros(label_HW.shape, np.bool_)
    for axis in (0, 1):
        here, there = (label_HW[:-1], label_HW[1:]) if axis == 0 else (label_HW[:, :-1], label_HW[:, 1:])
        differs = here != there
        for side, part in ((slice(None, -1), differs), (slice(1, None), differs)):
            beside_HW[(side, slice(None)) if axis == 0 else (slice(None), side)] |= part
    if not beside_HW.any():
        return np.full(label_HW.shape, np.inf, np.float32)
    away_HW: NDArray[np.uint8] = (~beside_HW).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(away_HW, cv2.DIST_L2, 5), np.float32) + np.float32(1)
