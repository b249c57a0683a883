"""A stage's folder: work in a hidden folder, written down in run.json, renamed into place when it is whole.

`PARENT/.part-<name>-<fingerprint>` is where work goes on (and goes on again after a kill);
`PARENT/0003-<name>-<fingerprint>`
is finished and never changes. The fingerprint covers the stage's name, its settings, its seed, the content of every
input and the product's version: the same again is the same folder.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import frugalseg
from frugalseg.core.errors import ArtifactError

RUN_JSON = "run.json"
LOCK = ".lock"
SHOWN = 8  # hex digits of a fingerprint in a finished folder's name
_FINISHED = re.compile(r"(\d{4,})-(.+)-([0-9a-f]{8})")


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens in between.

    A temporary file in the same folder is written, flushed, synced, read back, compared and renamed; then the folder is
    synced.

    Raises:
        ArtifactError: the disk gave back other bytes than were written.
        OSError: the folder cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}."[:100])
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if Path(temporary).read_bytes() != content:
            raise ArtifactError(f"{path}: the disk gave back other bytes than were written. Check the disk.")
        os.chmod(temporary, 0o644)
        os.rename(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_hash(path: Path) -> str:
    """Return a file's sha256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(path: Path) -> str:
    """Return the sha256 of a file, or of the names and contents of all files below a folder.

    A finished stage is known by what its run.json says of its files, so large folders are not read again.

    Raises:
        ArtifactError: there is nothing there.
    """
    if path.is_file():
        return file_hash(path)
    if not path.is_dir():
        raise ArtifactError(f"{path}: this input does not exist. Run the stage that makes it, or give another one.")
    if (path / RUN_JSON).is_file():
        return _digest(RunInfo.read(path).files)
    return _digest(_list_files(path))


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
            ordinal = int(match[1]) if match else 0
            return cls(ordinal, content["name"], folder, content)
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


def fingerprint_of(name: str, config: Mapping[str, Any], seed: int, input_hashes: Mapping[str, str]) -> str:
    """Return the sha256 over everything a stage's result depends on."""
    return _digest(
        {"name": name, "config": config, "seed": seed, "inputs": input_hashes, "version": frugalseg.__version__}
    )


def verify(folder: Path) -> None:
    """Check every file of a finished stage against its run.json.

    Raises:
        ArtifactError: naming the files that are missing, changed or new.
    """
    said, now = RunInfo.read(folder).files, _list_files(folder)
    wrong = sorted({*said, *now} - {name for name in said if said[name] == now.get(name)})
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ArtifactError(
            f"{folder}: {', '.join(wrong[:5])}{more} changed after the stage was finished.\n"
            "Remove the folder and run the stage again."
        )


class Stage:
    """A stage at work. Use as a context manager; what is not committed stays for the next attempt.

    Raises:
        ArtifactError: an input is missing, or another process works on the same stage.
    """

    def __init__(
        self,
        runs: Path,
        name: str,
        inputs: Mapping[str, Path],
        config: Mapping[str, Any],
        command: Sequence[str],
        seed: int,
    ) -> None:
        self._runs, self._name, self._config, self._command, self._seed = runs, name, config, command, seed
        self._inputs = {key: {"path": str(path), "sha256": content_hash(path)} for key, path in sorted(inputs.items())}
        hashes = {key: str(entry["sha256"]) for key, entry in self._inputs.items()}
        self.fingerprint = fingerprint_of(name, config, seed, hashes)
        self.folder = runs / f".part-{name}-{self.fingerprint[:12]}"
        self._lock: IO[str] | None = None

    def done(self) -> RunInfo | None:
        """Return the finished stage of the same fingerprint, or None."""
        return find_done(self._runs, self._name, self.fingerprint)

    def __enter__(self) -> "Stage":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115  (held until __exit__)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise ArtifactError(f"{self.folder}: process {owner} is at work here. Wait for it, or stop it.") from error
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        self._began = datetime.now(UTC)
        self._wall_s, self._device_s = time.monotonic(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lock is not None
        if self.folder.is_dir():
            self._note_time()
        self._lock.close()

    def commit(self, found: Mapping[str, Any]) -> RunInfo:
        """Write run.json and rename the folder into place."""
        spent = self._note_time()
        (self.folder / "spent.json").unlink()
        (self.folder / LOCK).unlink()
        content = {
            "schema": 1,
            "name": self._name,
            "command": list(self._command),
            "config": dict(self._config),
            "seed": self._seed,
            "inputs": self._relative_inputs(),
            "found": dict(found),
            "versions": _versions(),
            "started": self._began.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_s": round(spent["wall_s"], 3),
            "device_s": round(spent["device_s"], 3),
            "fingerprint": self.fingerprint,
            "files": _list_files(self.folder),
        }
        os.sync()
        write_atomic(self.folder / RUN_JSON, json.dumps(content, indent=1, ensure_ascii=False).encode())
        ordinal = max((run.ordinal for run in list_runs(self._runs)), default=0) + 1
        final = self._runs / f"{ordinal:04d}-{self._name}-{self.fingerprint[:SHOWN]}"
        self.folder.rename(final)
        sync_folder(self._runs)
        return RunInfo.read(final)

    def _note_time(self) -> dict[str, float]:
        """Add this attempt's seconds to those of the attempts before, and start counting anew."""
        path = self.folder / "spent.json"
        spent = json.loads(path.read_text()) if path.is_file() else {"wall_s": 0.0, "device_s": 0.0}
        now = {"wall_s": time.monotonic(), "device_s": time.process_time()}
        spent = {
            "wall_s": spent["wall_s"] + now["wall_s"] - self._wall_s,
            "device_s": spent["device_s"] + now["device_s"] - self._device_s,
        }
        self._wall_s, self._device_s = now["wall_s"], now["device_s"]
        path.write_text(json.dumps(spent))
        return spent

    def _relative_inputs(self) -> dict[str, dict[str, str]]:
        """Inputs of the same project are written relative to the stage's folder, so that a project may move."""
        project = self._runs.resolve().parent
        inputs = {}
        for key, entry in self._inputs.items():
            path = Path(entry["path"]).resolve()
            inside = path.is_relative_to(project)
            inputs[key] = {**entry, "path": os.path.relpath(path, self.folder.resolve()) if inside else str(path)}
        return inputs


def _list_files(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.relative_to(folder).as_posix(): {"sha256": file_hash(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / RUN_JSON and path != folder / LOCK
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True, default=str).encode()).hexdigest()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "frugalseg": frugalseg.__version__}
    for name in ("numpy", "torch", "torchvision", "lightning", "cv2", "PIL"):
        if name in sys.modules:
            versions[name] = str(getattr(sys.modules[name], "__version__", "?"))
    return versions
