"""Pictures decode back to what went in."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import IGNORE
from frugalseg.evaluation import pictures
from frugalseg.evaluation.pictures import BROKEN, FIXED, MAX_SIDE, RIGHT, STILL_WRONG


def decoded(uri):
    head, content = uri.split(",", 1)
    assert head in {"data:image/png;base64", "data:image/jpeg;base64"}
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_labels_come_back_exactly_and_ignore_is_transparent():
    label = np.array([[0, 1, 2], [IGNORE, 2, 1]], np.uint8)
    colors = np.array([(255, 0, 0), (0, 255, 0), (1, 2, 3)], np.uint8)
    picture = np.array(decoded(pictures.label_uri(label, colors)).convert("RGBA"))
    known = label != IGNORE
    assert (picture[known][:, :3] == colors[label[known]]).all()
    assert (picture[..., 3] == np.where(known, 255, 0)).all()


@pytest.mark.parametrize(
    "image",
    [
        np.full((9, 7, 3), 0.5, np.float32),
        np.full((9, 7, 3), 128, np.uint8),
        np.full((9, 7, 3), 128 * 256 + 9, np.uint16),
        np.full((9, 7), 128, np.uint8),
        np.full((9, 7, 1), 0.5),
        np.full((9, 7, 2), 128, np.uint8),
        np.full((9, 7, 5), 128, np.uint8),
    ],
)
def test_any_kind_of_image_becomes_a_photo(image):
    picture = np.array(decoded(pictures.photo_uri(image)))
    assert picture.shape == (9, 7, 3)
    assert abs(picture.astype(int) - 128).max() <= 1


def test_first_channels_are_red_green_blue_and_floats_are_clipped():
    image = np.zeros((2, 2, 4), np.float32)
    image[..., 0], image[..., 1], image[..., 3] = 2.0, -1.0, 0.7
    image[0, 0, 2] = np.nan
    assert pictures.rgb8(image).reshape(-1, 3).tolist() == [[255, 0, 0]] * 4


def test_noise_at_full_size_can_be_encoded():
    noise = np.random.default_rng(0).random((480, 640))
    assert decoded(pictures.entropy_uri(noise)).size == (640, 480)
    assert decoded(pictures.photo_uri(noise)).size == (640, 480)


def test_large_pictures_are_scaled_down_and_small_ones_kept():
    assert pictures.shrink(np.zeros((1024, 2048, 3), np.uint8)).shape == (MAX_SIDE // 2, MAX_SIDE, 3)
    assert pictures.shrink(np.zeros((2000, 1), np.uint8)).shape == (MAX_SIDE, 1)
    small = np.zeros((5, 6))
    assert pictures.shrink(small) is small
    ids = np.random.default_rng(0).choice(np.array([0, 7, 200, IGNORE], np.uint8), (1500, 900))
    assert set(np.unique(pictures.shrink(ids, nearest=True))) == {0, 7, 200, IGNORE}  # no class in between is invented


def test_entropy_grows_lighter_everywhere():
    red, green, blue = pictures.entropy_palette().astype(float).T
    lightness = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert (np.diff(lightness) > -0.5).all() and lightness[-1] > lightness[0] + 200
    flat = np.array([[np.nan, -1.0], [2.0, 1.0]])
    picture = np.array(decoded(pictures.entropy_uri(flat.repeat(16, 0).repeat(16, 1)))).astype(int)
    dark, light = pictures.entropy_palette()[[0, 255]].astype(int)
    assert abs(picture[8, 8] - dark).max() < 8 and abs(picture[8, 24] - dark).max() < 8
    assert abs(picture[24, 8] - light).max() < 8 and abs(picture[24, 24] - light).max() < 8


def test_change_map_by_hand():
    truth = np.array([[0, 0, 0, 0, IGNORE]], np.uint8)
    before = np.array([[1, 0, 1, 0, 0]], np.uint8)
    after = np.array([[0, 1, 2, 0, 1]], np.uint8)
    assert pictures.change_map(truth, before, after).tolist() == [[FIXED, BROKEN, STILL_WRONG, RIGHT, IGNORE]]


def test_names_lie_on_their_own_class_inside_the_frame_and_apart():
    label = np.zeros((240, 320), np.uint8)
    label[120:] = 1
    label[130:132, 10:300] = 2  # a pole: too thin for a name
    label[200:, 250:] = 3
    tags = pictures.place_names(label, ["sky", "road", "pole", "a very long name of a class"])
    assert [tag.text for tag in tags] == ["sky", "road", "a very long n…"]
    for tag, class_id in zip(tags, (0, 1, 3), strict=True):
        assert class_id == 3 or label[int(tag.y), int(tag.x)] == class_id
        assert 0 < tag.x < 320 and 0 < tag.y < 240


def test_names_are_in_the_frames_own_pixels():
    label = np.zeros((1200, 1600), np.uint8)
    label[:, 800:] = 1
    (left, right) = pictures.place_names(label, ["a", "b"])
    assert left.x < 800 < right.x < 1600
    assert left.size == pytest.approx(0.038 * 1600)


def test_nothing_known_gets_no_name():
    assert pictures.place_names(np.full((30, 40), IGNORE, np.uint8), ["a"]) == ()
