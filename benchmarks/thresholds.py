"""The threshold pass of self-training over thousands of full-size frames: memory, time and error.

    python benchmarks/thresholds.py --frames 3000 --out benchmarks/results/thresholds.md

Claim: `ConfidenceHistogram` needs the same memory for 10 frames and for 3,000, and its thresholds equal those of a full
sort within 2**-10 relative in u = 1 - p, down to u = 1e-7.

Frames are simulated: eight blurred random fields of logits at an eighth of the size, of which every frame takes one,
moved, sharpened and with other class biases, and enlarges it to full size as a network's decoder does. What is measured
on them is the product's own `ConfidenceHistogram.add`.
"""

import argparse
import multiprocessing
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import frugalseg
from frugalseg.core.chance import generator
from frugalseg.training.confidence_histogram import ConfidenceHistogram

DISTINCT, COARSER = 8, 8
RATIOS = (0.2, 0.35, 0.5)  # p of the first, fourth and last round
MARKS = (10, 100, 1000, 3000)
TOLERANCE = 2.0**-10
RIVAL_FRAMES = 10


@dataclass(frozen=True)
class Pool:
    """Simulated frames: their number, size and number of classes."""

    frames: int
    height: int
    width: int
    classes: int
    seed: int

    def logits(self, count: int | None = None) -> Iterator[Tensor]:
        """Yield the logits of one frame after the other, C x H x W float32."""
        fields = self._fields()
        for index in range(self.frames if count is None else count):
            rng = generator(self.seed, "frame", index)
            shift = int(rng.integers(0, fields.shape[2])), int(rng.integers(0, fields.shape[3]))
            bias = torch.from_numpy(rng.normal(0, 0.5, self.classes).astype(np.float32))[:, None, None]
            sharpened = fields[index % DISTINCT].roll(shift, dims=(1, 2)) * float(rng.uniform(0.7, 1.3)) + bias
            yield functional.interpolate(sharpened[None], (self.height, self.width), mode="bilinear")[0]

    def _fields(self) -> Tensor:
        """Return eight blurred random fields: blobs of every class, sure inside, some classes surer than others."""
        size = DISTINCT, self.classes, self.height // COARSER, self.width // COARSER
        noise = torch.from_numpy(generator(self.seed, "fields").standard_normal(size).astype(np.float32))
        smooth = functional.avg_pool2d(noise, 5, 1, padding=2, count_include_pad=False)
        gain = torch.logspace(np.log10(5), np.log10(24), self.classes)[:, None, None]
        return gain * smooth / smooth.std()


def peak_mib() -> float:
    """Return the largest memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def held_mib() -> float:
    """Return the memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def streaming(pool: Pool) -> tuple[dict[int, tuple[float, float]], float, float]:
    """Return peak and present MiB after so many frames, and processor seconds a frame of `add` and of everything."""
    histogram = ConfidenceHistogram(pool.classes)
    marks: dict[int, tuple[float, float]] = {}
    adding_s, began_s = 0.0, time.process_time()
    for number, logits_CHW in enumerate(pool.logits(), 1):
        before_s = time.process_time()
        histogram.add(logits_CHW)
        adding_s += time.process_time() - before_s
        if number in MARKS or number == pool.frames:
            marks[number] = peak, _ = peak_mib(), held_mib()
            print(f"{number:5d} frames: peak {peak:.1f} MiB, {adding_s / number:.3f} CPU s a frame", flush=True)
    assert int(histogram.counts.sum()) == pool.frames * pool.height * pool.width
    return marks, adding_s / pool.frames, (time.process_time() - began_s) / pool.frames


def exact_doubts(logits_CHW: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return u = 1 - p of every pixel in double precision, and the class predicted there."""
    flat_CN = logits_CHW.flatten(1).numpy()
    doubts, winners = [], []
    for part_CN in np.array_split(flat_CN, 64, axis=1):
        winner_N = part_CN.argmax(axis=0)
        terms_CN = np.exp(part_CN.astype(np.float64) - part_CN.max(axis=0))
        terms_CN[winner_N, np.arange(len(winner_N))] = 0
        rest_N = terms_CN.sum(axis=0)
        doubts.append(rest_N / (1 + rest_N))
        winners.append(winner_N)
    return np.concatenate(doubts), np.concatenate(winners)


def error_against_sort(pool: Pool, frames: int) -> list[tuple[float, float, float, float, int]]:
    """Return for each p: largest relative error in u, smallest and largest u of a threshold, classes predicted."""
    histogram, doubts, winners = ConfidenceHistogram(pool.classes), [], []
    for logits_CHW in pool.logits(frames):
        histogram.add(logits_CHW)
        doubt_N, winner_N = exact_doubts(logits_CHW)
        doubts.append(doubt_N)
        winners.append(winner_N)
    doubt_N, winner_N = np.concatenate(doubts), np.concatenate(winners)
    sorted_by_class = [np.sort(doubt_N[winner_N == c]) for c in range(pool.classes)]
    rows = []
    for ratio in RATIOS:
        got_C = histogram.thresholds(ratio).doubt
        predicted = [c for c in range(pool.classes) if len(sorted_by_class[c])]
        true = np.array([sorted_by_class[c][max(1, int(ratio * len(sorted_by_class[c]) + 0.5)) - 1] for c in predicted])
        error = np.abs(got_C[predicted] - true) / true
        rows.append((ratio, float(error.max()), float(true.min()), float(true.max()), len(predicted)))
    return rows


def rival(pool: Pool, frames: int, as_list: bool) -> float:
    """Return MiB a frame of keeping every 4th pixel's confidence: in float32 arrays, or in one list a class."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as process:
        return float(process.apply(_rival_growth, (pool, frames, as_list)))


def _rival_growth(pool: Pool, frames: int, as_list: bool) -> float:
    torch.set_num_threads(1)
    kept: list[list[object]] = [[] for _ in range(pool.classes)]
    sizes_mib = []
    for logits_CHW in pool.logits(frames + 1):
        top_HW, winner_HW = logits_CHW.softmax(dim=0).max(dim=0)
        for c in range(pool.classes):
            values = top_HW[winner_HW == c][::4].numpy().copy()
            kept[c].extend(values if as_list else [values])
        del top_HW, winner_HW
        sizes_mib.append(held_mib())
    return (sizes_mib[-1] - sizes_mib[0]) / frames  # the first frame pays for what comes only once


def report(pool: Pool, exact_frames: int) -> str:
    """Measure everything and return it as Markdown."""
    marks, add_s, frame_s = streaming(pool)
    errors = error_against_sort(pool, exact_frames)
    worst = max(error for _, error, *_ in errors)
    growth = {
        name: rival(pool, RIVAL_FRAMES, as_list) for name, as_list in (("float32 arrays", False), ("lists", True))
    }
    first, last = min(marks), max(marks)
    lines = [
        f"# Threshold pass over {pool.frames:,} frames of {pool.width}x{pool.height}, {pool.classes} classes",
        "",
        f"{date.today().isoformat()}, frugalseg {frugalseg.__version__}, commit {_commit()}, seed {pool.seed}.  ",
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread.  ",
        f"Command: `python {shlex.join([Path(sys.argv[0]).as_posix(), *sys.argv[1:]])}`",
        "",
        "| frames | peak memory of the process, MiB | memory at that moment, MiB |",
        "|---:|---:|---:|",
        *(f"| {number:,} | {peak:,.1f} | {held:,.1f} |" for number, (peak, held) in sorted(marks.items())),
        "",
        f"From {first:,} to {last:,} frames the peak grew by {marks[last][0] - marks[first][0]:.1f} MiB.",
        f"One frame's logits take {pool.classes * pool.height * pool.width / (1 << 18):.0f} MiB, the counts "
        f"{ConfidenceHistogram(pool.classes).counts.nbytes / (1 << 20):.1f} MiB.",
        f"`ConfidenceHistogram.add`: {add_s:.3f} processor seconds a frame ({frame_s:.3f} with making the frame).",
        "",
        f"Thresholds against a full sort in double precision of {exact_frames} frames "
        f"({exact_frames * pool.height * pool.width:,} pixels), relative error in u = 1 - p:",
        "",
        "| p | classes | smallest u | largest u | largest error |",
        "|---:|---:|---:|---:|---:|",
        *(f"| {p:.2f} | {n} | {low:.2e} | {high:.2e} | {error:.2e} |" for p, error, low, high, n in errors),
        "",
        f"Largest error {worst:.2e}; promised 2^-10 = {TOLERANCE:.2e}.",
        "",
        f"The rival keeps the confidence of every 4th pixel (growth of the process over {RIVAL_FRAMES} frames):",
        "",
        "| kept in | MiB a frame | at 3,000 frames, GiB |",
        "|---|---:|---:|",
        *(f"| {name} | {mib:.1f} | {mib * 3000 / 1024:.0f} |" for name, mib in growth.items()),
        "",
    ]
    assert worst <= TOLERANCE, f"error {worst:.2e} is above the promise of {TOLERANCE:.2e}"
    return "\n".join(lines)


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "none yet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--exact-frames", type=int, default=8, help="frames whose confidences are sorted in full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pool = Pool(arguments.frames, arguments.height, arguments.width, arguments.classes, arguments.seed)
    text = report(pool, arguments.exact_frames)
    print("\n" + text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
