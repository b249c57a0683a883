"""What benchmarks over several seeds share: a process for each seed, and lines that say what was measured."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser, work: str) -> None:
    """Add the options that every benchmark over seeds has."""
    parser.add_argument("--work", type=Path, default=Path(work), help="where the projects go")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="seeds at a time, one thread each")
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)


def run_seeds(script: str, options: argparse.Namespace, arguments: Sequence[object] = ()) -> list[Any]:
    """Run `script --one SEED` for every seed, `jobs` at a time with one thread each; return what they wrote."""
    parts = {
        result_file(options.work, seed): ["--work", options.work, "--one", seed, *arguments] for seed in options.seeds
    }
    return run_parts(script, parts, options.jobs)


def run_parts(script: str, parts: Mapping[Path, Sequence[object]], jobs: int) -> list[Any]:
    """Run `script ARGUMENTS` for every part, `jobs` at a time with one thread each; return what each wrote to its file.

    When one fails the others go on; then the program ends and names those that failed.
    """
    waiting, running, failed = list(parts), dict[Path, subprocess.Popen[bytes]](), list[str]()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    while waiting or running:
        while waiting and len(running) < jobs:
            part = waiting.pop(0)
            part.parent.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, script, *parts[part]]
            running[part] = subprocess.Popen([str(word) for word in command], env=environment)
        time.sleep(0.5)
        for part, process in list(running.items()):
            if process.poll() is not None:
                del running[part]
                failed += [f"{part.stem} failed with exit code {process.returncode}"] if process.returncode else []
    if failed:
        sys.exit("\n".join(failed))
    return [json.loads(part.read_text()) for part in parts]


def result_file(work: Path, seed: int) -> Path:
    """Return where the process of a seed writes what it found."""
    return work / f"seed-{seed}.json"


def mean_sd(values: Sequence[float]) -> str:
    """Return `mean ± sample standard deviation`."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {spread:.1f}"


def how(script: str, seconds: float) -> list[str]:
    """Return the lines that say with which command, code and versions a table was made."""
    import torch

    import frugalseg

    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return [
        f"Command: `python benchmarks/{Path(script).name} {' '.join(sys.argv[1:])}` ({seconds / 60:.0f} min).",
        f"frugalseg {frugalseg.__version__} at {commit}, {versions}.",
    ]


def publish(text: str, out: Path | None, name: str) -> Path | None:
    """Print a table and, where a folder is given, write it there under a dated name; return the file."""
    print(text)
    if out is None:
        return None
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}_{datetime.now(UTC):%Y-%m-%d}.md"
    path.write_text(text)
    return path
