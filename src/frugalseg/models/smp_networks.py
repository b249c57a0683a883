"""Architectures of segmentation-models-pytorch (smp) over the encoders of smp and timm.

smp takes seconds to import, so it is imported where a network is built and nowhere else. Three things are mended:
logits are upsampled by `Network` (half-pixel centres, where smp aligns corners); a BatchNorm that sees one value a
channel (global pooling and a batch of one, as in AdvEnt's 1 + 1) uses its running statistics, where torch raises; and
encoders made for one image size take any, where timm lets them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.choose import nearest, unknown_name
from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.network import Network, Normalization
from frugalseg.models.timm_trunks import ENCODER_NAME, brief, floats, no_hub, timm_normalization, try_sizes

HALF = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
HALF_FAMILIES = ("inception", "xception")  # smp's encoders that were trained so; the others had ImageNet's numbers
LEAST_PX = {"pan": 128}  # its pyramid halves the stride-16 grid three times
COARSER = {"dpt": 2}  # its decoder halves the encoder's last grid once more
# What timm's families made for one image size must be told to take any.
ANY_SIZE: tuple[dict[str, bool], ...] = ({"strict_img_size": False}, {"dynamic_img_size": True}, {})


class Encoder(NamedTuple):
    """An encoder's name as smp wants it, the name of its published weights if it has any, and its normalisation."""

    name: str
    pretrained: str | bool | None
    normalization: Normalization


def smp_network(name: str, classes: ClassSet, channels: int, from_hub: bool, others: Iterable[str] = ()) -> Network:
    """Return `architecture:encoder` with random weights (from torch's generator), or with the hub's in its encoder.

    `others` are names of architectures to mention where `name` is none of smp's.

    Raises:
        UnknownNameError: no such architecture or encoder.
        ModelError: the two do not go together, images of free size are impossible, or the hub gives no weights.
    """
    architecture, _, encoder_name = name.partition(":")
    architecture = architecture.lower().replace("_", "")
    kind = _architecture(architecture, name, others)
    encoder = find_encoder(encoder_name, from_hub)
    model = _create(kind, name, encoder, channels, len(classes), from_hub)
    if architecture == "dpt":
        model.encoder.model.prune_intermediate_layers(1, prune_norm=True, prune_head=True)  # unused: no gradient ever
    stride = model.encoder.output_stride * COARSER.get(architecture, 1)
    network = Network(
        SmpBody(model.encoder, model.decoder, model.segmentation_head),
        name,
        classes,
        channels,
        stride,
        encoder.normalization,
        LEAST_PX.get(architecture, stride + 1),  # two cells on the coarsest grid: BatchNorm cannot learn from one
    )
    try_sizes(network)
    return network


class SmpBody(nn.Module):
    """An smp model seen as (logits, features): the features are what its segmentation head sees."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head.head if hasattr(head, "head") else head[0]  # without smp's upsampling
        _tolerate_single_values(self)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features on the decoder's grid."""
        encoded = self.encoder(images_NBHW)
        features = self.decoder(*encoded) if isinstance(encoded, tuple) else self.decoder(encoded)
        return self.head(features), features


class TolerantBatchNorm(nn.BatchNorm2d):
    """BatchNorm that falls back to its running statistics where a batch has a single value a channel."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input."""
        if self.training and input.numel() == input.shape[1]:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(input)


def _tolerate_single_values(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                tolerant = TolerantBatchNorm(child.num_features, child.eps, child.momentum, child.affine)
                tolerant.load_state_dict(child.state_dict())
                setattr(parent, name, tolerant)


def find_encoder(name: str, from_hub: bool = False) -> Encoder:
    """Return the encoder of that name: smp's, or timm's with or without `tu-` before it.

    Nothing is fetched unless `from_hub`.

    Raises:
        UnknownNameError: neither library has it.
        ModelError: its normalisation is on the hub, and the hub does not answer.
    """
    import timm
    from segmentation_models_pytorch.encoders import encoders

    if name in encoders:
        published = list(encoders[name]["pretrained_settings"])
        pretrained = "imagenet" if "imagenet" in published else next(iter(published), None)
        usual = HALF if name.startswith(HALF_FAMILIES) else Normalization()
        return Encoder(name, pretrained, _from_hub(name, pretrained) if from_hub and pretrained else usual)
    bare = name.removeprefix("tu-")
    if ENCODER_NAME.fullmatch(bare) and timm.is_model(bare):
        config = timm.get_pretrained_cfg(bare)
        has_weights = config is not None and config.has_weights
        return Encoder(f"tu-{bare}", True if has_weights else None, timm_normalization(bare))
    known = [*encoders, *timm.list_models()]
    guess = nearest(bare, known)
    raise UnknownNameError(
        f"There is no encoder named {name!r}.{f' Did you mean {guess!r}?' if guess else ''} "
        f"Known: {len(known)} encoders of segmentation-models-pytorch and timm, e.g. resnet101, mit_b0, mobilenet_v2, "
        "convnext_tiny."
    )


def _architecture(architecture: str, name: str, others: Iterable[str]) -> Any:
    import segmentation_models_pytorch as smp

    known: dict[str, Any] = smp.MODEL_ARCHITECTURES_MAPPING
    if architecture not in known:
        raise UnknownNameError(f"Network {name!r}: {unknown_name('architecture', architecture, [*known, *others])}")
    return known[architecture]


def _create(kind: Any, name: str, encoder: Encoder, channels: int, classes: int, from_hub: bool) -> Any:
    if from_hub and encoder.pretrained is None:
        raise ModelError(f"{name}: the hub has no weights of this encoder. Give a weights file, or none.")
    weights = encoder.pretrained if from_hub else None
    try:
        for options in ANY_SIZE if _has_fixed_size(encoder.name) else ({},):
            try:
                return kind(encoder.name, encoder_weights=weights, in_channels=channels, classes=classes, **options)
            except TypeError as error:
                if not options or next(iter(options)) not in str(error):
                    raise
    except Exception as error:  # whatever smp, timm and the hub's client raise
        if from_hub:
            raise ModelError(no_hub(name, error)) from error
        raise ModelError(f"{name}: this encoder does not go with this architecture: {brief(error)}") from error


def _has_fixed_size(encoder: str) -> bool:
    import timm

    config = timm.get_pretrained_cfg(encoder.removeprefix("tu-")) if encoder.startswith("tu-") else None
    return config is not None and config.fixed_input_size


def _from_hub(name: str, pretrained: str) -> Normalization:
    from segmentation_models_pytorch.encoders import get_preprocessing_params

    try:
        given: Mapping[str, Any] = get_preprocessing_params(name, pretrained)
    except Exception as error:
        raise ModelError(no_hub(name, error)) from error
    top = max(given["input_range"])  # 255 for weights trained on 0 … 255
    mean, std = (tuple(value / top for value in floats(given[key])) for key in ("mean", "std"))
    return Normalization(mean, std, (0, 1, 2) if given["input_space"] == "RGB" else (2, 1, 0))
