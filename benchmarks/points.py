"""carla34 → camvid-day: which pixels to ask people about. Every point selector, at equal clicks and at equal seconds.

    FRUGALSEG_DATA=DATA python benchmarks/points.py --seeds 0 1 2 3 4 --work WORK --out benchmarks/results
    python benchmarks/points.py --dev 0006R0 --points 5 --control-points 10 --steps 400 --work WORK \\
        --selectors expected_gain expected_gain:sharpness=1 --set human_weight=2   # tuning on a development split
    python benchmarks/points.py --toy --seeds 0 --points 2 6 --work WORK --out OUT # the same at toy size

For each seed one start: source_only, then `--start`. From it, for each selector, number of points a frame and draw:
select, label by the simulated annotator, retrain point_da, evaluate. All retrainings of a seed have the same first
weights and batches; only the labels differ. A draw is another seed of questions and annotator, nothing else. Selectors
without chance get one draw, for another would be the same pixels; the control, uniform points, gets more.
Floor: the start, and what it learns from its own predictions when nobody is asked. Ceiling: every frame in full.

A selector may come with settings, as a row of its own: `expected_gain:sharpness=1:explore=0`. The test frames are only
ever scored; to choose settings use `--dev DRIVE` (see real_pair.py), which never touches them. Beside the dated table
lie its numbers as JSON and the plot as SVG. A run that was stopped goes on with the same command; asked for less
(fewer seeds, draws, points), the same command shows what is finished; points_together.py makes one table of several.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _draws import draw_of, draws_of, make, parsed, parser_of, place, result_of, run_draws
from _evidence import look
from _paired import Run
from _points_page import CONTROL, EVERYTHING, NOTHING, SOURCE, START, draw_plot, plain, summary, tables
from _seeds import how, publish

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project
    from frugalseg.workflow.stage import StageResult

SELECTORS = [
    CONTROL, "random_patches", "entropy_patches", "global_points", "margin", "ripu", "class_balanced", "diverse",
    "expected_gain",
]  # fmt: skip

STARTS = ("cbst", "mean_teacher")


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "points_runs", SELECTORS, CONTROL, draws=(2, 4))
    parser.add_argument("--points", type=int, nargs="+", default=[5, 10, 50], help="points a frame")
    parser.add_argument("--control-points", type=int, nargs="+", default=[], help="more, for its curve over minutes")
    parser.add_argument("--start", choices=STARTS, default="mean_teacher", help="who asks")
    parser.add_argument("--steps", type=int, help="steps of each retraining; default: 800")
    parser.add_argument("--settings", type=Path, help="TOML file of point_da, instead of the project's")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of point_da")
    options = parsed(parser)
    options.selectors = list(dict.fromkeys([CONTROL, *options.selectors]))
    return options


def main() -> None:
    options = arguments()
    if options.one is not None:
        found = learn_floor_and_ceiling(options) if options.draw is None else learn_from_draw(options)
        result_of(options, options.one, options.draw).write_text(json.dumps(found))
        return
    began_s = time.monotonic()
    for seed in options.seeds:  # before processes share them
        settings = settings_of(make(options, seed), options)
    found = run_draws(__file__, options)
    runs = [Run(**run) for part in found for run in part["runs"]]
    report(runs, found[-1]["true"], settings, options, how(__file__, time.monotonic() - began_s))


def settings_of(project: "Project", options: argparse.Namespace) -> dict[str, Any]:
    """Return all settings that runs will have, so that a mistake shows now and not after hours."""
    found = {
        "source_only": project.stage_config("method", "source_only", None, []),
        options.start: project.stage_config("method", options.start, None, options.set_start),
        "point_da": project.stage_config("method", "point_da", options.settings, list(retraining(options).overrides)),
    }
    for row in options.selectors:
        name, *settings = row.split(":")
        found[row] = project.stage_config("selector", name, None, settings)
    return {name: config.model_dump(mode="json") for name, config in found.items()}


def retraining(options: argparse.Namespace) -> Any:
    from frugalseg.workflow.stage import Options

    steps = () if options.steps is None else (f"steps={options.steps}",)
    return Options(config=options.settings, overrides=(*steps, *options.set), quiet=True)


def opened(options: argparse.Namespace) -> tuple["Project", "StageResult", "StageResult"]:
    """Return the seed's project, its source model and its start, trained if they are not."""
    import torch

    from frugalseg.workflow.project import Project
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import adapt

    torch.set_num_threads(1)
    project = Project.open(options.work / f"seed-{options.one}")
    source = adapt(project, "source_only", None, Options(quiet=True))
    start = adapt(project, options.start, source.where, Options(overrides=tuple(options.set_start), quiet=True))
    return project, source, start


def learn_floor_and_ceiling(options: argparse.Namespace) -> dict[str, Any]:
    """Train and score what a seed's selections are measured against, and what they start from."""
    from frugalseg.workflow.label import label, label_nothing
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import retrain

    project, source, start = opened(options)
    runs = [scored(project, options, SOURCE, source), scored(project, options, START, start)]
    quiet = Options(quiet=True)
    for name, answers in (
        (NOTHING, label_nothing(project, quiet)),
        (EVERYTHING, label(project, True, None, quiet, everything=True)),
    ):
        trained = retrain(project, "point_da", start.where, answers.where, retraining(options))
        runs.append(scored(project, options, name, trained, answers))
    return {"runs": [asdict(run) for run in runs]}


def learn_from_draw(options: argparse.Namespace) -> dict[str, Any]:
    """Select, label, train and score with every selector that has this draw, at every number of points."""
    from frugalseg.workflow.label import label
    from frugalseg.workflow.select import select
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import retrain

    project, _, start = opened(options)
    drawn, runs, rounds = draw_of(project, options.draw), {}, {}
    for points in sorted({*options.points, *options.control_points}):
        for row in options.selectors if points in options.points else [CONTROL]:
            if options.draw >= draws_of(row, CONTROL, options):
                continue
            name, *settings = row.split(":")
            ask = Options(overrides=("control_share=0", *settings), quiet=True)
            selection = select(drawn, name, f"{points}points/image", start.where, ask, alone=True)
            answers = label(drawn, True, selection.where, Options(quiet=True))
            trained = retrain(project, "point_da", start.where, answers.where, retraining(options))
            key = f"{row} {points}"
            runs[key] = scored(project, options, row, trained, answers, points)
            rounds[key] = selection.where, answers.where
    evidence, true_shares = look(project, start.where, rounds)
    return {
        "runs": [asdict(replace(run, evidence=evidence[key])) for key, run in runs.items()],
        "true": true_shares,
    }


def scored(
    project: "Project",
    options: argparse.Namespace,
    name: str,
    trained: "StageResult",
    answers: "StageResult | None" = None,
    points: int = 0,
    unit: str = "points",
) -> Run:
    from frugalseg.workflow.bench_job import SCORES_ONLY
    from frugalseg.workflow.evaluate import evaluate_stage

    found = evaluate_stage(project, trained.where, SCORES_ONLY).found
    given = answers.found if answers else {"human_seconds": 0.0, "answers": 0}
    run = Run(
        selector=name,
        points=points,
        seed=options.one,
        draw=options.draw or 0,
        miou=found["miou"],
        minutes=given["human_seconds"] / 60,
        clicks=given["answers"] if points else 0,
        cpu_s=json.loads((trained.where / "run.json").read_text())["device_s"],
        subsets=found["subsets"],
        iou=found["iou"],
    )
    said = f"{name}, {points} {unit}, draw {run.draw}" if points else name
    print(f"seed {run.seed} {said}: {100 * run.miou:.1f} ({run.cpu_s:.0f} s)", file=sys.stderr, flush=True)
    return run


def report(
    runs: list[Run],
    true_shares: dict[str, float],
    settings: dict[str, Any],
    options: argparse.Namespace,
    ran: list[str],
) -> None:
    """Print the tables; with --out write them, their numbers and the plot under one dated name."""
    name, where = place(options, "points")
    path = publish("\n".join([*tables(runs, true_shares, where, options.start), *ran, ""]), options.out, name)
    if path is None:
        return
    numbers = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "how": ran,
        "settings": settings,
        "true_class_shares": true_shares,
        "rows": summary(runs),
        "runs": [asdict(run) for run in runs],
    }
    path.with_suffix(".json").write_text(json.dumps(plain(numbers), indent=1, ensure_ascii=False))
    draw_plot(path.with_suffix(".svg"), runs)
    links = f"Every run and all settings: [{path.stem}.json]({path.stem}.json)."
    path.write_text(f"{path.read_text()}\n{links}\n\n![mIoU against people's minutes]({path.stem}.svg)\n")


if __name__ == "__main__":
    main()
