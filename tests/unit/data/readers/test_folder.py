import hashlib
import os

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import DataProblems, ImageFileError, MissingPairError, ReaderError
from frugalseg.core.spec import Spec
from frugalseg.data.readers.folder import UNLABELLED, read

CLASSES = ClassSet("two", (SemanticClass("road", (0, 0, 0), (0,)), SemanticClass("car", (1, 1, 1), (1,))))


def picture(path, size_HW=(3, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*size_HW, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def root(tmp_path):
    for name in ("town/a_0001", "town/a_0002", "b_000010"):
        picture(tmp_path / "images" / f"{name}.png")
        picture(tmp_path / "labels" / f"{name}.png")
    (tmp_path / "classes.toml").write_text(CLASSES.to_toml())
    return tmp_path


def frames(root, **options):
    return list(read(Spec("folder", str(root), options)))


def keys(root, **options):
    return [frame.key for frame in frames(root, **options)]


def test_a_labelled_folder(root):
    manifest = read(Spec("folder", str(root)))
    assert (manifest.name, manifest.classes, manifest.labelled) == (root.name, CLASSES, True)
    first, second, third = manifest
    assert [first.key, second.key, third.key] == ["b_000010", "town/a_0001", "town/a_0002"]
    assert (third.sequence, third.index, third.split, third.mask) == ("town/a", 2, "", None)
    assert (third.height, third.width) == (3, 4)
    image = root / "images" / "town" / "a_0002.png"
    assert third.image == str(image)
    assert third.label == str(root / "labels" / "town" / "a_0002.png")
    assert third.sha256 == hashlib.sha256(image.read_bytes()).hexdigest()


def test_a_bare_folder_of_images(tmp_path):
    picture(tmp_path / "deep" / "er" / "x.JPG")
    picture(tmp_path / "y.webp")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails" / "z.png").write_bytes(b"hidden")
    manifest = read(Spec("folder", str(tmp_path)))
    assert [frame.key for frame in manifest] == ["deep/er/x", "y"]
    assert manifest.classes == UNLABELLED
    assert not manifest.labelled


@pytest.mark.parametrize("images", [None, "."])
def test_labels_and_mask_beside_bare_images_are_no_images(tmp_path, images):
    picture(tmp_path / "x.png")
    picture(tmp_path / "labels" / "x.png")
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "mask.png")
    (only,) = frames(tmp_path, **({"images": images} if images else {}))
    assert only.key == "x"
    assert only.label == str(tmp_path / "labels" / "x.png")
    assert only.mask == str(tmp_path / "mask.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".PNG"])
def test_every_format_of_image(tmp_path, suffix):
    picture(tmp_path / "images" / f"x{suffix}")
    assert keys(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("name", "sequence", "index"),
    [("a_12", "a", 12), ("a_b_003", "a_b", 3), ("frame7", "frame", 7), ("0004", "", 4), ("a_12_rgb", "a_12_rgb", 0)],
)
def test_sequence_and_index_come_from_the_key(tmp_path, name, sequence, index):
    picture(tmp_path / "images" / f"{name}.png")
    (frame,) = frames(tmp_path)
    assert (frame.sequence, frame.index) == (sequence, index)
    (alone,) = frames(tmp_path, sequence="none")
    assert alone.sequence == ""


def test_options(root):
    assert keys(root, limit="2") == ["b_000010", "town/a_0001"]
    assert keys(root, include="town/*2") == ["town/a_0002"]
    assert {frame.split for frame in frames(root, split="val")} == {"val"}
    assert not read(Spec("folder", str(root), {"labels": "none"})).labelled
    (root / "labels").rename(root / "gt")
    assert frames(root, labels="gt")[0].label == str(root / "gt" / "b_000010.png")
    (root / "other.toml").write_text(CLASSES.to_toml().replace('"two"', '"other"'))
    assert read(Spec("folder", str(root), {"classes": str(root / "other.toml")})).classes.name == "other"


def test_labels_may_be_tif_and_partly_missing(root):
    (root / "labels" / "b_000010.png").unlink()
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(root / "labels" / "b_000010.tif")
    (root / "labels" / "town" / "a_0001.png").unlink()
    assert [os.path.basename(frame.label or "-") for frame in frames(root)] == ["b_000010.tif", "-", "a_0002.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "a", "limt": "5"}, "named 'limt'. Did you mean 'limit'"),
        ({"limit": "0"}, "whole number from 1 up"),
        ({"images": "pics"}, "pics is no folder"),
        ({"labels": "gt"}, "gt is no folder. Write labels=none"),
        ({"classes": "no.toml"}, "classes=no.toml is no file"),
        ({"mask": "no.png"}, "mask=no.png is no file"),
        ({"include": "z*"}, r"include=z\* fits none of the 3 images \(first: b_000010\)"),
        ({"sequence": "prefx"}, "sequence must be prefix or none, got 'prefx'"),
    ],
)
def test_options_that_do_not_fit_are_one_error(root, options, message):
    with pytest.raises(ReaderError, match=message):
        frames(root, **options)


def test_no_folder_and_no_image(tmp_path):
    with pytest.raises(ReaderError, match="is no folder. Check the path"):
        frames(tmp_path / "none")
    with pytest.raises(ReaderError, match="no image here .* It holds: nothing"):
        frames(tmp_path)
    (tmp_path / "video.mp4").write_bytes(b"")
    with pytest.raises(ReaderError, match=r"It holds: video\.mp4"):
        frames(tmp_path)


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_two_files_of_one_key_are_refused(root, folder):
    picture(root / folder / "b_000010.tif")
    with pytest.raises(ReaderError, match=r"b_000010\.\w+ and b_000010\.\w+: two"):
        frames(root)


def test_every_broken_file_is_named_at_once(root):
    images = root / "images"
    (images / "b_000010.png").write_bytes(b"junk")
    picture(root / "labels" / "orphan.png")
    os.mkfifo(images / "pipe.png")
    picture(images / ("é" * 120 + "_") / "x.png")
    picture(images / "line\nbreak.png")
    with pytest.raises(DataProblems) as caught:
        frames(root)
    problems = caught.value.problems
    assert isinstance(problems[0], MissingPairError)
    assert "orphan.png: a label without an image" in str(problems[0])
    assert sum(isinstance(problem, ImageFileError) for problem in problems) == 2
    assert "pipe.png: not a regular file" in str(caught.value)
    assert r"frame key 'line\nbreak'" in str(caught.value)
    assert len(problems) == 4 or "longer than 255 bytes" in str(caught.value)


def test_names_that_are_no_text_are_refused(tmp_path):
    picture(tmp_path / "images" / "x.png")
    os.rename(os.fsencode(tmp_path / "images" / "x.png"), os.fsencode(tmp_path / "images") + b"/\xff.png")
    with pytest.raises(DataProblems, match="frame key"):
        frames(tmp_path)


def test_odd_names_and_case_twins_are_kept(tmp_path):
    names = ["CON", "a.", "a.b", "A", "a", "🚗 1"]
    for name in names:
        picture(tmp_path / "images" / f"{name}.png")
    assert keys(tmp_path) == sorted(names)


def test_a_folder_named_like_an_image_is_a_folder(tmp_path):
    picture(tmp_path / "images" / "x.png" / "y.png")
    assert keys(tmp_path) == ["x.png/y"]


def test_links(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    picture(outside / "o.png")
    images = root / "images"
    (images / "c_1.png").symlink_to("b_000010.png")
    assert "c_1" in keys(root)
    for name, target, message in [
        ("d.png", outside / "o.png", "link to outside"),
        ("e.png", images / "e.png", "link to outside|cannot be read|loop"),
        ("more", outside, "link"),
        ("self", images, "link"),
    ]:
        (images / name).symlink_to(target)
        with pytest.raises((ReaderError, DataProblems), match=message) as caught:
            frames(root)
        assert str(images / name) in str(caught.value)
        (images / name).unlink()


def test_images_and_labels_themselves_may_be_links(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    for name in ("images", "labels"):
        (root / name).rename(outside / name)
        (root / name).symlink_to(outside / name)
    assert read(Spec("folder", str(root))).labelled


def test_a_relative_path_is_relative_to_the_working_directory(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    (first, *_) = frames(root.name)
    assert first.image == str(root / "images" / "b_000010.png")
    monkeypatch.chdir(root)
    assert read(Spec("folder", ".")).name == root.name
