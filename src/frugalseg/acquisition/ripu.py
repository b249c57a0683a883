"""ripu: region impurity and prediction uncertainty (Xie et al., "Towards Fewer Annotations", CVPR 2022).

A pixel's region is the square of (2k + 1)² pixels around it, as far as it lies in the frame. Its impurity is the
entropy of the predicted classes in the region, its uncertainty the mean entropy there or, as in the public code where
points are asked, its own; the score is their product. Every frame gets its share of the budget greedily: the highest
score, then the highest outside the squares around the picks.

Differs: sums over regions come from summed-area tables, exact and at any k in the same time; impurity is in nats, which
changes no order; x log x is 0 at 0 (the public code adds 1e-6). Ties are broken by a hash of (key, pixel).
"""

from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from frugalseg.acquisition.grid import FIXED_POINT, Shortlist
from frugalseg.acquisition.maps import trusted
from frugalseg.acquisition.picks import pick_apart
from frugalseg.acquisition.view import FrameView
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query

STRATEGY = "ripu"


class RipuConfig(Config):
    """Settings of ripu; the defaults are the paper's for points (its regions have k = 1 and apart_px = 2)."""

    radius_px: int = Field(32, ge=0, le=4096, description="k: a region has 2k + 1 rows and columns")
    apart_px: int = Field(32, ge=0, description="a pick blocks pixels at most so many rows and columns away")
    uncertainty: Literal["pixel", "region"] = Field(
        "pixel", description="entropy of the pixel itself, or the mean over its region"
    )
    ambiguous_radius_px: float = Field(
        8.0, ge=0, description="radius in which an earlier ambiguous answer lowers the score; 0 = not at all"
    )


class Ripu:
    """The pixels of highest impurity x uncertainty of every frame, apart from each other; the score is that product."""

    even: ClassVar[bool] = True
    chance: ClassVar[bool] = False
    needs: frozenset[str] = frozenset()

    def __init__(self, config: RipuConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config = config
        self._shortlist = Shortlist(STRATEGY, seed, budget.total_points(frames, cost), frames)

    def see(self, view: FrameView) -> None:
        """Score the pixels of one frame and pick the best."""
        config = self.config
        uncertainty_HW = view.entropy_HW.astype(np.float32, copy=False)
        if config.uncertainty == "region":
            uncertainty_HW = region_mean(uncertainty_HW, config.radius_px)
        score_HW = impurity(view.prediction_HW, config.radius_px) * uncertainty_HW
        score_HW = trusted(score_HW, view, config.ambiguous_radius_px)
        self._shortlist.offer(view, pick_apart(view, score_HW, self._shortlist.depth, config.apart_px))

    def merge(self, other: "Ripu") -> None:
        """Take over what `other` saw."""
        self._shortlist.merge(other._shortlist)

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        return self._shortlist.queries()


def impurity(prediction_HW: NDArray[np.uint8], radius_px: int) -> NDArray[np.float32]:
    """Return -Σ d log d in nats, d the share of each class in the square of `radius_px` around each pixel.

    With n_c pixels of class c among n it is log n - (Σ n_c log n_c) / n, and n log n comes from a table.
    """
    height, width = prediction_HW.shape
    size = _box(np.ones((height, width), np.uint8), radius_px)
    most = min(2 * radius_px + 1, height) * min(2 * radius_px + 1, width)
    n_log_n = np.arange(most + 1, dtype=np.float64)
    n_log_n[1:] *= np.log(n_log_n[1:])
    total_HW = np.zeros((height, width))
    for class_id in np.flatnonzero(np.bincount(prediction_HW.ravel(), minlength=256)).tolist():
        total_HW += n_log_n[_box((prediction_HW == class_id).view(np.uint8), radius_px)]
    found: NDArray[np.float32] = ((n_log_n[size] - total_HW) / size).astype(np.float32)
    return np.maximum(found, 0)


def region_mean(values_HW: NDArray[np.float32], radius_px: int) -> NDArray[np.float32]:
    """Return the mean of values in [0, 1] over the square of `radius_px` around each pixel, in steps of 2^-30."""
    fixed_HW = np.rint(values_HW.astype(np.float64) * FIXED_POINT)  # sums of whole numbers below 2^53 are exact
    size = _box(np.ones(values_HW.shape, np.uint8), radius_px)
    found: NDArray[np.float32] = (_box(fixed_HW, radius_px) / FIXED_POINT / size).astype(np.float32)
    return found


def _box(values_HW: NDArray[Any], radius_px: int) -> NDArray[Any]:
    """Return the sum of the square around each pixel, as far as it lies in the frame, from a summed-area table."""
    table = cv2.integral(values_HW)  # one row and column more than the frame; int32 of bytes, float64 of float64
    height, width = values_HW.shape
    rows, columns = np.arange(height), np.arange(width)
    below, above = np.minimum(rows + radius_px + 1, height), np.maximum(rows - radius_px, 0)
    right, left = np.minimum(columns + radius_px + 1, width), np.maximum(columns - radius_px, 0)
    strips = table[below] - table[above]
    sums: NDArray[Any] = strips.take(right, axis=1) - strips.take(left, axis=1)
    return sums
