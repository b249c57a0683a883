"""fcn8s:VGG: FCN-8s (Long et al., CVPR 2015, section 4.2), the first network of CBST.

VGG's fully connected layers become convolutions (fc6 7x7, fc7 1x1); class scores of pool3, pool4 and fc7 are summed
from the coarsest up, each upsampled by a learned 2x convolution that starts bilinear; the last 8x is bilinear.

Differs: the first convolution pads by 1, not by 100, and images are padded to multiples of 32, so no score is cropped;
the score layers start small at random, where the paper starts at zero and the trunk learns nothing in the first step.

`fcn8s:vgg16_fc512` has 512 channels in fc6 and fc7 instead of 4096: a fifth of the weights, none of the published ones
in those two layers.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import UnknownNameError
from frugalseg.models.network import Network
from frugalseg.models.timm_trunks import timm_trunk
from frugalseg.models.weights import is_plain

NAME = re.compile(r"(vgg\d\d(?:_bn)?(?:\.\w+)?)(?:_fc(\d{1,4}))?")
STRIDE = 32
WIDTH = 4096  # channels of fc6 and fc7
DROPOUT = 0.5


class Vgg(nn.Module):
    """VGG without its last layer, and without fc6 and fc7 where those are narrow. Keys are timm's."""

    def __init__(self, features: nn.Sequential, pre_logits: nn.ModuleDict | None) -> None:
        super().__init__()
        self.features = features
        self.pre_logits = pre_logits

    def forward(self, images_NBHW: Tensor) -> list[Tensor]:
        """Return what the third, fourth and fifth pooling give, at strides 8, 16 and 32."""
        pooled = []
        features = images_NBHW
        for layer in self.features:
            features = layer(features)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(features)
        return pooled[2:]

    def published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return torchvision's weights as timm's: its fully connected layers are convolutions here."""
        own, found = self.state_dict(), {}
        for key, value in state.items():
            ours = key.replace("classifier.0.", "pre_logits.fc1.").replace("classifier.3.", "pre_logits.fc2.")
            like = own.get(ours.removeprefix("module."))
            fits = like is not None and is_plain(value) and value.ndim == 2 and value.numel() == like.numel()
            found[ours] = value.reshape(like.shape) if like is not None and fits else value
        return found


class Fcn8s(nn.Module):
    """Trunk, scores and their upsampling; the features are fc7's."""

    def __init__(self, encoder: Vgg, narrow: nn.ModuleDict | None, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.narrow = narrow  # fc6 and fc7 where they are no published ones and so belong to the decoder
        self.score_pool3, self.score_pool4, self.score = (nn.Conv2d(count, classes, 1) for count in (256, 512, width))
        self.dropout = nn.Dropout(DROPOUT)
        self.twice_coarse, self.twice_fine = (bilinear_twice(classes) for _ in range(2))
        for layer in (self.score_pool3, self.score_pool4, self.score):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits at stride 8 and fc7's features at stride 32."""
        pool3, pool4, pool5 = self.encoder(images_NBHW)
        layers = self.encoder.pre_logits if self.narrow is None else self.narrow
        assert layers is not None
        fc6 = self.dropout(functional.relu(layers["fc1"](pool5)))
        fc7 = self.dropout(functional.relu(layers["fc2"](fc6)))
        scores16 = self.score_pool4(pool4) + self.twice_coarse(self.score(fc7))
        return self.score_pool3(pool3) + self.twice_fine(scores16), fc7


def bilinear_twice(classes: int) -> nn.ConvTranspose2d:
    """Return a learned 2x upsampling that starts as the bilinear one, each class by itself."""
    layer = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.zero_()
        for number in range(classes):
            layer.weight[number, number] = tent[:, None] * tent[None]
    return layer


def fcn8s(name: str, encoder: str, classes: ClassSet, channels: int, from_hub: bool) -> Network:
    """Return the network over vgg11, vgg13, vgg16 or vgg19, each also as `_bn`.

    Raises:
        UnknownNameError: another encoder.
        ModelError: the hub gives no weights.
    """
    match = NAME.fullmatch(encoder)
    if not match or match[2] == "0":
        raise UnknownNameError(
            f"Network {name!r}: FCN-8s stands on a VGG, e.g. fcn8s:vgg16, fcn8s:vgg16_bn or, with 512 channels in fc6 "
            "and fc7, fcn8s:vgg16_fc512."
        )
    width = int(match[2] or WIDTH)
    # timm builds its own wide fc6 and fc7; where they are not wanted, it is told to make them tiny.
    tiny = {} if width == WIDTH or from_hub else {"mlp_ratio": 1 / WIDTH}
    trunk = timm_trunk(name, match[1], channels, from_hub, num_classes=0, global_pool="", **tiny)
    wide = trunk.module.pre_logits
    if width == WIDTH:
        wide.fc1.padding = (3, 3)  # the grid keeps its size
        narrow, encoder_layers = None, nn.ModuleDict({"fc1": wide.fc1, "fc2": wide.fc2})
    else:
        layers = {"fc1": nn.Conv2d(512, width, 7, padding=3), "fc2": nn.Conv2d(width, width, 1)}
        narrow, encoder_layers = nn.ModuleDict(layers), None
    body = Fcn8s(Vgg(trunk.module.features, encoder_layers), narrow, width, len(classes))
    return Network(body, name, classes, channels, STRIDE, trunk.normalization, least_px=STRIDE + 1)
