"""The demo over several seeds: source only, adapted, retrained with points, and the same points in random cells.

    python benchmarks/toycity.py --seeds 0 1 2 --work WORK --out benchmarks/results

The toy city's frames are the demo's; the seed changes weights, batches, selection and the simulated annotator. A run
that was stopped goes on with the same command.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROWS = {
    "source_only": "source only",
    "adapted": "cbst",
    "retrained": "50 points a frame, entropy cells",
    "control": "50 points a frame, random cells",
}


def run_seed(folder: Path, seed: int) -> dict[str, float]:
    """Run the demo's stages and the random control in one project."""
    from frugalseg.workflow.demo import prepare
    from frugalseg.workflow.run import run
    from frugalseg.workflow.stage import Options

    options = Options(quiet=True)
    found = run(prepare(folder, seed, options, control=True), simulate=True, options=options)
    return {name: found[name] for name in ROWS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("toycity_runs"), help="where the projects go")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="seeds at a time, one thread each")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    options = parser.parse_args()
    if options.one is not None:
        import torch

        torch.set_num_threads(1)
        found = run_seed(options.work / f"seed-{options.one}", options.one)
        (options.work / f"seed-{options.one}.json").write_text(json.dumps(found))
        return
    began_s = time.monotonic()
    found = run_all(options)
    text = table(found, options, time.monotonic() - began_s)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"toycity_{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)


def run_all(options: argparse.Namespace) -> list[dict[str, float]]:
    """Run the seeds, each in a process of its own with one thread, `jobs` at a time."""
    options.work.mkdir(parents=True, exist_ok=True)
    waiting, running = list(options.seeds), {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            seed = waiting.pop(0)
            command = [sys.executable, __file__, "--work", str(options.work), "--one", str(seed)]
            running[seed] = subprocess.Popen(command, env=environment)
        time.sleep(0.5)
        for seed, process in list(running.items()):
            if process.poll() is not None:
                del running[seed]
                if process.returncode:
                    sys.exit(f"seed {seed} failed with exit code {process.returncode}")
    return [json.loads((options.work / f"seed-{seed}.json").read_text()) for seed in options.seeds]


def table(found: list[dict[str, float]], options: argparse.Namespace, seconds: float) -> str:
    import torch

    import frugalseg

    folder = Path(__file__).parent
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=folder)
    lines = [
        f"# The toy city, {datetime.now(UTC):%Y-%m-%d}",
        "",
        "mIoU of 11 classes on the look `street`; random weights at first, source the look `simulator`; the demo's",
        f"frames and settings, seeds {', '.join(map(str, options.seeds))}, last checkpoint, one CPU thread a run.",
        "",
        "| what | mIoU, mean ± sd | each seed | difference to the row above |",
        "|---|---|---|---|",
    ]
    before: str | None = None
    for row, name in ROWS.items():
        values = [100 * seed[row] for seed in found]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        steps = [100 * (seed[row] - seed[before]) for seed in found] if before else []
        step = f"{statistics.mean(steps):+.1f} ({min(steps):+.1f} … {max(steps):+.1f})" if steps else "–"
        each = " · ".join(f"{value:.1f}" for value in values)
        lines.append(f"| {name} | {statistics.mean(values):.1f} ± {spread:.1f} | {each} | {step} |")
        before = row
    lines += [
        "",
        f"Command: `python benchmarks/toycity.py {' '.join(sys.argv[1:])}` ({seconds / 60:.0f} min in all).",
        f"frugalseg {frugalseg.__version__} at {commit.stdout.strip()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
