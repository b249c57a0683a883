"""carla34 → camvid-day: which whole frames to ask people about, and what each part of MADA adds on the same frames.

    FRUGALSEG_DATA=DATA python benchmarks/images.py --seeds 0 1 2 --control-draws 5 --work WORK --out benchmarks/results
    python benchmarks/images.py --start mean_teacher --selectors multi_anchor diverse_images entropy_images \\
        --work WORK --out OUT --points benchmarks/results/points_DATE.json      # with points that have the same start
    python benchmarks/images.py --start mean_teacher --critic adaptsegnet --work WORK      # all selectors in one table
    python benchmarks/images.py --dev 0006R0 --percent 10 --selectors diverse_images diverse_images:apart=0.2 \\
        --work WORK                                            # choosing settings on a development split
    python benchmarks/images.py --toy --seeds 0 --percent 34 --work WORK --out OUT     # the same at toy size

For each seed one start: source_only, then each of `--start`. From it, for each selector, share of frames and draw:
select, label in full by the simulated annotator, fine-tune on source and labelled frames alone (M(1) of mada, as the
paper compares selectors), evaluate. All trainings of a seed have the same first weights and batches; only the labelled
frames differ. The control, random_images, gets more draws than the others. Then, on the frames of `--judged`, named
beforehand, the parts of mada in as many steps: soft alignment, anchors that follow, pseudo-labels, a mean teacher.
Floor: the start. Ceiling: every frame in full.

The plot has frames and, from the numbers of points.py (`--points`), single points over hours of people's time. What an
answer costs is an assumption (`core/cost.py`), so every curve is a band between a low and a high cost of one answer.
Points and frames stand on one plot where they go on from one start. `adversarial` and `aada` need a discriminator: if
no `--start` trains one, `--critic` does, from source_only, and looks at the frames for these two. Learning starts from
the same network as in every other row.
The test frames are only ever scored; to choose settings use `--dev DRIVE`. A run that was stopped goes on with the same
command.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _draws import draw_of, draws_of, make, parsed, parser_of, place, result_of, run_draws
from _images_page import CONTROL, draw_hours, summary, tables
from _paired import Run, no_seed
from _points_page import EVERYTHING, SOURCE, START, plain
from _seeds import how, publish
from points import scored

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project
    from frugalseg.workflow.stage import Options, StageResult

SELECTORS = [CONTROL, "multi_anchor", "diverse_images", "entropy_images", "adversarial", "aada"]
ADVERSARIAL, BLIND = ("adaptsegnet", "advent"), ("adversarial", "aada")
PARTS = ("m2", "m3", "m4", "m1_teacher", "m4_teacher")
METHODS = ("source_only", "adaptsegnet", "advent", "cbst", "mean_teacher")


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__, "images_runs", SELECTORS, CONTROL, draws=(1, 2))
    parser.add_argument(
        "--judged", default="diverse_images", metavar="NAME[:KEY=VALUE]...", help="whose frames all parts learn from"
    )
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="rows of `bench mada`")
    parser.add_argument("--percent", type=int, nargs="+", default=[5], help="shares of the frames")
    parser.add_argument(
        "--start", nargs="+", choices=METHODS[1:], default=["adaptsegnet"], help="who asks: each from the last"
    )
    parser.add_argument("--critic", choices=ADVERSARIAL, help="who chooses for adversarial and aada")
    parser.add_argument("--steps", type=int, help="steps of each training with labels; default: twice mada's")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of mada, in every row")
    parser.add_argument("--points", type=Path, help="numbers of points.py (JSON), for the plot")
    parser.add_argument("--image-minutes", type=float, nargs=2, default=[60, 90], help="low and high cost of a frame")
    parser.add_argument("--point-seconds", type=float, nargs=2, default=[1.5, 6], help="low and high cost of a point")
    options = parsed(parser)
    options.selectors = list(dict.fromkeys([CONTROL, *options.selectors, options.judged]))
    blind = [row for row in options.selectors if row.split(":")[0] in BLIND]
    if blind and not {options.critic, *options.start} & set(ADVERSARIAL):
        parser.error(f"{', '.join(blind)}: they ask a discriminator, and no --start trains one. Give --critic.")
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
    points, length = read_points(options.points, settings) if options.points else ([], "")
    runs = [Run(**run) for part in run_draws(__file__, options) for run in part["runs"]]
    report(runs, points, length, settings, options, began_s)


def settings_of(project: "Project", options: argparse.Namespace) -> dict[str, Any]:
    """Return all settings that runs will have, so that a mistake shows now and not after hours."""
    from frugalseg.workflow.bench_mada import PSEUDO, require_parts

    require_parts(project.stage_config("method", "mada", None, [*options.set, *PSEUDO]))
    found = {"source_only": project.stage_config("method", "source_only", None, [])}
    named = [(name, name) for name in options.start]
    named += [(f"critic {options.critic}", options.critic)] if options.critic else []
    for said, name in named:
        found[said] = project.stage_config("method", name, None, list(start_settings(name, options)))
    for name in ("m1", *options.parts):
        found[f"mada {name}"] = project.stage_config(
            "method", "mada", None, list(retraining(project, options, name).overrides)
        )
    for row in options.selectors:
        name, *settings = row.split(":")
        found[row] = project.stage_config("selector", name, None, settings)
    return {name: config.model_dump(mode="json") for name, config in found.items()}


def start_settings(name: str, options: argparse.Namespace) -> tuple[str, ...]:
    from frugalseg.workflow.bench_mada import PAPER_WARM_UP

    own = tuple(options.set_start) if name == options.start[-1] else ()
    return (*(PAPER_WARM_UP if name == "adaptsegnet" else ()), *own)


def retraining(project: "Project", options: argparse.Namespace, name: str) -> "Options":
    """Return the settings of a row of `bench mada`, in as many steps as every other row takes."""
    from frugalseg.workflow.bench_mada import STRATEGY, even_steps, rows_of
    from frugalseg.workflow.stage import Options

    own = rows_of(STRATEGY, {}, {})[name].settings
    return Options(overrides=(*options.set, *even_steps(project, tuple(options.set), own, options.steps)), quiet=True)


def read_points(path: Path, settings: dict[str, Any]) -> tuple[list[Run], str]:
    """Return the runs of points.py whose networks go on from the same start, and how long both learned, in words.

    It ends the program if they start from another.
    """
    found = json.loads(path.read_text())

    def start(of: dict[str, Any]) -> dict[str, Any]:
        return {name: no_seed(of[name]) for name in METHODS if name in of}

    if start(found["settings"]) != start(settings):
        sys.exit(
            f"{path}: its points go on from {', '.join(start(found['settings']))}, these frames from "
            f"{', '.join(start(settings))}, or the same with other settings. Give --start, --set-start as it had them."
        )
    steps = found["settings"]["point_da"]["steps"], settings["mada m1"]["steps"]
    length = "On the plot points are learned in {} steps of point_da, frames in {} of mada.".format(*steps)
    return [Run(**run) for run in found["runs"] if run["points"]], length


def opened(options: argparse.Namespace) -> tuple["Project", "StageResult", "StageResult", "StageResult"]:
    """Return the seed's project, its source model, its start and who chooses for the blind, trained if they are not."""
    import torch

    from frugalseg.workflow.project import Project
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import adapt

    torch.set_num_threads(1)
    project = Project.open(options.work / f"seed-{options.one}")

    def adapted(name: str, last: "StageResult") -> "StageResult":
        return adapt(project, name, last.where, Options(overrides=start_settings(name, options), quiet=True))

    source = start = adapt(project, "source_only", None, Options(quiet=True))
    for name in options.start:
        start = adapted(name, start)
    return project, source, start, adapted(options.critic, source) if options.critic else start


def learn_floor_and_ceiling(options: argparse.Namespace) -> dict[str, Any]:
    """Train and score what a seed's selections are measured against, and what they start from."""
    from frugalseg.workflow.label import label
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import retrain

    project, source, start, _ = opened(options)
    answers = label(project, True, None, Options(quiet=True), everything=True)
    trained = retrain(project, "mada", start.where, answers.where, retraining(project, options, "m1"))
    runs = [scored(project, options, SOURCE, source), scored(project, options, START, start)]
    return {"runs": [asdict(run) for run in (*runs, scored(project, options, EVERYTHING, trained, answers))]}


def learn_from_draw(options: argparse.Namespace) -> dict[str, Any]:
    """Select, label, train and score with every selector that has this draw; on the judged one's frames all parts."""
    from frugalseg.workflow.label import label
    from frugalseg.workflow.select import select
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import retrain

    project, _, start, critic = opened(options)
    drawn, runs = draw_of(project, options.draw), []
    for percent in options.percent:
        for row in options.selectors:
            if options.draw >= draws_of(row, CONTROL, options):
                continue
            name, *settings = row.split(":")
            ask = Options(overrides=tuple(settings), quiet=True)
            judge = critic if name in BLIND else start
            selection = select(drawn, name, f"{percent}%images", judge.where, ask, alone=True)
            answers = label(drawn, True, selection.where, Options(quiet=True))
            for part in ("m1", *(options.parts if row == options.judged else ())):
                trained = retrain(project, "mada", start.where, answers.where, retraining(project, options, part))
                said = row if part == "m1" else part
                runs.append(scored(project, options, said, trained, answers, percent, unit="% of the frames"))
    return {"runs": [asdict(run) for run in runs]}


def report(
    runs: list[Run],
    points: list[Run],
    length: str,
    settings: dict[str, Any],
    options: argparse.Namespace,
    began_s: float,
) -> None:
    """Print the tables; with --out write them, their numbers and the plot under one dated name."""
    name, where = place(options, "images")
    ran = how(__file__, time.monotonic() - began_s)
    path = publish(
        "\n".join([*tables(runs, where, options.start, options.judged, options.critic), *ran, ""]), options.out, name
    )
    if path is None:
        return
    numbers = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "how": ran,
        "settings": settings,
        "points": str(options.points) if options.points else None,
        "rows": summary(runs, options.judged),
        "runs": [asdict(run) for run in runs],
    }
    path.with_suffix(".json").write_text(json.dumps(plain(numbers), indent=1, ensure_ascii=False))
    draw_hours(path.with_suffix(".svg"), runs, points, options.image_minutes, options.point_seconds)
    links = f"{length}\n\nEvery run and all settings: [{path.stem}.json]({path.stem}.json).".lstrip()
    path.write_text(f"{path.read_text()}\n{links}\n\n![mIoU against people's hours]({path.stem}.svg)\n")


if __name__ == "__main__":
    main()
