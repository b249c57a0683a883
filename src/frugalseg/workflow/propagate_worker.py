"""One stretch's process, `python -m frugalseg.workflow.propagate_worker FOLDER NUMBER`. It ends with its parent.

The environment that it is started in (`child.ONE_THREAD`) gives every library one thread; OpenCV must be told.
"""

import sys
import threading
from pathlib import Path

from frugalseg.core.errors import FrugalsegError
from frugalseg.workflow.child import ENDS_WITH, leave_with_parent
from frugalseg.workflow.propagate_run import spread_run


def main() -> int:
    """Spread labels over the stretch on the command line; exit code 2 with a message for what the user can mend."""
    import cv2

    threading.Thread(target=leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    try:
        spread_run(Path(sys.argv[1]), int(sys.argv[2]))
    except FrugalsegError as error:
        print(f"{ENDS_WITH}{error}", file=sys.stderr, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
