"""The runs of a comparison, each in a process of its own: some at a time, what is done not again, failures told.

A run that was killed goes on where its stages stand. One that fails says why, and the others go on.
"""

import fcntl
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, Protocol, TypeVar

from frugalseg.core.errors import FrugalsegError
from frugalseg.training.interrupt import sigterm_exits
from frugalseg.workflow.child import ONE_THREAD, failure_of
from frugalseg.workflow.stage import Options

POLL_S = 0.2
LOCK, LOGS = ".lock", "logs"


class Waits(Protocol):
    """A run of a comparison; `after` is the one that it goes on from, if any."""

    @property
    def name(self) -> str:
        """What it is called among those of its seed."""
        ...

    @property
    def seed(self) -> int:
        """Its seed."""
        ...

    @property
    def title(self) -> str:
        """What it is called among all."""
        ...

    @property
    def after(self) -> "Waits | None":
        """What it waits for."""
        ...

    def to_json(self) -> str:
        """Return it as text for its process."""
        ...


J = TypeVar("J", bound=Waits)
D = TypeVar("D")


@dataclass(frozen=True)
class Kind(Generic[J, D]):
    """How runs of a kind are done: in this process or by `worker`, a module that takes a run as JSON.

    `done` returns a run's finished stages or None; `tell` says in a few words what came of them.
    """

    worker: str
    work: Callable[[J], None]
    done: Callable[[J], D | None]
    tell: Callable[[D], str]


def run_jobs(lock: IO[str], jobs: Sequence[J], at_once: int, options: Options, kind: Kind[J, D]) -> dict[J, D | str]:
    """Run what is not done, `at_once` processes at a time; return each job's stages, or why it failed.

    A job whose predecessor failed is not tried. Ctrl-C and SIGTERM stop the processes, which save first. `at_once` 0
    runs them in this process. `lock` is what `alone` gave.
    """
    with sigterm_exits():
        found: dict[J, D | str] = {job: stages for job in jobs if (stages := kind.done(job))}
        waiting = [job for job in jobs if job not in found]
        if found:
            options.say(f"{len(found)} of {len(jobs)} runs: done before.")
        _Workers(Path(lock.name).parent / LOGS, lock, options, kind).run(waiting, found, at_once)
    return found


class _Workers(Generic[J, D]):
    def __init__(self, logs: Path, lock: IO[str], options: Options, kind: Kind[J, D]) -> None:
        self._logs, self._lock, self._options, self._kind = logs, lock, options, kind
        self._running: dict[J, subprocess.Popen[bytes]] = {}
        logs.mkdir(exist_ok=True)

    def run(self, waiting: list[J], found: dict[J, D | str], at_once: int) -> None:
        """Run all of `waiting`, each after what it starts from, and put what came of it into `found`."""
        try:
            while waiting or self._running:
                by_title = {job.title: outcome for job, outcome in found.items()}
                for job in [job for job in waiting if job.after is None or job.after.title in by_title]:
                    if job.after and isinstance(by_title[job.after.title], str):
                        found[job] = f"{job.after.title} failed, and this starts from it."
                    elif at_once == 0:
                        found[job] = self._outcome(job, self._here(job))
                    elif len(self._running) < at_once:
                        self._running[job] = self._start(job)
                    else:
                        continue
                    waiting.remove(job)
                self._collect(found)
        finally:
            for process in self._running.values():
                process.terminate()
            for process in self._running.values():
                process.wait()

    def _collect(self, found: dict[J, D | str]) -> None:
        for job, process in list(self._running.items()):
            if process.poll() is not None:
                del self._running[job]
                found[job] = self._outcome(job, failure_of(process.returncode, self._log(job)))
        if self._running:
            time.sleep(POLL_S)

    def _outcome(self, job: J, failure: str) -> D | str:
        stages = None if failure else self._kind.done(job)
        if stages is None:
            failure = failure or "its process ended well, but its stages are not there."
            self._options.say(f"{job.title}: failed: {failure}")
            return failure
        self._options.say(f"{job.title}: {self._kind.tell(stages)}")
        return stages

    def _here(self, job: J) -> str:
        self._options.say(f"{job.title}: begins.")
        try:
            self._kind.work(job)
        except FrugalsegError as error:
            return str(error)
        except Exception as error:  # a slip in one method must not cost the others' results
            self._log(job).write_text(traceback.format_exc(), encoding="utf-8")
            return f"{type(error).__name__}: {error} (see {self._log(job)})"
        return ""

    def _start(self, job: J) -> subprocess.Popen[bytes]:
        self._options.say(f"{job.title}: begins.")
        command = [sys.executable, "-m", self._kind.worker, job.to_json()]
        with open(self._log(job), "wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # closed by our death: the worker then saves and leaves
                stdout=log,
                stderr=log,
                env={**os.environ, **ONE_THREAD},
                pass_fds=(self._lock.fileno(),),  # held until the last worker has left
                start_new_session=True,  # Ctrl-C reaches us alone, and we tell the workers
            )

    def _log(self, job: J) -> Path:
        return self._logs / f"seed-{job.seed}-{job.name.replace('/', '-')}.log"


@contextmanager
def alone(folder: Path, options: Options) -> Iterator[IO[str]]:
    """Hold the folder's lock, which workers of an earlier comparison may still hold while they save."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            options.say(f"{folder}: another comparison, or workers of one, are at work here; waiting for them.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
