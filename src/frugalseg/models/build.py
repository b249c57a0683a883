"""Networks by name: ours, or any segmentation-models-pytorch architecture over any timm encoder."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frugalseg.core.choose import unknown_name
from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.network import Network, Normalization, adapt_input_weight
from frugalseg.models.shuffle_lite import shuffle_lite

OURS = {"shuffle_lite": shuffle_lite}
HUB = "hub"
STRIDE = 32  # of every smp architecture; smaller ones divide it


def build(name: str, classes: ClassSet, channels: int = 3, weights: str | Path | None = None, seed: int = 0) -> Network:
    """Return a network by name: `shuffle_lite`, or `architecture:encoder` such as `deeplabv3plus:resnet101`.

    Args:
        name: Which network.
        classes: What it tells apart.
        channels: Bands of the images; the first three are RGB.
        weights: A file with the encoder's weights, `hub` for those of the hub, or None for random ones.
        seed: Seed of the random weights; the global generator is left as it was.

    Raises:
        UnknownNameError: no such network.
        ModelError: weights that do not fit, are damaged, or cannot be fetched.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in OURS:
            if weights == HUB:
                raise ModelError(f"{name} has no weights on the hub. Give the trunk's weights file.")
            network = OURS[name](classes, channels)
        else:
            network = _smp(name, classes, channels, "imagenet" if weights == HUB else None)
    if weights is not None and weights != HUB:
        load_encoder(network, Path(weights))
    return network


def _smp(name: str, classes: ClassSet, channels: int, encoder_weights: str | None) -> Network:
    architecture, colon, encoder = name.partition(":")
    import segmentation_models_pytorch as smp  # takes seconds: only for those who use it

    known = {kind.__name__.lower(): kind for kind in _architectures(smp)}
    if not colon or architecture.replace("_", "") not in known:
        raise UnknownNameError(
            unknown_name("network", name, [*OURS, *(f"{kind}:ENCODER" for kind in known)]) + "\n"
            "Write architecture:encoder, e.g. deeplabv3plus:resnet101 or segformer:mit_b0."
        )
    try:
        model = known[architecture.replace("_", "")](
            encoder_name=encoder, encoder_weights=encoder_weights, in_channels=channels, classes=len(classes)
        )
    except KeyError as error:
        try:
            model = known[architecture.replace("_", "")](
                encoder_name=f"tu-{encoder}",
                encoder_weights=encoder_weights,
                in_channels=channels,
                classes=len(classes),
            )
        except Exception as second:
            raise UnknownNameError(f"network {name!r}: no encoder {encoder!r}: {second}") from error
    except Exception as error:
        if encoder_weights:
            raise ModelError(
                f"{name}: the hub's weights cannot be had ({error}). Are you offline? Give a weights file."
            ) from error
        raise ModelError(f"{name}: this architecture does not go with this encoder: {error}") from error
    return Network(SmpBody(model), name, classes, channels, STRIDE, _normalization(smp, encoder))


def _architectures(smp: Any) -> list[Any]:
    names = (
        "Unet",
        "UnetPlusPlus",
        "MAnet",
        "Linknet",
        "FPN",
        "PSPNet",
        "PAN",
        "DeepLabV3",
        "DeepLabV3Plus",
        "UPerNet",
    )
    return [getattr(smp, name) for name in (*names, "Segformer", "DPT") if hasattr(smp, name)]


def _normalization(smp: Any, encoder: str) -> Normalization:
    try:
        parameters = smp.encoders.get_preprocessing_params(encoder)
        return Normalization(tuple(map(float, parameters["mean"])), tuple(map(float, parameters["std"])))
    except Exception:  # an encoder without recorded weights has no recorded numbers either
        return Normalization()


class SmpBody(nn.Module):
    """An smp model seen as (logits, features): the features are what its segmentation head sees."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def encoder(self) -> nn.Module:
        """What pretrained weights belong to."""
        return self.model.get_submodule("encoder")

    def get_submodule(self, target: str) -> nn.Module:
        """Find `encoder` where smp keeps it."""
        return super().get_submodule("model.encoder" if target == "encoder" else target)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features."""
        model: Any = self.model
        features = model.encoder(images_NBHW)
        decoded = model.decoder(features)
        return model.segmentation_head(decoded), decoded


def load_encoder(network: Network, path: Path) -> None:
    """Load pretrained encoder weights from a local file (safetensors, or a pickle-free torch file), strictly.

    A classifier head in the file is left out. Images with other than three bands adapt the first convolution.

    Raises:
        ModelError: no such file, not a weights file, keys or shapes that do not fit, or values that are not finite.
    """
    state = read_weights(path)
    own = network.encoder.state_dict()
    state = {
        key: value for key, value in state.items() if key in own or not key.startswith(("fc.", "head.", "classifier."))
    }
    for key, value in state.items():
        if key in own and value.ndim == 4 and value.shape != own[key].shape and own[key].shape[1] == network.channels:
            state[key] = adapt_input_weight(value, network.channels)
    check_state(state, own, path)
    network.encoder.load_state_dict(state)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file; nothing in it is executed.

    Raises:
        ModelError: no such file, or not a file of tensors.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(f"{path}: cannot be read as weights without executing it: {error}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: expected a dictionary of tensors, got {type(state).__name__}.")
    return dict(state)


def check_state(state: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> None:
    """Check that tensors fit a network.

    Raises:
        ModelError: listing missing and unexpected keys, differing shapes, and values that are not finite.
    """
    wrong = {
        "missing": sorted(set(own) - set(state)),
        "unexpected": sorted(set(state) - set(own)),
        "shape": [
            f"{k} {tuple(state[k].shape)} for {tuple(own[k].shape)}"
            for k in own
            if k in state and state[k].shape != own[k].shape
        ],
        "not finite": [k for k, v in state.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())],
    }
    found = {kind: names for kind, names in wrong.items() if names}
    if found:
        lines = [
            f"  {kind} ({len(names)}): {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
            for kind, names in found.items()
        ]
        raise ModelError(f"{path}: these weights do not fit the network.\n" + "\n".join(lines))
