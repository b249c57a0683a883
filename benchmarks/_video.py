"""What propagation_learning.py and propagation_utility.py share: a project about a video, and frames asked by number.

Real: the source is drive 0006R0 of camvid-day/train with its labels, the target camvid-day/sequence (drive 0016E5, 15
frames a second), scored is camvid-day/test (drive Seq05VD), which nothing is chosen or trained on. The network that
guesses (`semantic`, `warp_inpaint`, `warp_refine`) is the source model, which never saw drive 0016E5. Toy: the same
with drives of the toy city, all generated.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from real_pair import NAMES, class_list

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project

TOY_HW = (96, 128)
FIRST, EVERY = 10, 20  # frames 10, 30, 50, 70, 90 are labelled: every other one is at most 10 away


def add_video_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that both have."""
    parser.add_argument("--data", type=Path, default=os.environ.get("FRUGALSEG_DATA"), help="default: $FRUGALSEG_DATA")
    parser.add_argument(
        "--toy", type=int, nargs="?", const=41, metavar="FRAMES", help="a video of the toy city instead"
    )
    parser.add_argument("--steps", type=int, default=400, help="steps of each training")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of the network's input")
    parser.add_argument("--every", type=int, default=EVERY, help="each how many frames one is labelled")


def checked(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the options; it ends the program where there is nothing to work on."""
    options = parser.parse_args()
    if options.toy is None and not options.data:
        parser.error("give --data FOLDER or set FRUGALSEG_DATA to the folder that holds camvid-day/, or give --toy")
    if options.one is None:  # a seed's own process is given the whole path
        options.work = options.work.resolve() / ("toy" if options.toy else "camvid")
    return options


def passed_on(options: argparse.Namespace) -> list[object]:
    """Return the arguments of a seed's own process."""
    size = ["--size", *options.size] if options.size else []
    where = ["--toy", options.toy] if options.toy else ["--data", options.data]
    return [*where, "--steps", options.steps, "--every", options.every, *size]


def make_project(options: argparse.Namespace, seed: int) -> "Project":
    """Return the project of a seed."""
    from frugalseg.workflow.project import init_project

    work = options.work
    work.mkdir(parents=True, exist_ok=True)
    height, width = options.size or (TOY_HW if options.toy else (240, 320))
    folder = work / f"project-{seed}"
    (folder / "settings").mkdir(parents=True, exist_ok=True)
    text = f"steps = {options.steps}\nheight = {height}\nwidth = {width}\n"
    for method in ("source_only", "mada", "point_da"):
        (folder / "settings" / f"{method}.toml").write_text(text)
    given = {"name": "video", "seed": seed, "control_share": 0, "network": "shuffle_lite"}
    if options.toy:
        given |= {name: f"folder:{path}" for name, path in toy_sets(options).items()}
        return init_project(folder, given, None)
    data, classes = Path(options.data).resolve() / "camvid-day", work / "eleven.toml"
    classes.write_text(class_list(NAMES))
    given |= {
        "source": f"folder:{data / 'train'}?classes={classes}&include=0006R0*",
        "target": f"folder:{data / 'sequence'}?classes={classes}",
        "validation": f"folder:{data / 'test'}?classes={classes}",
        "weights": str(data.parent / "weights/shufflenetv2_x0_5_trunk.pth"),
    }
    return init_project(folder, given, classes)


def toy_sets(options: argparse.Namespace) -> dict[str, Path]:
    """Return folders of the toy city, drawn where they are not there yet; another size or length has its own."""
    from frugalseg.data.toycity import write_dataset

    sets = {
        "source": ("simulator", 1, 12, 2),
        "target": ("street", 2, 1, options.toy),
        "validation": ("street", 3, 8, 2),
    }
    found = {}
    for name, (look, world, drives, frames) in sets.items():
        found[name] = options.work / f"{name}-{frames}"
        if not found[name].exists():
            write_dataset(found[name], look, world, drives, frames, TOY_HW)
    return found


def asked_frames(project: "Project", every: int) -> list[str]:
    """Return the keys of the frames that people are asked about: each `every`-th of the video."""
    frames = sorted(project.manifest("target").frames, key=lambda frame: frame.index)
    return [frame.key for frame in frames[min(FIRST, every // 2) :: every]]


def ask(project: "Project", model: Path, keys: list[str], points: int) -> Path:
    """Ask the simulated annotator about frames, as select and label do; return the label stage.

    `points` random pixels of each frame; 0: the whole frame.
    """
    from frugalseg.core.chance import generator
    from frugalseg.core.records import Point, Query, QueryKind
    from frugalseg.core.table import write_records
    from frugalseg.workflow.label import label
    from frugalseg.workflow.project import MODEL, QUESTIONS
    from frugalseg.workflow.stage import Options, run_stage

    quiet, by_key = Options(quiet=True), project.manifest("target").by_key

    def questions(key: str) -> list[Query]:
        if not points:
            return [Query(f"image {key}", key, QueryKind.IMAGE, "video", 0.0)]
        height, width = by_key[key].height, by_key[key].width
        flat = generator(project.settings.seed, "points", key).choice(height * width, points, replace=False)
        places = np.stack(np.divmod(flat, width), axis=1).tolist()
        return [Query(f"{key} {r} {c}", key, QueryKind.POINT, "video", 0.0, Point(r, c)) for r, c in places]

    def work(folder: Path) -> dict:
        write_records(folder / QUESTIONS, [query for key in keys for query in questions(key)], Query)
        return {"frames": len(keys), "points": points}

    inputs = {"model": model / MODEL, "target": project.manifest_folder("target")}
    seed = project.settings.seed
    chosen = run_stage(project, "select-video", inputs, {"keys": keys, "points": points}, work, quiet, seed=seed)
    return label(project, True, chosen.where, quiet).where


def miou(project: "Project", stage: Path) -> float:
    """Return a stage's score on the validation set, in percent."""
    from frugalseg.workflow.bench_job import SCORES_ONLY
    from frugalseg.workflow.evaluate import evaluate_stage

    return 100 * float(evaluate_stage(project, stage, SCORES_ONLY).found["miou"])
