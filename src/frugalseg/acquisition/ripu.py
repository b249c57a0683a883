"""ripu: region impurity and prediction uncertainty (Xie et al., "Towards Fewer Annotations", CVPR 2022).

A pixel's region is the square of (2k + 1)² pixels around it, as far as it lies in the frame. Its impurity is the
entropy of the predicted classes in the region, its uncertainty the mean entropy there or, as in the public code where
points are asked, its own; the score is their product. Every frame gets its share of the budget greedily: the highest
score, then the highest outside the squares around the picks.

Differs: sums over regions are running sums of whole numbers, exact and at any k in the same time; impurity is in nats,
which changes no order; x log x is 0 at 0 (the public code adds 1e-6). Ties are broken by a hash of (key, pixel).
"""

from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from frugalseg.acquisition.grid import FIXED_POINT, Shortlist
from frugalseg.acquisition.maps import edge_distance, trusted
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

    With n_c pixels of class c among n it is log n - (Σ n_c log n_c) / n, and n log n comes from a table. Only squares
    that reach another class are looked at.
    """
    found_HW = np.zeros(prediction_HW.shape, np.float32)
    mixed = np.flatnonzero(edge_distance(prediction_HW) <= radius_px)
    size = _box(np.ones_like(prediction_HW), radius_px).ravel()[mixed]
    n_log_n = np.arange(int(size.max(initial=0)) + 1, dtype=np.float64)
    n_log_n[1:] *= np.log(n_log_n[1:])
    total = np.zeros(len(mixed))
    for class_id in np.flatnonzero(np.bincount(prediction_HW.ravel(), minlength=256)).tolist():
        total += n_log_n[_box((prediction_HW == class_id).view(np.uint8), radius_px).ravel()[mixed]]
    found_HW.ravel()[mixed] = np.maximum((n_log_n[size] - total) / size, 0)
    return found_HW


def region_mean(values_HW: NDArray[np.float32], radius_px: int) -> NDArray[np.float32]:
    """Return the mean of values in [0, 1] over the square of `radius_px` around each pixel, in steps of 2^-30."""
    fixed_HW = np.rint(values_HW.astype(np.float64) * FIXED_POINT)  # sums of whole numbers below 2^53 are exact
    size = _box(np.ones(values_HW.shape, np.uint8), radius_px)
    found: NDArray[np.float32] = (_sums(fixed_HW, radius_px, cv2.CV_64F) / FIXED_POINT / size).astype(np.float32)
    return found


def _box(ones_HW: NDArray[np.uint8], radius_px: int) -> NDArray[Any]:
    """Return how many of 0 and 1 are 1 in the square around each pixel, as far as it lies in the frame."""
    if (2 * radius_px + 1) ** 2 < 256:
        return _sums(ones_HW, radius_px, cv2.CV_8U)
    return _sums(ones_HW, radius_px, cv2.CV_32S)


def _sums(values_HW: NDArray[Any], radius_px: int, depth: int) -> NDArray[Any]:
    """Return the sum over the square around each pixel; running sums, so the time does not depend on the radius."""
    side = tuple(2 * min(radius_px, length) + 1 for length in values_HW.shape[::-1])  # more adds nothing
    return cv2.boxFilter(values_HW, depth, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
