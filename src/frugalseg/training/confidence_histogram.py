"""Class-wise confidence thresholds from a stream of predictions, in memory that does not grow with the data.

The confidences of pixels predicted c, sorted in descending order, are needed only at one rank (CBST, algorithm 2). So
each class keeps one histogram of int64 counts over the bits of a 16-bit float of u * 2**15, u = 1 - p:

* u is computed from the logits as the sum of the *other* classes' probabilities: `1 - p` in float32 is 0 from
  p > 1 - 6e-8 on, where most confident road lies;
* bits of a positive float16 sort like the number itself, and each bin is at most 2**-10 of its value wide; the factor
  2**15 keeps that precision down to u = 2e-9;
* counts merge by integer sums: any number of workers and any order give the same thresholds, bit for bit.

19 classes take 9.5 MiB, for ten images or a million.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 1 << 16
SCALE = 2.0**15
BAND = 1 << 20  # logits worked on at once: they stay in the cache, which halves the time and the memory


def doubt_and_class(logits_CHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return u = 1 - max p (H x W float32, as precise near 0 as float32 can say it) and the argmax (H x W int64)."""
    top_HW, argmax_HW = logits_CHW.max(dim=0)
    rest_HW = _rest(logits_CHW - top_HW, argmax_HW)
    return rest_HW / (1 + rest_HW), argmax_HW


def _rest(shifted_CHW: Tensor, argmax_HW: Tensor) -> Tensor:
    """Return the sum of exp over all classes but the top one, whose own exp is 1."""
    return shifted_CHW.exp().scatter_(0, argmax_HW[None], 0.0).sum(dim=0)


def _bands(logits_CHW: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the frame in bands of full rows."""
    classes, height, width = logits_CHW.shape
    rows = max(1, BAND // (classes * width))
    for top in range(0, height, rows):
        yield slice(top, top + rows), logits_CHW[:, top : top + rows]


def doubt_bits(doubt: Tensor) -> Tensor:
    """Return the histogram bin of each u in [0, 1], as int64; larger u, larger bin."""
    return (doubt * SCALE).half().view(torch.int16).long()


def bits_doubt(bits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the u in the middle of each bin."""
    return np.asarray(bits, np.uint16).view(np.float16).astype(np.float64) / SCALE


@dataclass(frozen=True)
class Thresholds:
    """One threshold a class. `bits` is the last bin that is taken; `doubt` the u = 1 - exp(-k_c) it stands for.

    A class that was never predicted has no threshold of its own: bits -1 and doubt 0, nothing reaches it.
    """

    bits: NDArray[np.int64]  # C
    doubt: NDArray[np.float64]  # C
    pixels: NDArray[np.int64]  # C, pixels predicted c

    @property
    def k(self) -> NDArray[np.float64]:
        """k_c = -log(threshold), the paper's variable; NaN for a class that was never predicted."""
        with np.errstate(invalid="ignore"):
            return np.where(self.bits >= 0, -np.log1p(-self.doubt), np.nan)


class ConfidenceHistogram:
    """Counts of u = 1 - p for each predicted class. `counts` is C x 65,536 int64."""

    def __init__(self, classes: int) -> None:
        self.counts = np.zeros((classes, BINS), np.int64)

    def add(self, logits_CHW: Tensor, usable_HW: NDArray[np.bool_] | None = None) -> None:
        """Count every pixel (or every usable one) of one frame under the class predicted there."""
        place_HW = torch.empty(logits_CHW.shape[1:], dtype=torch.int64, device=logits_CHW.device)
        for rows, band_ChW in _bands(logits_CHW):
            doubt_hW, argmax_hW = doubt_and_class(band_ChW)
            place_HW[rows] = argmax_hW.mul_(BINS).add_(doubt_bits(doubt_hW))
        places_N = place_HW.flatten() if usable_HW is None else place_HW[torch.from_numpy(usable_HW.copy())]
        self.counts += torch.bincount(places_N, minlength=self.counts.size).view(-1, BINS).cpu().numpy()

    def merge(self, other: "ConfidenceHistogram") -> None:
        """Add another worker's counts."""
        self.counts += other.counts

    def thresholds(self, ratio: float, shared: bool = False) -> Thresholds:
        """Return the confidence at rank max(1, round(ratio * N_c)) from the top, of each class (CBST, algorithm 2).

        With `shared` it is one for all classes, at rank max(1, round(ratio * N)) of all pixels (ST, algorithm 1).
        """
        bits, pixels = ranked_bins(self.counts, ratio, shared)
        doubt = np.where(bits >= 0, bits_doubt(np.maximum(bits, 0)), 0.0)
        return Thresholds(bits=bits, doubt=doubt, pixels=pixels)

    def labels(self, logits_CHW: Tensor, thresholds: Thresholds, ignore: int) -> Tensor:
        """Return pseudo-labels, H x W uint8: `balanced_labels`."""
        return balanced_labels(logits_CHW, thresholds, ignore)


def ranked_bins(counts: NDArray[np.int64], ratio: float, shared: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each class the bin in which rank max(1, round(ratio * N_c)) lies (-1 without a pixel), and N_c.

    Args:
        counts: C x bins; the first bin holds the most confident pixels.
        ratio: The share to keep.
        shared: Rank all classes' pixels together; every class then has the same bin.
    """
    ranked = counts.sum(axis=0, keepdims=True) if shared else counts
    pixels = ranked.sum(axis=1)
    ranks = np.maximum(1, np.floor(ratio * pixels + 0.5)).astype(np.int64)
    reached = ranked.cumsum(axis=1) >= ranks[:, None]
    bits = np.where(pixels > 0, reached.argmax(axis=1), -1)
    return np.broadcast_to(bits, len(counts)).copy(), counts.sum(axis=1)


def balanced_labels(logits_CHW: Tensor, thresholds: Thresholds, ignore: int) -> Tensor:
    """Return CBST's pseudo-labels (equation 8), H x W uint8: argmax_c p_c / exp(-k_c), `ignore` where that is < 1.

    The paper keeps a ratio > 1; with ties at p = 1 that selects nothing, so ours keeps ≥ 1. The comparison with 1 is
    made on the histogram's bins: a pixel counted up to the rank is kept. Classes without a threshold take none.
    """
    device = logits_CHW.device
    with np.errstate(divide="ignore"):
        k = np.where(thresholds.bits >= 0, -np.log1p(-thresholds.doubt), -np.inf)
    k_C11 = torch.as_tensor(k, dtype=torch.float32, device=device)[:, None, None]
    bits_C = torch.as_tensor(thresholds.bits, device=device)
    label_HW = torch.empty(logits_CHW.shape[1:], dtype=torch.uint8, device=device)
    for rows, band_ChW in _bands(logits_CHW):
        label_HW[rows] = _balanced_band(band_ChW, k_C11, bits_C, ignore)
    return label_HW


def _balanced_band(logits_ChW: Tensor, k_C11: Tensor, bits_C: Tensor, ignore: int) -> Tensor:
    top_hW, argmax_hW = logits_ChW.max(dim=0)
    shifted_ChW = logits_ChW - top_hW
    rest_hW = _rest(shifted_ChW, argmax_hW)
    log_prob_ChW = shifted_ChW - rest_hW.log1p()  # log p = 0 - log(1 + rest) for the top class, exact near p = 1
    chosen_hW = (log_prob_ChW + k_C11).argmax(dim=0)
    doubt_hW = torch.where(
        chosen_hW == argmax_hW,
        rest_hW / (1 + rest_hW),
        1 - log_prob_ChW.gather(0, chosen_hW[None])[0].exp(),
    )
    return chosen_hW.masked_fill(doubt_bits(doubt_hW) > bits_C[chosen_hW], ignore).to(torch.uint8)
