"""Soft alignment of images with anchors, and anchors that follow (MADA, Ning et al., ICCV 2021, equations 8 and 9).

Distances are means over features and over the classes that image and anchor share. Public code means over all of C x F,
absent classes being zeros: a class that both lack then makes them alike, one that only one of them has far apart.

Axis legend: N images, V anchors, C classes.
"""

import torch
from torch import Tensor

from frugalseg.training.image_vectors import Means

EPSILON = 1e-6  # below the fractions of equation 9, which would be infinite at an anchor


def soft_alignment(images: Means, anchors: Means) -> Tensor:
    """Return equation 9: the harmonic mean over anchors of an image's squared distance to each, mean over images.

    Anchors and images without a class in common do not count; where there are no others the loss is 0 and has a zero
    gradient.
    """
    apart_NV, comparable_NV = squared_distances(images, anchors)
    closeness_N = (comparable_NV / (apart_NV + EPSILON)).sum(dim=1)
    harmonic_N = comparable_NV.sum(dim=1) / closeness_N.clamp(min=torch.finfo(closeness_N.dtype).tiny)
    return harmonic_N.sum() / comparable_NV.any(dim=1).sum().clamp(min=1)


@torch.no_grad()
def follow(anchors: Means, images: Means, decay: float) -> None:
    """Move each image's nearest anchor by equation 8, image by image, in those classes that both have."""
    for number in range(len(images.vectors)):
        image = Means(*(part[number : number + 1] for part in images))
        apart_1V, comparable_1V = squared_distances(image, anchors)
        if comparable_1V.any():
            nearest = int(apart_1V.masked_fill(~comparable_1V, torch.inf).argmin())
            both_C = image.present[0] & anchors.present[nearest]
            before_cF, now_cF = anchors.vectors[nearest, both_C], image.vectors[0, both_C]
            anchors.vectors[nearest, both_C] = before_cF.lerp(now_cF, 1 - decay)


def squared_distances(images: Means, anchors: Means) -> tuple[Tensor, Tensor]:
    """Return N x V squared distances, means over features and shared classes, and whether any class is shared."""
    shared_NVC = images.present[:, None] & anchors.present[None]
    apart_NVC = (images.vectors[:, None] - anchors.vectors[None]).square().mean(dim=3) * shared_NVC
    return apart_NVC.sum(dim=2) / shared_NVC.sum(dim=2).clamp(min=1), shared_NVC.any(dim=2)
