"""What a person sees while training goes on, and what a machine reads afterwards (one JSON object a line)."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingLog:
    """Progress on `stream` (a bar on a terminal, plain lines elsewhere) and JSON lines in `path`."""

    def __init__(self, path: Path | None, title: str, stream: TextIO | None = None, quiet: bool = False) -> None:
        self._path, self._title, self._quiet = path, title, quiet
        self._stream = stream or sys.stderr
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._began_s, self._began_step, self._done, self._total = time.monotonic(), 0, 0, 0

    def start(self, steps: Sequence[int], phase: int, step: int) -> None:
        """Begin (or go on) at step `step` of phase `phase` of a run whose phases take `steps`."""
        self._total, self._done = sum(steps), sum(steps[:phase]) + step
        self._began_s, self._began_step = time.monotonic(), self._done
        if self._done:
            self.note(f"resumed at step {self._done} of {self._total}")
        if not self._quiet and self._stream.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
            console = Console(file=self._stream)
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task(self._title, total=self._total, completed=self._done)
            self._bar.start()

    def step(self, phase: str, step: int, done: int, losses: dict[str, float], every: int) -> None:
        """Note that `step` steps of a phase are done, `done` of all phases; written down every `every` steps."""
        self._done = done
        text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        if self._bar:
            self._bar.update(self._task, completed=self._done, description=f"{self._title} {phase} {text}")
        if self._done % every and self._done < self._total:
            return
        elapsed_s = time.monotonic() - self._began_s
        left_s = elapsed_s / max(1, self._done - self._began_step) * (self._total - self._done)
        self._write({"phase": phase, "step": step, "done": self._done, "elapsed_s": round(elapsed_s, 2), **losses})
        if not self._quiet and not self._bar:
            line = f"{self._title} {phase} {self._done}/{self._total} {text} {left_s:.0f} s left"
            print(line, file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """Write down something out of the ordinary."""
        self._write({"note": text})
        if not self._quiet:
            print(f"{self._title}: {text}", file=self._stream, flush=True)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar:
            self._bar.stop()

    def _write(self, row: dict[str, object]) -> None:
        if self._path:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
