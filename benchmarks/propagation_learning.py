"""One answer counting for many frames: learning from points and from whole frames, alone and spread through video.

    python benchmarks/propagation_learning.py --toy --seeds 0 1 2 --work WORK --out benchmarks/results
    FRUGALSEG_DATA=DATA python benchmarks/propagation_learning.py --seeds 0 1 2 --work WORK --out benchmarks/results

For each seed one start, source_only. Each `--every`-th frame of the target's video is asked about: `--points` random
pixels of it, or all of it. From the same start, in as many steps: point_da on the points alone and on the points spread
through the video; mada's first stage on those frames alone and spread. Rows of a pair differ in the spread labels only;
differences are paired by seed, with Student's interval. What was spread is compared with the truth of its frames, which
nothing that learns ever sees. A run that was stopped goes on with the same command.
"""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _paired import mean_interval
from _seeds import add_arguments, how, mean_sd, publish, result_file, run_seeds
from _video import add_video_arguments, ask, asked_frames, checked, make_project, miou, passed_on

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project

PAIRS = {"points": ("points only", "points spread through video"), "images": ("images only", "images spread")}
FIRST_STAGE = ("unlabelled=none", "align_weight=0.0")  # of mada: what people labelled, and the source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "propagation_learning_runs")
    add_video_arguments(parser)
    parser.add_argument("--points", type=int, default=50, help="points of each frame that is asked about")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of every retraining")
    options = checked(parser)
    if options.one is not None:
        result_file(options.work, options.one).write_text(json.dumps(run_seed(options, options.one)))
        return
    began_s = time.monotonic()
    make_project(options, options.seeds[0])  # the toy city is drawn before processes share it
    more = ["--points", options.points, *(["--set", *options.set] if options.set else [])]
    found = run_seeds(__file__, options, [*passed_on(options), *more])
    name = f"propagation_learning{'_toy' if options.toy else ''}"
    publish(table(found, options, time.monotonic() - began_s), options.out, name)


def run_seed(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Return the scores of a seed's rows, and how the labels that were spread compare with the truth."""
    import torch

    from frugalseg.workflow.propagate import propagate_project
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import adapt, retrain

    torch.set_num_threads(1)
    project, quiet = make_project(options, seed), Options(quiet=True)
    start = adapt(project, "source_only", None, quiet).where
    scores, spread = {"source only": miou(project, start)}, {}
    for kind, (alone, together) in PAIRS.items():
        points = options.points if kind == "points" else 0
        answers = ask(project, start, asked_frames(project, options.every), points)
        settings = [*options.set, *(FIRST_STAGE if kind == "images" else ())]
        learn, method = Options(overrides=tuple(settings), quiet=True), "point_da" if points else "mada"
        scores[alone] = miou(project, retrain(project, method, start, answers, learn, alone=True).where)
        stage = propagate_project(project, answers / "partial" / "labels", None, 0, quiet)
        scores[together] = miou(project, retrain(project, method, start, answers, learn, stage.where).where)
        spread[kind] = compare(project, stage.where, answers)
    return {"scores": scores, "spread": spread}


def compare(project: "Project", stage: Path, answers: Path) -> dict[str, float]:
    """Return how many pixels were answered, how many were spread from them, and the share of these that is right."""
    from frugalseg.core.classes import IGNORE
    from frugalseg.core.codec import read_label_png
    from frugalseg.data.labels import LabelReader

    manifest = project.manifest("target")
    read = LabelReader(manifest.classes, project.classes).read
    answered = sum(
        int((read_label_png(answers / "partial" / "labels" / f"{frame.key}.png") != IGNORE).sum()) for frame in manifest
    )
    given, right, frames = 0, 0, 0
    for frame in manifest:
        path = stage / "labels" / f"{frame.key}.png"
        if path.is_file():
            label_HW, truth_HW = read_label_png(path), read(frame)
            known_HW = (label_HW != IGNORE) & (truth_HW != IGNORE)
            given, frames = given + int(known_HW.sum()), frames + 1
            right += int((label_HW == truth_HW)[known_HW].sum())
    return {"answered": answered, "spread": given, "right": right / max(1, given), "frames": frames}


def table(found: list[dict[str, Any]], options: argparse.Namespace, seconds: float) -> str:
    """Return the page."""
    place = f"a toy-city video of {options.toy} frames" if options.toy else "camvid-day: 0006R0 and 0016E5 → Seq05VD"
    lines = [f"# Answers spread through video: {place}", "", *how(__file__, seconds), ""]
    lines += ["| what is learned | mIoU, mean ± sd | difference to its pair | 95 % interval |", "|---|---:|---:|---:|"]
    partner = {together: alone for alone, together in PAIRS.values()}
    for row in found[0]["scores"]:
        values = [seed["scores"][row] for seed in found]
        cells = ["", ""]
        if row in partner:
            gain = mean_interval([seed["scores"][row] - seed["scores"][partner[row]] for seed in found])
            cells = [f"{gain.value:+.1f}", f"{gain.low:+.1f} … {gain.high:+.1f}" if len(found) > 1 else "–"]
        lines.append(f"| {row} | {mean_sd(values)} | " + " | ".join(cells) + " |")
    lines += ["", "| what is spread | answered pixels | spread pixels | for each answered one | right | frames |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    for kind in PAIRS:
        mean = {key: float(np.mean([seed["spread"][kind][key] for seed in found])) for key in found[0]["spread"][kind]}
        ratio = mean["spread"] / max(1.0, mean["answered"])
        cells = [f"{mean['answered']:.0f}", f"{mean['spread']:.0f}", f"{ratio:.1f}", f"{100 * mean['right']:.1f} %"]
        lines.append(f"| {kind} | " + " | ".join(cells) + f" | {mean['frames']:.0f} |")
    asked = f"{options.points} points or all of every {options.every}th frame"
    lines += ["", f"Seeds: {len(found)}; {asked}; {options.steps} steps."]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
