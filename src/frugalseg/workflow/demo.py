"""`demo`: the whole loop on the built-in toy city, from nothing to a report."""

import shutil
import time
from pathlib import Path
from typing import Any

from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.project import Project, init_project
from frugalseg.workflow.run import run
from frugalseg.workflow.stage import Options

SIZE_HW = (180, 240)
DATA = {  # name: look, seed of the world, sequences, frames in each
    "source": ("simulator", 1, 60, 2),
    "target": ("street", 2, 60, 2),
    "validation": ("street", 3, 30, 2),
}
STEP = 20  # 15 Hz frames between two that are kept: neighbours look too much alike to learn from
COMMON = "height = 180\nwidth = 240\nbatch_size = 4\n"
SETTINGS = {
    "source_only": "steps = 600\nlr = 2e-3\nhead_lr_factor = 1.0\n",
    "cbst": "steps = 150\nlr = 1e-4\nhead_lr_factor = 1.0\nmining_ratio = 0.0\ntarget_class_weights = 'none'\n",
    "point_da": "steps = 300\nlr = 1e-3\nhead_lr_factor = 1.0\n",
}


def demo(folder: Path, seed: int, options: Options) -> dict[str, Any]:
    """Generate both looks of the toy city, run every stage with simulated answers, and write the report.

    A demo that was interrupted goes on; a finished one is a no-op.
    """
    began_s = time.monotonic()
    project = prepare(folder, seed, options)
    found = run(project, simulate=True, options=options)
    return {
        "source_only": found["source_only"],
        "adapted": found["adapted"],
        "retrained": found["retrained"],
        "control": found.get("control"),
        "report": str(folder / "report.html"),
        "seconds": round(time.monotonic() - began_s, 1),
    }


def prepare(folder: Path, seed: int, options: Options, control: bool = False) -> Project:
    """Write the toy city's frames and a project on them; with `control` it also spends the budget at random."""
    data = folder / "data"
    for name, (look, world, sequences, frames) in DATA.items():
        if not (data / name).is_dir():
            options.say(f"Drawing {sequences * frames} frames of the toy city: {name}.")
            part = data / f".part-{name}"  # renamed when it is whole: a demo killed here begins this set anew
            shutil.rmtree(part, ignore_errors=True)
            write_dataset(part, look, world, sequences, frames, SIZE_HW, labels=True, flow=False, step=STEP)
            part.rename(data / name)
    settings = folder / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    for method, own in SETTINGS.items():
        (settings / f"{method}.toml").write_text(COMMON + own)
    given = {name: f"folder:{(data / name).as_posix()}" for name in DATA}
    return init_project(folder, {**given, "name": "toy city", "seed": seed, "control": control}, None)
