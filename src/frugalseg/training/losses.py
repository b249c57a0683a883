"""Losses and the one entropy of the product, from logits. N images, C classes, H x W pixels."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from frugalseg.core.classes import IGNORE
from frugalseg.core.records import HUMAN, SPREAD, Provenance
from frugalseg.models.network import Outputs


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


def outputs_cross_entropy(
    outputs: Outputs, labels_NHW: Tensor, class_weights_C: Tensor | None, aux_weight: float
) -> Tensor:
    """Return the main output's cross entropy plus the auxiliary output's, where there is one, times `aux_weight`."""
    return over_outputs(
        outputs, lambda logits_NCHW: cross_entropy(logits_NCHW, labels_NHW, class_weights_C), aux_weight
    )


def over_outputs(outputs: Outputs, loss: Callable[[Tensor], Tensor], aux_weight: float) -> Tensor:
    """Return a loss of the main output's logits plus that of the auxiliary output's, if any, times `aux_weight`."""
    main = loss(outputs.logits)
    return main if outputs.aux_logits is None else main + aux_weight * loss(outputs.aux_logits)


def entropy_NCHW(logits_NCHW: Tensor) -> Tensor:
    """Return the self-information map -p log p / log C of each class (ADVENT, equation 2); it sums to 0–1 over C."""
    information: Tensor = _SelfInformation.apply(logits_NCHW)
    return information


class _SelfInformation(torch.autograd.Function):
    """-p log p / log C with its gradient in closed form: half the time of torch's own, and one map kept."""

    @staticmethod
    def forward(ctx: Any, logits_NCHW: Tensor) -> Tensor:
        log_prob_NCHW = logits_NCHW.log_softmax(dim=1)
        ctx.save_for_backward(log_prob_NCHW)
        return log_prob_NCHW.exp().mul_(log_prob_NCHW).mul_(-1 / math.log(logits_NCHW.shape[1]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_NCHW: Tensor) -> Tensor:
        (log_prob_NCHW,) = ctx.saved_tensors
        prob_NCHW = log_prob_NCHW.exp()
        by_log_prob_NCHW: Tensor = (log_prob_NCHW + 1).mul_(prob_NCHW).mul_(upstream_NCHW)
        by_log_prob_NCHW.mul_(-1 / math.log(log_prob_NCHW.shape[1]))
        return by_log_prob_NCHW.sub_(prob_NCHW.mul_(by_log_prob_NCHW.sum(dim=1, keepdim=True)))


def entropy_NHW(logits_NCHW: Tensor) -> Tensor:
    """Return the normalised entropy of each pixel: 0 where the network is certain, 1 where all classes are equal."""
    return entropy_NCHW(logits_NCHW).sum(dim=1)


def human_only(labels_NHW: Tensor, provenance_NHW: Tensor) -> Tensor:
    """Return the labels with everything that no person answered set to IGNORE."""
    return labels_NHW.masked_fill(~human_mask(provenance_NHW), IGNORE)


def spread_only(labels_NHW: Tensor, provenance_NHW: Tensor) -> Tensor:
    """Return the labels with everything that was not spread through video set to IGNORE."""
    return labels_NHW.masked_fill(~spread_mask(provenance_NHW), IGNORE)


def machine_only(labels_NHW: Tensor, provenance_NHW: Tensor) -> Tensor:
    """Return the labels with everything that a person answered, here or in another frame, set to IGNORE."""
    return labels_NHW.masked_fill(human_mask(provenance_NHW) | spread_mask(provenance_NHW), IGNORE)


def human_mask(provenance_NHW: Tensor) -> Tensor:
    """Return where a person gave the label (a point, a region or a mask)."""
    return _of(HUMAN, provenance_NHW)


def spread_mask(provenance_NHW: Tensor) -> Tensor:
    """Return where the label was spread through video, as a point or with a whole frame."""
    return _of(SPREAD, provenance_NHW)


def _of(kinds: tuple[Provenance, ...], provenance_NHW: Tensor) -> Tensor:
    return torch.isin(provenance_NHW, torch.tensor(kinds, dtype=provenance_NHW.dtype, device=provenance_NHW.device))
