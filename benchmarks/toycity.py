"""The demo over several seeds: source only, adapted, retrained with points, and the same points in random cells.

    python benchmarks/toycity.py --seeds 0 1 2 --work WORK --out benchmarks/results

The toy city's frames are the demo's; the seed changes weights, batches, selection and the simulated annotator. A run
that was stopped goes on with the same command.
"""

import argparse
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from _seeds import add_arguments, how, mean_sd, publish, result_file, run_seeds

ROWS = {
    "source_only": "source only",
    "adapted": "cbst",
    "retrained": "50 points a frame, entropy cells",
    "control": "50 points a frame, random cells",
}


def run_seed(folder: Path, seed: int) -> dict[str, float]:
    """Run the demo's stages and the random control in one project."""
    import torch

    from frugalseg.workflow.demo import prepare
    from frugalseg.workflow.run import run
    from frugalseg.workflow.stage import Options

    torch.set_num_threads(1)
    options = Options(quiet=True)
    found = run(prepare(folder, seed, options, control=True), simulate=True, options=options)
    return {name: found[name] for name in ROWS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "toycity_runs")
    options = parser.parse_args()
    if options.one is not None:
        found = run_seed(options.work / f"seed-{options.one}", options.one)
        result_file(options.work, options.one).write_text(json.dumps(found))
        return
    began_s = time.monotonic()
    results = run_seeds(__file__, options)
    publish(table(results, options, time.monotonic() - began_s), options.out, "toycity")


def table(found: list[dict[str, float]], options: argparse.Namespace, seconds: float) -> str:
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
        steps = [100 * (seed[row] - seed[before]) for seed in found] if before else []
        step = f"{statistics.mean(steps):+.1f} ({min(steps):+.1f} … {max(steps):+.1f})" if steps else "–"
        lines.append(f"| {name} | {mean_sd(values)} | {' · '.join(f'{value:.1f}' for value in values)} | {step} |")
        before = row
    return "\n".join([*lines, "", *how(__file__, seconds), ""])


if __name__ == "__main__":
    main()
