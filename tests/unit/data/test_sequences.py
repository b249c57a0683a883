"""Neighbours of a frame: found without search, never across a break, and the reason why there are no more is told."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.core.errors import DataError, ImageFileError
from frugalseg.core.records import Frame
from frugalseg.core.spec import Spec
from frugalseg.data.pixels import read_frame
from frugalseg.data.readers import video
from frugalseg.data.sequences import BEGINS, ENDS, Sequences, stream


def frame(index, sequence="drive", **given):
    return Frame(f"{sequence}_{index:04}", "x.png", None, sequence, index, "", 64, 48, "", **given)


def drive(*indices, **given):
    return [frame(index, **given) for index in indices]


def indices(around):
    return [f.index for f in around.frames]


def test_neighbours_in_order_of_their_numbers_whatever_the_order_given():
    sequences = Sequences(drive(5, 2, 4, 1, 3))
    around = sequences.around("drive_0003", 1)
    assert indices(around) == [2, 3, 4]
    assert (around.place, around.before, around.after) == (1, "", "")
    assert [around.at(offset).index for offset in (-1, 0, 1)] == [2, 3, 4]
    assert around.at(2) is None and around.at(-2) is None
    assert sequences.neighbour("drive_0003", 2).index == 5
    assert sequences.neighbour("drive_0003", 3) is None
    assert sequences.neighbour("drive_0001", -1) is None


def test_the_ends_of_a_sequence_are_told():
    around = Sequences(drive(*range(5))).around("drive_0001", 3, 10)
    assert indices(around) == [0, 1, 2, 3, 4]
    assert (around.before, around.after) == (BEGINS, ENDS)
    exactly = Sequences(drive(*range(5))).around("drive_0002", 2)
    assert (exactly.before, exactly.after) == ("", "")


def test_every_second_frame_of_a_video_is_no_gap():
    sequences = Sequences(drive(7959, 7961, 7963, 7965))
    assert indices(sequences.around("drive_7961", 1)) == [7959, 7961, 7963]


def test_a_missing_frame_breaks_the_sequence():
    sequences = Sequences(drive(0, 2, 4, 8, 10))
    around = sequences.around("drive_0004", 2)
    assert indices(around) == [0, 2, 4]
    assert around.after == "between drive_0004 and drive_0008 frame 6 is missing"
    assert sequences.neighbour("drive_0004", 1) is None
    assert sequences.around("drive_0008", 1).before == around.after
    assert [[f.index for f in run.frames] for run in sequences.runs()] == [[0, 2, 4], [8, 10]]


def test_a_size_change_breaks_the_sequence():
    frames = drive(0, 1, 2, 3)
    frames[2:] = [replace(f, height=60) for f in frames[2:]]
    around = Sequences(frames).around("drive_0001", 2)
    assert indices(around) == [0, 1]
    assert around.after == "the size changes from 48x64 to 60x64 (height x width) between drive_0001 and drive_0002"


def test_much_time_between_two_files_breaks_the_sequence_and_not_between_frames_of_a_video():
    times = [0.0, 0.5, 1.0, 3.0, 3.5]
    files = [frame(index, time_s=time) for index, time in enumerate(times)]
    around = Sequences(files).around("drive_0002", 2)
    assert indices(around) == [0, 1, 2]
    assert around.after == "2.0 s pass between drive_0002 and drive_0003, 0.50 s between others"
    shots = [replace(f, pts=round(f.time_s * 90_000)) for f in files]
    assert len(Sequences(shots).around("drive_0002", 9).frames) == 5


def test_frames_of_no_sequence_have_no_neighbours():
    sequences = Sequences([frame(index, sequence="") for index in range(3)])
    around = sequences.around("_0001", 1)
    assert indices(around) == [1]
    assert (around.before, around.after) == (BEGINS, ENDS)


def test_two_frames_of_one_number_are_refused():
    with pytest.raises(DataError, match="sequence 'drive': 'drive_0001' and 'twin' are both number 1"):
        Sequences([*drive(0, 1), replace(frame(1), key="twin")])


def test_what_is_asked_for_wrongly_is_refused():
    sequences = Sequences(drive(0, 1))
    with pytest.raises(DataError, match="there is no frame 'nowhere'"):
        sequences.around("nowhere", 1)
    with pytest.raises(DataError, match="-1 frames before and 1 after"):
        sequences.around("drive_0000", -1, 1)


@given(
    st.sets(st.integers(0, 30), min_size=1, max_size=20),
    st.sampled_from("abc"),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_as_a_naive_search_finds_them(numbers, name, before, after):
    frames = [frame(n, name) for n in numbers] + [frame(n, other) for other in "abc" if other != name for n in (0, 1)]
    steps = [later - earlier for earlier, later in zip(sorted(numbers), sorted(numbers)[1:], strict=False)]
    step = min(set(steps), key=lambda s: (-steps.count(s), s)) if steps else 1
    sequences = Sequences(frames)
    for number in numbers:
        expected = [number]
        while len(expected) <= before and expected[0] - step in numbers:
            expected.insert(0, expected[0] - step)
        place = len(expected) - 1
        while len(expected) - place <= after and expected[-1] + step in numbers:
            expected.append(expected[-1] + step)
        found = sequences.around(f"{name}_{number:04}", before, after)
        # a step smaller than the usual one breaks a sequence, too: only compare where there is none
        if step == min(steps, default=1):
            assert (indices(found), found.place) == (expected, place)


def test_streaming_a_window_of_a_video_decodes_each_frame_once(videos, tmp_path, monkeypatch):
    from frugalseg.data.video_file import VideoFile

    path = videos.write(tmp_path / "a.mp4", videos.IRREGULAR_MS, options=videos.OPEN_GOP)
    manifest = video.read(Spec("video", str(path), {}))
    expected = {f.key: read_frame(f) for f in manifest}
    path.touch()  # opened anew
    seeks, begin = [], VideoFile._begin
    monkeypatch.setattr(VideoFile, "_begin", lambda self: seeks.append(begin(self)))
    around = Sequences(manifest).around("a/000020", 10)
    streamed = stream(around.frames)
    shown = [next(streamed)]
    found = len(seeks)
    shown += streamed
    assert [f.index for f, _ in shown] == list(range(10, 31))
    assert all(np.array_equal(image, expected[f.key]) for f, image in shown)
    assert len(seeks) == found  # from the first frame on it only goes on


def test_a_size_change_inside_a_video(videos, tmp_path):
    manifest = video.read(Spec("video", str(videos.write_size_change(tmp_path / "a.mkv")), {}))
    assert [(f.height, f.width) for f in manifest] == [(48, 64)] * 3 + [(64, 80)] * 3
    assert [videos.number_of(image) for _, image in stream(manifest)] == list(range(6))
    around = Sequences(manifest).around("a/000002", 2)
    assert indices(around) == [0, 1, 2]
    assert around.after.startswith("the size changes from 48x64 to 64x80")


def test_a_damaged_stretch_inside_a_video_is_a_break(videos, tmp_path):
    path = videos.write(tmp_path / "a.mp4", options=videos.BFRAMES)
    manifest = video.read(Spec("video", str(videos.spoil(path, 14)), {}))
    around = Sequences(manifest).around("a/000005", 30)
    assert around.frames[-1].index < 14
    assert "is missing" in around.after


def test_a_frame_that_cannot_be_read_any_more_is_told_when_its_turn_comes(videos, tmp_path):
    manifest = video.read(Spec("video", str(videos.write(tmp_path / "a.mp4")), {}))
    shown = stream(manifest)
    next(shown)
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(ImageFileError, match=r"a.mp4: cannot be read"):
        next(shown)
