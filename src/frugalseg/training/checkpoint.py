"""Checkpoints that survive a kill at any moment.

A checkpoint is one file whose name carries its own hash: `step-00000120.<sha256>.pt`. It is written to a temporary file
in the same folder, flushed and synced, read back and hashed, and only then renamed, so a file of that form is whole or
its content disagrees with its name. `LATEST` names the newest one, for people. Loading walks from the newest file to
the oldest and takes the first whose hash matches and whose numbers are finite.
"""

import hashlib
import io
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from frugalseg.core.errors import CheckpointError
from frugalseg.core.files import write_atomic
from frugalseg.models.weights import is_plain

KEEP = 2
ROOM = 2.5  # free space asked for, in sizes of the last checkpoint: a temporary file, the new one and some air
_NAME = re.compile(r"step-(\d{8})\.([0-9a-f]{64})\.pt")


class CheckpointFolder:
    """The checkpoints of one training run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(".*"):  # what a kill in the middle of a save left; the stage's lock makes it ours
            left_over.unlink()

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Save `state` (tensors, numbers, text, lists and dicts only) as the checkpoint of `step`; keep the last two.

        Raises:
            CheckpointError: too little free space.
            ArtifactError: the disk gave back other bytes than were written.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        free = shutil.disk_usage(self.folder).free
        if free < ROOM * len(content):
            raise CheckpointError(
                f"{self.folder}: {free / 1e6:.0f} MB free, a checkpoint wants {ROOM * len(content) / 1e6:.0f} MB.\n"
                "Make room and start the same command again: it goes on from the last checkpoint."
            )
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / f"step-{step:08d}.{digest}.pt"
        write_atomic(path, content)
        write_atomic(self.folder / "LATEST", path.name.encode())
        for _, old in self._newest_first()[KEEP:]:
            old.unlink(missing_ok=True)
        return path

    def load(self, device: torch.device | str = "cpu") -> tuple[int, dict[str, Any]] | None:
        """Return (step, state) of the newest whole checkpoint, or None where none was ever saved.

        Raises:
            CheckpointError: there are checkpoints and none of them is whole, or one holds more than tensors.
        """
        found = self._newest_first()
        for step, path in found:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == path.name.split(".")[1]:
                state = _read(content, path, device)
                if _finite(state):
                    return step, state
        if found:
            raise CheckpointError(
                f"{self.folder}: none of {len(found)} checkpoint(s) is what its name says; the disk may be failing.\n"
                f"Remove the folder {self.folder.parent} and start the same command again: it begins from the start."
            )
        return None

    def _newest_first(self) -> list[tuple[int, Path]]:
        found = []
        for name in os.listdir(self.folder):
            match = _NAME.fullmatch(name)
            if match:
                found.append((int(match[1]), self.folder / name))
        return sorted(found, reverse=True)


def _read(content: bytes, path: Path, device: torch.device | str) -> dict[str, Any]:
    try:
        state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        if isinstance(state, dict):
            return state
        problem = f"it holds a {type(state).__name__}"
    except Exception as error:  # torch raises whatever its unpickler or its zip reader raise
        problem = (str(error).splitlines() or [type(error).__name__])[0][:300]
    raise CheckpointError(
        f"{path}: this is no checkpoint of ours, although its name fits its content: {problem}\n"
        f"Nothing in it was run. Remove it, or the folder {path.parents[1]}, and start the same command again."
    )


def _finite(state: Any) -> bool:
    if isinstance(state, torch.Tensor):
        return is_plain(state) and bool(torch.isfinite(state).all())
    if isinstance(state, dict):
        return all(_finite(value) for value in state.values())
    return not isinstance(state, list | tuple) or all(_finite(value) for value in state)
