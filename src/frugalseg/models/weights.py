"""Weights files: read without executing anything in them, matched to an encoder, checked before they are used."""

import hashlib
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frugalseg.core.errors import ModelError
from frugalseg.models.network import Network, adapt_input_weight

HEADER_CAP = 10_000_000  # bytes of a safetensors header; a real one has some 100 a tensor
SHOWN = 5  # keys named in a message; the rest is counted
WRAPPERS = ("state_dict", "model_state_dict", "model")  # under which training scripts keep the tensors
PREFIXES = ("", "module.", "encoder.", "module.encoder.", "backbone.", "model.", "body.encoder.")
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+")  # torchvision's resnet101-63fe2227.pth: the start of its sha256


def load_encoder(network: Network, path: Path) -> None:
    """Load pretrained encoder weights from a local file: safetensors, or what `torch.save` wrote.

    Names are those of the library the encoder comes from, with or without a prefix such as `module.`. Every weight of
    the encoder must be in the file. What the file has besides is left out only if it belongs to a part that the encoder
    does not have (a classifier), so the weights of a deeper sibling are refused. For images with other than three bands
    the first convolution is adapted.

    Raises:
        ModelError: no such file, not a weights file, keys or shapes that do not fit, or values that are not finite.
    """
    own = network.encoder.state_dict()
    state = read_weights(path)
    published = getattr(network.encoder, "published", None)  # encoders whose layers are laid out unlike the file's
    state = match_keys(published(state) if published else state, own)
    for key, value in state.items():
        if _differs_in_bands(value, own.get(key), network.channels):
            state[key] = adapt_input_weight(value, network.channels)
    for key, value in own.items():
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, value)  # older files lack it, and nothing depends on it
    check_state(state, own, str(path))
    network.encoder.load_state_dict(state)


def match_keys(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` under the names of `own`; what belongs to parts `own` does not have is left out.

    Names are compared with `.` and `_` taken for the same: timm writes stages.0 in its files and stages_0 in the
    networks that give features.
    """
    names = {_canonical(key.removeprefix("model.")): key for key in own}

    def stripped(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

    best = max(map(stripped, PREFIXES), key=lambda part: sum(_canonical(key) in names for key in part))
    parts = {key.partition(".")[0] for key in best}
    known = {part for part in parts if any(name.startswith(f"{_canonical(part)}_") for name in names)}
    return {
        names.get(_canonical(key), key): value
        for key, value in best.items()
        if _canonical(key) in names or key.partition(".")[0] in known
    }


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file; nothing in it is executed.

    Raises:
        ModelError: no such file, not a file of tensors, or one that a checksum says was changed.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file.")
    _check_name(path)
    if path.suffix == ".safetensors":
        return parse_safetensors(path.read_bytes(), str(path))
    _check_archive(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: this file holds more than tensors, and reading it could run code. Nothing was run.\n"
            "Save the tensors alone: torch.save(model.state_dict(), ...), or a .safetensors file."
        ) from error
    except Exception as error:  # torch raises whatever its zip reader, its unpickler or the disk raise
        raise ModelError(f"{path}: damaged, or no weights file: {_first_line(error)}") from error
    return _tensors(state, path)


def parse_safetensors(content: bytes, where: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file's content.

    Raises:
        ModelError: a header of absurd length, offsets that overlap or lie outside, or a file cut short.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    if not 2 <= length <= min(HEADER_CAP, len(content)):
        raise ModelError(f"{where}: its header claims {length:,} bytes; expected 2 to {HEADER_CAP:,}, within the file.")
    try:
        return load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{where}: damaged safetensors file: {_first_line(error)}. Copy or save it again.") from error


def check_state(state: Mapping[str, Tensor], own: Mapping[str, Tensor], where: str) -> None:
    """Check that tensors fit a network.

    Raises:
        ModelError: listing missing and unexpected keys, differing shapes and kinds, tensors that are sparse, quantized
            or without values, and values that are not finite.
    """
    both = [key for key in own if key in state]
    # Only these are looked into: a shape that fits is one that memory was found for.
    alike = [
        key
        for key in both
        if is_plain(state[key]) and state[key].shape == own[key].shape and not state[key].is_complex()
    ]
    wrong = {
        "missing": [key for key in own if key not in state],
        "unexpected": [key for key in state if key not in own],
        "other shape": [
            f"{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}"
            for key in both
            if state[key].shape != own[key].shape
        ],
        "other kind of number": [
            f"{key} {state[key].dtype} for {own[key].dtype}"
            for key in both
            if state[key].is_floating_point() != own[key].is_floating_point() or state[key].is_complex()
        ],
        "not plain numbers": [key for key in both if not is_plain(state[key])],
        # As the network will hold them: 1e300 is finite in a file of doubles and infinite here.
        "not finite": [key for key in alike if not bool(torch.isfinite(state[key].to(own[key].dtype)).all())],
        "negative variance": [key for key in alike if key.endswith("running_var") and bool((state[key] < 0).any())],
    }
    lines = [f"  {kind} ({len(names)}): {_shortened(names)}" for kind, names in wrong.items() if names]
    if lines:
        lines.append(f"The network has {len(own)} tensors, {len(both)} of them are in the file.")
        raise ModelError(f"{where}: these weights do not fit the network.\n" + "\n".join(lines))


def is_plain(value: Tensor) -> bool:
    """Return whether a tensor is an ordinary array with values: not sparse, quantized, nested or on no device."""
    return value.layout == torch.strided and not (value.is_meta or value.is_quantized or value.is_nested)


def _check_name(path: Path) -> None:
    """Refuse a file whose name carries the start of another sha256, as published weights' names do."""
    match = HASH_IN_NAME.search(path.name)
    if not match or match[1].isdecimal():  # a date
        return
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if not sha256.startswith(match[1]):
        raise ModelError(
            f"{path}: its name says that its sha256 begins with {match[1]}, but that begins with {sha256[:8]}: it is "
            "damaged or another file.\nFetch it again; or rename it, if that part of its name is something else."
        )


def _check_archive(path: Path) -> None:
    """Refuse a file of torch.save with a wrong checksum (torch does not look), or that unpacks to more than it is."""
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":  # not a zip archive: torch's format before 1.6, which has no checksums
            return
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
            damaged = None if packed else archive.testzip()
    except Exception as error:  # zipfile raises BadZipFile, EOFError, RuntimeError, NotImplementedError, …
        raise ModelError(f"{path}: damaged, or no weights file: {_first_line(error)}") from error
    if packed:
        raise ModelError(f"{path}: {packed[0]} in it is compressed, which torch.save never does. Save it again.")
    if damaged:
        raise ModelError(
            f"{path}: {damaged} in it is not what was saved (its checksum differs). Copy or fetch the file again."
        )


def _tensors(state: Any, path: Path) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: expected a dictionary of tensors by name, got another {type(state).__name__}.")
    return {str(key): value for key, value in state.items()}


def _differs_in_bands(value: Tensor, own: Tensor | None, channels: int) -> bool:
    if own is None or value.ndim != 4 or own.ndim != 4 or not is_plain(value):
        return False
    same = value.shape[0] == own.shape[0] and value.shape[2:] == own.shape[2:]
    return same and own.shape[1] == channels and value.shape[1] == 3 != channels


def _canonical(key: str) -> str:
    return key.replace(".", "_")


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
