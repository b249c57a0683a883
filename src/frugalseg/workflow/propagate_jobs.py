"""The stretches of a video, each in a process of its own: some at a time, frames a second shown, failures told."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from frugalseg.training.interrupt import sigterm_exits
from frugalseg.workflow.child import ONE_THREAD, failure_of
from frugalseg.workflow.propagate_plan import FRAMES
from frugalseg.workflow.propagate_run import spread_run
from frugalseg.workflow.stage import Options

POLL_S, TELL_S = 0.2, 5.0


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
        for number in numbers:
            spread_run(folder, number)
        return {}
    with sigterm_exits():
        return _Processes(folder, frames, options).run(list(numbers), jobs)


class _Processes:
    def __init__(self, folder: Path, frames: int, options: Options) -> None:
        self._folder, self._frames, self._options = folder, frames, options
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._began_s = self._told_s = time.monotonic()
        self._before = self._done()

    def run(self, waiting: list[int], jobs: int) -> dict[int, str]:
        failed: dict[int, str] = {}
        try:
            while waiting or self._running:
                while waiting and len(self._running) < jobs:
                    number = waiting.pop(0)
                    self._running[number] = self._start(number)
                time.sleep(POLL_S)
                for number, process in list(self._running.items()):
                    if process.poll() is not None:
                        del self._running[number]
                        if why := failure_of(process.returncode, self._log(number)):
                            failed[number] = why
                self._tell()
        finally:
            for process in self._running.values():
                process.terminate()
            for process in self._running.values():
                process.wait()
        return failed

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "frugalseg.workflow.propagate_worker", str(self._folder), str(number)]
        with open(self._log(number), "wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # closed by our death: the worker then leaves
                stdout=log,
                stderr=log,
                env={**os.environ, **ONE_THREAD},
                start_new_session=True,  # Ctrl-C reaches us alone, and we tell the workers
            )

    def _log(self, number: int) -> Path:
        return self._folder / FRAMES / f"{number}.log"

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
