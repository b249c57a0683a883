import math

import numpy as np
import pytest
import torch

from frugalseg.core.classes import IGNORE
from frugalseg.training.confidence_histogram import ConfidenceHistogram
from frugalseg.training.potential_histogram import STEP, PotentialHistogram, potential_bits

CLASSES, SIZE = 4, (12, 16)


def random_case(seed, frames=3):
    rng = torch.Generator().manual_seed(seed)
    log_prior = torch.rand((CLASSES, *SIZE), generator=rng).mul(8).neg() - 3  # q from 1e-5 to 0.05
    return [4 * torch.randn((CLASSES, *SIZE), generator=rng) for _ in range(frames)], log_prior


def filled(frames, log_prior):
    histogram = PotentialHistogram(CLASSES, lambda size_HW, device: log_prior)
    for frame in frames:
        histogram.add(frame)
    return histogram


def naive_thresholds(frames, log_prior, ratio, shared):
    """Algorithms 1 and 2 with q·p for p: sort all values, take the one at rank max(1, round(ratio N))."""
    values = [[] for _ in range(CLASSES)]
    for frame in frames:
        potential = (frame.double().softmax(dim=0) * log_prior.double().exp()).reshape(CLASSES, -1)
        for pixel in range(potential.shape[1]):
            best = int(potential[:, pixel].argmax())
            values[0 if shared else best].append(float(potential[best, pixel]))
    found = []
    for rows in values:
        rows.sort(reverse=True)
        found.append(rows[max(1, int(ratio * len(rows) + 0.5)) - 1] if rows else math.nan)
    return found[:1] * CLASSES if shared else found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("ratio", [0.05, 0.3, 1.0])
def test_thresholds_equal_a_full_sort_within_2_to_the_minus_10(seed, shared, ratio):
    frames, log_prior = random_case(seed)
    got = filled(frames, log_prior).thresholds(ratio, shared)
    want = naive_thresholds(frames, log_prior, ratio, shared)
    assert 1 - got.doubt == pytest.approx(np.array(want), rel=2**-10, abs=1e-15)


@pytest.mark.parametrize("seed", range(4))
def test_labels_equal_a_naive_loop_of_equation_9(seed):
    frames, log_prior = random_case(seed)
    histogram = filled(frames, log_prior)
    thresholds = histogram.thresholds(0.4, False)
    got = histogram.labels(frames[0], thresholds, IGNORE)
    potential = frames[0].softmax(dim=0) * log_prior.exp()
    differing = 0
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            ratios = [float(potential[c, row, column]) / float(1 - thresholds.doubt[c]) for c in range(CLASSES)]
            best = max(range(CLASSES), key=ratios.__getitem__)
            differing += int(got[row, column]) != (best if ratios[best] >= 1 else IGNORE)
    assert differing <= 2  # pixels within a bin of their threshold


def test_about_the_asked_share_is_labelled():
    frames, log_prior = random_case(5, frames=6)
    histogram = filled(frames, log_prior)
    thresholds = histogram.thresholds(0.25, True)
    kept = np.mean([(histogram.labels(frame, thresholds, IGNORE) != IGNORE).float().mean() for frame in frames])
    assert kept == pytest.approx(0.25, abs=0.01)


def test_a_uniform_prior_is_no_prior():
    frames, _ = random_case(6)
    uniform = torch.full((CLASSES, *SIZE), -math.log(192.0))
    with_prior, without = filled(frames, uniform), ConfidenceHistogram(CLASSES)
    for frame in frames:
        without.add(frame)
    for shared in (False, True):
        a, b = with_prior.thresholds(0.3, shared), without.thresholds(0.3, shared)
        assert np.array_equal(a.pixels, b.pixels)
        assert (1 - a.doubt) * 192 == pytest.approx(1 - b.doubt, rel=2**-9)
    labels = with_prior.labels(frames[0], with_prior.thresholds(0.3, False), IGNORE)
    assert (labels != without.labels(frames[0], without.thresholds(0.3), IGNORE)).sum() <= 2


def test_a_class_without_prior_takes_no_pixel_however_certain_the_network_is():
    frames, log_prior = random_case(7)
    log_prior[2] = -math.inf
    for frame in frames:
        frame[2] = 50.0
    histogram = filled(frames, log_prior)
    thresholds = histogram.thresholds(1.0, False)
    assert thresholds.bits[2] == -1 and thresholds.pixels[2] == 0
    assert not (histogram.labels(frames[0], thresholds, IGNORE) == 2).any()


def test_where_no_class_has_a_prior_nothing_is_labelled():
    frames, log_prior = random_case(8)
    log_prior[:, :6] = -math.inf
    histogram = filled(frames, log_prior)
    labels = histogram.labels(frames[0], histogram.thresholds(1.0, False), IGNORE)
    assert (labels[:6] == IGNORE).all() and (labels[6:] != IGNORE).all()


def test_bins_are_equal_steps_of_the_logarithm():
    assert potential_bits(torch.tensor([0.0, -STEP * 1.5, -63.9995, -1e9, -math.inf])).tolist() == [
        *(0, 1, 65_535, 65_535, 65_535)
    ]


def test_counts_merge_and_do_not_depend_on_the_order():
    frames, log_prior = random_case(9)
    whole, one, two = (filled(part, log_prior) for part in (frames, frames[2:], frames[:2]))
    one.merge(two)
    assert np.array_equal(one.counts, whole.counts)
