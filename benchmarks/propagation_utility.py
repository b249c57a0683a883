"""What propagated labels are worth to a student: the paper's table 1, and utility over the sampling horizon (figure 8).

    FRUGALSEG_DATA=DATA python benchmarks/propagation_utility.py --seeds 0 1 2 --work WORK --out benchmarks/results
    python benchmarks/propagation_utility.py --toy 41 --seeds 0 --steps 3 --rows baseline oracle --horizon 4 --work WORK

Warp-Refine Propagation (Ganeshan et al., ICCV 2021), section 4.4. The student (mada's first stage: the source's labels
and the labelled frames) learns as many steps in every row; with propagated labels 70 % of the labelled frames drawn are
propagated ones, at t ± 2, 4, 6, 8 (motion-only at t ± 2, with the picture warped with its label). Each `--every`-th
frame of the video is labelled. Three runs are three seeds of the student; mean, sample standard deviation, and the
difference to the baseline. A run that was stopped goes on with the same command.

Not the paper's: rows `warp`, which takes labelled frames on both sides of a gap, and `warp, all alike`, the same
without confidence and label relaxation. Horizon h: all frames up to h away.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from _paired import mean_interval
from _seeds import add_arguments, how, publish, result_file, run_seeds
from _video import add_video_arguments, ask, asked_frames, checked, make_project, miou, passed_on

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project

FIRST_STAGE = ("unlabelled=none", "align_weight=0.0")
NEAR, USUAL = "propagated_steps=[2]", "propagated_steps=[2,4,6,8]"
PLAIN = ("confidence_power=0.0", "relaxed_px=0")  # every propagated pixel counts like a person's
ONE = ("anchors=1", "calibration_frames=0")
BASELINE = "baseline"


@dataclass(frozen=True)
class Row:
    """How labels are propagated (settings of `propagate`) and learned (settings of the student)."""

    spread: tuple[str, ...]
    learned: tuple[str, ...]


ROWS = {
    BASELINE: None,
    "motion-only": Row(("joint=true", *ONE), (NEAR, *PLAIN)),
    "semantic-only": Row(("method=semantic", "sure=0.9", *ONE), (USUAL, *PLAIN)),
    "warp_inpaint": Row(("method=warp_inpaint", *ONE), (USUAL, *PLAIN)),
    "warp_refine": Row(("method=warp_refine", *ONE), (USUAL, *PLAIN)),
    "warp, all alike": Row((), (USUAL, *PLAIN)),
    "warp": Row((), (USUAL,)),
    "oracle": Row(("method=oracle",), (USUAL, *PLAIN)),
}
HORIZON = ("motion-only", "warp_refine", "warp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "propagation_utility_runs")
    add_video_arguments(parser)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--horizon", type=int, nargs="*", default=[2, 4, 6, 8, 10], help="frames up to that far away")
    options = checked(parser)
    if BASELINE not in options.rows:
        parser.error("--rows needs the baseline: the other rows are compared with it")
    if options.one is not None:
        result_file(options.work, options.one).write_text(json.dumps(run_seed(options, options.one)))
        return
    began_s = time.monotonic()
    make_project(options, options.seeds[0])  # the toy city is drawn before processes share it
    found = run_seeds(__file__, options, [*passed_on(options), "--rows", *options.rows, "--horizon", *options.horizon])
    text = page(found, options, time.monotonic() - began_s)
    publish(text, options.out, f"propagation_utility{'_toy' if options.toy else ''}")


def run_seed(options: argparse.Namespace, seed: int) -> dict[str, float]:
    """Return the score of each row of a run, and of each row and horizon as `ROW to H`."""
    import torch

    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import adapt

    torch.set_num_threads(1)
    project = make_project(options, seed)
    start = adapt(project, "source_only", None, Options(quiet=True)).where
    answers = ask(project, start, asked_frames(project, options.every), 0)
    scores = {}
    for name in options.rows:
        row = ROWS[name]
        if row is None:
            scores[name] = student(project, start, answers, None, ())
            continue
        stage = spread(project, start, answers, row)
        scores[name] = student(project, start, answers, stage, row.learned)
        for most in options.horizon if name in HORIZON else ():
            steps = f"propagated_steps={list(range(1, most + 1))}"
            scores[f"{name} to {most}"] = student(project, start, answers, stage, (*row.learned, steps))
    return scores


def spread(project: "Project", start: Path, answers: Path, row: Row) -> Path:
    from frugalseg.workflow.propagate import propagate_project
    from frugalseg.workflow.stage import Options

    labels, model = answers / "partial" / "labels", start / "model"
    return propagate_project(project, labels, model, 0, Options(overrides=row.spread, quiet=True)).where


def student(project: "Project", start: Path, answers: Path, stage: Path | None, settings: Sequence[str]) -> float:
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import retrain

    learn = Options(overrides=(*FIRST_STAGE, *settings), quiet=True)
    return miou(project, retrain(project, "mada", start, answers, learn, stage, alone=stage is None).where)


def page(found: Sequence[dict[str, float]], options: argparse.Namespace, seconds: float) -> str:
    """Return table 1 and the table over horizons."""
    place = f"a toy-city video of {options.toy} frames" if options.toy else "camvid-day/sequence → camvid-day/test"
    lines = [f"# Utility of propagated labels: {place}", "", *how(__file__, seconds), ""]
    lines += [f"{len(found)} runs, {options.steps} steps, every {options.every}th frame labelled.", ""]
    lines += ["| labels | μ(mIoU) | σ(mIoU) | Δ(mIoU) | 95 % interval of Δ |", "|---|---:|---:|---:|---:|"]
    lines += [line(found, name) for name in options.rows]
    rows = [name for name in HORIZON if name in options.rows]
    if rows and options.horizon:
        lines += ["", "Δ(mIoU) to the baseline by how far away frames are taken:", ""]
        lines += ["| labels | " + " | ".join(f"± {most}" for most in options.horizon) + " |"]
        lines += ["|---|" + "---:|" * len(options.horizon)]
        for name in rows:
            gains = [statistics.mean(gain(found, f"{name} to {most}")) for most in options.horizon]
            lines.append(f"| {name} | " + " | ".join(f"{value:+.2f}" for value in gains) + " |")
    return "\n".join([*lines, ""])


def line(found: Sequence[dict[str, float]], name: str) -> str:
    values = [scores[name] for scores in found]
    cells = [f"{statistics.mean(values):.2f}", f"{statistics.stdev(values):.2f}" if len(values) > 1 else "–"]
    if name == BASELINE:
        return f"| {name} | " + " | ".join([*cells, "–", "–"]) + " |"
    over = mean_interval(gain(found, name))
    cells += [f"{over.value:+.2f}", f"{over.low:+.2f} … {over.high:+.2f}" if len(values) > 1 else "–"]
    return f"| {name} | " + " | ".join(cells) + " |"


def gain(found: Sequence[dict[str, float]], name: str) -> list[float]:
    """Return each run's difference to its baseline."""
    return [scores[name] - scores[BASELINE] for scores in found]


if __name__ == "__main__":
    main()
