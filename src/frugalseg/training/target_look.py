"""Source images with a target image's look: Fourier domain adaptation (FDA, Yang & Soatto, CVPR 2020), equation 3.

The slow waves of an image hold its light, its colours and its haze; its edges and textures lie in the phase and in the
fast waves. So the amplitudes of a source image's slowest waves are replaced by those of a target image, and its labels
stay true.

Differs: amplitudes move only part of the way, a share drawn anew for each image, so that the network also sees looks
between the two; values are cut to 0–1.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LEAST_SHARE = 0.5  # of the way to the target's look


def with_target_looks(
    source_NBHW: Tensor, target_NBHW: Tensor, ratio: float, band: float, generators: Sequence[np.random.Generator]
) -> Tensor:
    """Return the source images, each with chance `ratio` in the look of one of the target images.

    Args:
        source_NBHW: Images in [0, 1].
        target_NBHW: Images of the same size, as many as there are.
        ratio: How often a source image is changed.
        band: β, the half width of the square of waves that is exchanged, as a share of the image's shorter side.
        generators: One for each source image.
    """
    looks = []
    for image_BHW, rng in zip(source_NBHW, generators, strict=True):
        changed, like, share = rng.random() < ratio, int(rng.integers(len(target_NBHW))), rng.uniform(LEAST_SHARE, 1)
        looks.append(with_look(image_BHW, target_NBHW[like], band, share) if changed else image_BHW)
    return torch.stack(looks)


def with_look(image_BHW: Tensor, like_BHW: Tensor, band: float, share: float) -> Tensor:
    """Return equation 3's image, `share` of the way: amplitudes of `like` in the band, phases and the rest its own."""
    own_BHF, other_BHF = torch.fft.rfft2(image_BHW.float()), torch.fft.rfft2(like_BHW.float())
    slow_HF = slow_waves(image_BHW.shape[-2], image_BHW.shape[-1], band).to(image_BHW.device)
    amplitude_BHF = torch.where(slow_HF, other_BHF.abs(), own_BHF.abs())
    moved_BHW = torch.fft.irfft2(torch.polar(amplitude_BHF, own_BHF.angle()), s=image_BHW.shape[-2:]).clamp(0, 1)
    return torch.lerp(image_BHW, moved_BHW.to(image_BHW.dtype), share)


def slow_waves(height: int, width: int, band: float) -> Tensor:
    """Return which waves of `rfft2`'s half plane, H x (W // 2 + 1), make fewer than `band` · shorter side turns."""
    most = max(1, int(band * min(height, width)))
    down, across = torch.arange(height), torch.arange(width // 2 + 1)
    return (torch.minimum(down, height - down) <= most)[:, None] & (across <= most)[None]
