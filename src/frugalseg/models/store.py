"""A finished network as a folder: model.safetensors, and model.json that says what it is. Never a pickle."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frugalseg.core.artifact import file_hash, write_atomic
from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ModelError
from frugalseg.models.build import build, check_state
from frugalseg.models.network import Network

SCHEMA = 1
WEIGHTS, INFO = "model.safetensors", "model.json"
HEADER_CAP = 10_000_000  # bytes; a real header has some 100 bytes a tensor


def save_model(folder: Path, network: Network, extra: Mapping[str, Any]) -> None:
    """Write a network to a folder; `extra` (plain JSON) is kept beside it, e.g. the input size it was trained at."""
    from safetensors.torch import save

    content = save({name: value.contiguous() for name, value in network.state_dict().items()})
    write_atomic(folder / WEIGHTS, content)
    info = {
        **extra,
        "schema": SCHEMA,
        "network": network.name,
        "channels": network.channels,
        "classes": network.classes.to_dict(),
        "sha256": file_hash(folder / WEIGHTS),
    }
    write_atomic(folder / INFO, json.dumps(info, indent=1, ensure_ascii=False).encode())


def read_model_info(folder: Path) -> dict[str, Any]:
    """Return model.json.

    Raises:
        ModelError: it is missing or does not fit its schema.
    """
    try:
        info = json.loads((folder / INFO).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder / INFO}: no model here ({error}).") from error
    expected = {"schema": int, "network": str, "channels": int, "classes": dict, "sha256": str}
    wrong = [key for key, kind in expected.items() if not isinstance(info, dict) or not isinstance(info.get(key), kind)]
    if wrong or info["schema"] != SCHEMA:
        raise ModelError(
            f"{folder / INFO}: not a model description of schema {SCHEMA}; "
            f"wrong or missing: {', '.join(wrong) or 'schema'}."
        )
    return dict(info)


def load_model(folder: Path) -> Network:
    """Return the network of a folder that `save_model` wrote. Its hash is checked before anything is read from it.

    Raises:
        ModelError: files missing, changed or damaged, weights that do not fit, or values that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    info, path = read_model_info(folder), folder / WEIGHTS
    if not path.is_file():
        raise ModelError(f"{path}: the weights are missing.")
    if file_hash(path) != info["sha256"]:
        raise ModelError(
            f"{path}: the weights are not those that {INFO} describes (sha256 differs). Copy the model again."
        )
    _check_header(path)
    network = build(info["network"], ClassSet.from_dict(info["classes"], str(folder / INFO)), info["channels"])
    try:
        state = load(path.read_bytes())
    except SafetensorError as error:
        raise ModelError(f"{path}: damaged safetensors file: {error}") from error
    check_state(state, network.state_dict(), path)
    network.load_state_dict(state)
    return network.eval()


def _check_header(path: Path) -> None:
    with open(path, "rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= min(HEADER_CAP, path.stat().st_size):
        raise ModelError(f"{path}: its header claims {length:,} bytes; expected 2 to {HEADER_CAP:,}.")
