"""The process of one job: `python -m frugalseg.workflow.bench_worker JOB`. If its parent dies it saves and leaves."""

import sys
import threading

from frugalseg.core.errors import FrugalsegError
from frugalseg.workflow.bench_job import Job, work
from frugalseg.workflow.child import ENDS_WITH, leave_with_parent


def main() -> int:
    """Do the job on the command line; exit code 2 with a message for what the user can mend."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    try:
        work(Job.from_json(sys.argv[1]))
    except FrugalsegError as error:
        print(f"{ENDS_WITH}{error}", file=sys.stderr, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
