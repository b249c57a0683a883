"""One look at a frame's files: what is hashed is what is decoded, and no file escapes as an error of the program."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.codec import file_sha256
from frugalseg.core.records import Frame
from frugalseg.data.facts import FrameFacts, Inspector

SPEC = importlib.util.spec_from_file_location("bad_files", Path(__file__).parents[2] / "bad_files.py")
BAD = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BAD)
CLASSES = ClassSet("two", (SemanticClass("road", (128, 64, 128), (0,)), SemanticClass("car", (0, 0, 142), (1,))))


def look(image: Path, label: Path | None = None, sha256: str = "") -> FrameFacts:
    frame = Frame("f", str(image), str(label) if label else None, "", 0, "", 48, 64, sha256)
    return Inspector(CLASSES, CLASSES)(frame)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "x.jpg").write_bytes(BAD.jpeg())
    return tmp_path / "x.jpg"


def test_a_file_in_place_of_the_one_that_was_listed(photo: Path) -> None:
    sha256 = file_sha256(photo)
    listed = look(photo, sha256=sha256)
    assert (listed.changed, listed.image_error) == (False, "")
    photo.write_bytes(BAD.jpeg(quality=50))
    changed = look(photo, sha256=sha256)
    assert (changed.changed, changed.image_error) == (True, "")
    assert changed.image is not None and changed.image.height == 480
    photo.write_bytes(BAD.cut("JPEG"))
    damaged = look(photo, sha256=sha256)
    assert damaged.image is None and not damaged.changed
    assert "damaged" in damaged.image_error, "the damage is told, not that it is another file"


def test_damage_that_only_libjpeg_sees_is_told(photo: Path) -> None:
    whole = BAD.jpeg(progressive=True)
    start = whole.find(b"\xff\xda") + 400
    photo.write_bytes(whole[:start] + b"\0" * 1500 + whole[start + 1500 :])
    assert "the file is damaged" in look(photo, sha256=file_sha256(photo)).image_error


@pytest.mark.parametrize("compression", ["jpeg", None])
def test_a_flat_label_that_lost_its_colours_is_no_label_in_colours(photo: Path, tmp_path: Path, compression) -> None:
    label = tmp_path / "label.tif"
    color = np.zeros((64, 48, 3), np.uint8)
    color[32:] = 128, 64, 128
    Image.fromarray(color).save(label, compression=compression)
    facts = look(photo, label)
    assert (facts.label is None) == (compression == "jpeg")
    assert ("has lost its ids to compression" in facts.label_error) == (compression == "jpeg")


LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import cv2
from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.records import Frame
from frugalseg.data.facts import Inspector
cv2.setNumThreads(1)
classes = ClassSet("one", (SemanticClass("road", (0, 0, 0), (0,)),))
frame = Frame("f", sys.argv[1], sys.argv[1], "", 0, "", 2500, 2500, "")
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for more in (2, 10, 25, 45, 70, 100, 150, 400):  # every step of the work is the one that lacks memory, once
    resource.setrlimit(resource.RLIMIT_AS, (held + more * 1_000_000, resource.RLIM_INFINITY))
    facts = Inspector(classes, classes)(frame)
    print(bool(facts.image_error), bool(facts.label_error), facts.image_error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is set on Linux only")
def test_a_file_that_memory_is_too_small_for_is_refused(tmp_path: Path) -> None:
    Image.new("L", (2500, 2500)).save(tmp_path / "x.png")
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, str(tmp_path / "x.png")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert told[0][:2] == ["True", "True"]
    assert told[-1][:2] == ["False", "False"], "with enough of it the file is fine"
