"""Networks by name: ours, or any segmentation-models-pytorch architecture over any smp or timm encoder."""

from pathlib import Path

import torch

from frugalseg.core.choose import unknown_name
from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.network import Network
from frugalseg.models.shuffle_lite import shuffle_lite
from frugalseg.models.smp_networks import smp_network
from frugalseg.models.weights import load_encoder

OURS = {"shuffle_lite": shuffle_lite}
HUB = "hub"
MAX_CHANNELS = 64  # bands of an image; more is a mistake in a file


def build(name: str, classes: ClassSet, channels: int = 3, weights: str | Path | None = None, seed: int = 0) -> Network:
    """Return a network by name: `shuffle_lite`, or `architecture:encoder` such as `deeplabv3plus:resnet101`.

    Args:
        name: Which network.
        classes: What it tells apart.
        channels: Bands of the images; the first three are RGB.
        weights: A file with the encoder's weights, `hub` for those of the hub, or None for random ones. Nothing is
            fetched unless it is `hub`.
        seed: Seed of the random weights; the global generators are left as they were.

    Raises:
        UnknownNameError: no such network.
        ModelError: bands out of range, parts that do not go together, or weights that do not fit, are damaged, or
            cannot be fetched.
    """
    if name not in OURS and ":" not in name:
        raise UnknownNameError(
            f"{unknown_name('network', name, [*OURS, 'ARCHITECTURE:ENCODER'])}\n"
            "The second is e.g. deeplabv3plus:resnet101 or segformer:mit_b0."
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise ModelError(f"{name}: {channels} bands an image; expected 1 to {MAX_CHANNELS}.")
    if name in OURS and weights == HUB:
        raise ModelError(f"{name} has no weights on the hub. Give the trunk's weights file.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too, and they are not forked
        if name in OURS:
            network = OURS[name](classes, channels)
        else:
            network = smp_network(name, classes, channels, from_hub=weights == HUB)
    if weights is not None and weights != HUB:
        load_encoder(network, Path(weights))
    return network
