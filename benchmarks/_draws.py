"""What points.py and images.py share: the pair or the toy city, several draws of a selection, a process for each."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _seeds import add_arguments, run_parts
from real_pair import DRIVES, make_project, other

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project

TOY_HW = (48, 64)
TOY = f"steps = 3\nheight = {TOY_HW[0]}\nwidth = {TOY_HW[1]}\nbatch_size = 2\n"


def parser_of(text: str | None, work: str, selectors: Sequence[str], control: str, draws: tuple[int, int]) -> Any:
    """Return a parser of what both take; `draws` are the defaults of the selectors' draws and the control's."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, work)
    parser.add_argument("--data", type=Path, default=os.environ.get("FRUGALSEG_DATA"), help="default: $FRUGALSEG_DATA")
    parser.add_argument("--dev", choices=DRIVES, help="development split: score this drive, train on the other")
    parser.add_argument("--toy", action="store_true", help="a generated city and three steps a training: does it run?")
    parser.add_argument("--selectors", nargs="+", default=list(selectors), metavar="NAME[:KEY=VALUE]...")
    parser.add_argument("--draws", type=int, default=draws[0], help="selections of each selector, seed and budget")
    parser.add_argument("--control-draws", type=int, default=draws[1], help=f"the same of {control}")
    parser.add_argument("--set-start", nargs="+", default=[], metavar="KEY=VALUE", help="settings of --start")
    parser.add_argument("--draw", type=int, help=argparse.SUPPRESS)
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the options, `work` being the folder of what is scored."""
    options = parser.parse_args()
    if options.toy and options.dev:
        parser.error("--toy has no development splits")
    if not (options.data or options.toy):
        parser.error("give --data FOLDER, or set FRUGALSEG_DATA to the folder with carla34/ and camvid-day/")
    options.work = options.work.resolve() / ("toy" if options.toy else f"dev-{options.dev}" if options.dev else "test")
    return options


def make(options: argparse.Namespace, seed: int) -> "Project":
    """Return a seed's project."""
    if options.toy:
        return make_toy(options.work, seed)
    return make_project(Path(options.data).resolve(), options.work, seed, options.dev)


def make_toy(work: Path, seed: int) -> "Project":
    from frugalseg.data.toycity import write_dataset
    from frugalseg.workflow.project import init_project

    for name, look_of, world, drives in (
        ("source", "simulator", 1, 4),
        ("target", "street", 2, 3),
        ("validation", "street", 3, 2),
    ):
        if not (work / name).exists():
            write_dataset(work / name, look_of, world, drives, 2, TOY_HW)
    folder = work / f"seed-{seed}"
    (folder / "settings").mkdir(parents=True, exist_ok=True)
    for method in ("source_only", "adaptsegnet", "advent", "cbst", "mean_teacher", "point_da", "mada"):
        rounds = "rounds = 1\n" if method == "cbst" else ""
        (folder / "settings" / f"{method}.toml").write_text(TOY + rounds)
    specs = {name: f"folder:{work / name}" for name in ("source", "target", "validation")}
    return init_project(folder, {"name": "toy", **specs, "seed": seed, "control_share": 0}, None)


def result_of(options: argparse.Namespace, seed: int, draw: int | None) -> Path:
    """Return where the process of a seed's floor and ceiling, or of one of its draws, writes what it found."""
    return options.work / "found" / (f"seed-{seed}.json" if draw is None else f"seed-{seed}-draw-{draw}.json")


def run_draws(script: str, options: argparse.Namespace) -> list[Any]:
    """Run every seed's floor and ceiling, then every draw, which goes on from what these have trained."""
    every = [(seed, draw) for draw in range(max(options.draws, options.control_draws)) for seed in options.seeds]
    parts = {result_of(options, seed, None): [*sys.argv[1:], "--one", seed] for seed in options.seeds}
    found = run_parts(script, parts, options.jobs)
    parts = {result_of(options, *pair): [*sys.argv[1:], "--one", pair[0], "--draw", pair[1]] for pair in every}
    return found + run_parts(script, parts, options.jobs)


def draw_of(project: "Project", draw: int) -> "Project":
    """Return the project as draw number `draw` asks and answers in it: with another seed; 0 is the project itself."""
    from frugalseg.core.chance import seed_for

    seed = seed_for(project.settings.seed, "draw", draw) if draw else project.settings.seed
    return replace(project, settings=project.settings.model_copy(update={"seed": seed}))


def draws_of(row: str, control: str, options: argparse.Namespace) -> int:
    """Return how often a selector is drawn: without chance once, for another draw would be the same."""
    from frugalseg.workflow import catalog

    if row == control:
        return options.control_draws
    return options.draws if catalog.entry("selector", row.split(":")[0]).load().chance else min(1, options.draws)


def place(options: argparse.Namespace, name: str) -> tuple[str, str]:
    """Return the result's name and what was scored, in words."""
    if options.dev:
        return (
            f"{name}_dev_{options.dev}",
            f"the development split (drive {options.dev}; trained on {other(options.dev)})",
        )
    if options.toy:
        return f"{name}_toy", "the toy city (it shows that all runs, and nothing else)"
    return name, "camvid-day/test (drive Seq05VD, 171 frames)"
