"""deeplabv2:ENCODER: DeepLab-v2 with two outputs, as AdaptSegNet uses it (Tsai et al., CVPR 2018, section 4.1).

AdvEnt, IntraDA and the point-supervision paper stand on the same network.

A residual trunk of timm at output stride 8 (conv4 and conv5 dilated) and two classifiers of summed dilated 3x3
convolutions (Chen et al., TPAMI 2018, "ASPP-L"): on conv5 the main one, on conv4 the auxiliary one. As there,
BatchNorm's scale and shift stay what they are in the pretrained trunk while its running statistics move.

Differs: timm's bottlenecks have their stride in the 3x3 convolution, where the papers' Caffe weights have it in the
first 1x1; images are padded to multiples of 8 instead of pooling with ceil mode.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from frugalseg.core.classes import ClassSet
from frugalseg.models.network import Network
from frugalseg.models.timm_trunks import timm_trunk, try_sizes

STRIDE = 8
DILATIONS = (6, 12, 18, 24)


class SummedDilations(nn.Module):
    """Classifier: the sum of 3x3 convolutions with different dilations."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, classes, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS
        )
        for branch in self.branches:
            assert isinstance(branch, nn.Conv2d) and branch.bias is not None
            nn.init.normal_(branch.weight, std=0.01)
            nn.init.zeros_(branch.bias)

    def forward(self, features_NFhw: Tensor) -> Tensor:
        """Return logits on the features' grid."""
        return torch.stack([branch(features_NFhw) for branch in self.branches]).sum(dim=0)


class DeepLabV2(nn.Module):
    """Trunk and two classifiers; the features are conv5's."""

    def __init__(self, encoder: nn.Module, conv4_channels: int, conv5_channels: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.aux_classifier = SummedDilations(conv4_channels, classes)
        self.classifier = SummedDilations(conv5_channels, classes)
        for layer in encoder.modules():
            if isinstance(layer, _BatchNorm):
                for parameter in layer.parameters():
                    parameter.requires_grad_(False)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, features and auxiliary logits, all at stride 8."""
        conv4, conv5 = self.encoder(images_NBHW)
        return self.classifier(conv5), conv5, self.aux_classifier(conv4)


def deeplabv2(name: str, encoder: str, classes: ClassSet, channels: int, from_hub: bool) -> Network:
    """Return the network over any encoder of timm whose last two stages can be dilated: resnet18 … resnet152, ….

    Raises:
        UnknownNameError: timm has no such encoder.
        ModelError: it cannot be dilated, or the hub gives no weights.
    """
    trunk = timm_trunk(
        name, encoder, channels, from_hub, features_only=True, out_indices=(-2, -1), output_stride=STRIDE
    )
    conv4_channels, conv5_channels = trunk.module.feature_info.channels()
    body = DeepLabV2(trunk.module, conv4_channels, conv5_channels, len(classes))
    network = Network(body, name, classes, channels, STRIDE, trunk.normalization, least_px=STRIDE + 1)
    try_sizes(network)
    return network
