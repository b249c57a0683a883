from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as tv

from frugalseg.core.classes import IGNORE
from frugalseg.core.config import load_config
from frugalseg.core.errors import ConfigError
from frugalseg.core.records import Provenance
from frugalseg.data.transforms import (
    AugmentConfig,
    Window,
    augment,
    cut,
    cut_labels,
    draw_window,
    shift_hue,
    vary_colors,
)

PLAIN: dict[str, Any] = {
    "zoom_min": 1.0, "zoom_max": 1.0, "flip_ratio": 0.0, "color_jitter": 0.0, "hue_jitter": 0.0, "blur_ratio": 0.0
}  # fmt: skip


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plain(**settings: Any) -> AugmentConfig:
    return AugmentConfig(**{**PLAIN, **settings})


def frame(height: int = 30, width: int = 40) -> tuple[NDArray[np.uint8], tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return an image of red = row, green = column, full blue; labels and provenance that tell both."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    image = np.stack([rows * 4, columns * 4, np.full_like(rows, 255)], axis=-1)
    provenance = np.where(columns < width // 2, Provenance.HUMAN_MASK, Provenance.PSEUDO_LABEL).astype(np.uint8)
    return image, (rows // 4 + 16 * (columns // 8), provenance)


# --- windows


@given(
    st.tuples(st.integers(2, 300), st.integers(2, 300)),
    st.tuples(st.integers(2, 200), st.integers(2, 200)),
    st.floats(1.0, 4.0),
    st.integers(0, 2**32 - 1),
)
def test_a_window_of_zoom_1_or_more_lies_within_the_frame(
    frame_HW: tuple[int, int], input_hw: tuple[int, int], zoom: float, seed: int
) -> None:
    window = draw_window(frame_HW, input_hw, zoom, rng(seed))
    assert window.top >= 0 and window.left >= 0
    assert window.top + window.height <= frame_HW[0] and window.left + window.width <= frame_HW[1]
    scale = min(frame_HW[0] / input_hw[0], frame_HW[1] / input_hw[1]) / zoom
    assert abs(window.height - scale * input_hw[0]) <= 1 and abs(window.width - scale * input_hw[1]) <= 1


def test_a_window_of_zoom_1_is_the_largest_that_fits() -> None:
    assert draw_window((100, 400), (50, 100), 1.0, rng()).height == 100
    assert draw_window((100, 400), (50, 100), 1.0, rng()).width == 200
    assert draw_window((240, 320), (240, 320), 1.0, rng()) == Window(0, 0, 240, 320)


def test_a_window_of_zoom_below_1_holds_the_whole_frame_along_the_tight_side() -> None:
    for seed in range(20):
        window = draw_window((100, 100), (50, 50), 0.5, rng(seed))
        assert (window.height, window.width) == (200, 200)
        assert window.top <= 0 and window.left <= 0
        assert window.top + 200 >= 100 and window.left + 200 >= 100


def test_windows_are_drawn_everywhere_with_both_ends() -> None:
    lefts = {draw_window((10, 14), (10, 10), 1.0, rng(seed)).left for seed in range(100)}
    assert lefts == {0, 1, 2, 3, 4}


@given(st.integers(0, 59), st.integers(0, 79), st.floats(0.6, 4.0))
def test_the_mined_pixel_is_inside_the_window_and_in_its_middle_where_it_can_be(
    row: int, column: int, zoom: float
) -> None:
    window = draw_window((60, 80), (24, 32), zoom, rng(), centre=(row, column))
    assert window.top <= row < window.top + window.height
    assert window.left <= column < window.left + window.width
    if 0 < window.top < 60 - window.height:
        assert abs(row - (window.top + window.height / 2)) <= 1
    if 0 < window.left < 80 - window.width:
        assert abs(column - (window.left + window.width / 2)) <= 1


# --- cutting


def test_a_cut_at_the_same_size_is_a_plain_slice() -> None:
    image, (label, _) = frame()
    window = Window(3, 5, 10, 12)
    got = cut(torch.from_numpy(image).permute(2, 0, 1), window, (10, 12), 0, nearest=False)
    assert np.array_equal(got.permute(1, 2, 0).numpy(), image[3:13, 5:17])
    assert np.array_equal(cut(torch.from_numpy(label)[None], window, (10, 12), 9, nearest=True)[0], label[3:13, 5:17])


@pytest.mark.parametrize("window", [Window(-6, -4, 45, 60), Window(-3, 0, 36, 40), Window(0, -20, 30, 80)])
def test_outside_of_the_frame_stands_ignore_without_provenance(window: Window) -> None:
    label, provenance = cut_labels(frame()[1], window, (window.height, window.width))
    rows = torch.arange(window.height)[:, None] + window.top
    columns = torch.arange(window.width)[None] + window.left
    outside = (rows < 0) | (rows >= 30) | (columns < 0) | (columns >= 40)
    assert outside.any()
    assert torch.equal(label == IGNORE, outside)
    assert torch.equal(provenance == Provenance.UNKNOWN, outside)


def test_labels_are_never_mixed() -> None:
    label = np.where(np.arange(40) % 2, 7, 2).astype(np.uint8)[None].repeat(30, axis=0)
    for zoom in (0.7, 1.0, 1.7):
        window = draw_window((30, 40), (17, 23), zoom, rng(1))
        got, _ = cut_labels((label, np.full_like(label, Provenance.HUMAN_MASK)), window, (17, 23))
        assert set(got.unique().tolist()) <= {2, 7, IGNORE}


# --- points that people answered


@given(
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 79)), min_size=1, max_size=12, unique=True),
    st.floats(0.5, 4.0),
    st.tuples(st.integers(8, 80), st.integers(8, 80)),
    st.integers(0, 1000),
)
def test_no_human_point_of_the_window_is_lost(
    points: list[tuple[int, int]], zoom: float, input_hw: tuple[int, int], seed: int
) -> None:
    label, provenance = np.full((60, 80), IGNORE, np.uint8), np.zeros((60, 80), np.uint8)
    for number, (row, column) in enumerate(points):
        label[row, column], provenance[row, column] = number, Provenance.HUMAN_POINT
    window = draw_window((60, 80), input_hw, zoom, rng(seed))
    got_label, got_provenance = cut_labels((label, provenance), window, input_hw)
    place_of: dict[tuple[int, int], set[int]] = {}
    for number, (row, column) in enumerate(points):
        if window.top <= row < window.top + window.height and window.left <= column < window.left + window.width:
            new_row = int((row - window.top + 0.5) * input_hw[0] / window.height)
            new_column = int((column - window.left + 0.5) * input_hw[1] / window.width)
            place_of.setdefault((new_row, new_column), set()).add(number)
    for (row, column), numbers in place_of.items():
        assert int(got_provenance[row, column]) == Provenance.HUMAN_POINT
        assert int(got_label[row, column]) in numbers  # points that fall together: one of them
    assert torch.equal(got_label != IGNORE, got_provenance == Provenance.HUMAN_POINT)
    shown = set(got_label.unique().tolist()) - {IGNORE}
    assert shown <= {number for numbers in place_of.values() for number in numbers}


def test_a_point_survives_where_nearest_sampling_would_miss_it() -> None:
    label, provenance = np.zeros((64, 64), np.uint8), np.full((64, 64), Provenance.PSEUDO_LABEL, np.uint8)
    label[33, 35], provenance[33, 35] = 5, Provenance.HUMAN_POINT
    got_label, got_provenance = cut_labels((label, provenance), Window(0, 0, 64, 64), (8, 8))
    assert int(got_label[4, 4]) == 5 and int(got_provenance[4, 4]) == Provenance.HUMAN_POINT
    assert int((got_provenance == Provenance.HUMAN_POINT).sum()) == 1


def test_of_points_that_fall_together_the_last_in_reading_order_is_kept() -> None:
    label = np.arange(16, dtype=np.uint8).reshape(4, 4)
    got, _ = cut_labels((label, np.full((4, 4), Provenance.HUMAN_POINT, np.uint8)), Window(0, 0, 4, 4), (2, 2))
    assert got.tolist() == [[5, 7], [13, 15]]


def test_an_enlarged_point_agrees_with_its_surroundings() -> None:
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    human = np.full((3, 4), Provenance.HUMAN_POINT, np.uint8)
    with_points, _ = cut_labels((label, human), Window(0, 0, 3, 4), (7, 9))
    without, _ = cut_labels((label, np.full_like(human, Provenance.HUMAN_MASK)), Window(0, 0, 3, 4), (7, 9))
    assert torch.equal(with_points, without)


def test_points_that_were_followed_are_carried_too_and_give_way_to_people() -> None:
    label, provenance = np.full((4, 4), IGNORE, np.uint8), np.zeros((4, 4), np.uint8)
    sure = np.full((4, 4), 9, np.uint8)
    places = {(0, 2): (5, Provenance.PROPAGATED_POINT, 40), (0, 0): (1, Provenance.HUMAN_POINT, 255)}
    places |= {(1, 1): (2, Provenance.PROPAGATED_POINT, 50)}  # falls on the answered one
    for place, (class_id, kind, how) in places.items():
        label[place], provenance[place], sure[place] = class_id, kind, how
    got = cut_labels((label, provenance, sure), Window(0, 0, 4, 4), (2, 2))
    assert [map_hw.tolist() for map_hw in got] == [
        [[1, 5], [IGNORE, IGNORE]],
        [[Provenance.HUMAN_POINT, Provenance.PROPAGATED_POINT], [0, 0]],
        [[255, 40], [9, 9]],
    ]
    outside = cut_labels((label, provenance, sure), Window(-4, 0, 4, 4), (4, 4))
    assert bool((outside[0] == IGNORE).all()) and not outside[1].any() and not outside[2].any()


# --- the whole


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_an_input_has_its_shape_and_range_for_any_number_of_channels(channels: int) -> None:
    image = rng().integers(0, 256, (30, 40, channels), np.uint8)
    got, maps = augment(image, None, (16, 24), AugmentConfig(blur_ratio=1.0), rng())
    assert got.shape == (channels, 16, 24) and got.dtype == torch.float32
    assert float(got.min()) >= 0 and float(got.max()) <= 1
    assert maps == ()


def test_without_variation_an_input_of_the_frames_size_is_the_frame() -> None:
    image, labels = frame()
    got, (label, provenance) = augment(image, labels, (30, 40), plain(), rng())
    torch.testing.assert_close(got, torch.from_numpy(image).permute(2, 0, 1) / 255)
    assert np.array_equal(label, labels[0]) and np.array_equal(provenance, labels[1])


def test_image_label_and_provenance_move_together() -> None:
    image, labels = frame()
    for seed in range(10):
        got, (label, provenance) = augment(
            image, labels, (30, 40), plain(zoom_min=0.6, zoom_max=1.0, flip_ratio=0.5), rng(seed)
        )
        row, column = got[0] * 255 / 4, got[1] * 255 / 4
        inner = (label != IGNORE) & (got[2] == 1)  # padding is black, and pixels beside it are mixed with it
        assert int(inner.sum()) > 100
        assert float((label[inner] % 16 * 4.0 + 1.5 - row[inner]).abs().max()) <= 3.5
        assert float((label[inner] // 16 * 8.0 + 3.5 - column[inner]).abs().max()) <= 5.5
        human = provenance[inner] == Provenance.HUMAN_MASK
        assert bool((human == (column[inner] < 19.5))[(column[inner] - 19.5).abs() > 1].all())


def test_flips_happen_as_often_as_told() -> None:
    image, labels = frame()
    for ratio in (0.0, 1.0):
        got, _ = augment(image, labels, (30, 40), plain(flip_ratio=ratio), rng())
        assert bool(got[1, 0, 0] > got[1, 0, -1]) is bool(ratio)
    flipped = sum(
        float(augment(image, None, (30, 40), plain(flip_ratio=0.3), rng(seed))[0][1, 0, 0]) > 0.3 for seed in range(400)
    )
    assert 85 <= flipped <= 155


def test_the_same_generator_state_gives_the_same_input_and_another_another() -> None:
    image, labels = frame()
    config = AugmentConfig(blur_ratio=0.5)
    one, other = (augment(image, labels, (16, 24), config, rng(7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip((one[0], *one[1]), (other[0], *other[1]), strict=True))
    assert not torch.equal(one[0], augment(image, labels, (16, 24), config, rng(8))[0])


def test_nothing_is_changed_in_place() -> None:
    image, labels = frame()
    labels[1][::5, ::5] = Provenance.HUMAN_POINT
    copies = image.copy(), labels[0].copy(), labels[1].copy()
    for size in ((30, 40), (16, 24)):
        augment(image, labels, size, AugmentConfig(blur_ratio=1.0), rng())
    assert all(np.array_equal(a, b) for a, b in zip(copies, (image, *labels), strict=True))


def test_colours_are_left_alone_when_told_so_and_stay_in_range_otherwise() -> None:
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(vary_colors(image, plain(), rng()), image)
    for seed in range(10):
        varied = vary_colors(image, AugmentConfig(color_jitter=0.9, hue_jitter=0.5, blur_ratio=1.0), rng(seed))
        assert float(varied.min()) >= 0 and float(varied.max()) <= 1 and not torch.equal(varied, image)


def test_zooms_in_the_wrong_order_are_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="zoom_min = 3.0 is above zoom_max = 2.0"):
        load_config(AugmentConfig, None, ["zoom_min=3.0", "zoom_max=2.0"])


@pytest.mark.parametrize("turns", [-0.5, -0.08, 0.0, 0.03, 0.5])
def test_hue_moves_as_in_torchvision_also_for_greys_black_and_white(turns):
    image = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(1))
    image[:, :2], image[:, 2:4], image[:, 4:6] = 0.5, 0.0, 1.0
    assert torch.allclose(shift_hue(image, turns), tv.adjust_hue(image, turns), atol=1e-5)
