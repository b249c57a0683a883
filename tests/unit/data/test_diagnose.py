"""Each likely cause is told where it holds, and a set in order gives no finding."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.records import Frame, Manifest, Refused
from frugalseg.core.spec import Spec
from frugalseg.data.causes import SCORED_LABEL_IDS
from frugalseg.data.diagnose import diagnose
from frugalseg.data.facts import FrameFacts, Inspector
from frugalseg.data.findings import Kind, grouped
from frugalseg.data.readers.folder import read
from frugalseg.data.summary import summarise


@pytest.fixture
def sim(tmp_path: Path, slips) -> Path:
    slips.write_world(tmp_path, count=3)
    return tmp_path / "sim"


def look(folder: Path, need_labels: bool = True, classes: ClassSet | None = None, project=None, spec: str = ""):
    """Read a folder as `init` does, look at its frames as `check` does, and return the findings."""
    manifest = read(Spec.parse(f"folder:{folder}{spec}"))
    manifest = replace(manifest, classes=classes or manifest.classes)
    inspect = Inspector(manifest.classes, project or manifest.classes)
    return diagnose(manifest, [inspect(frame) for frame in manifest], project or manifest.classes, need_labels)


def mends(findings, kind: Kind) -> set[str]:
    assert {finding.kind for finding in findings} == {kind}, [finding.text for finding in findings]
    return {finding.mend for finding in findings}


def numbered(count: int, first: int = 0, ignored: tuple[int, ...] = (IGNORE,)) -> ClassSet:
    classes = tuple(SemanticClass(f"c{n}", (9 * n, 9, 9), (first + n,)) for n in range(count))
    return ClassSet("own", classes, ignored)


def of_ids(ids: tuple[int, ...]) -> ClassSet:
    return ClassSet("own", tuple(SemanticClass(f"c{raw_id}", (raw_id, 9, 9), (raw_id,)) for raw_id in ids))


def test_a_set_in_order_gives_no_finding(sim: Path) -> None:
    assert look(sim) == []
    assert look(sim.parent / "street", need_labels=False, classes=numbered(4)) == []


def remap(slips, folder: Path, **to: int) -> None:
    table = np.arange(256)
    for name, value in to.items():
        table[int(name[1:])] = value
    dtype = np.uint16 if max(to.values()) > 255 else np.uint8
    slips.relabel(folder, lambda label: table[label].astype(dtype))


@pytest.mark.parametrize(
    ("ids", "classes", "words"),
    [
        ({"v0": 1, "v1": 2, "v2": 3, "v3": 4}, numbered(4), "off by one: the files count from 1, classes.toml from 0"),
        ({}, numbered(4, first=1), "off by one: the files count from 0, classes.toml from 1"),
        ({}, numbered(3), "a class that classes.toml lacks: it ends at 2"),
        ({"v3": 4, "v255": 0}, numbered(4, first=1), "0 often means `no class`"),
        ({}, numbered(4, ignored=(99,)), "255 usually means `no class`. Add it to `ignore`"),
        ({"v1": 11_003}, numbered(4), "16-bit instance ids (class * 1000 + instance: 11003 is class 11)"),
        ({"v0": 23, "v1": 11, "v2": 7, "v3": 20}, numbered(19), "Cityscapes labelIds (0–33), not trainIds (0–18)"),
        ({"v1": 10}, of_ids(SCORED_LABEL_IDS), "Cityscapes trainIds (0–18), not labelIds (0–33)"),
        ({"v1": 40}, numbered(4), "a class list that does not belong to these labels"),
    ],
)
def test_unknown_ids_have_a_likely_cause(sim: Path, slips, ids, classes: ClassSet, words: str) -> None:
    if ids:
        remap(slips, sim, **ids)
    found = look(sim, classes=classes)
    assert all(words in mend for mend in mends(found, Kind.IDS)), found[0].text
    assert all(str(sim / "labels") in finding.path for finding in found)


def test_values_and_pixels_of_unknown_ids_are_counted(sim: Path, slips) -> None:
    slips.relabel(sim, lambda label: np.where(label == 3, 77, label).astype(np.uint8), only=1)
    (finding,) = look(sim)
    assert "77 (30 pixels). Known: 0–3, ignored: 255." in finding.what


def test_train_ids_that_all_happen_to_be_listed_are_told_once(sim: Path, slips) -> None:
    listed = of_ids(SCORED_LABEL_IDS)
    void = tuple(sorted(set(range(34)) - set(SCORED_LABEL_IDS)) + [IGNORE])
    found = look(sim, classes=ClassSet("cityscapes", listed.classes, void))
    assert len(found) == 1
    assert "trainIds" in mends(found, Kind.IDS).pop()


def test_a_label_resized_with_mixed_edges_is_told_from_a_photograph(sim: Path, slips) -> None:
    wide = ClassSet("wide", tuple(SemanticClass(n, (i, 9, 9), (60 * i,)) for i, n in enumerate("abcd")))

    def blur(label: np.ndarray) -> np.ndarray:
        small = Image.fromarray(np.where(label == IGNORE, 0, 60 * label).astype(np.uint8)[::2, ::2])
        return np.array(small.resize((64, 48), Image.Resampling.BICUBIC))

    slips.relabel(sim, blur)
    assert all("resized with interpolation" in mend for mend in mends(look(sim, classes=wide), Kind.IDS))
    for path in sorted((sim / "labels").iterdir()):
        Image.open(sim / "images" / path.name).convert("L").save(path)
    assert all(
        "photograph where a label should be" in mend or "a grey photograph" in mend
        for mend in mends(look(sim), Kind.IDS)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda label: np.stack([label] * 3, axis=2), "three equal channels"),
        (lambda label: np.stack([label, 0 * label, 0 * label], axis=2), "label_kind=red"),
        (lambda label: np.stack([label * 7, label, label * 3], axis=2), "not those of classes.toml"),
    ],
)
def test_labels_in_colours_have_a_likely_cause(sim: Path, slips, change, words: str) -> None:
    slips.relabel(sim, change)
    assert all(words in mend for mend in mends(look(sim), Kind.IDS))


def test_colours_read_as_ids_in_the_red_channel(sim: Path, slips) -> None:
    slips.rgb_labels(sim.parent)
    found = look(sim, spec="?label_kind=red")
    assert all("label_kind=colors" in mend for mend in mends(found, Kind.IDS))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda label: label[::2, ::2], "the label is 0.5 times its image"),
        (lambda label: label.T, "saved transposed"),
        (lambda label: label[:, :40], "do not belong together, or one was cropped"),
    ],
)
def test_sizes_that_differ_have_a_likely_cause(sim: Path, slips, change, words: str) -> None:
    slips.relabel(sim, lambda label: np.ascontiguousarray(change(label)), only=1)
    found = look(sim)
    assert len(found) == 1
    assert words in mends(found, Kind.SIZE).pop()


def test_a_label_turned_by_exif_is_told(sim: Path) -> None:
    path = sorted((sim / "labels").iterdir())[0]
    exif = Image.Exif()
    exif[274] = 6
    Image.open(path).save(path, exif=exif)
    assert "The label says orientation 6" in mends(look(sim), Kind.SIZE).pop()


def test_swapped_folders_are_one_finding_a_frame(sim: Path, slips) -> None:
    slips.swapped(sim.parent)
    assert len(look(sim)) == 3
    assert mends(look(sim), Kind.SWAPPED)
    for path in (sim / "labels").iterdir():  # photographs as JPEG are no labels for the reader: then they are twins
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    assert mends(look(sim), Kind.SWAPPED)


def test_label_maps_among_the_images(sim: Path, slips) -> None:
    slips.wrong_folder(sim.parent)
    street = sim.parent / "street"
    assert str(street / "basel") in mends(look(street, need_labels=False), Kind.FOLDER).pop()
    found = look(street / "basel" / "labels", need_labels=False)
    assert "names the folder of labels" in mends(found, Kind.FOLDER).pop()


def test_coloured_label_maps_among_the_images(sim: Path, slips) -> None:
    slips.rgb_labels(sim.parent)
    shutil.rmtree(sim / "images")
    (sim / "labels").rename(sim / "images")
    assert mends(look(sim, need_labels=False), Kind.FOLDER)


def test_a_black_frame_is_no_label_map(sim: Path) -> None:
    for path in (sim / "images").iterdir():
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)
    assert look(sim, need_labels=False) == []


def test_missing_labels_matter_where_they_are_needed(sim: Path) -> None:
    gone = sorted((sim / "labels").iterdir())[1]
    gone.unlink()
    assert look(sim, need_labels=False) == []
    (finding,) = look(sim)
    assert (finding.kind, Path(finding.path).stem) == (Kind.MISSING, gone.stem)


def test_files_that_changed_or_went_since_they_were_listed(sim: Path) -> None:
    manifest = read(Spec("folder", str(sim)))
    images = sorted((sim / "images").iterdir())
    Image.fromarray(np.array(Image.open(images[0])) // 2).save(images[0])
    images[1].unlink()
    (sim / "labels" / images[2].name).write_bytes(b"no image")
    inspect = Inspector(manifest.classes, manifest.classes)
    found = diagnose(manifest, [inspect(frame) for frame in manifest], manifest.classes, need_labels=True)
    assert [(finding.kind, Path(finding.path)) for finding in found] == [
        (Kind.CHANGED, images[0]),
        (Kind.IMAGE, images[1]),
        (Kind.LABEL, sim / "labels" / images[2].name),
    ]
    assert all(
        "init" in finding.mend or "No such file" in finding.what or finding.kind is Kind.LABEL for finding in found
    )


def test_a_frame_that_killed_its_worker_is_a_finding_and_nothing_else(sim: Path) -> None:
    manifest = read(Spec("folder", str(sim)))
    inspect = Inspector(manifest.classes, manifest.classes)
    facts = [inspect(frame) for frame in manifest]
    facts[1] = FrameFacts(died=True)
    (finding,) = diagnose(manifest, facts, manifest.classes, need_labels=True)
    assert (finding.kind, finding.key) == (Kind.IMAGE, manifest.frames[1].key)
    assert "or crashed" in finding.what


def test_refused_files_and_masks(sim: Path) -> None:
    mask = np.full((48, 64), 255, np.uint8)
    Image.fromarray(mask * 0).save(sim / "mask.png")
    found = look(sim)
    assert "zero everywhere" in found[0].what
    Image.fromarray(mask[:10]).save(sim / "mask.png")
    assert mends(look(sim), Kind.MASK)
    assert "the mask is 10x64" in look(sim)[0].what
    classes = numbered(1)
    empty = Manifest("x", (), classes, (Refused("a.png", "an animation. Save one picture."),))
    (finding,) = diagnose(empty, [], classes, need_labels=True)
    assert finding.text.startswith("a.png: an animation. Save one picture.\n")


def test_no_class_in_common(sim: Path) -> None:
    other = ClassSet("other", (SemanticClass("tram", (0, 0, 0), (0,)),))
    (finding,) = look(sim, project=other)
    assert finding.kind is Kind.CLASSES
    assert "any class of the project (tram)" in finding.what
    assert "sky, building, road, sign" in finding.mend


def test_findings_with_one_mend_are_one_group(sim: Path, slips) -> None:
    slips.off_by_one(sim.parent)
    (group,) = grouped(("source", finding) for finding in look(sim))
    assert group.title == "source: labels with ids or colours that no class has: 3"


def test_class_pixels_are_those_that_the_label_reader_gives(sim: Path) -> None:
    from frugalseg.data.labels import LabelReader

    mask = np.full((48, 64), 255, np.uint8)
    mask[30:] = 0
    Image.fromarray(mask).save(sim / "mask.png")
    manifest = read(Spec("folder", str(sim)))
    project = ClassSet("two", manifest.classes.classes[1:3])
    reader, inspect = LabelReader(manifest.classes, project), Inspector(manifest.classes, project)
    naive = sum(np.bincount(reader.read(frame).ravel(), minlength=256)[:2] for frame in manifest)
    summary = summarise("sim", manifest, [inspect(frame) for frame in manifest], project)
    assert summary.pixels_C.tolist() == naive.tolist()
    assert summary.dropped == ("sky", "sign")
    assert summary.usable_ratio == pytest.approx(30 / 48)


def test_an_unlabelled_frame_has_nothing_to_be_wrong(tmp_path: Path) -> None:
    Image.fromarray(np.arange(300, dtype=np.uint8).repeat(3).reshape(10, 30, 3)).save(tmp_path / "a.png")
    frame = Frame("a", str(tmp_path / "a.png"), None, "", 0, "", 30, 10, "")
    facts = Inspector(numbered(1), numbered(1))(frame)
    assert facts.label is None and not facts.changed
    assert (facts.image.height, facts.image.width) == (10, 30)
