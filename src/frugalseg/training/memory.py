"""Where activations live on a CPU: glibc hands large blocks back to the system at every free and asks for them anew.

Each step then pays for mapping and zeroing the same pages again. Told to keep freed memory, a training step of
`shuffle_lite` (8 images of 240 x 320, one thread) takes a quarter less processor time at the same peak memory
(`benchmarks/allocator.py`).
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEEP_BYTES = 1 << 30
MAPPED_BYTES = 32 << 20  # glibc takes no more than this


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next step; return whether it took that. Elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES) and mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))
