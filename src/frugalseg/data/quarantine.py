"""Frames that are left out by name: `quarantine.csv` beside a manifest, with a reason for each.

A name is a frame's key, or the path of a file that the reader refused (which is left out anyway: here a person has
taken note of it).
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from frugalseg.core.errors import ArtifactError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Manifest

QUARANTINE = "quarantine.csv"
COLUMNS = ["key", "reason"]


def read_quarantine(folder: Path) -> dict[str, str]:
    """Return reasons by name; empty where there is no quarantine.

    Raises:
        ArtifactError: the file is no such table.
    """
    path = folder / QUARANTINE
    if not path.is_file():
        return {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path}: cannot read this table: {error}") from error
    if not rows or rows[0] != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise ArtifactError(f"{path}: expected the columns key, reason in every row. Mend it, or remove the file.")
    return {key: reason for key, reason in rows[1:]}


def write_quarantine(folder: Path, reasons: Mapping[str, str]) -> None:
    """Write reasons by name; none removes the file."""
    path = folder / QUARANTINE
    if not reasons:
        path.unlink(missing_ok=True)
        return
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([COLUMNS, *sorted((key, " ".join(text.split())) for key, text in reasons.items())])
    write_atomic(path, buffer.getvalue().encode("utf-8", "backslashreplace"))


def without(manifest: Manifest, names: Mapping[str, str]) -> Manifest:
    """Return the manifest without the frames of those names."""
    if not names:
        return manifest
    return replace(manifest, frames=tuple(frame for frame in manifest if frame.key not in names))
