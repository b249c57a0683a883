"""What processes that do a part of a command's work, and the command, agree on. It loads nothing heavy."""

import os
import signal
from pathlib import Path

ENDS_WITH = "frugalseg: "  # before the message of a worker that was refused
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
# To glibc: what one frame's arrays leave free is the next one's, and not given back to the system in between. To Arrow:
# its own pool keeps what tables were read with, which nobody else can use.
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def failure_of(code: int, log: Path) -> str:
    """Return why a process failed, from what it said; empty where it did not."""
    if code == 0:
        return ""
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    if code < 0:
        return f"killed by signal {-code}, perhaps for want of memory (see {log})"
    said = text.rpartition(ENDS_WITH)[2] if code == 2 else (text.splitlines() or ["it said nothing"])[-1]
    return said if code == 2 else f"{said} (exit code {code}, see {log})"


def leave_with_parent() -> None:
    """Wait until the parent has ended, then tell this process to end."""
    os.read(0, 1)  # the parent writes nothing: this returns when its end of the pipe is closed
    end_oneself()


def end_oneself() -> None:
    """End this process as one that was told to."""
    os.kill(os.getpid(), signal.SIGTERM)
