"""Views that a student learns from and a teacher never sees: ClassMix and masked images; how far to trust a teacher.

Axis legend: N images, B bands, C classes, H x W pixels, h x w a mask's coarse grid.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.data.transforms import AugmentConfig, vary_colors
from frugalseg.models.network import Network
from frugalseg.training.settings import TrainConfig

Quality = Literal["image", "batch", "pixel"]


class Lesson(NamedTuple):
    """Images to learn, their labels and how much each pixel's label counts (0–1)."""

    images_NBHW: Tensor
    labels_NHW: Tensor
    trust_NHW: Tensor


def pseudo_labels(logits_NCHW: Tensor, usable_NHW: Tensor, threshold: float, quality: Quality) -> tuple[Tensor, Tensor]:
    """Return a teacher's labels (IGNORE where a pixel is not usable) and the trust in each pixel's label.

    Trust is DACS's adaptive weight (Tranheden et al., WACV 2021): the share of an image's usable pixels whose largest
    probability is above `threshold`, the same for all pixels of the image; `batch` takes the share over all images, as
    public code does; `pixel` trusts the pixels above the threshold and no others.
    """
    probability_NHW, labels_NHW = logits_NCHW.float().softmax(dim=1).max(dim=1)
    sure_NHW = (probability_NHW > threshold) & usable_NHW
    if quality == "pixel":
        trust_NHW = sure_NHW.float()
    else:
        over = (1, 2) if quality == "image" else (0, 1, 2)
        share = sure_NHW.sum(over, keepdim=True) / usable_NHW.sum(over, keepdim=True).clamp(min=1)
        trust_NHW = share.expand(labels_NHW.shape)
    return labels_NHW.masked_fill(~usable_NHW, IGNORE), trust_NHW


def class_mix(
    source_NBHW: Tensor,
    source_labels_NHW: Tensor,
    target: Lesson,
    generators: Sequence[np.random.Generator],
) -> Lesson:
    """Return target images with half the classes of the source image at the same place pasted over them.

    ClassMix (Olsson et al., WACV 2021) between domains (DACS). Pasted pixels carry their own labels with trust 1;
    IGNORE is no class and is never pasted.
    """
    pasted_NHW = torch.stack(
        [
            torch.isin(label_HW, chosen_classes(label_HW, rng))
            for label_HW, rng in zip(source_labels_NHW, generators, strict=True)
        ]
    )
    return Lesson(
        torch.where(pasted_NHW[:, None], source_NBHW, target.images_NBHW),
        torch.where(pasted_NHW, source_labels_NHW, target.labels_NHW),
        torch.where(pasted_NHW, 1.0, target.trust_NHW),
    )


def draws(config: TrainConfig, purpose: str, step: int, rank: int) -> list[np.random.Generator]:
    """Return a generator for each image of a step's batch, a function of (seed, purpose, step, rank, slot)."""
    return [generator(config.seed, purpose, step, rank, slot) for slot in range(config.batch_size)]


def varied(images_NBHW: Tensor, config: AugmentConfig, generators: Sequence[np.random.Generator]) -> Tensor:
    """Return the images with other colours; as they are where they have not three bands."""
    if images_NBHW.shape[1] != 3:
        return images_NBHW
    pairs = zip(images_NBHW, generators, strict=True)
    return torch.stack([vary_colors(image, config, rng) for image, rng in pairs])


def chosen_classes(label_HW: Tensor, rng: np.random.Generator) -> Tensor:
    """Return half of the classes a label shows, drawn without replacement; of an odd number one more than the rest."""
    present = torch.bincount(label_HW.flatten(), minlength=IGNORE + 1)[:IGNORE].nonzero()[:, 0]
    drawn = rng.permutation(len(present))[: (len(present) + 1) // 2]
    return present[torch.from_numpy(drawn).to(present.device)]


def kept_blocks(size_HW: tuple[int, int], block_px: float, ratio: float, rng: np.random.Generator) -> Tensor:
    """Return which pixels a mask of square blocks leaves visible, H x W; each block is hidden with chance `ratio`.

    MIC (Hoyer et al., CVPR 2023), equation 5. The grid has as many blocks as fit best, so they may differ by a little
    from `block_px`.
    """
    grid_hw = [max(1, round(length / block_px)) for length in size_HW]
    kept_hw = rng.random(grid_hw) > ratio
    rows, columns = (np.arange(length) * blocks // length for length, blocks in zip(size_HW, grid_hw, strict=True))
    return torch.from_numpy(kept_hw[np.ix_(rows, columns)])


def hidden(images_NBHW: Tensor, kept_NHW: Tensor, network: Network) -> Tensor:
    """Return the images with the network's mean colour (0 once normalised) wherever they are not kept."""
    mean_B11 = torch.empty_like(network.mean)
    mean_B11[list(network.normalization.order)] = network.mean
    return torch.where(kept_NHW[:, None].to(images_NBHW.device), images_NBHW, mean_B11)


def trusted_cross_entropy(
    logits_NCHW: Tensor, labels_NHW: Tensor, trust_NHW: Tensor, class_weights_C: Tensor | None = None
) -> Tensor:
    """Return Σ t w_y (-log p_y) / Σ w_y over labelled pixels: little trust makes the loss small, not the pixels few.

    DACS, equation 3, which has no class weights and divides by all pixels, labelled or not. Where every pixel is
    IGNORE the loss is 0 with a zero gradient.
    """
    loss_NHW = functional.cross_entropy(
        logits_NCHW, labels_NHW, weight=class_weights_C, ignore_index=IGNORE, reduction="none"
    )
    labelled = labels_NHW[labels_NHW != IGNORE]
    mass = labelled.numel() if class_weights_C is None else class_weights_C[labelled].sum()
    return (loss_NHW * trust_NHW).sum() / max(float(mass), 1e-12)
