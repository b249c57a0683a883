"""A stage's folder: work in a hidden folder, written down in run.json, renamed into place when it is whole.

`PARENT/.part-<name>-<fingerprint>` is where work goes on (and goes on again after a kill);
`PARENT/0003-<name>-<fingerprint>` is finished and never changes. The fingerprint covers the stage's name, its settings,
its seed, the content of every input and the product's version: the same again is the same folder.
"""

import fcntl
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import frugalseg
from frugalseg.core.errors import ArtifactError, BusyError
from frugalseg.core.files import TEMPORARY, file_hash, sync_folder, write_atomic
from frugalseg.core.runs import RUN_JSON, RunInfo, find_done, list_runs

LOCK = ".lock"
SPENT = ".spent.json"  # seconds of the attempts so far
SHOWN = 8  # hex digits of a fingerprint in a finished folder's name
_NO_RESULT = (RUN_JSON, LOCK, SPENT)


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
        ArtifactError: an input is missing.
        BusyError: another process works on the same stage.
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
        self._committed = False

    def done(self) -> RunInfo | None:
        """Return the finished stage of the same fingerprint, or None."""
        return find_done(self._runs, self._name, self.fingerprint)

    def __enter__(self) -> "Stage":
        while not (lock := self._try_lock()):  # another process finished the stage while we opened its lock
            pass
        self._lock = lock
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
        if not self._committed:
            self._note_time()
        self._lock.close()

    def _try_lock(self) -> IO[str] | None:
        """Return the locked file, or None if meanwhile it is no longer the one in the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = open(self.folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115  (held until __exit__)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(self.folder / LOCK)):
                return lock
        except BlockingIOError as error:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise BusyError(f"{self.folder}: process {owner} is at work here. Wait for it, or stop it.") from error
        except FileNotFoundError:
            pass
        lock.close()
        return None

    def commit(self, found: Mapping[str, Any]) -> RunInfo:
        """Write run.json and rename the folder into place."""
        spent = self._note_time()
        for left in self.folder.rglob(f"{TEMPORARY}*"):  # by attempts that were killed
            left.unlink()
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
        write_atomic(self.folder / RUN_JSON, json.dumps(content, indent=1, ensure_ascii=False, default=str).encode())
        with open(self._runs / LOCK, "a") as lock:  # so that two stages that finish together get two numbers
            fcntl.flock(lock, fcntl.LOCK_EX)
            ordinal = max((run.ordinal for run in list_runs(self._runs)), default=0) + 1
            final = self._runs / f"{ordinal:04d}-{self._name}-{self.fingerprint[:SHOWN]}"
            self.folder.rename(final)  # with our lock in it: nobody else can enter before it has its new name
            self._committed = True
        for name in (LOCK, SPENT):
            (final / name).unlink()
        sync_folder(self._runs)
        return RunInfo.read(final)

    def _note_time(self) -> dict[str, float]:
        """Add this attempt's seconds to those of the attempts before, and start counting anew."""
        path = self.folder / SPENT
        try:
            spent = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):  # the first attempt, or cut off by a power failure
            spent = {"wall_s": 0.0, "device_s": 0.0}
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
        if path.is_file() and path.relative_to(folder).as_posix() not in _NO_RESULT
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True, default=str).encode()).hexdigest()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "frugalseg": frugalseg.__version__}
    for name in ("numpy", "torch", "torchvision", "lightning", "cv2", "PIL"):
        if name in sys.modules:
            versions[name] = str(getattr(sys.modules[name], "__version__", "?"))
    return versions
