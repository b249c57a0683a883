"""carla34 → camvid-day: what adaptation, points and full labels bring on real frames, on a CPU.

    FRUGALSEG_DATA=DATA python benchmarks/real_pair.py --seeds 0 1 2 --work WORK --out benchmarks/results

Every row is the product's own stages on a project folder: last checkpoint, no test-time tricks. The test frames (drive
Seq05VD) are only ever scored; settings were chosen with `--dev DRIVE`, which trains on one of the two training drives
and scores the other.
A run that was stopped goes on with the same command.
"""

import argparse
import json
import os
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from _seeds import add_arguments, how, mean_sd, publish, result_file, run_seeds

NAMES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
COLORS = [
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
]  # fmt: skip
ROWS = ["adabn", "entropy_patches", "random_patches", "random_points", "all"]
DRIVES = ("0006R0", "0016E5")  # of the training set
FREQUENT = ["sky", "building", "road", "pavement", "tree", "car"]
SETTINGS = {  # chosen with --dev; everything else is the default
    "source_only": "steps = 600\n",
    **dict.fromkeys(("st", "cbst", "st_sp", "cbst_sp"), "rounds = 3\nsteps = 150\nlr = 5e-4\nmining_ratio = 0.0\n"),
    "point_da": "steps = 800\nlr = 2e-3\nhuman_weight = 5.0\n",
}


def other(drive: str) -> str:
    """Return the other training drive."""
    return DRIVES[1 - DRIVES.index(drive)]


def class_list(names: list[str]) -> str:
    """Return a classes.toml of these classes; CARLA has no bicyclist, so the pair is scored without (10 = ignore)."""
    ignore = [255, *range(len(names), len(NAMES))]
    rows = [f"name = 'camvid{len(names)}'", f"ignore = {ignore}"]
    for number, name in enumerate(names):
        rows += ["[[class]]", f"id = {number}", f"name = '{name}'", f"color = {list(COLORS[number])}"]
    return "\n".join([*rows, "[subsets]", f"frequent = {FREQUENT}", ""])


def make_project(data: Path, work: Path, seed: int, dev: str | None):
    from frugalseg.workflow.project import init_project

    work.mkdir(parents=True, exist_ok=True)
    (work / "ten.toml").write_text(class_list(NAMES[:10]))
    folder = work / f"seed-{seed}"
    (folder / "settings").mkdir(parents=True, exist_ok=True)
    for method, text in SETTINGS.items():
        (folder / "settings" / f"{method}.toml").write_text(text)
    option = f"?classes={work / 'ten.toml'}"
    train, test = f"folder:{data / 'camvid-day/train'}{option}", f"folder:{data / 'camvid-day/test'}{option}"
    given = {
        "name": "carla34 to camvid-day",
        "source": f"folder:{data / 'carla34'}{option}",
        "target": f"{train}&include={other(dev)}*" if dev else train,
        "validation": f"{train}&include={dev}*" if dev else test,
        "network": "shuffle_lite",
        "weights": str(data / "weights/shufflenetv2_x0_5_trunk.pth"),
        "seed": seed,
        "control_share": 0,  # strategies are compared at equal points: none of them at random
    }
    return init_project(folder, given, work / "ten.toml")


def run_seed(data: Path, work: Path, seed: int, dev: str | None, rows: list[str]) -> dict[str, dict[str, float]]:
    import torch

    from frugalseg.workflow.evaluate import evaluate_stage
    from frugalseg.workflow.label import label
    from frugalseg.workflow.select import select
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import adapt, retrain

    torch.set_num_threads(1)
    project, quiet = make_project(data, work, seed, dev), Options(quiet=True)
    found: dict[str, dict[str, float]] = {}

    def score(name: str, trained) -> None:
        result = evaluate_stage(project, trained.where, Options(overrides=("drift_frames=0",), quiet=True)).found
        training_s = json.loads((trained.where / "run.json").read_text())["device_s"]
        found[name] = {
            "miou": result["miou"],
            "six": result["subsets"]["frequent"],
            "iou": result["iou"],
            "s": training_s,
        }
        print(f"seed {seed} {name}: {100 * result['miou']:.1f} ({training_s:.0f} s)", file=sys.stderr, flush=True)

    source = adapt(project, "source_only", None, quiet)
    score("source only", source)
    if "adabn" in rows:
        score(
            "source only + target statistics",
            adapt(project, "source_only", None, Options(overrides=("recompute_statistics=64",), quiet=True)),
        )
    adapted = adapt(project, "cbst", source.where, quiet)
    score("cbst", adapted)
    for strategy in ("entropy_patches", "random_patches", "random_points"):
        if strategy in rows:
            selection = select(project, strategy, "50points/image", adapted.where, quiet, alone=True)
            answers = label(project, True, selection.where, quiet)
            score(f"50 points, {strategy}", retrain(project, "point_da", adapted.where, answers.where, quiet))
    if "all" in rows:
        answers = label(project, True, None, quiet, everything=True)
        score("all labels", retrain(project, "point_da", adapted.where, answers.where, quiet))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, "real_pair_runs")
    parser.add_argument("--data", type=Path, default=os.environ.get("FRUGALSEG_DATA"), help="default: $FRUGALSEG_DATA")
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=["entropy_patches", "random_points", "all"])
    parser.add_argument("--dev", choices=DRIVES, help="development split: score this drive, train on the other")
    options = parser.parse_args()
    if not options.data:
        sys.exit("Give --data FOLDER or set FRUGALSEG_DATA to the folder with carla34/ and camvid-day/.")
    data, work = Path(options.data).resolve(), options.work.resolve()
    if options.one is not None:
        found = run_seed(data, work, options.one, options.dev, options.rows)
        result_file(work, options.one).write_text(json.dumps(found))
        return
    began_s = time.monotonic()
    arguments = ["--data", data, "--rows", *options.rows, *(["--dev", options.dev] if options.dev else [])]
    results = run_seeds(__file__, options, arguments)
    text = table(results, options, time.monotonic() - began_s)
    publish(text, options.out, f"real_pair_dev_{options.dev}" if options.dev else "real_pair")


def table(found: list[dict[str, dict[str, float]]], options: argparse.Namespace, seconds: float) -> str:
    def cell(row: str, key: str, factor: float = 100.0) -> str:
        return mean_sd([factor * seed[row][key] for seed in found])

    def gap(row: str) -> str:
        if "all labels" not in found[0]:
            return "–"
        low, high = (statistics.mean(seed[name]["miou"] for seed in found) for name in ("source only", "all labels"))
        return f"{100 * (statistics.mean(seed[row]['miou'] for seed in found) - low) / (high - low):.0f} %"

    test = "camvid-day/test (drive Seq05VD, 171 frames)"
    if options.dev:
        test = f"the development split (drive {options.dev}; trained on {other(options.dev)})"
    lines = [
        f"# carla34 → camvid-day, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"mIoU of 10 classes on {test}, mean ± sd over seeds {', '.join(map(str, options.seeds))}; `shuffle_lite`,",
        "input 320x240, last checkpoint, one CPU thread a run. *Six*: mean IoU of " + ", ".join(FREQUENT) + ".",
        "*Gap*: share of the way from source only to all labels. *CPU s*: processor seconds of the row's own stage.",
        "",
        "| what | mIoU | six | gap | CPU s | each seed |",
        "|---|---|---|---|---|---|",
    ]
    for row in found[0]:
        each = " · ".join(f"{100 * seed[row]['miou']:.1f}" for seed in found)
        lines.append(
            f"| {row} | {cell(row, 'miou')} | {cell(row, 'six')} | {gap(row)} | {cell(row, 's', 1.0)} | {each} |"
        )
    lines += [
        "",
        "IoU of each class, mean over seeds:",
        "",
        "| what | " + " | ".join(NAMES[:10]) + " |",
        "|---" * 11 + "|",
    ]
    for row in found[0]:
        means = [f"{100 * statistics.mean(seed[row]['iou'][name] or 0.0 for seed in found):.0f}" for name in NAMES[:10]]
        lines.append(f"| {row} | " + " | ".join(means) + " |")
    settings = "; ".join(f"{method}: {text.strip().replace(chr(10), ', ')}" for method, text in SETTINGS.items())
    return "\n".join([*lines, "", *how(__file__, seconds), "", f"Settings: {settings}.", ""])


if __name__ == "__main__":
    main()
