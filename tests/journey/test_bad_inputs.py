"""Bad inputs 1-21 of the reliability page, dropped into an otherwise good data set, through the command line.

Every input ends as done or as refused by name with a reason; one bad file never stops the rest, never becomes zeros,
and nothing hangs or grows.
"""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

SPEC = importlib.util.spec_from_file_location("bad_files", Path(__file__).parents[1] / "bad_files.py")
BAD = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BAD)
FRAMES = 4
TINY = ("steps=2", "height=16", "width=24", "batch_size=2", "log_every=1")
ODD_NAMES = {  # case 20: what is refused, and why
    "\N{OWL} 1": None,
    "CON": None,
    "dot.": None,
    "twin": None,
    "TWIN": None,
    "n" * 240: None,
    "n" * 251: None,  # 255 bytes with its suffix; names of 300 bytes cannot exist
    "line\nbreak": "not printable",
    "right\N{RIGHT-TO-LEFT OVERRIDE}left": "not printable",
}
# Runs command lines one after the other in one process; prints each one's exit code, output and messages, and at the
# end the largest memory it held.
WORKER = """
import contextlib, io, json, re, sys
from pathlib import Path
from frugalseg.cli.main import run
folder = ""
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([folder if argument == "THE LAST STAGE" else argument for argument in arguments])
    folder = json.loads(out.getvalue()).get("folder", folder) if code == 0 else folder
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
status = Path("/proc/self/status")
peak = re.search(r"VmHWM:\\s*(\\d+)", status.read_text()) if status.exists() else None
print(json.dumps(int(peak[1]) * 1024 if peak else 0))
"""


def run_lines(folder: Path, *lines: list[str]) -> tuple[list[dict[str, Any]], int]:
    """Return what each command line gave, and the peak of memory in bytes (0 where it is not known)."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, json.dumps(lines)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1200,  # a pipe or device that blocks would never come back; a busy machine does
    )
    assert done.returncode == 0, done.stderr
    *results, peak = [json.loads(line) for line in done.stdout.splitlines()]
    return results, peak


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_city: ModuleType) -> Path:
    """A source with labels and a target without, each of a few good frames and every bad file."""
    root = tmp_path_factory.mktemp("bad")
    for look, name in (("simulator", "source"), ("street", "target")):
        tiny_city.write_frames(root, look, FRAMES)
        (root / look).rename(root / name)
        (root / name / "classes.toml").write_text(tiny_city.CLASSES.to_toml())
        for number, bad in enumerate(BAD.BAD_FILES):
            if name == "target" or bad.refused is not None:  # those that are accepted have no label
                (root / name / "images" / f"{number:02} {bad.case}{bad.suffix}").write_bytes(bad.content())
        BAD.put_no_files(root / name / "images")
    (root / "outside.png").write_bytes(BAD.saved(BAD.RGB))
    (root / "target" / "images" / "outside.png").symlink_to(root / "outside.png")
    for odd in ODD_NAMES:
        (root / "target" / "images" / f"{odd}.png").write_bytes(BAD.saved(BAD.RGB))
    write_bad_labels(root / "source")
    return root


def write_bad_labels(source: Path) -> None:
    """Good images with labels of cases 4 and 15-18."""
    size = (24, 32)
    labels = {
        "4 short": BAD.png(32, 24, 8, 0, BAD.rows(np.zeros((20, 32), np.uint8))),
        "15 colours": BAD.saved(BAD.RGB[:24, :32]),
        "15 index outside": BAD.saved(np.full(size, 9, np.uint8)),
        "16 other size": BAD.saved(np.zeros((12, 32), np.uint8)),
        "17 instance ids": BAD.saved(np.full(size, 7001, np.uint16)),
        "18 nan": BAD.saved(np.full(size, np.nan, np.float32), "TIFF"),
    }
    image = (source / "images" / "simulator_0.png").read_bytes()
    for name, content in labels.items():
        (source / "images" / f"{name}.png").write_bytes(image)
        (source / "labels" / f"{name}.{'tif' if 'nan' in name else 'png'}").write_bytes(content)


@pytest.fixture(scope="module")
def journey(world: Path) -> dict[str, Any]:
    """What init, adapt, check --quarantine, adapt again and predict said; one image changes after init (case 19)."""
    specs = ["--source", "folder:source", "--target", "folder:target"]
    (init,), listing_peak = run_lines(world, ["init", "project", *specs, "--json"])
    changed = world / "source" / "images" / "simulator_3.png"
    Image.fromarray(255 - np.array(Image.open(changed))).save(changed)
    adapt = ["adapt", "project", "--method", "source_only", "--json", *(part for s in TINY for part in ("--set", s))]
    names = ["target/images/street_0.png", *(f"target/images/{name}" for name in BAD.NO_FILES)]
    whole = ["predict", "THE LAST STAGE", "target/images", "--out", "all", "--json"]
    listed = ["predict", "THE LAST STAGE", *names, "target/images/street_1.png", "--out", "some", "--json"]
    lines = {"before": adapt, "check": ["check", "project", "--quarantine", "--json"], "after": adapt}
    lines |= {"whole": whole, "listed": listed}
    results, peak = run_lines(world, *lines.values())
    return {"init": init, **dict(zip(lines, results, strict=True)), "peaks": (listing_peak, peak)}


def refused_files() -> dict[str, str]:
    """Every image of the target that must be refused, by file name, with a part of the reason."""
    bad = {f"{n:02} {b.case}{b.suffix}": b.refused for n, b in enumerate(BAD.BAD_FILES) if b.refused is not None}
    odd = {f"{name}.png": reason for name, reason in ODD_NAMES.items() if reason}
    return bad | odd | {name: "" for name in (*BAD.NO_FILES, "outside.png")}


def good_files() -> set[str]:
    accepted = {f"{n:02} {b.case}{b.suffix}" for n, b in enumerate(BAD.BAD_FILES) if b.refused is None}
    return (
        accepted | {f"{n}.png" for n, reason in ODD_NAMES.items() if not reason} | {f"street_{n}.png" for n in range(4)}
    )


def test_init_lists_the_good_frames_and_refuses_the_bad_ones_by_name(journey: dict[str, Any]) -> None:
    assert journey["init"]["code"] == 0
    found = json.loads(journey["init"]["out"])
    assert found["frames"] == {"source": FRAMES + 6, "target": len(good_files())}
    refused = {Path(entry["path"]).name: entry["reason"] for entry in found["refused"]["target"]}
    assert refused.keys() == refused_files().keys()
    assert all(refused.values())


def test_every_refused_file_stands_in_a_table(world: Path, journey: dict[str, Any]) -> None:
    with open(world / "project" / "manifests" / "target" / "refused.csv", newline="", encoding="utf-8") as file:
        assert {Path(row["path"]).name for row in csv.DictReader(file)} == refused_files().keys()


def test_bad_labels_are_named_all_at_once_before_training(journey: dict[str, Any]) -> None:
    assert journey["before"]["code"] == 2
    for name in ("4 short", "15 colours", "15 index outside", "16 other size", "17 instance ids", "18 nan"):
        assert name in journey["before"]["err"]
    assert "Traceback" not in journey["before"]["err"]


def test_with_the_bad_labels_and_the_changed_file_set_aside_the_rest_trains(
    world: Path, journey: dict[str, Any]
) -> None:
    with open(world / "project" / "manifests" / "source" / "quarantine.csv", newline="", encoding="utf-8") as file:
        names = {row["key"] for row in csv.DictReader(file)}  # files that are no frames stand there by their path
    bad_labels = {"4 short", "15 colours", "15 index outside", "16 other size", "17 instance ids", "18 nan"}
    assert {name for name in names if not Path(name).is_absolute()} == bad_labels | {"simulator_3"}
    assert journey["after"]["code"] == 0


def test_predict_does_the_good_ones_lists_the_bad_ones_and_leaves_with_2(world: Path, journey: dict[str, Any]) -> None:
    assert journey["whole"]["code"] == 2
    found = json.loads(journey["whole"]["out"])
    written = {path.name for path in (world / "all").iterdir()}
    printable = {name for name, reason in refused_files().items() if reason != "not printable"}
    assert {Path(path).name for path in found["refused"]} == printable
    assert written == {
        f"{Path(name).with_suffix('').name}.png" for name in good_files() | refused_files().keys() - printable
    }
    assert found["predicted"] == len(written)
    assert all(str(path) in reason for path, reason in found["refused"].items())
    with Image.open(world / "all" / "street_0.png") as label:
        assert label.size == (32, 24)


def test_predict_goes_on_behind_a_bad_file_of_a_list(world: Path, journey: dict[str, Any]) -> None:
    assert journey["listed"]["code"] == 2
    found = json.loads(journey["listed"]["out"])
    assert (found["predicted"], len(found["refused"])) == (2, 5)
    assert {path.name for path in (world / "some").iterdir()} == {"street_0.png", "street_1.png"}
    assert "refused: target/images/pipe.png: not a regular file" in journey["listed"]["err"]
    for name in ("street_0.png", "street_1.png"):
        assert (world / "some" / name).read_bytes() == (world / "all" / name).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_memory_stays_small(journey: dict[str, Any]) -> None:
    listing, training_and_prediction = journey["peaks"]
    assert listing < 300e6  # torch is not loaded
    assert training_and_prediction < 1.5e9
