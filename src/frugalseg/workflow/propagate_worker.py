"""A process that spreads labels over stretches of a video, `python -m frugalseg.workflow.propagate_worker FOLDER`.

Numbers of stretches come in, a line each; a line of JSON goes out when one is done, or was refused for what the user
can mend. It ends when no more can come: its parent has closed its end of the pipe, or has died.

The environment that it is started in (`child.ONE_THREAD`) gives every library one thread; OpenCV must be told.
"""

import json
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

from frugalseg.core.errors import FrugalsegError
from frugalseg.workflow.child import ENDS_WITH, end_oneself
from frugalseg.workflow.propagate_files import log_of
from frugalseg.workflow.propagate_run import Stretches


def main() -> NoReturn:
    """Spread labels over one stretch after another."""
    import cv2

    folder, numbers = Path(sys.argv[1]), SimpleQueue[int]()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    threading.Thread(target=_listen, args=(numbers,), daemon=True).start()
    cv2.setNumThreads(1)
    stretches: Stretches | None = None
    while True:
        number, refused = numbers.get(), ""
        _speak_to(log_of(folder, number))
        try:
            stretches = stretches or Stretches(folder)
            stretches.spread(number)
        except FrugalsegError as error:
            refused = str(error)
            print(f"{ENDS_WITH}{refused}", file=sys.stderr, flush=True)
        print(json.dumps({"refused": refused}), file=answers, flush=True)


def _listen(numbers: "SimpleQueue[int]") -> None:
    """Take what the parent asks for, until it cannot ask any more."""
    with open(0, "rb", buffering=0, closefd=False) as asked:
        for line in asked:
            numbers.put(int(line))
    end_oneself()


def _speak_to(log: Path) -> None:
    """Let all that this process says, in any language, go to a file."""
    with open(log, "wb") as file:
        for spoken in (1, 2):
            os.dup2(file.fileno(), spoken)


if __name__ == "__main__":
    main()
