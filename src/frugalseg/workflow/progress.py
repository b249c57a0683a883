"""A bar with time left on a terminal, a line every tenth elsewhere if it takes long, nothing when quiet."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

FIRST_LINE_S = 2.0  # what is done sooner needs no lines


class Counter:
    """Counts `total` things on stderr. A context manager; call `step` for each."""

    def __init__(self, title: str, total: int, quiet: bool = False) -> None:
        self._title, self._total, self._quiet = title, total, quiet
        self._done, self._told, self._began_s = 0, 0, time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> "Counter":
        if not self._quiet and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            console = Console(file=sys.stderr)
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task(self._title, total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def step(self) -> None:
        """Note that one more is done."""
        self._done += 1
        if self._bar:
            self._bar.update(self._task, completed=self._done)
            return
        tenth, elapsed_s = 10 * self._done // self._total, time.monotonic() - self._began_s
        if not self._quiet and tenth > self._told and elapsed_s > FIRST_LINE_S:
            self._told = tenth
            left_s = elapsed_s / self._done * (self._total - self._done)
            print(f"{self._title} {self._done}/{self._total}, {left_s:.0f} s left", file=sys.stderr, flush=True)
