"""shuffle_lite: a ShuffleNetV2 0.5x trunk (Ma et al., ECCV 2018) with a light decoder, for CPUs and edge devices.

The trunk reads the FastestDet repository's weights strictly: its parameter names are that file's keys. Three things
differ from torchvision's network of the same name, and features are wrong if one is missed: the input is BGR in [0, 1]
without mean and std; a stride-1 block splits its channels even/odd at its *start*; nothing is shuffled after a
stride-2 block.

The decoder is ours: 1x1 laterals from strides 4, 8, 16 and 32, added from the coarsest down, a depthwise-separable 3x3
after each sum, the image's mean feature added at the top. 0.2 M parameters in all.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.classes import ClassSet
from frugalseg.models.network import Network, Normalization

TRUNK_INPUT = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), order=(2, 1, 0))  # BGR in [0, 1]
STAGES = ((24, 48, 4), (48, 96, 8), (96, 192, 4))  # channels in, channels out, blocks
LEVELS = (24, 48, 96, 192)  # channels at strides 4, 8, 16, 32
STRIDE = 4  # coarser grids may be ragged: the decoder crops
LEAST_PX = 33  # two cells on the coarsest grid: BatchNorm cannot learn from one
WIDTH = 64


class Block(nn.Module):
    """One ShuffleNetV2 unit. Stride 2 feeds the whole input to both branches; stride 1 passes the even channels on."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        half = channels_out // 2
        inner = channels_in if stride == 2 else half
        self.branch_main = nn.Sequential(
            nn.Conv2d(inner, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, stride, padding=1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, channels_out - inner, 1, bias=False),
            nn.BatchNorm2d(channels_out - inner),
            nn.ReLU(inplace=True),
        )
        self.branch_proj = None
        if stride == 2:
            self.branch_proj = nn.Sequential(
                nn.Conv2d(channels_in, channels_in, 3, stride, padding=1, groups=channels_in, bias=False),
                nn.BatchNorm2d(channels_in),
                nn.Conv2d(channels_in, channels_in, 1, bias=False),
                nn.BatchNorm2d(channels_in),
                nn.ReLU(inplace=True),
            )

    def forward(self, input_NChw: Tensor) -> Tensor:
        """Return features on the same grid, or with stride 2 on one half as fine."""
        if self.branch_proj is not None:
            return torch.cat([self.branch_proj(input_NChw), self.branch_main(input_NChw)], dim=1)
        return torch.cat([input_NChw[:, 0::2], self.branch_main(input_NChw[:, 1::2])], dim=1)


class Trunk(nn.Module):
    """ShuffleNetV2 0.5x up to stage 4. State-dict keys are those of the published file."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(
            nn.Conv2d(channels, LEVELS[0], 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(LEVELS[0]),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.stage2, self.stage3, self.stage4 = (_stage(*sizes) for sizes in STAGES)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return features of 24, 48, 96 and 192 channels at strides 4, 8, 16 and 32."""
        level4 = self.maxpool(self.first_conv(images_NBHW))
        level8 = self.stage2(level4)
        level16 = self.stage3(level8)
        return level4, level8, level16, self.stage4(level16)


def _stage(channels_in: int, channels_out: int, blocks: int) -> nn.Sequential:
    rest = [Block(channels_out, channels_out, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Block(channels_in, channels_out, 2), *rest)


class Decoder(nn.Module):
    """From features at four strides to one of `width` channels at stride 4."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.context = nn.Conv2d(LEVELS[-1], width, 1)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)) for channels in LEVELS
        )
        self.smooth = nn.ModuleList(_separable(width) for _ in LEVELS)

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """Return features at stride 4 from the trunk's four."""
        context_NC11 = self.context(levels[-1].mean(dim=(2, 3), keepdim=True))
        fused: Tensor = self.smooth[-1](self.lateral[-1](levels[-1]) + context_NC11)
        for level in (2, 1, 0):
            height, width = levels[level].shape[-2:]
            finer = functional.interpolate(fused, scale_factor=2.0, mode="bilinear")[..., :height, :width]
            fused = self.smooth[level](self.lateral[level](levels[level]) + finer)
        return fused


def _separable(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class ShuffleLite(nn.Module):
    """Trunk, decoder and a 1x1 head."""

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.encoder = Trunk(channels)
        self.decoder = Decoder()
        self.head = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features, both at stride 4."""
        # Bands innermost: forward plus backward 29 instead of 35 ms an image of 240 x 320 on one CPU thread.
        features = self.decoder(self.encoder(images_NBHW.contiguous(memory_format=torch.channels_last)))
        return self.head(features), features


def shuffle_lite(classes: ClassSet, channels: int = 3) -> Network:
    """Return the network with random weights (from torch's generator)."""
    body = ShuffleLite(len(classes), channels)
    return Network(body, "shuffle_lite", classes, channels, STRIDE, TRUNK_INPUT, LEAST_PX)
