"""Losses and the one entropy of the product, from logits. N images, C classes, H x W pixels."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from frugalseg.core.classes import IGNORE
from frugalseg.core.records import HUMAN


def cross_entropy(logits_NCHW: Tensor, labels_NHW: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
    """Return the mean of -w_y log p_y over labelled pixels, divided by the mean weight as `torch` does.

    Where every pixel is IGNORE the loss is 0 with a zero gradient (torch's own mean is 0/0 there).
    """
    total = functional.cross_entropy(
        logits_NCHW, labels_NHW, weight=class_weights_C, ignore_index=IGNORE, reduction="sum"
    )
    labelled = labels_NHW[labels_NHW != IGNORE]
    mass = labelled.numel() if class_weights_C is None else class_weights_C[labelled].sum()
    return total / max(float(mass), 1e-12)


def entropy_NCHW(logits_NCHW: Tensor) -> Tensor:
    """Return the self-information map -p log p / log C of each class (ADVENT, equation 2); it sums to 0–1 over C."""
    log_prob_NCHW = logits_NCHW.log_softmax(dim=1)
    return -log_prob_NCHW.exp() * log_prob_NCHW / math.log(logits_NCHW.shape[1])


def entropy_NHW(logits_NCHW: Tensor) -> Tensor:
    """Return the normalised entropy of each pixel: 0 where the network is certain, 1 where all classes are equal."""
    return entropy_NCHW(logits_NCHW).sum(dim=1)


def human_only(labels_NHW: Tensor, provenance_NHW: Tensor) -> Tensor:
    """Return the labels with everything that no person answered set to IGNORE."""
    return labels_NHW.masked_fill(~human_mask(provenance_NHW), IGNORE)


def machine_only(labels_NHW: Tensor, provenance_NHW: Tensor) -> Tensor:
    """Return the labels with everything that a person answered set to IGNORE."""
    return labels_NHW.masked_fill(human_mask(provenance_NHW), IGNORE)


def human_mask(provenance_NHW: Tensor) -> Tensor:
    """Return where a person gave the label (a point, a region or a mask)."""
    return torch.isin(provenance_NHW, torch.tensor(HUMAN, dtype=provenance_NHW.dtype, device=provenance_NHW.device))
