"""Trunks of timm for the networks that need more of a trunk than segmentation-models-pytorch passes on.

timm takes a second to import, so it is imported where a trunk is built and nowhere else.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch

from frugalseg.core.choose import nearest
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.network import Network, Normalization

ENCODER_NAME = re.compile(r"[A-Za-z0-9_.\-]+")  # timm would follow hf-hub:… and local-dir:…


class Trunk(NamedTuple):
    """A network of timm and how it wants its input."""

    module: Any
    normalization: Normalization


def timm_trunk(name: str, encoder: str, channels: int, from_hub: bool, **options: Any) -> Trunk:
    """Return timm's `encoder` with random weights (from torch's generator), or with the hub's.

    Args:
        name: The network it is for, for messages.
        encoder: timm's name for it, with or without the tag of its weights.
        channels: Bands of the images.
        from_hub: Whether to fetch published weights.
        options: Given to `timm.create_model`.

    Raises:
        UnknownNameError: timm has no such encoder.
        ModelError: it does not take these options, or the hub gives no weights.
    """
    import timm

    if not ENCODER_NAME.fullmatch(encoder) or not timm.is_model(encoder):
        guess = nearest(encoder, timm.list_models())
        raise UnknownNameError(
            f"Network {name!r}: timm has no encoder named {encoder!r}.{f' Did you mean {guess!r}?' if guess else ''} "
            "`timm.list_models()` lists them."
        )
    try:
        module = timm.create_model(encoder, pretrained=from_hub, in_chans=channels, **options)
    except Exception as error:  # whatever timm and the hub's client raise
        if from_hub:
            raise ModelError(no_hub(name, error)) from error
        raise ModelError(f"{name}: this encoder does not go with this architecture: {brief(error)}") from error
    return Trunk(module, timm_normalization(encoder))


def timm_normalization(encoder: str) -> Normalization:
    """Return the normalisation of the images that timm's published weights were trained on."""
    import timm

    config = timm.get_pretrained_cfg(encoder)
    return Normalization(floats(config.mean), floats(config.std)) if config is not None else Normalization()


@torch.no_grad()
def try_sizes(network: Network) -> None:
    """Look at one small image, not square: some encoders can be built but take one size of image only.

    Raises:
        ModelError: this is one of them.
    """
    side = max(2 * network.stride, network.least_px)
    network.eval()
    try:
        network(torch.zeros(1, network.channels, side, side + network.stride))
    except Exception as error:
        raise ModelError(
            f"{network.name}: this encoder does not take images of any size: {brief(error)}\n"
            "Choose another, e.g. a convolutional one such as resnet50 or convnext_tiny."
        ) from error
    network.train()


def no_hub(name: str, error: Exception) -> str:
    """Return the message for a hub that gave no weights."""
    return (
        f"{name}: the hub gave no weights ({brief(error)}).\n"
        "Is this machine online? Otherwise download them elsewhere and give the file, or none."
    )


def floats(values: Iterable[float]) -> tuple[float, ...]:
    """Return the values as floats."""
    return tuple(float(value) for value in values)


def brief(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).splitlines() or [""])[0][:300] or type(error).__name__
