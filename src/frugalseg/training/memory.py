"""Where activations live on a CPU: glibc hands large blocks back to the system at every free and asks for them anew.

Each step then pays for mapping and zeroing the same pages again. Told to keep freed memory, a training step of
`shuffle_lite` (8 images of 240 x 320, one thread) takes a quarter less processor time at the same peak memory
(`benchmarks/allocator.py`).
"""

import ctypes
import resource
import sys
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEEP_BYTES = 1 << 30
STATUS = Path("/proc/self/status")
MAPPED_BYTES = 32 << 20  # glibc takes no more than this


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next step; return whether it took that. Elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES) and mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))


def peak_memory(device: torch.device) -> dict[str, int]:
    """Return the most memory the process has held so far, in bytes, and the most that tensors took on a GPU.

    The first is the high-water mark since the process began: of this work alone only where it has a process of its own.
    """
    found = {"process_bytes": _high_water()}
    if device.type == "cuda":
        found["device_bytes"] = torch.cuda.max_memory_allocated(device)
    return found


def _high_water() -> int:
    if STATUS.is_file():  # on Linux getrusage's number includes what the parent held when it started this process
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
