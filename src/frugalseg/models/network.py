"""What every network of the product looks like from outside: RGB in [0, 1] in, logits of the same size out.

Axis legend: N images, C classes or feature channels, B bands of the image, H x W pixels, h x w the body's coarser grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ModelError

LARGEST = 1e6  # of a normalisation's numbers


class Outputs(NamedTuple):
    """What a network says: `logits` N x C x H x W at the input's size, and what some methods need besides.

    `aux_logits` (also at the input's size) only from networks with two outputs; `features` N x F x h x w are what the
    last 1x1 convolution sees, on the body's own grid (of the padded image).
    """

    logits: Tensor
    aux_logits: Tensor | None = None
    features: Tensor | None = None


@dataclass(frozen=True)
class Normalization:
    """How a trunk wants its input: `(image[order] - mean) / std`; `mean` and `std` in the trunk's own channel order.

    Raises:
        ModelError: lengths differ, `order` is no permutation, or a number is absurd for images in [0, 1].
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # ImageNet, RGB
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    order: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        fits = len(self.mean) == len(self.std) == len(self.order) and sorted(self.order) == list(range(len(self.order)))
        # Written so that NaN fails; beyond these limits float32 overflows or the image is lost in rounding.
        sane = all(abs(mean) <= LARGEST for mean in self.mean) and all(1 / LARGEST <= s <= LARGEST for s in self.std)
        if not fits or not sane or not self.order:
            raise ModelError(
                f"{self} is no normalisation: expected one mean (up to ±{LARGEST:,.0f}), one std "
                f"({1 / LARGEST:g} to {LARGEST:,.0f}) and one place for each channel of images in [0, 1]."
            )

    def for_channels(self, channels: int) -> "Normalization":
        """Return the same for images of `channels` bands: the first three stay RGB, others get the average numbers."""
        known = len(self.mean)
        if channels == known:
            return self
        kept = known if channels > known else 0
        grey = (sum(self.mean) / known,), (sum(self.std) / known,)
        return Normalization(
            mean=self.mean[:kept] + grey[0] * (channels - kept),
            std=self.std[:kept] + grey[1] * (channels - kept),
            order=self.order[:kept] + tuple(range(kept, channels)),
        )

    @property
    def plain(self) -> bool:
        """Whether subtracting and dividing changes nothing (the order may still)."""
        return not any(self.mean) and all(value == 1 for value in self.std)


class Network(nn.Module):
    """A segmentation network that owns normalisation, padding to its stride and upsampling to the input's size.

    `body` maps normalised N x B x H x W images, H and W multiples of `stride` and at least `least_px`, to (logits on
    any coarser or equal grid, features) or, with two outputs, (logits, features, auxiliary logits); its `encoder` is
    what pretrained weights belong to.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        name: str,
        classes: ClassSet,
        channels: int,
        stride: int,
        normalization: Normalization,
        least_px: int = 1,
    ) -> None:
        super().__init__()
        self.body = body
        self.name = name
        self.classes = classes
        self.channels = channels
        self.stride = stride
        self.least_px = least_px
        self.set_normalization(normalization.for_channels(channels))

    def set_normalization(self, normalization: Normalization) -> None:
        """Say how the body wants its input.

        Raises:
            ModelError: it is for another number of bands.
        """
        bands = len(normalization.order)
        if bands != self.channels:
            raise ModelError(f"{self.name}: {normalization} is for {bands} bands, not {self.channels}.")
        self.normalization = normalization
        # Not in the state dict: model.json carries them readably, and a checkpoint must not change them.
        device = next(self.body.parameters(), torch.empty(0)).device
        self.register_buffer("mean", torch.tensor(normalization.mean, device=device)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(normalization.std, device=device)[:, None, None], persistent=False)

    def forward(self, images_NBHW: Tensor) -> Outputs:
        """Return logits N x C x H x W for images of any size and values in [0, 1].

        Raises:
            ModelError: not four axes, the wrong number of bands, no pixels, integers, or, while training, too few
                pixels for the network's BatchNorm.
        """
        height, width = self._checked_size(images_NBHW)
        padded_NBHW = pad_to_multiple(self._normalize(images_NBHW), self.stride, self.least_px)
        logits_NChw, features, *aux_NChw = self._learn(padded_NBHW) if self.training else self.body(padded_NBHW)
        logits_NCHW, *aux_NCHW = (
            upsample(logits, padded_NBHW.shape[-2:])[..., :height, :width] for logits in (logits_NChw, *aux_NChw)
        )
        return Outputs(logits_NCHW, aux_NCHW[0] if aux_NCHW else None, features)

    def covered(self, size_HW: Sequence[int]) -> tuple[int, int]:
        """Return the height and width, in pixels of an image of that size, that its features' grid covers."""
        inner = getattr(self.body, "inner", None)  # of a network around another, which pads by itself
        found: tuple[int, int] = (
            inner.covered(size_HW) if isinstance(inner, Network) else padded_size(size_HW, self.stride, self.least_px)
        )
        return found

    def parameter_groups(self, lr: float, head_lr_factor: float = 1.0) -> list[dict[str, Any]]:
        """Return two groups for an optimizer: the encoder at `lr`, everything else at `lr * head_lr_factor`."""
        encoder = list(self.encoder.parameters())
        inside = {id(parameter) for parameter in encoder}
        head = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        return [
            {"name": "encoder", "params": encoder, "lr": lr},
            {"name": "head", "params": head, "lr": lr * head_lr_factor},
        ]

    @property
    def encoder(self) -> nn.Module:
        """The part that pretrained weights belong to."""
        encoder = self.body.encoder
        assert isinstance(encoder, nn.Module)
        return encoder

    def _learn(self, padded_NBHW: Tensor) -> tuple[Tensor, ...]:
        try:
            outputs: tuple[Tensor, ...] = self.body(padded_NBHW)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ModelError(
                f"{self.name}: a batch of {' x '.join(map(str, padded_NBHW.shape))} leaves a BatchNorm layer one value "
                "a channel, whose variance it cannot learn. Train on larger batches or images (batch_size, height)."
            ) from error
        return outputs

    def _checked_size(self, images_NBHW: Tensor) -> tuple[int, int]:
        if images_NBHW.ndim != 4 or images_NBHW.shape[1] != self.channels or 0 in images_NBHW.shape:
            raise ModelError(
                f"{self.name} was built for images N x {self.channels} x height x width, got "
                f"{' x '.join(map(str, images_NBHW.shape))}. Build it with `channels` = the images' number of bands."
            )
        if not images_NBHW.is_floating_point():
            raise ModelError(
                f"{self.name} takes images as floating-point numbers in [0, 1], got {images_NBHW.dtype}. "
                "Divide 8-bit images by 255 first: images.float() / 255."
            )
        return images_NBHW.shape[2], images_NBHW.shape[3]

    def _normalize(self, images_NBHW: Tensor) -> Tensor:
        order = self.normalization.order
        if order != tuple(range(self.channels)):
            images_NBHW = images_NBHW[:, list(order)]
        if self.normalization.plain:
            return images_NBHW
        return (images_NBHW - self.mean) / self.std


def upsample(maps_NChw: Tensor, size_HW: Sequence[int]) -> Tensor:
    """Return maps at another size, bilinearly with half-pixel centres; the same tensor where the size is the same."""
    if tuple(maps_NChw.shape[-2:]) == tuple(size_HW):
        return maps_NChw
    return functional.interpolate(maps_NChw, tuple(size_HW), mode="bilinear")


def padded_size(size_HW: Sequence[int], stride: int, least_px: int = 1) -> tuple[int, int]:
    """Return the next size that suits a network: multiples of `stride` from `least_px` on."""
    height, width = (-(-max(length, least_px) // stride) * stride for length in size_HW)
    return height, width


def pad_to_multiple(images_NBHW: Tensor, stride: int, least_px: int = 1) -> Tensor:
    """Return the images with their last row and column repeated until both sizes suit a network."""
    height, width = images_NBHW.shape[-2:]
    padded_height, padded_width = padded_size((height, width), stride, least_px)
    if (padded_height, padded_width) == (height, width):
        return images_NBHW
    return functional.pad(images_NBHW, (0, padded_width - width, 0, padded_height - height), mode="replicate")


def adapt_input_weight(weight_OBkk: Tensor, channels: int) -> Tensor:
    """Return a first convolution's weight for `channels` bands, made from one for RGB (or BGR).

    More bands: the new ones start at zero, so the network starts as the RGB one. Fewer: the sum is shared out evenly,
    so a grey image gives what the same grey in all three channels gave.
    """
    known = weight_OBkk.shape[1]
    if channels == known:
        return weight_OBkk
    if channels < known:
        return (weight_OBkk.sum(dim=1, keepdim=True) / channels).repeat(1, channels, 1, 1)
    extra = weight_OBkk.new_zeros((weight_OBkk.shape[0], channels - known, *weight_OBkk.shape[2:]))
    return torch.cat([weight_OBkk, extra], dim=1)
