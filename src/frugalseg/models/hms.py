"""hms:NETWORK: hierarchical multi-scale attention over any network (Tao et al., 2020, section 3).

The same network looks at the image at several scales; at each scale a small head on its features predicts, pixel by
pixel, how much that scale's logits L are to be trusted against everything finer. From the finest scale down:

    joint <- U(a_s L_s) + (1 - U(a_s)) joint      U: upsampling to the image's size, 0 <= a_s <= 1

The attention at s is relative to the next finer scale, so training needs two scales only (0.5 and 1) and prediction may
take more (0.5, 1 and 2). Auxiliary logits, where the inner network has them, are joined with the same attention.

Differs: scales above 1 are brought to the image's size before they are joined (as in the public code), also where two
of them lie above 1; the extra losses on single scales that came with the public code are not here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from frugalseg.core.errors import ModelError
from frugalseg.models.network import Network, Normalization, padded_size, upsample

TRAIN_SCALES = (0.5, 1.0)
SCALES = (0.5, 1.0, 2.0)
WIDTH = 256  # of the attention head; no wider than the features it sees


class HierarchicalAttention(nn.Module):
    """A network seen at several scales. `scales` are those of prediction and may be changed; 1 should be among them."""

    def __init__(self, inner: Network, channels: int) -> None:
        super().__init__()
        self.inner = inner
        self.attention = _attention(channels, min(WIDTH, channels))
        self.train_scales: Sequence[float] = TRAIN_SCALES
        self.scales: Sequence[float] = SCALES

    @property
    def encoder(self) -> nn.Module:
        """The inner network's."""
        return self.inner.encoder

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, ...]:
        """Return logits at the images' size, the features at scale 1 and, if the inner network has two, both logits."""
        size_HW = images_NBHW.shape[-2:]
        joint: list[Tensor] = []
        features = None
        for scale in sorted(self.train_scales if self.training else self.scales, reverse=True):
            view_hw = [max(1, round(length * scale)) for length in size_HW]
            seen = self.inner(upsample(images_NBHW, view_hw))
            logits = [seen.logits] if seen.aux_logits is None else [seen.logits, seen.aux_logits]
            features = seen.features if scale == 1 or features is None else features
            if not joint:
                joint = [upsample(own, size_HW) for own in logits]
                continue
            trust_N1hw = self._trust(seen.features, view_hw)
            doubt_N1HW = 1 - upsample(trust_N1hw, size_HW)
            joint = [
                upsample(trust_N1hw * own, size_HW) + doubt_N1HW * finer
                for own, finer in zip(logits, joint, strict=True)
            ]
        assert features is not None
        return joint[0], features, *joint[1:]

    def _trust(self, features_NFhw: Tensor, view_hw: Sequence[int]) -> Tensor:
        """Return the attention at the view's size: like logits, it lies on the padded view."""
        padded_hw = padded_size(view_hw, self.inner.stride, self.inner.least_px)
        attention = self.attention(features_NFhw).sigmoid()
        return upsample(attention, padded_hw)[..., : view_hw[0], : view_hw[1]]


def _attention(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, 1, 1),
    )


def hms(name: str, inner: Network) -> Network:
    """Return `inner` with attention over scales.

    Raises:
        ModelError: it has no features to look at, or is such a network already.
    """
    if isinstance(inner.body, HierarchicalAttention):
        raise ModelError(f"{name}: {inner.name} has attention over scales already.")
    normalization = inner.normalization
    inner.set_normalization(_untouched(inner.channels))  # the outer network does it, once
    with torch.no_grad():
        side = max(2 * inner.stride, inner.least_px)
        features = inner.eval()(torch.zeros(1, inner.channels, side, side)).features
    if features is None:
        raise ModelError(f"{name}: {inner.name} gives no features, which the attention needs.")
    body = HierarchicalAttention(inner.train(), features.shape[1])
    return Network(body, name, inner.classes, inner.channels, 1, normalization)


def _untouched(channels: int) -> Normalization:
    return Normalization((0.0,) * channels, (1.0,) * channels, tuple(range(channels)))
