"""SIGTERM as a polite request: finish the step, save, leave with 143 (what a shell reports for SIGTERM)."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_CODE = 128 + signal.SIGTERM


@contextmanager
def sigterm_event() -> Iterator[threading.Event]:
    """Turn SIGTERM into an event for the length of the body; leave after the body if nobody did within."""
    told_to_stop = threading.Event()
    with _on_sigterm(lambda *_: told_to_stop.set()):
        yield told_to_stop
    if told_to_stop.is_set():
        raise SystemExit(EXIT_CODE)


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """Leave at once on SIGTERM: for work that is begun anew when the run is resumed."""

    def leave(*_: object) -> None:
        raise SystemExit(EXIT_CODE)

    with _on_sigterm(leave):
        yield


@contextmanager
def _on_sigterm(handler: Callable[..., None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
