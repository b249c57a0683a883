"""Videos: every frame is reached by its time, the same pixels however one comes to it, and damage is said."""

import hashlib
import os
import threading
from dataclasses import replace
from itertools import pairwise

import av
import numpy as np
import pytest

from frugalseg.core.errors import ImageFileError
from frugalseg.core.records import Frame
from frugalseg.core.spec import Spec
from frugalseg.data import pixels, video_file
from frugalseg.data.pixels import read_frame, read_pixels
from frugalseg.data.readers import video as reader
from frugalseg.data.upright import Upright
from frugalseg.data.video import scan
from frugalseg.data.video_file import VideoFile
from frugalseg.data.video_scans import scan_all

KINDS = {
    "bframes.mp4": {"options": "BFRAMES"},
    "open_gop.mp4": {"options": "OPEN_GOP", "times": "IRREGULAR_MS"},
    "open_gop.mkv": {"options": "OPEN_GOP", "times": "IRREGULAR_MS"},
    "open_gop.ts": {"options": "OPEN_GOP", "times": "IRREGULAR_MS"},
    "hevc.mp4": {"codec": "libx265", "options": "HEVC", "times": "IRREGULAR_MS"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "12"}, "times": "IRREGULAR_MS"},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}, "pixels": "yuv420p"},
    "jpeg.avi": {"codec": "mjpeg", "pixels": "yuvj444p", "tick": "TICK", "times": "COUNTED"},
    "lossless.mkv": {"codec": "ffv1", "pixels": "bgr0", "options": {"g": "8"}},
    "one_gop.mp4": {"options": {"g": "999", "bf": "2", "x264-params": "scenecut=0"}, "times": "IRREGULAR_MS"},
}
NAMES = ("BFRAMES", "HEVC", "OPEN_GOP", "IRREGULAR_MS", "TICK", "COUNTED")


@pytest.fixture(scope="module")
def files(videos, tmp_path_factory):
    """Each kind of video, once."""
    folder = tmp_path_factory.mktemp("videos")
    for name, given in KINDS.items():
        named = {key: vars(videos)[value] for key, value in given.items() if value in NAMES}
        videos.write(folder / name, **{**given, **named})
    return folder


def frames(path, **options):
    return reader.read(Spec("video", str(path), options)).frames


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_comes_once_in_order_of_time(files, videos, name):
    contents = scan(files / name)
    assert not contents.problems
    assert [shot.number for shot in contents.shots] == list(range(40))
    times = videos.IRREGULAR_MS if "IRREGULAR_MS" in KINDS[name].values() else range(0, 1600, 40)
    expected = [(time - times[0]) / 1000 for time in times]
    np.testing.assert_allclose(
        [shot.time_s for shot in contents.shots], expected, atol=0.0012
    )  # AVI, MP4: in own ticks
    opened = VideoFile(files / name)
    assert [videos.number_of(opened.read(shot.pts)) for shot in contents.shots] == list(range(40))


@pytest.mark.parametrize("name", KINDS)
def test_pixels_do_not_depend_on_the_way_to_them(files, name):
    times = [shot.pts for shot in scan(files / name).shots]
    forward = VideoFile(files / name)
    expected = {pts: forward.read(pts) for pts in times}
    backward, jumping = VideoFile(files / name), VideoFile(files / name)
    for pts in reversed(times):
        assert np.array_equal(backward.read(pts), expected[pts])
    for pts in np.random.default_rng(0).permutation(times).tolist():
        assert np.array_equal(jumping.read(pts), expected[pts])
        assert np.array_equal(VideoFile(files / name).read(pts), expected[pts])  # nothing read before it


def test_backwards_does_not_decode_a_group_for_each_frame(files, monkeypatch):
    contents, opened = scan(files / "one_gop.mp4"), VideoFile(files / "one_gop.mp4")
    seeks, begin = [], VideoFile._begin
    monkeypatch.setattr(VideoFile, "_begin", lambda self: seeks.append(begin(self)))
    for shot in reversed(contents.shots):
        opened.read(shot.pts)
    assert len(seeks) == 1
    few = VideoFile(files / "one_gop.mp4")
    monkeypatch.setattr(video_file, "KEPT_BYTES", 100_000)  # ten of these frames
    for shot in contents.shots:
        few.read(shot.pts)
        few.read(shot.pts)
    assert not few._kept and len(seeks) == 3, "in order of time nothing is kept; opened and sought once"
    for shot in reversed(contents.shots):
        few.read(shot.pts)
    assert 1 <= len(few._kept) <= 11


def test_one_frame_of_a_file_is_asked_for_its_side_data(files, monkeypatch):
    """FFmpeg's frames that were asked hold themselves: a long video would fill the memory before Python looks."""
    asked, of = [], Upright.of
    monkeypatch.setattr(Upright, "of", lambda path, frame: asked.append(path) or of(path, frame))
    contents, opened = scan(files / "bframes.mp4"), VideoFile(files / "bframes.mp4")
    for shot in contents.shots:
        opened.read(shot.pts)
    assert len(asked) == 2  # one by the scan


def test_colours_are_those_of_the_pictures(files, videos, tmp_path):
    opened = VideoFile(files / "bframes.mp4")
    for number, shot in enumerate(scan(files / "bframes.mp4").shots):
        difference = opened.read(shot.pts).astype(int) - videos.picture(number)
        assert np.abs(difference).mean() < 4, number


@pytest.mark.parametrize("height", [48, 720])
def test_video_that_does_not_say_its_colours_is_taken_for_what_its_size_says(tmp_path, height):
    colour = np.full((height, 64, 3), (200, 40, 60), np.uint8)
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = height, 64, "yuv444p"
        frame = av.VideoFrame.from_ndarray(colour, format="rgb24")
        matrix = "ITU601" if height < 720 else "ITU709"
        frame = frame.reformat(format="yuv444p", dst_colorspace=matrix)
        frame.colorspace = 2
        frame.pts = 0
        file.mux([*stream.encode(frame), *stream.encode(None)])
    (only,) = frames(tmp_path / "a.mp4")
    assert np.abs(read_frame(only).astype(int) - colour).max() <= 2


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),  # a phone held upright
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    ],
)
def test_turned_videos_are_seen_upright(videos, tmp_path, matrix, turned):
    path = videos.write(tmp_path / "phone.mp4", range(0, 200, 40))
    straight = [read_frame(frame) for frame in frames(path)]
    for frame, image in zip(frames(videos.turn(path, *matrix)), straight, strict=True):
        assert (frame.height, frame.width) == turned(image).shape[:2]
        assert np.array_equal(read_frame(frame), turned(image))


def test_a_slant_is_refused(videos, tmp_path):
    path = videos.turn(videos.write(tmp_path / "a.mp4", (0, 40)), 0.7, 0.7, -0.7, 0.7)
    with pytest.raises(ImageFileError, match=f"{path}: the video is turned by no quarter turn"):
        scan(path)


def test_a_file_cut_off_keeps_its_beginning_and_says_so(videos, tmp_path):
    jpegs = {"codec": "mjpeg", "pixels": "yuvj444p", "tick": videos.TICK, "times": videos.COUNTED}
    for kind in ("mp4", "mkv", "avi", "ts"):
        given = jpegs if kind == "avi" else {"options": videos.BFRAMES}
        container = {"movflags": "faststart"} if kind == "mp4" else {}
        path = videos.write(tmp_path / f"a.{kind}", container=container, **given)
        before = {shot.pts: VideoFile(path).read(shot.pts) for shot in scan(path).shots}
        contents = scan(videos.cut(path, 0.6))
        assert 3 < len(contents.shots) < 35, kind
        if kind != "ts":  # which promises no length
            assert "the file was cut off: it" in contents.problems[-1], kind
        opened = VideoFile(path)
        assert all(np.array_equal(opened.read(shot.pts), before[shot.pts]) for shot in contents.shots), kind


@pytest.mark.parametrize("first", [5, 12, 17])
def test_a_trimmed_video_begins_where_it_says(videos, tmp_path, first):
    contents = scan(videos.trim(videos.write(tmp_path / "a.mp4", options=videos.BFRAMES), first))
    assert not contents.problems
    opened = VideoFile(tmp_path / "a.mp4")
    shown = [videos.number_of(opened.read(shot.pts)) for shot in reversed(contents.shots)]
    assert shown == list(range(39, first - 1, -1))
    assert (contents.shots[0].number, contents.shots[0].time_s) == (0, 0.0)


def test_a_video_without_a_frame_is_refused(videos, tmp_path):
    path = videos.write(tmp_path / "a.mp4", container={"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])  # all of the index, none of the data
    with pytest.raises(ImageFileError, match="there is no frame in this video"):
        scan(path)


def test_an_mp4_without_its_index_is_refused(videos, tmp_path):
    path = videos.cut(videos.write(tmp_path / "a.mp4"), 0.8)
    with pytest.raises(ImageFileError, match=f"{path}: the video is damaged or was cut off"):
        scan(path)


@pytest.mark.parametrize("number", [3, 4, 12, 17, 28, 39])  # 4, 28, 39: others are shown before and lean on them
def test_a_damaged_frame_costs_itself_and_what_leans_on_it(videos, tmp_path, number):
    path = videos.write(tmp_path / "a.mp4", options=videos.BFRAMES)
    opened = VideoFile(path)
    before = {shot.pts: opened.read(shot.pts) for shot in scan(path).shots}
    contents = scan(videos.spoil(path, number))
    left = {shot.number for shot in contents.shots}
    assert number not in left
    group = range(number // 12 * 12 - 3, number // 12 * 12 + 12)  # frames before a keyframe may lean on it
    assert left >= set(range(40)) - set(group)
    assert f"{40 - len(left)} of 40 frames are damaged or lean on damaged ones" in contents.problems[0]
    opened = VideoFile(path)
    for shot in contents.shots:
        assert np.array_equal(opened.read(shot.pts), before[shot.pts])
        assert np.array_equal(VideoFile(path).read(shot.pts), before[shot.pts])
    with pytest.raises(ImageFileError, match="no whole frame at"):
        opened.read(sorted(before)[number])


def test_frames_without_times_of_their_own_are_refused(tmp_path, videos):
    path = videos.write(tmp_path / "a.avi", codec="mpeg4", options={"bf": "2"}, pixels="yuv420p")
    with pytest.raises(ImageFileError, match="a.avi: two frames are shown at the same time"):
        scan(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no video of a kind that is read here"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://localhost/x.ts\n", "no video of a kind that is read here"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "no video of a kind that is read here"),
        (b"\0\0\0\x20ftypisom" + bytes(100), "damaged or was cut off"),
        (b"\x1a\x45\xdf\xa3" + bytes(2000), "damaged or was cut off"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(3000), "damaged or was cut off|there is no video"),
    ],
)
def test_what_is_no_video_is_refused_and_nothing_else_is_opened(tmp_path, content, message):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ImageFileError, match=message):
        scan(tmp_path / "a.mp4")


def test_sound_alone_and_strange_codecs_are_refused(tmp_path, videos):
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        file.mux([*stream.encode(sound), *stream.encode(None)])
    with pytest.raises(ImageFileError, match="there is no video in this file"):
        scan(tmp_path / "sound.mp4")
    path = videos.write(tmp_path / "old.avi", codec="huffyuv", pixels="yuv422p")
    with pytest.raises(ImageFileError, match="codec huffyuv is not read here"):
        scan(path)


def test_too_many_pixels_are_refused_before_decoding(videos, tmp_path, monkeypatch):
    path = videos.write(tmp_path / "a.mp4", (0,))
    monkeypatch.setattr("frugalseg.core.limits.PIXEL_CAP", 3000)
    monkeypatch.setattr("frugalseg.core.limits.check_size.__defaults__", (3000,))
    with pytest.raises(ImageFileError, match="64 x 48 pixels"):
        scan(path)


def test_no_pipe_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(ImageFileError, match="not a regular file"):
        scan(tmp_path / "a.mp4")
    frame = Frame("a", str(tmp_path / "a.mp4"), None, "a", 0, "", 64, 48, "", pts=0)
    with pytest.raises(ImageFileError, match="not a regular file"):
        read_pixels(frame)


def test_a_video_written_anew_is_noticed(videos, tmp_path):
    path = videos.write(tmp_path / "a.mp4")
    first, second = frames(path)[:2]
    assert first.sha256 != second.sha256
    read_frame(first)
    videos.write(path, options={"crf": "40"})
    with pytest.raises(ImageFileError, match="a.mp4: the file has changed since it was listed"):
        read_frame(first)
    assert read_pixels(first, verify=False).shape == (48, 64, 3)
    path.unlink()
    with pytest.raises(ImageFileError, match="a.mp4: cannot be read: No such file"):
        read_frame(first)


def test_a_wrong_size_in_the_manifest_is_refused(videos, tmp_path):
    (frame,) = frames(videos.write(tmp_path / "a.mp4", (0,)))
    with pytest.raises(ImageFileError, match=r"48x64 \(height x width\), but the manifest says 50x64"):
        read_frame(replace(frame, height=50))


def test_few_videos_are_open_at_a_time_and_all_are_read(videos, tmp_path, monkeypatch):
    for number in range(6):
        videos.write(tmp_path / f"{number}.mp4", (0, 40))
    listed = frames(tmp_path)
    assert len(listed) == 12
    expected = [read_frame(frame) for frame in listed]
    assert len(pixels._videos._opened) <= pixels.MOST_OPEN
    assert all(
        np.array_equal(read_frame(frame), image) for frame, image in zip(listed[::-1], expected[::-1], strict=True)
    )


def test_threads_share_a_video(files):
    listed = frames(files / "open_gop.mp4")
    expected = {frame.key: read_frame(frame) for frame in listed}
    wrong = []

    def look(seed):
        for at in np.random.default_rng(seed).permutation(40)[:15]:
            if not np.array_equal(read_frame(listed[at]), expected[listed[at].key]):
                wrong.append(at)

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_reader_names_frames_by_video_and_number(videos, tmp_path):
    path = videos.write(tmp_path / "clips" / "day 1.mp4", videos.IRREGULAR_MS)
    first, second, *_ = frames(path)
    assert (first.key, first.sequence, first.index, first.time_s) == ("day 1/000000", "day 1", 0, 0.0)
    gap_s = (videos.IRREGULAR_MS[1] - videos.IRREGULAR_MS[0]) / 1000
    assert second.time_s == pytest.approx(gap_s, abs=0.0012)
    assert first.image == str(path)
    assert [frame.key for frame in frames(tmp_path)][:1] == ["clips/day 1/000000"]
    assert all(earlier.pts < later.pts for earlier, later in pairwise(frames(path)))


def test_the_reader_chooses_by_time_and_step(videos, tmp_path):
    path = videos.write(tmp_path / "a.mp4")
    assert [frame.index for frame in frames(path, every="15")] == [0, 15, 30]
    assert [frame.index for frame in frames(path, start="0.2", end="0.4")] == [5, 6, 7, 8, 9]
    assert [frame.index for frame in frames(path, start="0.2", end="0.4", every="4", limit="1")] == [8]


def test_a_damaged_video_is_refused_in_part_and_leaves_a_gap(videos, tmp_path):
    videos.spoil(videos.write(tmp_path / "a.mp4", options=videos.BFRAMES), 20)
    found = reader.read(Spec("video", str(tmp_path / "a.mp4"), {}))
    left = [frame.index for frame in found]
    assert 20 not in left and {0, 39} <= set(left)
    (refused,) = found.refused
    assert refused.path == str(tmp_path / "a.mp4")
    assert refused.reason.startswith(f"{40 - len(left)} of 40 frames are damaged")


@pytest.mark.parametrize("threads", [1, 3])
def test_several_videos_at_a_time_are_found_in_their_order_and_one_that_cannot_be_read_too(files, tmp_path, threads):
    (tmp_path / "no.mp4").write_bytes(b"no video")
    paths = [files / "one_gop.mp4", tmp_path / "no.mp4", *(files / name for name in KINDS)]
    found = list(scan_all(paths, threads))
    assert isinstance(found[1], ImageFileError) and str(tmp_path / "no.mp4") in str(found[1])
    del found[1], paths[1]
    assert [one.contents for one in found] == [scan(path) for path in paths]
    assert [one.sha256 for one in found] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_looking_through_a_video_can_be_stopped_at_any_frame(files):
    asked = iter(range(3))
    with pytest.raises(StopIteration):
        scan(files / "bframes.mp4", lambda: next(asked))
    assert next(asked, None) is None


def test_a_videos_file_is_hashed_once_though_it_is_closed_meanwhile_and_again_when_written_anew(videos, tmp_path):
    paths = [videos.write(tmp_path / f"{name}.mp4") for name in "abcdef"]
    assert len(paths) > pixels.MOST_OPEN
    kept, listed = pixels._Videos(), [frames(path)[0] for path in paths]
    for _ in range(2):
        for path, frame in zip(paths, listed, strict=True):
            assert pixels.shot_sha256(kept.find(str(path)).digest, frame.pts) == frame.sha256
    assert len(kept._digests) == len(paths)
    videos.write(paths[0], times=videos.IRREGULAR_MS)
    assert pixels.shot_sha256(kept.find(str(paths[0])).digest, listed[0].pts) != listed[0].sha256
    kept.close()
