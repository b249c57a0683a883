"""A trained discriminator as a folder beside its network: weights, and what kind of maps it looks at. Never a pickle.

It tells later how much a frame looks like the source to the network (MADA, equation 13).
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from frugalseg.core.choose import choose
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.core.files import write_atomic
from frugalseg.models.weights import check_state, parse_safetensors
from frugalseg.training.adversarial import KINDS, Discriminator
from frugalseg.training.losses import entropy_NCHW

DISCRIMINATOR = "discriminator"  # the folder in a stage's folder
WEIGHTS, INFO = "discriminator.safetensors", "discriminator.json"
MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits_NCHW: logits_NCHW.softmax(dim=1),  # AdaptSegNet
    "entropy": entropy_NCHW,  # ADVENT
}
FIELDS = {"maps": str, "kind": str, "classes": int, "width": int, "sha256": str}
MOST = 4096  # classes or channels; a description that claims more is none


@dataclass(frozen=True)
class SavedDiscriminator:
    """A discriminator and the maps that it looks at, made from logits."""

    discriminator: Discriminator
    maps: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def likeness(self, logits_NCHW: Tensor) -> Tensor:
        """Return the mean over its map of the probability that each image is the source's (N)."""
        answer_N1hw = self.discriminator(self.maps(logits_NCHW.float()))
        likeness_N: Tensor = answer_N1hw.double().sigmoid().mean(dim=(1, 2, 3))
        return likeness_N


def save_discriminator(folder: Path, discriminator: Discriminator, maps: str) -> None:
    """Write a discriminator of the maps named `maps`.

    Raises:
        ModelError: it holds NaN or infinity; nothing is written.
    """
    from safetensors.torch import save

    state = discriminator.state_dict()
    check_state(state, state, f"{folder}: nothing was saved")
    content = save({name: value.detach().cpu().contiguous() for name, value in state.items()})
    first = next(iter(state.values()))
    width, classes = first.shape[:2]
    info = {"maps": maps, "kind": discriminator.kind, "classes": classes, "width": width}
    info["sha256"] = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / WEIGHTS, content)
    write_atomic(folder / INFO, json.dumps(info, indent=1).encode())


def load_discriminator(folder: Path) -> SavedDiscriminator:
    """Return what `save_discriminator` wrote.

    Raises:
        ModelError: files missing, changed or damaged, or weights that do not fit.
    """
    try:
        info = json.loads((folder / INFO).read_text(encoding="utf-8"))
        content = (folder / WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: no discriminator can be read here: {error}. Adapt again.") from error
    wrong = [key for key, kind in FIELDS.items() if not isinstance(info, dict) or type(info.get(key)) is not kind]
    if wrong or not all(0 < info[name] <= MOST for name in ("classes", "width")):
        raise ModelError(
            f"{folder / INFO}: no description of a discriminator ({', '.join(wrong) or info}). Adapt again."
        )
    if hashlib.sha256(content).hexdigest() != info["sha256"]:
        raise ModelError(f"{folder / WEIGHTS}: not the weights that {INFO} describes (sha256 differs). Copy it again.")
    try:
        maps = choose("kind of maps", info["maps"], MAPS)
        kind = choose("kind of discriminator", info["kind"], {name: name for name in KINDS})
    except UnknownNameError as error:
        raise ModelError(f"{folder / INFO}: {error}") from error
    discriminator = Discriminator(info["classes"], info["width"], kind)
    state = parse_safetensors(content, str(folder / WEIGHTS))
    check_state(state, discriminator.state_dict(), str(folder / WEIGHTS))
    discriminator.load_state_dict(state)
    return SavedDiscriminator(discriminator.eval(), maps)
