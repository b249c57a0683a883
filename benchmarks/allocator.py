"""What `keep_freed_memory` brings: training steps of shuffle_lite with and without it, in alternating processes.

    python benchmarks/allocator.py --out benchmarks/results

The rival is the same step with glibc's own settings. Figures are processor seconds a step and peak memory.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from _seeds import how, publish

IMAGES, HEIGHT, WIDTH, STEPS = 8, 240, 320, 8


def measure(keep: bool) -> dict[str, float]:
    import torch
    from torch.nn import functional

    from frugalseg.models.shuffle_lite import ShuffleLite
    from frugalseg.training.memory import keep_freed_memory

    torch.set_num_threads(1)
    if keep and not keep_freed_memory():
        sys.exit("This system's allocator does not take it.")
    network, images = ShuffleLite(10).train(), torch.rand(IMAGES, 3, HEIGHT, WIDTH)
    labels = torch.randint(0, 10, (IMAGES, HEIGHT, WIDTH))

    def step() -> None:
        logits = functional.interpolate(network(images)[0], (HEIGHT, WIDTH), mode="bilinear")
        functional.cross_entropy(logits, labels).backward()

    step()
    began = time.process_time()
    for _ in range(STEPS):
        step()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"s": (time.process_time() - began) / STEPS, "mib": peak_mib}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    parser.add_argument("--one", choices=["keep", "plain"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one == "keep")))
        return
    began = time.monotonic()
    found: dict[str, list[dict[str, float]]] = {"plain": [], "keep": []}
    for _ in range(options.repeats):
        for name, rows in found.items():
            command, environment = [sys.executable, __file__, "--one", name], {**os.environ, "OMP_NUM_THREADS": "1"}
            rows.append(json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout))
    publish(table(found, options.repeats, time.monotonic() - began), options.out, "allocator")


def table(found: dict[str, list[dict[str, float]]], repeats: int, seconds: float) -> str:
    s, mib = (
        {name: statistics.median(row[key] for row in rows) for name, rows in found.items()} for key in ("s", "mib")
    )
    return "\n".join(
        [
            "# A training step on the CPU, with and without `keep_freed_memory`",
            "",
            f"`shuffle_lite`, {IMAGES} images of {HEIGHT} x {WIDTH}, one thread, median of {repeats} processes each.",
            "",
            "| allocator | processor s a step | peak MiB |",
            "|---|---|---|",
            f"| glibc's own settings | {s['plain']:.3f} | {mib['plain']:.0f} |",
            f"| freed memory kept | {s['keep']:.3f} | {mib['keep']:.0f} |",
            f"| ratio | {s['keep'] / s['plain']:.2f} | {mib['keep'] / mib['plain']:.2f} |",
            "",
            *how(__file__, seconds),
            "",
        ]
    )


if __name__ == "__main__":
    main()
