"""Which of two labelled frames to believe: fits the weights of `fusion = learned`, and what they gain.

    python benchmarks/propagation_fusion.py --out benchmarks/results
    FRUGALSEG_DATA=DATA python benchmarks/propagation_fusion.py --out benchmarks/results

Fitted on drives 0–7 of the toy city (world 0): frames 10, 15, … 30 of 41, with labelled frames k = 1 … 10 before and
after each, flow by DIS at finest scale 0, composed, in each other drive mended as with `quality`. Logistic regression
over the pixels that the two frames dispute and that one of them is right about. Scored on drives 0–3 of world 1 and,
with FRUGALSEG_DATA, on camvid-day/sequence by the protocol of propagation.py, where nothing is fitted. The oracle takes
the right one of the two wherever there is one. Which features there are was chosen with the scores of the real video
and of another toy drive in view; the result file says what was tried.

Claims: the weights in `learned_fusion.py` are those that are fitted, to .02; on the held-out drives and the real video
they gain in the mean over k, with composed and with mended flow, and on the real video at each k.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from _seeds import how, publish
from propagation import FINEST, Video, make_toy, read_real, two_warps

from frugalseg.core.classes import IGNORE
from frugalseg.evaluation.by_distance import Curve
from frugalseg.propagation.confidence import logistic
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.fuse import ERROR_SCALE, Warp, fuse
from frugalseg.propagation.learned_fusion import WEIGHTS, choose, dispute
from frugalseg.propagation.motion import Neighbours

FITTED, HELD_OUT, FRAMES = (0, range(8)), (1, range(4)), 41  # worlds and drives of the toy city
TOLERANCE = 0.02  # of a weight
WAYS = ("photometric", "learned", "oracle")


def fit(videos: Sequence[Video], cache: Path) -> dict[str, float]:
    """Return the weights of the logistic choice, by feature."""
    found = [part for number, video in enumerate(videos) for part in examples(video, cache, bool(number % 2))]
    features_NF, first_N = (np.concatenate(part) for part in zip(*found, strict=True))
    constant = np.zeros((len(first_N), 1))  # none: with the two frames swapped the choice must be the same frame's
    weights = logistic(np.hstack([features_NF.astype(np.float64), constant]), first_N)
    found_by_name = dict(zip(WEIGHTS, weights.tolist(), strict=False))
    print(f"{len(first_N):,} pixels: {found_by_name}", flush=True)
    return found_by_name


def examples(video: Video, cache: Path, mended: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return features of the disputed pixels that one of the frames is right about, and whether the first is."""
    motion, found = Dis(FINEST), []
    for case, warps in two_warps(video, Neighbours(motion, cache), motion if mended else None):
        here = dispute(video.pictures[case.target], warps, video.classes, ERROR_SCALE, extend=True)
        truth_N = video.labels[case.target].ravel()[here.places_N]
        right_2N = (here.ids_2N == truth_N) & (truth_N != IGNORE)
        told_N = right_2N.any(axis=0)
        found.append((here.features_NF[told_N], right_2N[0, told_N]))
    return found


def score(videos: Sequence[Video], cache: Path, mended: bool) -> dict[str, list[float]]:
    """Return mIoU in percent at k = 1 ... 10 of each way to fuse, all videos together."""
    curves, motion = {way: Curve(videos[0].classes) for way in WAYS}, Dis(FINEST)
    for number, video in enumerate(videos):
        for case, warps in two_warps(video, Neighbours(motion, cache), motion if mended else None):
            named = replace(case, target=1000 * number + case.target)  # else drives would have cases of one name
            truth_HW, picture = video.labels[case.target], video.pictures[case.target]
            fused = fuse(warps, video.classes, ERROR_SCALE, extend=True)
            learned = choose(fused, picture, warps, video.classes, ERROR_SCALE, extend=True)
            made = (fused.label_HW, learned.label_HW, best(truth_HW, fused.label_HW, warps))
            for way, label_HW in zip(WAYS, made, strict=True):
                curves[way].add(named, truth_HW, label_HW)
    return {way: [100 * miou for _, miou in sorted(curve.miou().items())] for way, curve in curves.items()}


def best(truth_HW: np.ndarray, label_HW: np.ndarray, warps: Sequence[Warp]) -> np.ndarray:
    """Return a label with the right one of the two warps wherever there is one."""
    for warp in warps:
        label_HW = np.where(warp.nearest_HW == truth_HW, truth_HW, label_HW)
    return label_HW


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each drive of the toy city")
    parser.add_argument("--out", type=Path, help="folder for the dated result file")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    began, missed = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        fitted = fit(toy(options.frames, *FITTED), cache)
        lines = ["# Which of two labelled frames to believe", "", *how(__file__, 0.0), ""]
        lines += ["| feature | fitted | used |", "|---|---:|---:|"]
        for name, weight in fitted.items():
            lines.append(f"| {name} | {weight:.3f} | {WEIGHTS[name]:.2f} |")
            if abs(weight - WEIGHTS[name]) > TOLERANCE:
                missed.append(f"{name}: {WEIGHTS[name]} is used, {weight:.3f} is fitted.")
        sets = {"toy city, held-out drives": toy(options.frames, *HELD_OUT)}
        if "FRUGALSEG_DATA" in os.environ:
            sets["camvid-day/sequence"] = [read_real(Path(os.environ["FRUGALSEG_DATA"]))]
        for title, videos in sets.items():
            for mended in (False, True):
                table, problems = rows(f"{title}, {'mended' if mended else 'composed'}", score(videos, cache, mended))
                lines += table
                missed += problems
    lines[2] = how(__file__, time.monotonic() - began)[0]
    publish("\n".join([*lines, "", *(missed or ["All claims hold."]), ""]), options.out, "propagation_fusion")
    sys.exit(1 if missed else 0)


def toy(frames: int, world: int, drives: Sequence[int]) -> list[Video]:
    """Return clips of the toy city; keys tell worlds and drives apart."""
    return [make_toy(frames, world, drive) for drive in drives]


def rows(title: str, found: dict[str, list[float]]) -> tuple[list[str], list[str]]:
    """Return a table of what each way scores at each k, with the gain of the learned one, and what does not hold."""
    gain = np.subtract(found["learned"], found["photometric"])
    lines = ["", f"{title}, mIoU at k = 1 … 10 and mean:", ""]
    lines += ["| fusion | " + " | ".join(map(str, range(1, 11))) + " | mean |", "|---|" + "---:|" * 11]
    lines += [
        f"| {way} | " + " | ".join(f"{v:.1f}" for v in [*values, np.mean(values)]) + " |"
        for way, values in found.items()
    ]
    lines.append("| learned - photometric | " + " | ".join(f"{v:+.2f}" for v in [*gain, gain.mean()]) + " |")
    missed = [] if gain.mean() > 0 else [f"{title}: learned fusion gains nothing in the mean ({gain.mean():+.2f})."]
    if "camvid" in title:
        missed += [f"{title}: {v:+.2f} at k = {k}." for k, v in enumerate(gain, 1) if v <= 0]
    return lines, missed


if __name__ == "__main__":
    main()
