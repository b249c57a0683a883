"""Thresholds on the potential q·p of CBST-SP and ST-SP, from a stream of predictions, in memory that does not grow.

With a prior the value that is ranked is q_n(c) p_n(c), of the order 1e-6 (equation 9), so its *logarithm* is binned:
65,536 equal steps of s = -log(q·p) from 0 to 64. A step is 2**-10 wide, so thresholds are exact to 2**-10 relative at
any size of the potential. q sums to 1 over the grid's cells, so s is never negative; what is beyond 64 (q = 0 too)
shares the last bin, is not counted and is never taken.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frugalseg.training.confidence_histogram import BINS, Thresholds, ranked_bins

STEP = 64 / BINS  # of s = -log(q·p)


def potential_bits(log_potential: Tensor) -> Tensor:
    """Return the bin of each log(q·p) ≤ 0, as int64; a larger potential has a smaller bin."""
    return (-log_potential / STEP).clamp(0, BINS - 1).long()


class PotentialHistogram:
    """Counts of s = -log(q·p) for each class that has the largest potential at a pixel; C x 65,536 int64.

    Args:
        classes: How many.
        log_prior: Gives log q (C x H x W) for a frame's size and device.
    """

    def __init__(self, classes: int, log_prior: Callable[[tuple[int, int], torch.device], Tensor]) -> None:
        self.counts = np.zeros((classes, BINS), np.int64)
        self._log_prior = log_prior

    def add(self, logits_CHW: Tensor, usable_HW: NDArray[np.bool_] | None = None) -> None:
        """Count every pixel (or every usable one) of one frame under the class with the largest potential there.

        A pixel at which no class has a potential is not counted.
        """
        best_HW, class_HW = self._potential(logits_CHW).max(dim=0)
        bits_HW = potential_bits(best_HW)
        counted_HW = bits_HW < BINS - 1
        if usable_HW is not None:
            counted_HW &= torch.from_numpy(usable_HW.copy()).to(counted_HW.device)
        places_N = (class_HW * BINS + bits_HW)[counted_HW]
        self.counts += torch.bincount(places_N, minlength=self.counts.size).view(-1, BINS).cpu().numpy()

    def merge(self, other: "PotentialHistogram") -> None:
        """Add another worker's counts."""
        self.counts += other.counts

    def thresholds(self, ratio: float, shared: bool) -> Thresholds:
        """Return each class's threshold (CBST-SP, algorithm 2), or with `shared` one for all (ST-SP, algorithm 1)."""
        bits, pixels = ranked_bins(self.counts, ratio, shared)
        with np.errstate(invalid="ignore"):
            doubt = np.where(bits >= 0, -np.expm1(-(bits + 0.5) * STEP), 0.0)
        return Thresholds(bits=bits, doubt=doubt, pixels=pixels)

    def labels(self, logits_CHW: Tensor, thresholds: Thresholds, ignore: int) -> Tensor:
        """Return pseudo-labels (equation 9), H x W uint8: argmax_c q_c p_c / exp(-k_c), `ignore` where that is < 1."""
        potential_CHW = self._potential(logits_CHW)
        k = np.where(thresholds.bits >= 0, (thresholds.bits + 0.5) * STEP, -np.inf)
        k_C11 = torch.as_tensor(k, dtype=torch.float32, device=logits_CHW.device)[:, None, None]
        class_HW = (potential_CHW + k_C11).argmax(dim=0)
        bits_C = torch.as_tensor(thresholds.bits, device=logits_CHW.device)
        chosen_HW = potential_CHW.gather(0, class_HW[None])[0]
        return class_HW.masked_fill(potential_bits(chosen_HW) > bits_C[class_HW], ignore).to(torch.uint8)

    def _potential(self, logits_CHW: Tensor) -> Tensor:
        height, width = logits_CHW.shape[-2:]
        return logits_CHW.log_softmax(dim=0) + self._log_prior((height, width), logits_CHW.device)
