"""The process of one job: `python -m frugalseg.workflow.bench_worker JOB`. If its parent dies it saves and leaves."""

import sys
import threading
from collections.abc import Callable

from frugalseg.core.errors import FrugalsegError
from frugalseg.workflow.bench_job import Job, work
from frugalseg.workflow.child import ENDS_WITH, leave_with_parent


def main() -> int:
    """Do the training on the command line."""
    return run_worker(lambda text: work(Job.from_json(text)))


def run_worker(do: Callable[[str], None]) -> int:
    """Do the job on the command line; exit code 2 with a message for what the user can mend."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    try:
        do(sys.argv[1])
    except FrugalsegError as error:
        print(f"{ENDS_WITH}{error}", file=sys.stderr, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
