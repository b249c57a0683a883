import numpy as np
import pytest

from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.core.errors import DataError
from frugalseg.core.records import Point, Verdict

PREDICTION = np.zeros((2, 3), np.uint8)


def entropy(value):
    return np.full((2, 3), value, np.float32)


def test_a_view_knows_its_size():
    assert FrameView("a", entropy(0.5), PREDICTION).size_HW == (2, 3)


def test_rounding_of_half_precision_is_let_pass():
    FrameView("a", entropy(1.0004), PREDICTION)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 2.9])
def test_an_entropy_that_is_none_is_refused_by_name(value):
    broken = entropy(0.5)
    broken[1, 2] = value
    with pytest.raises(DataError, match="drive_007: entropy .* expected 0 to 1"):
        FrameView("drive_007", broken, PREDICTION)


@pytest.mark.parametrize(
    ("prediction", "askable", "message"),
    [
        (np.zeros((3, 2), np.uint8), None, r"prediction map is \(3, 2\)"),
        (PREDICTION, np.ones((4, 3), bool), r"askable map is \(4, 3\)"),
        (PREDICTION, np.full((2, 3), 255, np.uint8), "askable map is uint8; expected bool"),
    ],
)
def test_maps_that_do_not_fit_are_refused(prediction, askable, message):
    with pytest.raises(DataError, match=message):
        FrameView("a", entropy(0.5), prediction, askable)


@pytest.mark.parametrize("shape", [(0, 3), (1, 2, 3)])
def test_an_entropy_map_has_height_and_width(shape):
    with pytest.raises(DataError, match="expected height x width"):
        FrameView("a", np.zeros(shape, np.float32), np.zeros(shape, np.uint8))


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.9])
def test_a_margin_that_is_none_is_refused(value):
    with pytest.raises(DataError, match="a: margin from .* expected 0 to 1"):
        FrameView("a", entropy(0.5), PREDICTION, margin_HW=entropy(value))


@pytest.mark.parametrize("name", ["margin", "second"])
def test_optional_maps_have_the_frames_size_or_are_missed_by_name(name):
    wrong = np.zeros((3, 2), np.float32)
    with pytest.raises(DataError, match=rf"{name} map is \(3, 2\)"):
        FrameView("a", entropy(0.5), PREDICTION, **{f"{name}_HW": wrong})
    with pytest.raises(DataError, match=f"no {name}_HW, which this selector needs"):
        FrameView("a", entropy(0.5), PREDICTION).needed(f"{name}_HW")


def test_what_was_asked_before_is_not_a_candidate():
    mask = np.array([[True, True, False], [True, True, True]])
    view = FrameView("a", entropy(0.5), PREDICTION, mask, asked=(Asked(Point(0, 1)), Asked(Point(1, 2), Verdict.SKIP)))
    assert view.candidates().tolist() == [0, 3, 4]
    assert mask[0, 1], "the mask that was given stays as it was"
    assert FrameView("a", entropy(0.5), PREDICTION, asked=(Asked(Point(1, 0)),)).candidates().tolist() == [
        0,
        1,
        2,
        4,
        5,
    ]
    assert FrameView("a", entropy(0.5), PREDICTION).candidates().tolist() == [0, 1, 2, 3, 4, 5]


def test_a_point_of_another_size_is_refused():
    with pytest.raises(DataError, match="1 of the pixels asked before lie outside its 2 x 3"):
        FrameView("a", entropy(0.5), PREDICTION, asked=(Asked(Point(0, 0)), Asked(Point(2, 0))))
