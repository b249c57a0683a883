"""Warping labels: nothing is guessed out of view; errors are distances of colours."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.warp import (
    edge_distance,
    harden,
    one_hot,
    photometric_error,
    warp_nearest,
    warp_picture,
    warp_soft,
)

LABEL = np.array([[0, 1, 2, IGNORE], [1, 1, 2, 2], [0, 0, 0, 2]], np.uint8)


def uniform(columns, rows, size_HW=(3, 4)):
    return Flow.of(np.broadcast_to(np.array([columns, rows], np.float32), (*size_HW, 2)))


def test_nearest_takes_ids_from_where_the_flow_points_and_ignores_what_comes_into_view() -> None:
    warped = warp_nearest(LABEL, uniform(1, 0))
    assert warped.tolist() == [[1, 2, IGNORE, IGNORE], [1, 2, 2, IGNORE], [0, 0, 2, IGNORE]]
    assert (warp_nearest(LABEL, uniform(0.4, -0.4)) == LABEL).all()


def test_a_marked_pixel_is_ignore_even_if_its_place_is_inside() -> None:
    flow = Flow(np.zeros((3, 4, 2), np.float32), np.arange(12).reshape(3, 4) != 5)
    assert warp_nearest(LABEL, flow)[1, 1] == IGNORE and (warp_nearest(LABEL, flow) == IGNORE).sum() == 2


def test_soft_shares_are_bilinear_by_hand() -> None:
    soft = warp_soft(one_hot(LABEL, 3), uniform(0.25, 0.5))
    assert soft[0, 0] == pytest.approx([0.375, 0.625, 0, 0])  # .5 (.75 0 + .25 1) + .5 (.75 1 + .25 1)
    assert soft[0, 2] == pytest.approx([0, 0, 0.875, 0.125])  # the corner without a label counts as IGNORE
    assert soft.sum(axis=2) == pytest.approx(np.ones((3, 4)))
    assert soft[2, 0].tolist() == [0, 0, 0, 1], "half a pixel below the last row: out of view"


def test_harden_turns_shares_into_ids_with_the_smallest_first_among_equals() -> None:
    assert (harden(one_hot(LABEL, 3)) == LABEL).all()
    assert harden(np.array([[[0.4, 0.4, 0.2, 0], [0.1, 0.2, 0.3, 0.4]]], np.float32)).tolist() == [[0, IGNORE]]


def test_soft_and_nearest_agree_where_flow_is_of_whole_pixels() -> None:
    flow = uniform(-1, 1)
    assert (harden(warp_soft(one_hot(LABEL, 3), flow)) == warp_nearest(LABEL, flow)).all()


def test_true_flow_brings_label_and_picture_of_the_toy_city_onto_the_next_frame(clip, true_motion, pictures) -> None:
    flow = true_motion.flow(pictures[1], pictures[0])
    warped = warp_nearest(clip[0].label, flow)
    assert (warped == clip[1].label)[flow.valid_HW].mean() > 0.95
    assert (warped[~flow.valid_HW] == IGNORE).all() and not flow.valid_HW.all()
    error = photometric_error(clip[1].image, clip[0].image, flow)
    still = photometric_error(clip[1].image, clip[0].image, Flow.still(flow.size_HW))
    assert error[flow.valid_HW].mean() < 0.6 * still[flow.valid_HW].mean()


def test_error_is_the_euclidean_distance_of_colours() -> None:
    target, source = np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4, 3), np.uint8)
    target[1, 1], source[1, 2] = (3, 4, 12), (3, 4, 0)
    error = photometric_error(target, source, uniform(1, 0))
    assert error[1, 1] == pytest.approx(12) and error[0, 0] == 0
    assert np.isinf(error[:, 3]).all(), "out of view"
    assert (photometric_error(target, source, uniform(1, 0), extend=True)[:, :3] == error[:, :3]).all()
    assert np.isfinite(photometric_error(target, source, uniform(1, 0), extend=True)).all()


def test_a_window_averages_the_error_and_infinity_stays_where_it_was() -> None:
    target, source = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    target[4, 4, 0] = 25
    error = photometric_error(target, source, Flow.still((9, 9)), 5)
    assert error[2:7, 2:7] == pytest.approx(np.ones((5, 5)), abs=1e-5) and error[0, 0] == 0
    marked = Flow(np.zeros((9, 9, 2), np.float32), np.arange(81).reshape(9, 9) != 0)
    assert np.isinf(photometric_error(target, source, marked, 5)).sum() == 1


def test_warp_picture_reads_between_pixels() -> None:
    source = np.zeros((3, 4, 3), np.uint8)
    source[:, 2] = 100
    assert warp_picture(source, uniform(0.5, 0))[1, :, 0].tolist() == [0, 50, 50, 0]


def test_edge_distance_against_a_naive_loop() -> None:
    label = np.zeros((12, 15), np.uint8)
    label[3:8, 4:10], label[9, 2] = 1, IGNORE
    edges = [
        (r, c)
        for r in range(12)
        for c in range(15)
        if any(
            0 <= r + dr < 12 and 0 <= c + dc < 15 and label[r, c] != label[r + dr, c + dc]
            for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0))
        )
    ]
    naive = [[1 + min(np.hypot(r - a, c - b) for a, b in edges) for c in range(15)] for r in range(12)]
    assert np.abs(edge_distance(label) - naive).max() < 0.2  # OpenCV's 5 x 5 mask approximates
    assert (edge_distance(label)[3, 4:10] == 1).all()


def test_a_frame_of_one_class_has_no_edge() -> None:
    assert np.isinf(edge_distance(np.full((3, 4), 2, np.uint8))).all()


def test_extended_labels_go_on_beyond_the_frame() -> None:
    assert warp_nearest(LABEL, uniform(1, 0), extend=True)[:, 3].tolist() == [IGNORE, 2, 2]
    soft = warp_soft(one_hot(LABEL, 3), uniform(0, 2.5), extend=True)
    assert (harden(soft) == LABEL[2]).all()
