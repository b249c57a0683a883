"""The stretches of a video, shared out among processes: frames a second shown, failures told.

A process takes one stretch after another, so that it starts, loads networks and reads the manifest once.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from frugalseg.training.interrupt import sigterm_exits
from frugalseg.workflow.child import KEPT_MEMORY, ONE_THREAD, failure_of
from frugalseg.workflow.propagate_files import log_of
from frugalseg.workflow.propagate_plan import FRAMES
from frugalseg.workflow.propagate_run import Stretches
from frugalseg.workflow.stage import Options

TELL_S = 5.0


def run_stretches(folder: Path, numbers: Sequence[int], frames: int, jobs: int, options: Options) -> dict[int, str]:
    """Spread labels over the stretches `numbers`, `jobs` at a time; return why some failed.

    Ctrl-C and SIGTERM end the processes; what they have finished stays. `jobs` 0 does all in this process.

    Args:
        folder: What `propagate_run.Plan` lies in.
        numbers: Of the stretches.
        frames: How many unlabelled frames they have, for the progress.
        jobs: Processes at a time.
        options: Whether to be quiet.
    """
    if jobs == 0:
        stretches = Stretches(folder)
        for number in numbers:
            stretches.spread(number)
        return {}
    with sigterm_exits():
        return _Processes(folder, frames, options).run(numbers, jobs)


class _Process:
    """A worker at one stretch."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number, self._folder = number, folder
        with open(log_of(folder, number), "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "frugalseg.workflow.propagate_worker", str(folder)],
                bufsize=0,
                stdin=subprocess.PIPE,  # closed by our death: the worker then leaves
                stdout=subprocess.PIPE,
                stderr=log,
                env={**KEPT_MEMORY, **os.environ, **ONE_THREAD},
                start_new_session=True,  # Ctrl-C reaches us alone, and we tell the workers
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._asked, self._answers = self._process.stdin, self._process.stdout
        self.ask(number)

    def ask(self, number: int) -> None:
        """Give it the next stretch."""
        self.number = number
        try:
            self._asked.write(b"%d\n" % number)
        except BrokenPipeError:  # it has died meanwhile, as `answer` will say
            return

    def fileno(self) -> int:
        """Return what can be read from when there is an answer, or the process has ended."""
        return self._answers.fileno()

    def answer(self) -> tuple[bool, str]:
        """Return whether it can take another stretch, and why the one it had failed; empty where it did not."""
        line = self._answers.readline()
        if line.endswith(b"\n"):
            return True, json.loads(line)["refused"]
        log = log_of(self._folder, self.number)
        return False, failure_of(self._process.wait(), log) or f"it ended before its time (see {log})"

    def end(self) -> None:
        """Stop it, at work or not."""
        self._process.terminate()
        self._process.wait()
        self._asked.close()
        self._answers.close()


class _Processes:
    def __init__(self, folder: Path, frames: int, options: Options) -> None:
        self._folder, self._frames, self._options = folder, frames, options
        self._running: list[_Process] = []
        self._began_s = self._told_s = time.monotonic()
        self._before = self._done()

    def run(self, numbers: Sequence[int], jobs: int) -> dict[int, str]:
        waiting, failed = deque(numbers), dict[int, str]()
        try:
            while waiting or self._running:
                while waiting and len(self._running) < jobs:
                    self._running.append(_Process(self._folder, waiting.popleft()))
                for process in self._answering():
                    goes_on, why = process.answer()
                    failed |= {process.number: why} if why else {}
                    if goes_on and waiting:
                        process.ask(waiting.popleft())
                    else:
                        self._running.remove(process)
                        process.end()
                self._tell()
        finally:
            for process in self._running:
                process.end()
        return failed

    def _answering(self) -> list[_Process]:
        """Wait for processes that have something to say, or until it is time to tell how far we are."""
        return select.select(self._running, [], [], max(0.0, self._told_s + TELL_S - time.monotonic()))[0]

    def _done(self) -> int:
        return sum(path.read_bytes().count(b"\n") for path in (self._folder / FRAMES).glob("*.jsonl"))

    def _tell(self) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s < TELL_S:
            return
        self._told_s = now_s
        done = self._done()
        rate = (done - self._before) / (now_s - self._began_s)
        left = f", {max(0, self._frames - done) / rate:.0f} s left" if rate else ""
        self._options.say(f"propagate: {done}/{self._frames} frames, {rate:.1f} frames/s{left}")
