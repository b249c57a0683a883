"""Finished stages: what their run.json says, and where they lie."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ArtifactError

RUN_JSON = "run.json"
_NEEDED = {
    "name",
    "command",
    "config",
    "seed",
    "inputs",
    "found",
    "versions",
    "wall_s",
    "device_s",
    "fingerprint",
    "files",
}
_FINISHED = re.compile(r"(\d{4,})-(.+)-([0-9a-f]{8})")


@dataclass(frozen=True)
class RunInfo:
    """A finished stage: its number and name, its folder, and what run.json says."""

    ordinal: int
    name: str
    folder: Path
    content: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> "RunInfo":
        """Read a finished stage's run.json.

        Raises:
            ArtifactError: it is missing or no run.json of ours.
        """
        match = _FINISHED.fullmatch(folder.name)
        try:
            content = json.loads((folder / RUN_JSON).read_text(encoding="utf-8"))
            if missing := _NEEDED - set(content):
                raise KeyError(*sorted(missing))
            return cls(int(match[1]) if match else 0, content["name"], folder, content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{folder / RUN_JSON}: not a finished stage ({error!r}). Remove the folder.") from error

    @property
    def config(self) -> dict[str, Any]:
        """The resolved settings."""
        return dict(self.content["config"])

    @property
    def command(self) -> list[str]:
        """The command line, as a list of arguments."""
        return list(self.content["command"])

    @property
    def extra(self) -> dict[str, Any]:
        """What the stage found."""
        return dict(self.content["found"])

    @property
    def seed(self) -> int:
        """The seed."""
        return int(self.content["seed"])

    @property
    def fingerprint(self) -> str:
        """The fingerprint, in full."""
        return str(self.content["fingerprint"])

    @property
    def wall_s(self) -> float:
        """Seconds the stage took, over all its attempts."""
        return float(self.content["wall_s"])

    @property
    def device_s(self) -> float:
        """Processor seconds of the process over all attempts."""
        return float(self.content["device_s"])

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python, the product and the libraries in use."""
        return dict(self.content["versions"])

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """sha256 and bytes of every file of the stage."""
        return dict(self.content["files"])

    def has_input(self, name: str) -> bool:
        """Return whether the stage had an input of that name."""
        return name in self.content["inputs"]

    def input(self, name: str) -> Path:
        """Return where an input lay; inputs of the same project are found again after the project has moved.

        Raises:
            ArtifactError: there was no such input.
        """
        if not self.has_input(name):
            raise ArtifactError(
                f"{self.folder}: this stage had no input {name!r}, only {sorted(self.content['inputs'])}."
            )
        return Path(os.path.normpath(self.folder / self.content["inputs"][name]["path"]))


def list_runs(runs: Path) -> list[RunInfo]:
    """Return the finished stages below `runs` in the order they were finished."""
    if not runs.is_dir():
        return []
    folders = [path for path in runs.iterdir() if _FINISHED.fullmatch(path.name) and path.is_dir()]
    return sorted(map(RunInfo.read, folders), key=lambda run: (run.ordinal, run.name))


def find_done(runs: Path, name: str, fingerprint: str) -> RunInfo | None:
    """Return the finished stage of that name and fingerprint, or None."""
    for run in list_runs(runs):
        if run.name == name and run.fingerprint == fingerprint:
            return run
    return None
