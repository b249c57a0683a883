"""What models predicted of target frames, kept in the project's cache: drawing at random needs nothing else of them.

A random control asks with the model that the selection it is compared with asked with. The network has looked at the
target then, and is not run again. One archive a model and target, a compressed map a frame; the oldest give way.
"""

import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.artifact import content_hash, fingerprint_of
from frugalseg.core.files import TEMPORARY
from frugalseg.workflow.project import Project
from frugalseg.workflow.shelf import Shelf

FOLDER = Path("cache", "predictions")  # in the project's folder
LIMIT_BYTES = 2**30  # of all archives; a map of 1024x512 takes about 10 kB
TABLE, MAPS = "frames.json", "maps/"


@dataclass(frozen=True)
class Predictions:
    """Kept class maps (H x W uint8) of one model, and each frame's mean entropy in 0-1, by key."""

    archive: Path
    entropies: Mapping[str, float]
    sizes: Mapping[str, tuple[int, int]]

    def get(self, key: str) -> NDArray[np.uint8]:
        """Return a frame's map."""
        with zipfile.ZipFile(self.archive) as archive:
            return np.frombuffer(zlib.decompress(archive.read(MAPS + key)), np.uint8).reshape(self.sizes[key])


def archive_of(project: Project, model: Path) -> Path:
    """Return where the predictions of a model folder of the project's target are kept, as both are now."""
    inputs = {"model": content_hash(model), "target": content_hash(project.manifest_folder("target"))}
    return project.folder / FOLDER / f"{fingerprint_of('predictions', {}, 0, inputs)[:16]}.zip"


def kept(archive: Path, keys: Iterable[str]) -> Predictions | None:
    """Return what is kept if it holds all these frames; None if it does not, or cannot be read: then look again."""
    try:
        with zipfile.ZipFile(archive) as opened:
            table = json.loads(opened.read(TABLE))
            if opened.testzip() is not None or not table.keys() >= set(keys):
                return None
        sizes = {key: (row["height"], row["width"]) for key, row in table.items()}
        return Predictions(archive, {key: float(row["entropy"]) for key, row in table.items()}, sizes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error):
        return None


def keep(archive: Path, shelf: Shelf, entropies: Mapping[str, float]) -> None:
    """Keep the maps of these frames, and remove the oldest archives beyond `LIMIT_BYTES`."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    temporary = archive.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        table = {}
        with zipfile.ZipFile(temporary, "w") as opened:  # stored: the maps are packed already
            for key, entropy in entropies.items():
                packed, (height, width) = shelf.packed(key)
                opened.writestr(MAPS + key, packed)
                table[key] = {"height": height, "width": width, "entropy": entropy}
            opened.writestr(TABLE, json.dumps(table))
        os.replace(temporary, archive)
    finally:
        temporary.unlink(missing_ok=True)
    make_room(archive.parent)


def make_room(folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Remove the oldest archives, so that those left take at most `limit_bytes`."""
    total = 0
    for path in sorted(folder.glob("*.zip"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        total += path.stat().st_size
        if total > limit_bytes:
            path.unlink(missing_ok=True)
