import math

import numpy as np
import pytest
import torch

from frugalseg.core.classes import IGNORE
from frugalseg.training.spatial_prior import SpatialCounts, log_prior_at


def counted(*labels, grid=(2, 4), classes=3):
    counts = SpatialCounts(classes, grid)
    for label in labels:
        counts.add(label)
    return counts


def naive_counts(label, grid, classes):
    found = np.zeros((classes, *grid), np.int64)
    for row in range(label.shape[0]):
        for column in range(label.shape[1]):
            if label[row, column] != IGNORE:
                place = row * grid[0] // label.shape[0], column * grid[1] // label.shape[1]
                found[(label[row, column], *place)] += 1
    return found


@pytest.mark.parametrize("size", [(2, 4), (5, 7), (12, 9), (1, 3)])
def test_counts_equal_a_naive_loop_at_any_size(size):
    label = np.random.default_rng(0).choice(np.array([0, 1, 2, IGNORE], np.uint8), size)
    assert np.array_equal(counted(label).counts, naive_counts(label, (2, 4), 3))


def test_by_hand():
    label = np.array([[0, 0, 0, 0], [1, 1, IGNORE, 1]], np.uint8)
    prior = counted(label).prior(sigma=0)
    assert prior[0].tolist() == [[0.25] * 4, [0] * 4]
    assert prior[1] == pytest.approx(np.array([[0, 0, 0, 0], [1 / 3, 1 / 3, 0, 1 / 3]]))
    assert not prior[2].any()  # absent from the source: 0/0 is defined as 0


def test_every_present_class_sums_to_1_after_smoothing_and_merging_is_counting():
    rng = np.random.default_rng(1)
    labels = [rng.integers(0, 2, (24, 32)).astype(np.uint8) for _ in range(3)]
    whole, one, two = (counted(*part, grid=(6, 8)) for part in (labels, labels[:1], labels[1:]))
    one.merge(two)
    assert np.array_equal(one.counts, whole.counts)
    assert whole.prior(0.1).sum(axis=(1, 2)) == pytest.approx([1, 1, 0])


def test_smoothing_spreads_a_single_place_alike_to_both_sides():
    label = np.full((9, 9), IGNORE, np.uint8)
    label[4, 4] = 0
    prior = counted(label, grid=(9, 9)).prior(sigma=1 / 9)[0]
    assert prior[4, 4] == prior.max() and prior[4, 3] == pytest.approx(prior[4, 5])
    assert prior[4, 3] / prior[4, 4] == pytest.approx(math.exp(-0.5), rel=1e-3)  # one cell is one sigma


def test_at_a_frames_size_it_is_the_logarithm_and_minus_infinity_where_absent():
    label = np.array([[0, 0, 0, 0], [1, 1, 1, 1]], np.uint8)
    at = log_prior_at(counted(label).prior(0), (4, 8), torch.device("cpu"))
    assert at.shape == (3, 4, 8) and at[0, 0, 0] == pytest.approx(math.log(0.25))
    assert (at[2] == -math.inf).all() and at[0, 3, 0] == -math.inf
