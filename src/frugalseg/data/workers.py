"""Work on files we do not trust in processes of their own: a file that kills a decoder costs itself and nothing else.

Each process may take `MEMORY_BYTES` more than it begins with and `ITEM_CPU_S` of processor time for one item; what goes
over is killed. Few items are under way at any time, so memory does not grow with their number. The user's script is not
run again in these processes, so it needs no `if __name__ == "__main__"`.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MEMORY_BYTES = 4 << 30  # ten times what the largest picture we accept needs
ITEM_CPU_S = 60.0
WORTH_A_PROCESS = 8  # items; starting one takes as long
CHUNK = 16  # items handed over at a time: a message costs as much as a tenth of a small frame
LIMITS = f"it took more than {ITEM_CPU_S:.0f} s or {MEMORY_BYTES >> 30} GiB, or crashed"  # why a process died

_work: Callable[[Any], Any]  # of this worker process, set when it starts
_hiding = threading.Lock()


def each(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None
) -> Iterator[tuple[int, Result | None]]:
    """Yield (position, `work(item)`) in the order in which they are ready; None for an item that its process died of.

    `work` and the items are pickled, and of a module that can be imported, not of the script that was started; `work`
    catches what it expects. What it does not catch is raised here.
    """
    workers = max(1, min(workers or processors(), len(items) // WORTH_A_PROCESS))
    size = max(1, min(CHUNK, len(items) // (2 * workers)))
    chunks = [range(start, min(start + size, len(items))) for start in range(0, len(items), size)]
    pool = _Pool(work, workers)
    try:
        yield from _run(pool, items, iter(chunks))
    finally:
        pool.close()


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(
    pool: "_Pool[Item, Result]", items: Sequence[Item], chunks: Iterator[range]
) -> Iterator[tuple[int, Result | None]]:
    running: dict[Future[list[Result]], range] = {}
    while True:
        suspects: list[int] = []
        try:
            while len(running) < 2 * pool.workers and (chunk := next(chunks, None)) is not None:
                suspects[:] = chunk
                running[pool.submit([items[position] for position in chunk])] = chunk
            suspects.clear()
        except BrokenProcessPool:  # between two looks at it
            pass
        if not running and not suspects:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
            chunk = running.pop(future)
            try:
                yield from zip(chunk, future.result(), strict=True)
            except BrokenProcessPool:
                suspects += chunk
        if suspects:
            suspects += [position for chunk in running.values() for position in chunk]
            running.clear()
            yield from _one_by_one(pool, items, sorted(suspects))


def _one_by_one(
    pool: "_Pool[Item, Result]", items: Sequence[Item], positions: Iterable[int]
) -> Iterator[tuple[int, Result | None]]:
    """Find out which item kills the process that has it: each in a process that has nothing else under way."""
    pool.renew()
    pool.check()
    for position in positions:
        try:
            yield position, pool.submit([items[position]]).result()[0]
        except BrokenProcessPool:
            pool.renew()
            yield position, None


class _Pool(Generic[Item, Result]):
    """Worker processes that can be replaced by fresh ones."""

    def __init__(self, work: Callable[[Item], Result], workers: int) -> None:
        self.workers, self._work = workers, work
        self._context = _context()
        self._executor = self._start()

    def submit(self, items: list[Item]) -> Future[list[Result]]:
        with _without_script():  # here its processes are started
            return self._executor.submit(_do, items)

    def renew(self) -> None:
        self.close()
        self._executor = self._start()

    def check(self) -> None:
        """Raise if processes die without having anything to do: then no file is to blame."""
        self.submit([]).result()

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, self._context, _begin, (self._work,))


def _context() -> multiprocessing.context.BaseContext:
    """Return how processes start: forked from one clean process that has our imports, or spawned where there is none.

    Never forked from this one, which may have threads.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["frugalseg.data.facts"])  # not `__main__`, which would run the script there
    return context


@contextmanager
def _without_script() -> Iterator[None]:
    """Hide from multiprocessing which script was started.

    A new process would run it anew to know its definitions; without a main guard all that it does would be done again.
    """
    names = vars(sys.modules["__main__"])
    with _hiding:
        hidden: dict[str, Any] = {name: names[name] for name in ("__spec__", "__file__") if name in names}
        names["__spec__"] = None
        names.pop("__file__", None)
        try:
            yield
        finally:
            names.update(hidden)


def _begin(work: Callable[[Any], Any]) -> None:
    """Set a new worker process up: its work, one thread, its limits, and that it ends when its parent does."""
    global _work
    import cv2

    _work = work
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    if sys.platform == "linux":
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = held + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def _leave_with(parent: multiprocessing.process.BaseProcess) -> None:
    """End this process when its parent has ended, killed perhaps: nobody would read the results."""
    parent.join()
    os._exit(1)


def _do(items: list[Any]) -> list[Any]:
    results = []
    for item in items:
        _set_alarm(ITEM_CPU_S)
        results.append(_work(item))
    _set_alarm(0)
    return results


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):  # its signal, not caught, ends the process
        signal.setitimer(signal.ITIMER_PROF, seconds)
