"""resnet38: the wide residual network of Wu et al. ("Wider or Deeper", 2016, model A2), the second network of CBST.

38 layers, 124 M parameters with the head: full pre-activation units (BatchNorm, ReLU, convolution), six levels of
128 to 4096 channels of which the last three are dilated, so the output stride is 8; then two dilated 3x3 convolutions,
the first with 512 channels. The trunk's keys are those that its public PyTorch ports use.

`resnet38:8` starts with 8 channels instead of 64 and is thinner by that factor throughout, for small machines.
"""

from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.network import Network, Normalization

STRIDE = 8
WIDTH = 64  # channels of the first convolution; every other count is a multiple of it
HEAD_WIDTH = 8  # times the first convolution's channels: 512
HEAD_DILATION = 12
WIDTHS = (1, 64)


class Unit(nn.Module):
    """Pre-activation residual unit of two 3x3 convolutions."""

    def __init__(self, channels: tuple[int, int, int], stride: int = 1, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        before, inner, after = channels
        self.bn_branch2a = nn.BatchNorm2d(before)
        self.conv_branch2a = _conv3(before, inner, stride, dilations[0])
        self.bn_branch2b1 = nn.BatchNorm2d(inner)
        self.conv_branch2b1 = _conv3(inner, after, 1, dilations[1])
        changes = before != after or stride > 1
        self.conv_branch1 = nn.Conv2d(before, after, 1, stride, bias=False) if changes else None

    def forward(self, input_NFhw: Tensor) -> Tensor:
        """Return features with `after` channels on a grid coarser by the stride."""
        active = functional.relu(self.bn_branch2a(input_NFhw))
        passed = input_NFhw if self.conv_branch1 is None else self.conv_branch1(active)
        worked = functional.relu(self.bn_branch2b1(self.conv_branch2a(active)))
        out: Tensor = passed + self.conv_branch2b1(worked)
        return out


class BottleneckUnit(nn.Module):
    """Pre-activation residual unit of a 1x1, a 3x3 and a 1x1 convolution, with dropout before the last two."""

    def __init__(self, before: int, after: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(before)
        self.conv_branch2a = nn.Conv2d(before, after // 4, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(after // 4)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = _conv3(after // 4, after // 2, 1, dilation)
        self.bn_branch2b2 = nn.BatchNorm2d(after // 2)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = nn.Conv2d(after // 2, after, 1, bias=False)
        self.conv_branch1 = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, input_NFhw: Tensor) -> Tensor:
        """Return features with `after` channels on the same grid."""
        active = functional.relu(self.bn_branch2a(input_NFhw))
        passed = self.conv_branch1(active)
        worked = self.dropout_2b1(functional.relu(self.bn_branch2b1(self.conv_branch2a(active))))
        worked = self.dropout_2b2(functional.relu(self.bn_branch2b2(self.conv_branch2b1(worked))))
        out: Tensor = passed + self.conv_branch2b2(worked)
        return out


class Trunk(nn.Module):
    """Model A2: levels B2 to B7 at strides 2, 4, 8, 8, 8, 8."""

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        super().__init__()
        w = width
        self.conv1a = _conv3(channels, w, 1, 1)
        self.b2, self.b2_1, self.b2_2 = _level((w, 2 * w, 2 * w), units=3)
        self.b3, self.b3_1, self.b3_2 = _level((2 * w, 4 * w, 4 * w), units=3)
        self.b4, self.b4_1, self.b4_2, self.b4_3, self.b4_4, self.b4_5 = _level((4 * w, 8 * w, 8 * w), units=6)
        self.b5 = Unit((8 * w, 8 * w, 16 * w), dilations=(1, 2))
        self.b5_1, self.b5_2 = (Unit((16 * w, 8 * w, 16 * w), dilations=(2, 2)) for _ in range(2))
        self.b6 = BottleneckUnit(16 * w, 32 * w, dilation=4, dropout=0.3)
        self.b7 = BottleneckUnit(32 * w, 64 * w, dilation=4, dropout=0.5)
        self.bn7 = nn.BatchNorm2d(64 * w)

    def forward(self, images_NBHW: Tensor) -> Tensor:
        """Return features at stride 8."""
        features = images_NBHW
        for name, layer in self.named_children():
            features = functional.relu(layer(features)) if name == "bn7" else layer(features)
        return features


def _level(channels: tuple[int, int, int], units: int) -> list[Unit]:
    """Return units of which the first halves the grid."""
    inner = (channels[2], channels[1], channels[2])
    return [Unit(channels, stride=2), *(Unit(inner) for _ in range(units - 1))]


def _conv3(before: int, after: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, padding=dilation, dilation=dilation, bias=False)


class ResNet38(nn.Module):
    """Trunk and classifier; the features are what the last convolution sees."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.encoder = Trunk(channels, width)
        head = HEAD_WIDTH * width
        self.conv6a = nn.Conv2d(64 * width, head, 3, padding=HEAD_DILATION, dilation=HEAD_DILATION)
        self.conv6b = nn.Conv2d(head, classes, 3, padding=HEAD_DILATION, dilation=HEAD_DILATION)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.normal_(self.conv6b.weight, std=0.01)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features at stride 8."""
        features = functional.relu(self.conv6a(self.encoder(images_NBHW)))
        return self.conv6b(features), features


def resnet38(name: str, width: str, classes: ClassSet, channels: int, from_hub: bool) -> Network:
    """Return the network with random weights; `width` is what stands after the colon.

    Raises:
        UnknownNameError: no number, or out of range.
        ModelError: weights of the hub are asked for.
    """
    if from_hub:
        raise ModelError(f"{name} has no weights on the hub. Give the trunk's weights file.")
    if width and not (width.isascii() and width.isdecimal() and WIDTHS[0] <= int(width[:4]) <= WIDTHS[1]):
        raise UnknownNameError(
            f"Network {name!r}: after the colon stands the number of channels it starts with, {WIDTHS[0]} to "
            f"{WIDTHS[1]}; resnet38 alone is the paper's, with {WIDTH}."
        )
    body = ResNet38(channels, len(classes), int(width or WIDTH))
    return Network(body, name, classes, channels, STRIDE, Normalization(), least_px=STRIDE + 1)
