"""Notices that everything is answered, without making anybody's answer wait for the count."""

import logging
import threading
from collections.abc import Callable

from frugalseg.annotation.questions import Selection
from frugalseg.annotation.store import Store
from frugalseg.core.errors import FrugalsegError

PAUSE_S = 2.0  # between two counts


class Watch:
    """Calls `complete` from a thread of its own whenever answers came and nothing is left to ask."""

    def __init__(self, store: Store, selection: Selection, complete: Callable[[], None]) -> None:
        self._store, self._selection, self._complete = store, selection, complete
        self._answered, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._answered.set()
        self._thread.join()

    def poke(self) -> None:
        """Say that an answer came."""
        self._answered.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._answered.wait()
            self._answered.clear()
            try:
                if not self._stopped.is_set() and self._store.progress(self._selection).complete:
                    self._complete()
            except FrugalsegError as error:  # tried again with the next answer, and when the server stops
                logging.getLogger(__name__).warning("%s", error)
            self._stopped.wait(PAUSE_S)
