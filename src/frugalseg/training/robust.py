"""Losses for labels of which some are wrong. M labelled pixels, N images, C classes, H x W pixels.

Both take logits and labels as `losses.cross_entropy` does: IGNORE does not count, the mean is weighted by class, and
where nothing is labelled the loss is 0 with a zero gradient.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from frugalseg.core.choose import choose
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ConfigError
from frugalseg.training.losses import cross_entropy

LabelLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # logits, labels, class weights


def generalized_cross_entropy(
    logits_NCHW: Tensor, labels_NHW: Tensor, class_weights_C: Tensor | None = None, *, q: float
) -> Tensor:
    """Return the mean of (1 - p_y^q) / q (Zhang & Sabuncu, NeurIPS 2018): cross entropy as q → 0, 1 - p_y at q = 1.

    Its gradient is p_y^q times that of cross entropy, so a label that the network is sure is wrong pulls little.
    """
    labels_M, log_prob_MC = _labelled(logits_NCHW, labels_NHW)
    log_prob_M = log_prob_MC.gather(1, labels_M[:, None])[:, 0]
    return _mean(-torch.expm1(q * log_prob_M) / q, labels_M, class_weights_C)


def forward_cross_entropy(
    logits_NCHW: Tensor, labels_NHW: Tensor, class_weights_C: Tensor | None = None, *, confusion_CC: Tensor
) -> Tensor:
    """Return the mean of -log Σ_c p_c T[c, y], forward correction (Patrini et al., CVPR 2017, theorem 2).

    T[c, y] is the probability that the answer is y where the truth is c: the network predicts the truth, and is scored
    on what an annotator with these mistakes would have said.
    """
    labels_M, log_prob_MC = _labelled(logits_NCHW, labels_NHW)
    said_MC = confusion_CC.to(log_prob_MC).log().T[labels_M]
    return _mean(-(log_prob_MC + said_MC).logsumexp(dim=1), labels_M, class_weights_C)


def annotator_confusion(classes: int, wrong_rate: float, counts: Sequence[Sequence[float]] | None = None) -> Tensor:
    """Return T, C x C: what is answered (columns) where the truth is a class (rows); each row sums to 1.

    Args:
        classes: Their number.
        wrong_rate: The share of wrong answers, spread evenly over the other classes; not used with `counts`.
        counts: How often each answer was given to each class, in any scale.

    Raises:
        ConfigError: `counts` is not C x C, has entries that are negative, or a class that is never recognised.
    """
    if counts is None:
        spread = torch.full((classes, classes), wrong_rate / max(classes - 1, 1), dtype=torch.float64)
        return spread.fill_diagonal_(1 - wrong_rate)
    if len(counts) != classes or any(len(row) != classes for row in counts):
        widths = ", ".join(sorted({str(len(row)) for row in counts}))
        raise ConfigError(
            f"human_confusion has {len(counts)} rows of {widths or 'no'} entries; expected {classes} x {classes}: "
            "a row for each true class, a column for each answer, in the order of classes.toml."
        )
    confusion_CC = torch.tensor(counts, dtype=torch.float64)
    if bool((confusion_CC < 0).any()) or bool((confusion_CC.diagonal() <= 0).any()):
        raise ConfigError("human_confusion: counts are from 0 on, and above 0 on the diagonal (right answers).")
    return confusion_CC / confusion_CC.sum(dim=1, keepdim=True)


def label_loss(name: str, q: float, confusion_CC: Tensor) -> LabelLoss:
    """Return the loss of that name: ce, gce (with q), forward or annotators (both with a confusion matrix).

    Raises:
        UnknownNameError: there is none.
    """
    forward = partial(forward_cross_entropy, confusion_CC=confusion_CC)
    losses: dict[str, LabelLoss] = {
        "ce": cross_entropy,
        "gce": partial(generalized_cross_entropy, q=q),
        "forward": forward,
        "annotators": forward,
    }
    return choose("loss", name, losses)


def _labelled(logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return labels and log-probabilities of the labelled pixels."""
    known_NHW = labels_NHW != IGNORE
    return labels_NHW[known_NHW], logits_NCHW.movedim(1, -1)[known_NHW].log_softmax(dim=1)


def _mean(loss_M: Tensor, labels_M: Tensor, class_weights_C: Tensor | None) -> Tensor:
    weights_M = torch.ones_like(loss_M) if class_weights_C is None else class_weights_C[labels_M]
    return (weights_M * loss_M).sum() / weights_M.sum().clamp_min(1e-12)
