"""Networks by name: ours, or any segmentation-models-pytorch architecture over any smp or timm encoder."""

from collections.abc import Callable
from pathlib import Path

import torch

from frugalseg.core.choose import unknown_name
from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.deeplabv2 import deeplabv2
from frugalseg.models.fcn8s import fcn8s
from frugalseg.models.hms import hms
from frugalseg.models.network import Network
from frugalseg.models.resnet38 import resnet38
from frugalseg.models.shuffle_lite import shuffle_lite
from frugalseg.models.smp_networks import smp_network
from frugalseg.models.vit import vit
from frugalseg.models.weights import load_encoder

OURS = {"shuffle_lite": shuffle_lite}  # by their name alone
FAMILIES: dict[str, Callable[[str, str, ClassSet, int, bool], Network]] = {  # the trunk stands after a colon
    "deeplabv2": deeplabv2,
    "fcn8s": fcn8s,
    "resnet38": resnet38,
    "vit": vit,
}
ALONE = ("resnet38",)  # families whose name may also stand alone
SCALES = "hms"  # over any other network
HUB = "hub"
MAX_CHANNELS = 64  # bands of an image; more is a mistake in a file
MAX_NAME = 200  # characters of a name; so is this


def build(name: str, classes: ClassSet, channels: int = 3, weights: str | Path | None = None, seed: int = 0) -> Network:
    """Return a network by name: `shuffle_lite`, `resnet38`, `deeplabv2:resnet101`, `deeplabv3plus:resnet101`, ….

    Args:
        name: Which network; `frugalseg methods` lists the families.
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
    if len(name) > MAX_NAME:
        raise UnknownNameError(f"There is no network named {name[:40]!r}… ({len(name):,} characters).")
    if not 1 <= channels <= MAX_CHANNELS:
        raise ModelError(f"{name}: {channels} bands an image; expected 1 to {MAX_CHANNELS}.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too, and they are not forked
        network = _build(name, classes, channels, from_hub=weights == HUB)
    if weights is not None and weights != HUB:
        load_encoder(network, Path(weights))
    return network


def _build(name: str, classes: ClassSet, channels: int, from_hub: bool) -> Network:
    family, colon, rest = name.partition(":")
    if name in OURS:
        if from_hub:
            raise ModelError(f"{name} has no weights on the hub. Give the trunk's weights file.")
        return OURS[name](classes, channels)
    if family in FAMILIES and (colon or family in ALONE):
        return FAMILIES[family](name, rest, classes, channels, from_hub)
    if not colon:
        forms = [*OURS, *ALONE, *(f"{known}:…" for known in (*FAMILIES, SCALES)), "ARCHITECTURE:ENCODER"]
        raise UnknownNameError(
            f"{unknown_name('network', name, forms)}\nARCHITECTURE:ENCODER is e.g. deeplabv3plus:resnet101."
        )
    if family == SCALES:
        return hms(name, _build(rest, classes, channels, from_hub))
    return smp_network(name, classes, channels, from_hub, others=(*FAMILIES, SCALES))
