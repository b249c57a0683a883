"""Image vectors and a selection of whole images at the size of GTA5 and Cityscapes: time and memory.

    python benchmarks/image_vectors.py --out benchmarks/results

Claims: the class means of an image's features cost a tenth, or less, of multiplying all features by each class's mask
(equation 1 of MADA to the letter) and equal them; choosing 5 % of 3,000 target images by the anchors of 25,000 source
images, 19 classes x 256 features each, stays below 3 GB. Figures are processor seconds and the peak memory of a process
that makes invented vectors and selects; the rivals of the race take turns in one process.
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

import numpy as np
from _seeds import how, publish

CLASSES, FEATURES, HEIGHT, WIDTH = 19, 256, 256, 512  # stride 4 of 2048 x 1024
SOURCE, TARGET, SHARE = 25_000, 3_000, 0.05
STRATEGIES = ("multi_anchor", "diverse_images")


def race(repeats: int) -> dict[str, float]:
    """Return median seconds of both ways, and how far their means lie apart at most."""
    import torch

    from frugalseg.training.image_vectors import class_means

    torch.set_num_threads(1)
    torch.manual_seed(0)
    features = torch.randn(1, FEATURES, HEIGHT, WIDTH)
    labels = torch.randint(0, CLASSES, (1, HEIGHT // 8, WIDTH // 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)

    def multiplications() -> torch.Tensor:
        masks = [(labels[0] == class_id).float() for class_id in range(CLASSES)]
        return torch.stack([(features[0] * mask).sum(dim=(1, 2)) / mask.sum() for mask in masks])

    seconds: dict[str, list[float]] = {"segment sum": [], "multiplications": []}
    for _ in range(repeats):
        for name, way in (
            ("segment sum", lambda: class_means(features, labels, CLASSES)),
            ("multiplications", multiplications),
        ):
            began = time.process_time()
            way()
            seconds[name].append(time.process_time() - began)
    apart = (class_means(features, labels, CLASSES).vectors[0] - multiplications()).abs().max()
    return {**{name: statistics.median(values) for name, values in seconds.items()}, "apart": float(apart)}


def select(strategy: str, source_images: int, target_images: int) -> dict[str, float]:
    """Choose among invented images; return processor seconds of the choice and peak memory of the process."""
    from frugalseg.acquisition.images import ImageSelector, ImageView
    from frugalseg.core.anchors import ImageVectors
    from frugalseg.workflow import catalog, select_images  # noqa: F401  (the stage's libraries count in its memory)

    rng = np.random.default_rng(0)
    scenes = rng.standard_normal((12, CLASSES, FEATURES), np.float32)
    vectors = rng.standard_normal((source_images, CLASSES, FEATURES), np.float32)
    present = rng.random((source_images, CLASSES)) < 0.7
    for number in range(source_images):
        vectors[number] = (vectors[number] + scenes[number % 12]) * present[number, :, None]
    source = ImageVectors(tuple(f"s{number:05}" for number in range(source_images)), vectors, present)
    entry, total = catalog.entry("selector", strategy), round(SHARE * target_images)
    selector = ImageSelector(entry.load()(entry.load_config()()), total, target_images, 0)
    for number in range(target_images):
        shown = rng.random(CLASSES) < 0.7
        means = (rng.standard_normal((CLASSES, FEATURES), np.float32) + scenes[number % 12] * 1.2) * shown[:, None]
        selector.see(ImageView(f"t{number:05}", 0.5, f"d{number // 300}", number, False, means.astype("f4"), shown))
    began = time.process_time()
    queries, _, _ = selector.finish(source)
    spent_s = time.process_time() - began
    assert len(queries) == total
    return {"s": spent_s, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="rounds of the race")
    parser.add_argument("--source", type=int, default=SOURCE, help="source images of the selection")
    parser.add_argument("--target", type=int, default=TARGET, help="target images of the selection")
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(select(options.one, options.source, options.target)))
        return
    began = time.monotonic()
    raced, chosen = race(options.repeats), {}
    sizes = ["--source", str(options.source), "--target", str(options.target)]
    for strategy in STRATEGIES:
        command = [sys.executable, __file__, "--one", strategy, *sizes]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
        chosen[strategy] = json.loads(done.stdout)
    publish(table(raced, chosen, options, time.monotonic() - began), options.out, "image_vectors")


def table(
    raced: dict[str, float], chosen: dict[str, dict[str, float]], options: argparse.Namespace, seconds: float
) -> str:
    faster = raced["multiplications"] / raced["segment sum"]
    rows = [f"| `{name}` | {found['s']:.1f} | {found['mib']:,.0f} |" for name, found in chosen.items()]
    return "\n".join(
        [
            "# Image vectors, and a selection of whole images",
            "",
            f"Class means of one image, {CLASSES} classes, {FEATURES} x {HEIGHT} x {WIDTH} features, one thread, "
            f"median of {options.repeats}:",
            "",
            "| way | processor s an image |",
            "|---|---|",
            f"| {CLASSES} multiplications of all features | {raced['multiplications']:.3f} |",
            f"| one segment sum | {raced['segment sum']:.3f} |",
            f"| faster by | {faster:.0f} x |",
            "",
            f"The means differ by {raced['apart']:.0e} at most (features of standard deviation 1).",
            "",
            f"Choosing {100 * SHARE:g} % of {options.target:,} target images by K = 10 anchors of {options.source:,} "
            f"source images, {CLASSES} x {FEATURES} numbers each, one thread:",
            "",
            "| strategy | processor s | peak MiB of the process |",
            "|---|---|---|",
            *rows,
            "",
            *how(__file__, seconds),
            "",
        ]
    )


if __name__ == "__main__":
    main()
