"""SIGTERM as a polite request: finish the step, save, leave."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_event() -> Iterator[threading.Event]:
    """Turn SIGTERM into an event for the length of the body (in the main thread; elsewhere nothing is changed)."""
    told_to_stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told_to_stop
        return
    before = signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    try:
        yield told_to_stop
    finally:
        signal.signal(signal.SIGTERM, before)
