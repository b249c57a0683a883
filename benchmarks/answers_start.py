"""How long does `frugalseg label` take from its launch to the first page served? Less than 2 s is wanted.

    python benchmarks/answers_start.py --out benchmarks/results

A fresh process each time: once with the selection's questions new to the store (drawn when they were chosen; the few
checks with known answers are drawn now), then with questions that are there. On a busy machine
the time of the processor says more than the clock's; that, and whether torch was loaded, are read from /proc (Linux).
"""

import argparse
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from _seeds import how, publish

from frugalseg.core.artifact import Stage
from frugalseg.core.chance import generator
from frugalseg.core.records import Point, Query, QueryKind
from frugalseg.core.table import write_records
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.drawing import draw_selection
from frugalseg.workflow.project import QUESTIONS, init_project

ASKED, FRAMES = 200, 4


@dataclass(frozen=True)
class Start:
    """One launch, up to the first page."""

    wall_s: float
    cpu_s: float
    torch_loaded: bool


def project_with_questions(folder: Path) -> Path:
    """Write a toy city with a selection that nobody has answered; no network is needed for that."""
    domains = ("target", "validation")
    for seed, name in enumerate(domains, 2):
        write_dataset(folder / name, "street", seed, 1, FRAMES)
    project = init_project(folder / "city", {name: f"folder:{folder / name}" for name in domains}, None)
    frames, queries = project.manifest("target").frames, []
    for number in range(ASKED):
        frame, rng = frames[number % FRAMES], generator(0, "start", number)
        point = Point(int(rng.integers(frame.height)), int(rng.integers(frame.width)))
        queries.append(Query(f"q{number}", frame.key, QueryKind.POINT, "bench", 0.0, point))
    inputs = {"target": project.manifest_folder("target")}
    with Stage(project.runs, "select-bench", inputs, {}, ["bench"], 0) as stage:
        write_records(stage.folder / QUESTIONS, queries, Query)
        draw_selection(project, queries, stage.folder)
        stage.commit({})
    return project.folder


def start(project: Path) -> Start:
    """Launch the server, ask for the first page, stop it."""
    command = [sys.executable, "-c", "from frugalseg.cli.main import main; main()", "label", str(project),
               "--no-open", "--port", "0"]  # fmt: skip
    began = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        found = next(filter(None, (re.search(r"answer at (http://[^/]+)/", line) for line in server.stderr)))
        httpx.get(found[1]).raise_for_status()
        wall_s, proc = time.perf_counter() - began, Path(f"/proc/{server.pid}")
        if not proc.is_dir():
            return Start(wall_s, math.nan, False)
        ticks = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]  # utime and stime
        return Start(wall_s, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), "libtorch" in (proc / "maps").read_text())
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate()


def table(first: Start, again: list[Start], took_s: float) -> str:
    """Return the result as Markdown."""
    torch = "was" if any(one.torch_loaded for one in (first, *again)) else "was not"
    lines = [
        f"# From `frugalseg label` to the first page, {ASKED} questions",
        "",
        f"Torch {torch} loaded. The machine's load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.",
        "",
        "| | by the clock, s | processor's time, s |",
        "|---|---|---|",
        f"| first start of a selection | {first.wall_s:.2f} | {first.cpu_s:.2f} |",
        f"| later starts, median of {len(again)} | {statistics.median(one.wall_s for one in again):.2f} | "
        f"{statistics.median(one.cpu_s for one in again):.2f} |",
        f"| later starts, slowest | {max(one.wall_s for one in again):.2f} | {max(one.cpu_s for one in again):.2f} |",
    ]
    return "\n".join([*lines, "", *how(__file__, took_s), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5, help="launches with questions that are there")
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        project = project_with_questions(Path(folder))
        first, again = start(project), [start(project) for _ in range(given.starts)]
    publish(table(first, again, time.monotonic() - began), given.out, "answers_start")


if __name__ == "__main__":
    main()
