"""A manifest on disk: manifest.parquet (or a user's own manifest.csv) and classes.toml in one folder.

Files that the reader refused stand beside them in refused.csv; without any there is no such file.
"""

import csv
import io
from dataclasses import astuple, replace
from pathlib import Path

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ReaderError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Frame, Manifest, Refused
from frugalseg.core.table import read_records, write_records

REFUSED = "refused.csv"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.parquet`, `classes.toml`, and `refused.csv` where something was refused."""
    folder.mkdir(parents=True, exist_ok=True)
    write_records(folder / "manifest.parquet", manifest.frames, Frame)
    write_atomic(folder / "classes.toml", manifest.classes.to_toml().encode())
    if manifest.refused:
        write_atomic(folder / REFUSED, _csv(manifest.refused).encode())
    else:
        (folder / REFUSED).unlink(missing_ok=True)


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest; relative paths in it are relative to its folder.

    Raises:
        ReaderError: there is none.
        ArtifactError: a table does not fit.
    """
    for name in ("manifest.parquet", "manifest.csv"):
        if (folder / name).is_file():
            frames = [_located(frame, folder) for frame in read_records(folder / name, Frame)]
            refused = read_records(folder / REFUSED, Refused) if (folder / REFUSED).is_file() else []
            return Manifest(folder.name, tuple(frames), ClassSet.from_toml(folder / "classes.toml"), tuple(refused))
    raise ReaderError(f"{folder}: no manifest.parquet or manifest.csv here.")


def _located(frame: Frame, folder: Path) -> Frame:
    label = None if frame.label is None else str(folder / frame.label)
    mask = None if frame.mask is None else str(folder / frame.mask)
    instances = None if frame.instances is None else str(folder / frame.instances)
    return replace(frame, image=str(folder / frame.image), label=label, mask=mask, instances=instances)


def _csv(refused: tuple[Refused, ...]) -> str:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("path", "reason"))
    table.writerows(astuple(entry) for entry in refused)
    return text.getvalue()
