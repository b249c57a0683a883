"""Remarks: each is made where it holds, and a set in order gives none."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.records import Frame, Manifest
from frugalseg.core.spec import Spec
from frugalseg.data.facts import Inspector
from frugalseg.data.readers.folder import read
from frugalseg.data.remarks import describe_gap, of_set, shared_drives
from frugalseg.data.summary import Summary, summarise

CLASSES = ClassSet("two", (SemanticClass("road", (0, 0, 0), (0,)), SemanticClass("tram", (9, 9, 9), (1,))))


@pytest.fixture
def sim(tmp_path: Path, slips) -> Path:
    slips.write_world(tmp_path, count=3)
    return tmp_path / "sim"


def look(folder: Path) -> tuple[Summary, Manifest]:
    manifest = read(Spec("folder", str(folder)))
    inspect = Inspector(manifest.classes, manifest.classes)
    return summarise("source", manifest, [inspect(frame) for frame in manifest], manifest.classes), manifest


def said(summary: Summary, manifest: Manifest, project: ClassSet | None = None) -> str:
    return " ".join(remark.text for remark in of_set(summary, manifest, project or manifest.classes))


def test_a_set_in_order_gives_no_remark(sim: Path) -> None:
    assert said(*look(sim)) == ""


def test_sizes_are_counted_the_frequent_first(sim: Path) -> None:
    summary, manifest = look(sim)
    sizes = Counter({(90 + n, 100): n for n in range(1, 7)})
    text = said(replace(summary, sizes=sizes), manifest)
    assert "6 sizes of images (height x width): 96x100 (6), 95x100 (5)" in text
    assert "and 2 more" in text


def test_images_turned_by_exif_whose_label_is_not(sim: Path) -> None:
    path = sorted((sim / "images").iterdir())[1]
    exif = Image.Exif()
    exif[274] = 3  # upside down: the same size
    Image.open(path).save(path.with_suffix(".jpg"), exif=exif)
    path.unlink()
    assert f"1 image with an EXIF orientation whose label has none (first {path.with_suffix('.jpg')})" in said(
        *look(sim)
    )


def test_images_of_one_colour(sim: Path) -> None:
    path = sorted((sim / "images").iterdir())[1]
    Image.new("RGB", (64, 48), (90, 90, 90)).save(path)
    assert f"1 image of hardly any contrast, first {path}" in said(*look(sim))


@pytest.mark.parametrize(("frames", "few"), [([40, 2], True), ([40, 3], False), ([9, 2], False)])
def test_classes_in_few_frames_are_named_in_sets_that_are_not_few_themselves(sim: Path, frames, few: bool) -> None:
    summary, manifest = look(sim)
    counted = replace(summary, labelled=frames[0], pixels_C=np.array([500, 7]), frames_C=np.array(frames))
    assert ("in very few frames only: tram (7 pixels in 2 frames)" in said(counted, manifest, CLASSES)) == few


def frames_of(folder: str, *drives: str) -> Manifest:
    frames = (Frame(f"{drive}_1", f"{folder}/{drive}_1.png", None, drive, 1, "", 4, 4, "") for drive in drives)
    return Manifest(folder, tuple(frames), CLASSES)


def test_drives_that_two_sets_share() -> None:
    names = ("validation", "target")
    remark = shared_drives(
        frames_of("test", "0016E5", "seq_03", "a"), frames_of("train", "0016E5", "seq_03", "a"), names
    )
    assert remark is not None and remark.warning
    assert "1 drive also in target: 0016E5." in remark.text
    everyday = frames_of("other", "frame", "seq_03", "a", "town_02")
    assert shared_drives(everyday, frames_of("train", "frame", "seq_03", "a", "town_02"), names) is None
    split = shared_drives(frames_of("all", "seq_03", "seq_04"), frames_of("all", "seq_03"), names)
    assert split is not None and "seq_03." in split.text


def lit(summary: Summary, *means: float) -> Summary:
    spread = np.linspace(-0.05, 0.05, 20)[:, None]
    return replace(summary, light=(np.array(means)[None] + spread).astype(np.float32))


def test_the_gap_is_in_units_of_the_spread_between_frames(sim: Path) -> None:
    summary, _ = look(sim)
    source = lit(summary, 0.5, 0.2, 0.3, 0.0)
    assert describe_gap(source, lit(summary, 0.5, 0.21, 0.3, 0.0)).startswith("In brightness, contrast and colour")
    assert describe_gap(source, lit(summary, 0.3, 0.2, 0.3, 0.0)) == (
        "The target is far darker (0.30 against 0.50) than the source."
    )
    both = describe_gap(source, lit(summary, 0.52, 0.2, 0.34, 0.02))
    assert both == (
        "The target is slightly brighter (0.52 against 0.50), more colourful (0.34 against 0.30) and slightly warmer "
        "in colour (0.02 against 0.00) than the source."
    )
    assert describe_gap(source, replace(source, light=np.zeros((0, 4), np.float32))) == ""
