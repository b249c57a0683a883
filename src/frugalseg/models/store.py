"""A finished network as a folder: model.safetensors, and model.json that says what it is. Never a pickle.

A name in model.json is looked up in tables; nothing is imported, fetched or executed because a file says so.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ConfigError, ModelError
from frugalseg.core.files import write_atomic
from frugalseg.models.build import build
from frugalseg.models.network import Network, Normalization
from frugalseg.models.weights import check_state, parse_safetensors

SCHEMA = 1
WEIGHTS, INFO = "model.safetensors", "model.json"
INFO_CAP = 4_000_000  # bytes; 254 classes with names and colours take some 50,000
FIELDS = {"schema": int, "network": str, "channels": int, "classes": dict, "sha256": str}


def save_model(folder: Path, network: Network, extra: Mapping[str, Any]) -> None:
    """Write a network to a folder; `extra` (plain JSON) is kept beside it, e.g. the input size it was trained at.

    Raises:
        ModelError: the network holds NaN or infinity, so `load_model` would refuse it; nothing is written.
    """
    from safetensors.torch import save

    state = network.state_dict()
    check_state(state, state, f"{folder}: nothing was saved")
    content = save({name: value.detach().cpu().contiguous() for name, value in state.items()})
    normalization = network.normalization
    info = {
        **extra,
        "schema": SCHEMA,
        "network": network.name,
        "channels": network.channels,
        "normalization": {"mean": normalization.mean, "std": normalization.std, "order": normalization.order},
        "classes": network.classes.to_dict(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    text = json.dumps(info, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / WEIGHTS, content)  # first: model.json is what makes the folder a model
    write_atomic(folder / INFO, text.encode())


def read_model_info(folder: Path) -> dict[str, Any]:
    """Return model.json.

    Raises:
        ModelError: it is missing, no JSON, too large, or does not fit its schema.
    """
    path = folder / INFO
    try:
        _refuse_special(path)
        with open(path, "rb") as file:
            content = file.read(INFO_CAP + 1)
        if len(content) > INFO_CAP:
            raise ModelError(f"{path}: more than {INFO_CAP:,} bytes; this is no model description.")
        info = json.loads(content.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except OSError as error:
        raise ModelError(f"{path}: there is no model here ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a model description: {error}") from error
    if not isinstance(info, dict) or info.get("schema") != SCHEMA:
        got = info.get("schema") if isinstance(info, dict) else type(info).__name__
        raise ModelError(f"{path}: expected a model description of schema {SCHEMA}, got {got!r}.")
    wrong = [key for key, kind in FIELDS.items() if type(info.get(key)) is not kind]
    if wrong:
        raise ModelError(f"{path}: missing or of the wrong type: {', '.join(wrong)}.")
    return info


def load_model(folder: Path) -> Network:
    """Return the network of a folder that `save_model` wrote, in evaluation mode.

    The weights' hash is checked before anything is read from them.

    Raises:
        ModelError: files missing, changed or damaged, weights that do not fit, or values that are not finite.
    """
    info, path, where = read_model_info(folder), folder / WEIGHTS, str(folder / INFO)
    try:
        _refuse_special(path)
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != info["sha256"]:
        raise ModelError(
            f"{path}: these are not the weights that {INFO} describes (sha256 differs). Copy the model again."
        )
    state = parse_safetensors(content, str(path))
    plan = _build_on("meta", info, where)
    check_state(state, plan.state_dict(), str(path))
    network = _build_on("cpu", info, where)
    network.load_state_dict(state)
    return network.eval()


def _build_on(device: str, info: Mapping[str, Any], where: str) -> Network:
    """Build the network of a description. On `meta` it takes no memory: a name alone can claim billions of weights."""
    try:
        with torch.device(device):
            network = build(info["network"], ClassSet.from_dict(info["classes"], where), info["channels"])
        _restore_normalization(network, info.get("normalization"))
    except (ConfigError, ModelError) as error:
        if device == "meta" and "meta tensors" in str(error):  # an encoder that computes while it is built
            return _build_on("cpu", info, where)
        raise ModelError(f"{where}: {error}") from error
    return network


def _restore_normalization(network: Network, given: Any) -> None:
    """Install the saved numbers: weights from the hub may come with others than the same network without them."""
    if given is None:  # written by hand, or before the field was there: the network's own
        return
    kinds = {"mean": (int, float), "std": (int, float), "order": (int,)}
    for key, kind in kinds.items():  # exact types: to Python a bool is an int, and int() takes 1.5 for a place
        numbers = given.get(key) if isinstance(given, dict) else None
        if not isinstance(numbers, list) or any(type(number) not in kind for number in numbers):
            raise ModelError(f"`normalization` needs mean, std and order, a list of numbers each; {key} is none.")
    network.set_normalization(Normalization(*(tuple(given[key]) for key in kinds)))


def _refuse_special(path: Path) -> None:
    """Refuse what is no file before it is opened: reading from a named pipe would wait for ever."""
    if path.exists() and not path.is_file():
        raise ModelError(f"{path}: this is no file.")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key given twice: {next(key for key in keys if keys.count(key) > 1)!r}")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number JSON knows")
