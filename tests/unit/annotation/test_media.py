import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frugalseg.annotation.media import LENS_PX, MediaFolder, Renderer, lens_region, window_region
from frugalseg.core.errors import ImageFileError
from frugalseg.core.records import Frame, Point, Query, QueryKind

SIZE_HW = (60, 80)


def write(folder: Path, name: str, sequence: str = "drive", index: int = 0, seed: int = 0) -> Frame:
    path = folder / f"{name}.png"
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE_HW, 3), np.uint8)
    comment = Image.Exif()
    comment[270] = "<script>secret</script>"
    Image.fromarray(pixels).save(path, exif=comment)
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return Frame(name, str(path), None, sequence, index, "train", SIZE_HW[1], SIZE_HW[0], sha)


def query(key: str, row: int, column: int) -> Query:
    return Query(f"{key}-{row}-{column}", key, QueryKind.POINT, "t", 0.0, Point(row, column))


def decoded(media: MediaFolder, name: str) -> np.ndarray:
    content = (media.folder / name).read_bytes()
    assert name.startswith(hashlib.sha256(content).hexdigest())
    assert b"secret" not in content
    return np.array(Image.open(io.BytesIO(content)))


def test_the_lens_is_the_original_pixels_and_the_window_the_frame(tmp_path) -> None:
    frame = write(tmp_path, "a")
    media = MediaFolder(tmp_path / "media")
    (shown,) = Renderer(media, [frame]).render("a", [query("a", 30, 40)]).values()
    original = np.array(Image.open(frame.image))
    lens = shown["lens"]
    assert (lens["top"], lens["left"], lens["height"], lens["width"]) == (14, 24, 33, 33)
    assert (decoded(media, lens["name"]) == original[14:47, 24:57]).all()
    window = decoded(media, shown["window"]["name"])
    assert window.shape == original.shape and shown["frame"] == list(SIZE_HW)
    assert np.abs(window.astype(int) - original).mean() < 12  # noise, the worst case for a JPEG
    assert shown["earlier"] is None and shown["later"] is None


def test_neighbours_are_those_of_the_same_drive(tmp_path) -> None:
    frames = [write(tmp_path, n, d, i, i) for n, d, i in (("a", "x", 0), ("b", "x", 5), ("c", "x", 9), ("d", "y", 10))]
    media = MediaFolder(tmp_path / "media")
    renderer = Renderer(media, frames)
    shown = {frame.key: renderer.render(frame.key, [query(frame.key, 1, 1)])[f"{frame.key}-1-1"] for frame in frames}
    windows = {key: entry["window"]["name"] for key, entry in shown.items()}
    assert [(shown[key]["earlier"], shown[key]["later"]) for key in "abcd"] == [
        (None, windows["b"]), (windows["a"], windows["c"]), (windows["b"], None), (None, None)
    ]  # fmt: skip
    assert len(list(media.folder.glob("*.jpg"))) == 4


def test_rendering_again_writes_nothing_and_names_the_same(tmp_path) -> None:
    frame, media = write(tmp_path, "a"), MediaFolder(tmp_path / "media")
    first = Renderer(media, [frame]).render("a", [query("a", 0, 0), query("a", 59, 79)])
    times = {path.name: path.stat().st_mtime_ns for path in media.folder.iterdir()}
    assert Renderer(media, [frame]).render("a", [query("a", 0, 0), query("a", 59, 79)]) == first
    assert {path.name: path.stat().st_mtime_ns for path in media.folder.iterdir()} == times


def test_a_frame_that_changed_is_refused_and_a_bad_neighbour_left_out(tmp_path) -> None:
    good, bad = write(tmp_path, "a", index=0), write(tmp_path, "b", index=1)
    Path(bad.image).write_bytes(b"damaged")
    renderer = Renderer(MediaFolder(tmp_path / "media"), [good, bad])
    assert renderer.render("a", [query("a", 3, 3)])["a-3-3"]["later"] is None
    with pytest.raises(ImageFileError, match="b.png"):
        renderer.render("b", [query("b", 3, 3)])


@given(st.integers(1, 9000), st.integers(1, 9000), st.data())
def test_point_lens_and_window_lie_in_the_frame_and_in_each_other(height, width, data) -> None:
    point = Point(data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1)))
    for region in (lens_region((height, width), point), window_region((height, width), point)):
        assert region.top <= point.row < region.top + region.height <= height
        assert region.left <= point.column < region.left + region.width <= width
    assert lens_region((height, width), point).height <= LENS_PX
    window = window_region((height, width), point)
    assert window.height == min(height, 2048) and window.width == min(width, 2048)
    for place, start, size, length in ((point.row, window.top, window.height, height),
                                       (point.column, window.left, window.width, width)):  # fmt: skip
        assert min(place, length - 1 - place, 512) <= min(place - start, start + size - 1 - place) + 1
