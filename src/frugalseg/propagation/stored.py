"""A small trained network in a folder: NAME.safetensors, and NAME.json with the numbers that it is built from."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from safetensors.torch import save
from torch import nn

from frugalseg.core.errors import ModelError
from frugalseg.core.files import write_atomic
from frugalseg.models.weights import check_state, parse_safetensors

Built = TypeVar("Built", bound=nn.Module)
LARGEST = 256  # of the numbers: nothing larger is built because a file says so


def save_network(folder: Path, name: str, network: nn.Module, sizes: Mapping[str, int]) -> None:
    """Write a network; the file that says so last.

    Raises:
        ModelError: its weights are not finite.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    check_state(state, state, f"{folder}: nothing was saved")
    write_atomic(folder / f"{name}.safetensors", save(state))
    write_atomic(folder / f"{name}.json", json.dumps(dict(sizes)).encode())


def load_network(folder: Path, name: str, build: Callable[[dict[str, int]], Built]) -> Built:
    """Return what `save_network` wrote; `build` makes the network of its numbers, which it may refuse by KeyError.

    Raises:
        ModelError: it is missing, damaged, or does not fit together.
    """
    weights = folder / f"{name}.safetensors"
    try:
        sizes = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        if not all(isinstance(size, int) and 1 <= size <= LARGEST for size in sizes.values()):
            raise ValueError(f"sizes {sizes}")
        network, content = build(sizes), weights.read_bytes()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder}: no trained network `{name}` here ({error}). Train one again.") from error
    state = parse_safetensors(content, str(weights))
    check_state(state, network.state_dict(), str(weights))
    network.load_state_dict(state)
    return network.eval()
