"""vit:NAME: a foundation backbone of timm (DINOv2, DINOv3 and other plain vision transformers) with a light decoder.

Four blocks, equally spaced and with the last among them, are fused: each goes through a 1x1 convolution, they are
summed, and two depthwise-separable 3x3 convolutions upsample the sum twice, to a fourth of the patch's size. The
decoder is ours, after the linear and multi-block heads of DINOv2 (Oquab et al., 2024, section 7.4).

Images are padded to multiples of the patch (14 or 16 pixels) and cropped back; timm resamples the position embedding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ModelError
from frugalseg.models.network import Network
from frugalseg.models.timm_trunks import timm_trunk, try_sizes

BLOCKS = 4  # that are fused
WIDTH = 128


class VitDecoder(nn.Module):
    """From several blocks' features on one grid to `width` channels on a grid four times as fine."""

    def __init__(self, channels: list[int], width: int = WIDTH) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1, bias=False) for count in channels)
        self.norm = nn.BatchNorm2d(width)
        self.smooth = nn.ModuleList(_separable(width) for _ in range(2))

    def forward(self, blocks: list[Tensor]) -> Tensor:
        """Return the fused features."""
        laterals = [lateral(block) for lateral, block in zip(self.lateral, blocks, strict=True)]
        fused = functional.relu(self.norm(torch.stack(laterals).sum(dim=0)))
        for smooth in self.smooth:
            fused = smooth(functional.interpolate(fused, scale_factor=2.0, mode="bilinear"))
        return fused


def _separable(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class VitBody(nn.Module):
    """Backbone, decoder and a 1x1 head."""

    def __init__(self, encoder: nn.Module, channels: list[int], classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = VitDecoder(channels)
        self.head = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features on a grid four times as fine as the patches."""
        features = self.decoder(self.encoder(images_NBHW))
        return self.head(features), features


def vit(name: str, encoder: str, classes: ClassSet, channels: int, from_hub: bool) -> Network:
    """Return the network over a plain vision transformer of timm, e.g. vit_small_patch14_dinov2.

    Raises:
        UnknownNameError: timm has no such encoder.
        ModelError: it is no plain vision transformer, takes images of one size only, or the hub gives no weights.
    """
    trunk = timm_trunk(name, encoder, channels, from_hub, features_only=True, dynamic_img_size=True)
    blocks, reductions = (
        getattr(getattr(trunk.module, "model", None), "blocks", ()),
        trunk.module.feature_info.reduction(),
    )
    if len(set(reductions)) != 1 or len(blocks) < BLOCKS:
        raise ModelError(
            f"{name}: this is no plain vision transformer (one grid of patches, at least {BLOCKS} blocks).\n"
            f"Take it as the encoder of another architecture, e.g. upernet:{encoder}."
        )
    trunk.module.out_indices = [len(blocks) * (number + 1) // BLOCKS - 1 for number in range(BLOCKS)]
    patch_px = int(reductions[0])
    body = VitBody(trunk.module, [trunk.module.feature_info.channels()[0]] * BLOCKS, len(classes))
    network = Network(body, name, classes, channels, patch_px, trunk.normalization, least_px=patch_px + 1)
    try_sizes(network)
    return network
