import hashlib
import os

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import DataProblems, ReaderError, UnknownIdError
from frugalseg.core.spec import Spec
from frugalseg.data.labels import LabelReader
from frugalseg.data.readers.folder import read
from frugalseg.data.spec_options import UNLABELLED

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


def refused(root, **options):
    """Reasons by path below the root."""
    manifest = read(Spec("folder", str(root), options))
    return {os.path.relpath(entry.path, root): entry.reason for entry in manifest.refused}


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


def test_frames_of_a_folder_are_one_sequence_if_so_told(tmp_path):
    for name in ("0004", "0005", "a/001", "a/x_002"):
        picture(tmp_path / "drive" / "images" / f"{name}.png")
    found = [(f.key, f.sequence, f.index) for f in frames(tmp_path / "drive", sequence="folder")]
    assert found == [("0004", "drive", 4), ("0005", "drive", 5), ("a/001", "a", 1), ("a/x_002", "a", 2)]


def test_options(root):
    assert keys(root, limit="2") == ["b_000010", "town/a_0001"]
    assert keys(root, include="town/*2") == ["town/a_0002"]
    assert keys(root, include="b*,town/*2", exclude="*10") == ["town/a_0002"]
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
        ({"classes": "cityscapes"}, "classes=cityscapes is no file. .* Did you mean 'cityscapes19'"),
        ({"mask": "no.png"}, "mask=no.png is no file, neither here nor in"),
        ({"list": "no.txt"}, "list=no.txt is no file"),
        ({"label_kind": "colours"}, "label_kind must be ids or red or colors, got 'colours'. Did you mean 'colors'"),
        ({"include": "z*"}, r"include=z\* fits none of the 3 images \(first: b_000010\)"),
        ({"sequence": "prefx"}, "sequence must be prefix or folder or none, got 'prefx'"),
    ],
)
def test_options_that_do_not_fit_are_one_error(root, options, message):
    with pytest.raises(ReaderError, match=message):
        frames(root, **options)


def test_no_folder_and_no_image(tmp_path):
    with pytest.raises(ReaderError, match="is no folder. Check the path"):
        frames(tmp_path / "none")
    with pytest.raises(ReaderError, match=r"no image .* holds nothing\.\nExpected:\n  PATH/images/"):
        frames(tmp_path)
    (tmp_path / "video.mp4").write_bytes(b"")
    with pytest.raises(ReaderError, match=r"holds video\.mp4"):
        frames(tmp_path)


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_two_files_of_one_key_are_refused_and_the_rest_goes_on(root, folder):
    picture(root / folder / "b_000010.tif")
    found = refused(root)
    assert "b_000010.png is of the same name" in found[f"{folder}/b_000010.tif"]
    assert "b_000010.tif is of the same name" in found[f"{folder}/b_000010.png"]
    left = {frame.key: frame.label is not None for frame in frames(root)}
    assert left == {"town/a_0001": True, "town/a_0002": True} | ({"b_000010": False} if folder == "labels" else {})


def test_every_broken_file_is_refused_by_name_and_the_rest_goes_on(root):
    images = root / "images"
    (images / "b_000010.png").write_bytes(b"junk")
    picture(root / "labels" / "orphan.png")
    os.mkfifo(images / "pipe.png")
    picture(images / ("é" * 120 + "_") / ("é" * 20 + ".png"))
    picture(images / "line\nbreak.png")
    picture(images / "turned\u202e.png")
    found = refused(root)
    assert "no image of a format we accept" in found.pop("images/b_000010.png")
    assert "a label without an image" in found.pop("labels/orphan.png")
    assert "not a regular file" in found.pop("images/pipe.png")
    assert r"frame key 'line\nbreak'" in found.pop("images/line\nbreak.png")
    assert r"frame key 'turned\u202e'" in found.pop("images/turned\u202e.png")
    (long,) = found
    assert "longer than 255 bytes" in found[long]
    assert keys(root) == ["town/a_0001", "town/a_0002"]


def test_a_reason_does_not_repeat_the_path(root):
    (root / "images" / "b_000010.png").write_bytes(b"junk")
    (reason,) = refused(root).values()
    assert str(root) not in reason


@pytest.mark.parametrize("suffix", [".gif", ".heic", ".npy", ".HEIC"])
def test_pictures_of_kinds_we_do_not_read_are_refused_by_name(root, suffix):
    (root / "images" / f"z{suffix}").write_bytes(b"x")
    assert f"{suffix} is not read here: .png" in refused(root)[f"images/z{suffix}"]
    (root / "labels" / "z.jpg").write_bytes(b"x")
    assert ".jpg is not read here: .png .tif" in refused(root)["labels/z.jpg"]


def test_nothing_usable_at_all_is_an_error_that_lists_why(tmp_path):
    picture(tmp_path / "images" / "x.png")
    os.rename(os.fsencode(tmp_path / "images" / "x.png"), os.fsencode(tmp_path / "images") + b"/\xff.png")
    (tmp_path / "images" / "y.png").write_bytes(b"junk")
    (tmp_path / "images" / "z.gif").write_bytes(b"junk")
    with pytest.raises(DataProblems, match="3 problem.*no frame can be used") as caught:
        frames(tmp_path)
    for line in ("frame key", "y.png: no image", "z.gif: .gif is not read here"):
        assert line in str(caught.value)


def test_names_that_are_no_text_are_refused_in_text(root):
    picture(root / "images" / "x.png")
    os.rename(os.fsencode(root / "images" / "x.png"), os.fsencode(root / "images") + b"/\xff.png")
    assert list(refused(root)) == [r"images/\udcff.png"]


def test_odd_names_and_case_twins_are_kept(tmp_path):
    names = ["CON", "a.", "a.b", "A", "a", "🚗 1"]
    for name in names:
        picture(tmp_path / "images" / f"{name}.png")
    assert keys(tmp_path) == sorted(names)


def test_a_folder_named_like_an_image_is_refused_by_name(root):
    (root / "images" / "x.png").mkdir()
    picture(root / "images" / "town" / "Y.JPG" / "y.png")
    found = refused(root)
    assert set(found) == {"images/x.png", "images/town/Y.JPG"}
    assert all("a folder with the name of an image. Rename it" in reason for reason in found.values())
    assert keys(root) == ["b_000010", "town/a_0001", "town/a_0002"]


def test_the_folder_of_the_spec_may_be_named_like_an_image(tmp_path):
    picture(tmp_path / "x.png" / "y.png")
    assert keys(tmp_path / "x.png") == ["y"]


def test_links_out_of_the_folder_are_refused_and_never_followed(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    picture(outside / "o.png")
    images = root / "images"
    (images / "c_1.png").symlink_to("b_000010.png")
    (images / "d.png").symlink_to(outside / "o.png")
    (images / "e.png").symlink_to(images / "e.png")
    (images / "more").symlink_to(outside)
    (images / "self").symlink_to(images)
    found = refused(root)
    assert "link to outside" in found["images/d.png"]
    assert "cannot be read" in found["images/e.png"]
    assert "a link to a folder" in found["images/more"]
    assert "a link to a folder" in found["images/self"]
    assert keys(root) == ["b_000010", "c_1", "town/a_0001", "town/a_0002"]


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


def test_classes_may_be_named_or_lie_beside_the_data(root):
    (root / "other.toml").write_text(CLASSES.to_toml().replace('"two"', '"other"'))
    assert read(Spec("folder", str(root), {"classes": "other.toml"})).classes.name == "other"
    assert read(Spec("folder", str(root), {"classes": "camvid11"})).classes.name == "camvid11"


def test_a_list_chooses_frames_and_names_those_that_are_not_there(root):
    (root / "train.txt").write_text("town/a_0002\nb_000010.png labels/b_000010.png\n\n/elsewhere/a_0001.jpg\ngone_1\n")
    assert keys(root, list="train.txt") == ["b_000010", "town/a_0001", "town/a_0002"]
    (gone,) = read(Spec("folder", str(root), {"list": "train.txt"})).refused
    assert gone.path == "gone_1"
    assert "train.txt, line 5, but there is no such image" in gone.reason
    (root / "train.txt").write_text("gone_1\n")
    with pytest.raises(ReaderError, match=r"train\.txt names none of the 3 images"):
        frames(root, list="train.txt")


@pytest.mark.parametrize(
    ("kind", "pixels"),
    [("red", [[0, 7, 9], [1, 0, 0]]), ("colors", [[0, 0, 0], [1, 1, 1]]), ("ids", [0, 1])],
)
def test_labels_hold_their_ids_where_the_option_says(tmp_path, kind, pixels):
    picture(tmp_path / "images" / "x.png", (1, 2))
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.array([pixels], np.uint8)).save(tmp_path / "labels" / "x.png")
    (tmp_path / "classes.toml").write_text(CLASSES.to_toml())
    (frame,) = frames(tmp_path, label_kind=kind)
    assert LabelReader(CLASSES, CLASSES).read(frame).tolist() == [[0, 1]]


def test_colours_of_no_class_are_named_when_the_label_is_read(tmp_path):
    picture(tmp_path / "images" / "x.png", (1, 2))
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.array([[[0, 0, 0], [9, 8, 7]]], np.uint8)).save(tmp_path / "labels" / "x.png")
    (frame,) = frames(tmp_path, label_kind="colors")
    with pytest.raises(UnknownIdError, match=r"x\.png: colours .* 'two' does not list: \(9, 8, 7\) \(1 pixels\)"):
        LabelReader(CLASSES, CLASSES).read(frame)
