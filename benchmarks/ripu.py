"""RIPU's score and greedy picks against the authors' public code: the same picks, and how much faster.

    python benchmarks/ripu.py CHECKOUT --out benchmarks/results/ripu.md

CHECKOUT is a folder with a checkout of the public code (its README names the repository); nothing of it is copied.
What runs of it: `core/active/floating_region.py` as it is, and the loop of `RegionSelection` in `core/active/build.py`
with its lines as they stand, on the processor and without files.

Claim: at 2.2 % (k = 1, regions of 3 x 3) picks are equal and score + picks are at least 50 times as fast.

"Times faster" begins at the logits on both sides. "Entropy given" takes what entropy and prediction cost us from both:
every selector here gets them from the pass anyway.

Equal picks are checked twice. On the same score map all picks must be the same in the same order. With each side's own
score the public code's float32 convolutions and `log(p + 1e-6)` differ in the last digits, so near ties may change
places: at each position the public score of our pick must be within `TOLERANCE` of the public score of theirs.
"""

import argparse
import importlib.util
import math
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import frugalseg
from frugalseg.acquisition.picks import pick_apart
from frugalseg.acquisition.ripu import impurity, region_mean
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import generator
from frugalseg.training.losses import entropy_NHW

TOLERANCE = 2e-5
RATIO = 0.022
COARSER = 16


def simulated_logits(size_HW: tuple[int, int], classes: int, seed: int) -> Tensor:
    """Return smooth random logits, C x H x W: blobs of every class, sure inside."""
    coarse = (size_HW[0] // COARSER + 2, size_HW[1] // COARSER + 2)
    noise = torch.from_numpy(generator(seed, "logits").standard_normal((1, classes, *coarse)).astype(np.float32))
    return functional.interpolate(4 * noise, size_HW, mode="bicubic")[0]


def public_score(checkout: Path, classes: int, radius_px: int) -> Any:
    """Return the public code's score module."""
    path = checkout / "core" / "active" / "floating_region.py"
    if not path.is_file():
        raise SystemExit(f"{path}: no such file. Give the folder of a checkout of the public code.")
    spec = importlib.util.spec_from_file_location("public_floating_region", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FloatingRegionScore(in_channels=classes, size=2 * radius_px + 1)


def public_picks(score: Tensor, count: int, mask_radius: int) -> list[tuple[int, int]]:
    """Return the public loop's picks; `score` is changed."""
    picks = []
    for _ in range(count):
        values, indices_h = torch.max(score, dim=0)
        _, indices_w = torch.max(values, dim=0)
        w = indices_w.item()
        h = indices_h[w].item()
        start_w = w - mask_radius if w - mask_radius >= 0 else 0
        start_h = h - mask_radius if h - mask_radius >= 0 else 0
        score[start_h : h + mask_radius + 1, start_w : w + mask_radius + 1] = -float("inf")
        picks.append((h, w))
    return picks


def view_of(logits_CHW: Tensor) -> FrameView:
    """Return what the selector sees: entropy and prediction (both sides get them from the network's logits)."""
    entropy_HW = entropy_NHW(logits_CHW[None])[0].numpy()
    return FrameView("frame", entropy_HW, logits_CHW.argmax(dim=0).numpy().astype(np.uint8))


def our_score(view: FrameView, radius_px: int) -> NDArray[np.float32]:
    """Return impurity x mean entropy of each region."""
    return impurity(view.prediction_HW, radius_px) * region_mean(view.entropy_HW, radius_px)


def our_picks(view: FrameView, score_HW: NDArray[np.float32], count: int, apart_px: int) -> list[tuple[int, int]]:
    """Return the selector's picks."""
    found = pick_apart(view, score_HW, count, apart_px)
    return list(zip(found["row"].tolist(), found["column"].tolist(), strict=True))


def seconds(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median of the processor seconds of `repeats` calls, and what the last returned."""
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        found = work()
        spent.append(time.process_time() - began)
    return statistics.median(spent), found


def race(checkout: Path, size_HW: tuple[int, int], classes: int, radius_px: int, seed: int, repeats: int) -> dict:
    """Return seconds of both sides, and how far their picks agree."""
    logits_CHW = simulated_logits(size_HW, classes, seed)
    count = math.ceil(math.prod(size_HW) * RATIO / (2 * radius_px + 1) ** 2)
    apart_px = 2 * radius_px
    module, view = public_score(checkout, classes, radius_px), view_of(logits_CHW)
    with torch.no_grad():
        their_score_s, (their_score, *_) = seconds(lambda: module(logits_CHW[None]), 1)
    their_picks_s, theirs = seconds(lambda: public_picks(their_score.clone(), count, apart_px), 1)
    our_view_s, _ = seconds(lambda: view_of(logits_CHW), repeats)  # the public score begins at the logits
    our_score_s, ours_HW = seconds(lambda: our_score(view, radius_px), repeats)
    our_picks_s, ours = seconds(lambda: our_picks(view, ours_HW, count, apart_px), repeats)
    same_map = our_picks(view, their_score.numpy(), count, apart_px) == theirs
    score_HW = their_score.numpy()
    gap = max(abs(float(score_HW[a]) - float(score_HW[b])) for a, b in zip(ours, theirs, strict=True))
    return {
        "k": radius_px,
        "picks": count,
        "their score s": their_score_s,
        "their picks s": their_picks_s,
        "our entropy s": our_view_s,
        "our score s": our_score_s,
        "our picks s": our_picks_s,
        "times faster": (their_score_s + their_picks_s) / (our_view_s + our_score_s + our_picks_s),
        "entropy given": (their_score_s - our_view_s + their_picks_s) / (our_score_s + our_picks_s),
        "same picks on one map": same_map,
        "same picks, own maps": sum(a == b for a, b in zip(ours, theirs, strict=True)) / count,
        "largest gap of score": gap,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=19, help="the public code divides by log 19 whatever it is")
    parser.add_argument("--radius", type=int, nargs="+", default=[1], help="k; 32 takes the public code many minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size_HW = (arguments.height, arguments.width)
    rows = [
        race(arguments.checkout, size_HW, arguments.classes, radius, arguments.seed, arguments.repeats)
        for radius in arguments.radius
    ]
    shown = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    lines = [
        f"# RIPU against the public code, {size_HW[1]}x{size_HW[0]}, {arguments.classes} classes, 2.2 %",
        "",
        f"{date.today().isoformat()}, frugalseg {frugalseg.__version__}, {platform.machine()}, "
        f"torch {torch.__version__}, {arguments.threads} thread(s), processor seconds.  ",
        f"Command: `python {shlex.join([Path(sys.argv[0]).as_posix(), 'CHECKOUT', *sys.argv[2:]])}`",
        "",
        "| " + " | ".join(rows[0]) + " |",
        "|" + "---:|" * len(rows[0]),
        *("| " + " | ".join(row) + " |" for row in shown),
        "",
    ]
    print("\n".join(lines))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("\n".join(lines), encoding="utf-8")
    for row in rows:
        assert row["same picks on one map"] and row["largest gap of score"] <= TOLERANCE, row


if __name__ == "__main__":
    main()
