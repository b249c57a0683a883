"""Data sets with the video around their labelled frames: which frames come, which keep a label, in which order."""

import shutil

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import read_label
from frugalseg.core.errors import DataProblems, ReaderError
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.labels import LabelReader
from frugalseg.data.readers import apolloscape, cityscapes, kitti, nyu_v2, video
from frugalseg.data.sequences import Sequences


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


def manifest(reader, root, **options):
    return reader.read(Spec(reader.__name__.rpartition(".")[2], str(root), options))


def names_of(frame, found, project=None):
    """Return the class names of a frame's columns, left to right; None where there is no class."""
    project = project or found.classes
    row = LabelReader(found.classes, project).read(frame)[0]
    changes = [0, *(np.flatnonzero(np.diff(row)) + 1)]
    return [None if row[at] == IGNORE else project.names[row[at]] for at in changes]


def refusal(reader, root, kind=ReaderError, **options):
    with pytest.raises(kind) as caught:
        manifest(reader, root, **options)
    return str(caught.value)


# kitti


def test_kitti_labelled_frames_with_their_objects(miniatures, root):
    miniatures.kitti(root)
    miniatures.kitti_multiview(root)  # may lie there without being wanted
    found = manifest(kitti, root)
    assert [frame.key for frame in found] == ["000000_10", "000001_10", "000002_10"]
    first = found.frames[0]
    assert (first.sequence, first.index, first.time_s, first.split) == ("000000", 10, 1.0, "training")
    assert names_of(first, found) == ["road", "building", "car", None]
    assert first.instances == str(root / "training" / "instance" / "000000_10.png")
    assert np.unique(read_label(root / "training/instance/000000_10.png") // first.instance_base).tolist() == [
        7,
        11,
        26,
        29,
    ]
    assert not found.refused


@pytest.mark.parametrize(("around", "numbers"), [("1", [9, 10, 11]), ("3", range(7, 14)), ("10", range(21))])
def test_kitti_frames_around_a_labelled_one(miniatures, root, around, numbers):
    miniatures.kitti(root)
    miniatures.kitti_multiview(root)
    found = manifest(kitti, root, around=around)
    scene = [frame for frame in found if frame.sequence == "000001"]
    assert [frame.index for frame in scene] == list(numbers)
    assert [frame.index for frame in scene if frame.label] == [10]
    assert [frame.key for frame in found if frame.sequence == "000002"] == ["000002_10"]  # no video of it
    around_it = Sequences(found).around("000001_10", int(around))
    assert [frame.index for frame in around_it.frames] == list(numbers)
    assert [frame.time_s for frame in around_it.frames] == [number / 10 for number in numbers]


def test_kitti_multiview_elsewhere_and_a_missing_frame(miniatures, root, tmp_path):
    miniatures.kitti(root)
    miniatures.kitti_multiview(tmp_path / "multi")
    (tmp_path / "multi" / "training" / "image_2" / "000000_13.png").unlink()
    found = manifest(kitti, root, around="10", multiview=str(tmp_path / "multi"))
    assert len([frame for frame in found if frame.sequence == "000001"]) == 21
    after = Sequences(found).around("000000_10", 10)
    assert after.frames[-1].index == 12
    assert after.after == "between 000000_12 and 000000_14 frame 13 is missing"


def test_kitti_test_split_and_wrong_options(miniatures, root):
    miniatures.kitti(root)
    (frame,) = manifest(kitti, root, split="testing")
    assert (frame.label, frame.instances) == (None, None)
    assert "around must be a number from 1 to 10, got 11" in refusal(kitti, root, around="11")
    assert "split must be training or testing, got 'train'. Did you mean 'training'" in refusal(
        kitti, root, split="train"
    )
    shutil.rmtree(root / "training" / "instance")
    assert {frame.instances for frame in manifest(kitti, root)} == {None}


# cityscapes


def test_cityscapes_frames_around_an_annotated_one(miniatures, root):
    miniatures.cityscapes(root)
    miniatures.cityscapes_sequence(root)
    found = manifest(cityscapes, root, around="3", cities="ulm")
    assert [frame.index for frame in found] == list(range(4, 11))
    assert [frame.index for frame in found if frame.label] == [7]
    assert found.frames[0].image.endswith("leftImg8bit_sequence/train/ulm/ulm_000000_000004_leftImg8bit.png")
    assert found.frames[3].time_s == pytest.approx(7 / 17)
    assert found.frames[3].instances.endswith("ulm_000000_000007_gtFine_instanceIds.png")


def test_cityscapes_missing_frames_and_annotated_frames_near_each_other(miniatures, root):
    miniatures.cityscapes(root)
    miniatures.cityscapes_sequence(root)
    found = manifest(cityscapes, root, around="10", cities="aachen")
    assert [frame.index for frame in found] == [*range(9, 22), *range(23, 26)]  # of 9-29 and 10-30
    assert [frame.index for frame in found if frame.label] == [19, 20]
    assert Sequences(found).around("aachen_000000_000019", 10).after.endswith("frame 22 is missing")


def test_cityscapes_around_without_labels_is_by_the_names_of_the_stills(miniatures, root):
    miniatures.cityscapes(root)
    miniatures.cityscapes_sequence(root)
    found = manifest(cityscapes, root, around="1", labels="none", cities="ulm")
    assert [frame.index for frame in found] == [6, 7, 8]
    assert {frame.label for frame in found} == {None}
    shutil.rmtree(root / "leftImg8bit")
    assert "around= needs to know the annotated frames" in refusal(cityscapes, root, around="1", labels="none")
    assert [frame.index for frame in manifest(cityscapes, root, around="1", cities="ulm")] == [6, 7, 8]  # by labels
    shutil.rmtree(root / "leftImg8bit_sequence")
    assert "has no leftImg8bit_sequence/" in refusal(cityscapes, root, around="1")


# nyu_v2


def test_nyu_labelled_frames_and_their_list(miniatures, root):
    miniatures.nyu_v2(root)
    found = manifest(nyu_v2, root)
    assert [frame.sequence for frame in found] == ["bedroom_0001", "bedroom_0001", "office_0002"]
    assert [frame.time_s for frame in found] == [3.0, 9.0, 0.0]
    assert names_of(found.frames[0], found) == ["wall", "floor", "other prop", None]
    (listed,) = manifest(nyu_v2, root, split="train")
    assert (listed.key, listed.split) == (f"bedroom_0001/{miniatures.nyu_name(3.0)}", "train")
    assert "split=test needs the list" in refusal(nyu_v2, root, split="test")
    (root / "test.txt").write_text("r-1.5-1\n" + miniatures.nyu_name(9.0))
    assert [entry.reason for entry in manifest(nyu_v2, root, split="test").refused] == [
        f"listed in {root / 'test.txt'}, but there is no such image."
    ]


def test_nyu_two_frames_a_second_around_a_labelled_one(miniatures, root):
    miniatures.nyu_v2(root)
    found = manifest(nyu_v2, root, split="train", around="10")
    frames = sorted(found, key=lambda frame: frame.index)
    assert [frame.index for frame in frames] == list(range(-6, 11))  # the recording begins 3 s before
    assert [frame.time_s for frame in frames] == [tick / 2 for tick in range(17)]
    assert [frame.index for frame in frames if frame.label] == [0]
    around = Sequences(found).around(frames[6].key, 10)
    assert [frame.index for frame in around.frames] == list(range(-6, 11))


def test_nyu_a_frame_between_two_labelled_ones_belongs_to_the_nearer(miniatures, root):
    miniatures.nyu_v2(root)
    found = manifest(nyu_v2, root, around="10", include="bedroom*")
    by_sequence = {}
    for frame in found:
        by_sequence.setdefault(frame.sequence, []).append(frame)
    assert len(by_sequence) == 2
    early, late = (sorted(frames, key=lambda frame: frame.index) for frames in by_sequence.values())
    assert [frame.time_s for frame in early] == [tick / 2 for tick in range(13)]  # up to 6.0 s, midway
    assert [frame.time_s for frame in late] == [
        *(6.5 + tick / 2 for tick in range(11)),
        11.9,
    ]  # the last is within half a tick of 12
    assert [frame.index for frame in late if frame.label] == [0]


def test_nyu_a_hole_in_the_recording_is_a_hole(miniatures, root):
    miniatures.nyu_v2(root)
    for tenth in range(36, 44):
        (root / "frames" / miniatures.NYU_SCENE / f"{miniatures.nyu_name(tenth / 10)}.png").unlink()
    frames = sorted(manifest(nyu_v2, root, split="train", around="3"), key=lambda frame: frame.index)
    assert [frame.index for frame in frames] == [-3, -2, -1, 0, 1, 3]  # 4.0 s: nearest are 3.5 and 4.4
    assert frames[-1].time_s == 4.5
    slow = manifest(nyu_v2, root, split="train", around="2", rate="1")
    assert sorted(frame.index for frame in slow) == [-2, -1, 0, 1, 2]


def test_nyu_other_names_are_refused(miniatures, root):
    miniatures.nyu_v2(root)
    miniatures.image(root / "frames" / miniatures.NYU_SCENE / "a-1294886360.2-1.png")
    (refused,) = manifest(nyu_v2, root).refused
    assert refused.reason == "the name is none of a colour frame, r-SECONDS-TICKS."


# apolloscape


def test_apolloscape_groups_count_as_their_class_and_time_is_in_the_name(miniatures, root):
    miniatures.apolloscape(root)
    found = manifest(apolloscape, root, cameras="5", records="Record001")
    assert [frame.index for frame in found] == list(range(7))
    assert [frame.time_s for frame in found] == pytest.approx(list(range(7)))
    first = found.frames[0]
    assert (first.key, first.sequence) == (
        "Record001/Camera 5/170908_061500408_Camera_5",
        "Record001/Camera 5",
    )
    assert names_of(first, found) == ["road", "car", "vegetation", None]
    assert names_of(first, found, class_sets.load("cityscapes19")) == ["road", "car", "vegetation", None]
    assert "cameras: there is no 7 here. Known: 5, 6" in refusal(apolloscape, root, cameras="7")


def test_apolloscape_parts_whose_centre_keeps_its_label(miniatures, root):
    miniatures.apolloscape(root)
    found = manifest(apolloscape, root, cameras="5", partition="3")
    record = [frame for frame in found if "Record001" in frame.sequence]
    assert [frame.index for frame in record] == list(range(6))  # the seventh is left over
    assert [frame.index for frame in record if frame.label] == [1, 4]
    assert {frame.sequence for frame in record} == {"Record001/Camera 5/part0000", "Record001/Camera 5/part0001"}
    assert len([frame for frame in found if "Record002" in frame.sequence]) == 3
    around = Sequences(found).around(record[1].key, 2)
    assert [frame.index for frame in around.frames] == [0, 1, 2]  # nothing from the next part
    assert "partition must be odd" in refusal(apolloscape, root, partition="20")
    assert "no image" in refusal(apolloscape, root, partition="21")


def test_apolloscape_several_roads(miniatures, root):
    miniatures.apolloscape(root / "road01_ins")
    miniatures.apolloscape(root / "road02_seg")
    found = manifest(apolloscape, root, cameras="6")
    assert len(found) == 22
    assert found.frames[0].sequence == "road01_ins/Record001/Camera 6"


# video


def test_folders_of_frames_are_sequences(miniatures, root):
    miniatures.video(root)
    found = manifest(video, root, fps="10")
    assert [(frame.key, frame.sequence, frame.index, frame.time_s) for frame in found][:2] == [
        ("ride/000000", "ride", 0, 0.0),
        ("ride/000001", "ride", 1, 0.1),
    ]
    assert manifest(video, root).frames[0].time_s is None
    assert [frame.key for frame in manifest(video, root, fps="10", start="0.05", end="0.15")] == [
        "ride/000001",
        "walk/000001",
    ]
    assert [frame.index for frame in manifest(video, root, every="2")] == [0, 2, 0, 2]
    assert not manifest(video, root, every="2").refused  # labels of frames that were not chosen are no problem
    assert "start and end need fps=RATE" in refusal(video, root, start="1")
    assert "fps must be a number above 0" in refusal(video, root, fps="fast")
    assert "fps must be a number above 0" in refusal(video, root, fps="0")
    assert "'every' must be a whole number from 1 up" in refusal(video, root, every="0")
    assert len(manifest(video, root, labels="none")) == 6  # what lies in labels/ is no frame


def test_frames_in_the_folder_itself_are_named_after_it_or_their_prefix(miniatures, tmp_path):
    for name in ("0016E5_07959", "0016E5_07961", "000003"):
        miniatures.image(tmp_path / "drive" / f"{name}.png")
    found = manifest(video, tmp_path / "drive")
    assert [(frame.sequence, frame.index) for frame in found] == [("drive", 3), ("0016E5", 7959), ("0016E5", 7961)]


def test_a_label_is_one_frames_of_a_video(miniatures, videos, tmp_path):
    videos.write(tmp_path / "drive.mp4", range(0, 400, 40))
    miniatures.grey(tmp_path / "truth" / "drive" / "000004.png", np.zeros((48, 64), np.uint16))
    miniatures.grey(tmp_path / "truth" / "drive" / "000044.png", np.zeros((48, 64), np.uint16))
    found = manifest(video, tmp_path / "drive.mp4", labels="truth")
    assert [frame.index for frame in found if frame.label] == [4]
    assert [entry.path for entry in found.refused] == [str(tmp_path / "truth" / "drive" / "000044.png")]
    assert not any(frame.label for frame in manifest(video, tmp_path / "drive.mp4"))
    assert "truths is no folder" in refusal(video, tmp_path / "drive.mp4", labels="truths")


def test_a_video_that_cannot_be_read_does_not_stop_the_others(miniatures, videos, tmp_path):
    videos.write(tmp_path / "good.mp4", (0, 40))
    videos.cut(videos.write(tmp_path / "bad.mp4"), 0.5)
    miniatures.grey(tmp_path / "labels" / "bad" / "000000.png", np.zeros((48, 64), np.uint16))
    found = manifest(video, tmp_path)
    assert [frame.key for frame in found] == ["good/000000", "good/000001"]
    (refused,) = found.refused  # and not its label as well
    assert refused.path == str(tmp_path / "bad.mp4")
    assert "damaged or was cut off" in refused.reason
    message = refusal(video, tmp_path / "bad.mp4", DataProblems)
    assert f"{tmp_path}/bad.mp4: the video is damaged" in message
