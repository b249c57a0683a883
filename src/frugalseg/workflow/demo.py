"""`demo`: the whole loop on the built-in toy city, from nothing to a report."""

import time
from pathlib import Path
from typing import Any

from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.project import Project, init_project
from frugalseg.workflow.run import run
from frugalseg.workflow.stage import Options

SIZE_HW = (180, 240)
DATA = {  # name: look, seed of the world, sequences, frames in each
    "source": ("simulator", 1, 40, 3),
    "target": ("street", 2, 24, 5),
    "validation": ("street", 3, 20, 3),
}
SETTINGS = {
    "source_only": "steps = 350\n",
    "cbst": "steps = 80\n",
    "point_da": "steps = 250\n",
}
COMMON = "height = 180\nwidth = 240\nbatch_size = 4\nlr = 2e-3\n"


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
        if not (data / name / "classes.toml").is_file():
            options.say(f"Drawing {sequences * frames} frames of the toy city: {name}.")
            write_dataset(data / name, look, world, sequences, frames, SIZE_HW, labels=True, flow=False)
    settings = folder / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    for method, own in SETTINGS.items():
        (settings / f"{method}.toml").write_text(COMMON + own)
    given = {name: f"folder:{(data / name).as_posix()}" for name in DATA}
    return init_project(folder, {**given, "name": "toy city", "seed": seed, "control": control}, None)
