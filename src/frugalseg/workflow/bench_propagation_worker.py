"""The process of one unit: `python -m frugalseg.workflow.bench_propagation_worker UNIT`. It ends with its parent."""

import sys

from frugalseg.workflow.bench_propagation_unit import Unit, work
from frugalseg.workflow.bench_worker import run_worker


def main() -> int:
    """Do the unit on the command line, on one thread."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    return run_worker(lambda text: work(Unit.from_json(text)))


if __name__ == "__main__":
    sys.exit(main())
