"""Intervals: against a naive loop with the same draws, in coverage, and at the limits."""

import math

import numpy as np
import pytest

from frugalseg.core.chance import generator
from frugalseg.core.errors import ConfigError, DataError
from frugalseg.evaluation.compare import (
    bootstrap_classes,
    bootstrap_interval,
    gap_closed,
    paired_bootstrap,
    paired_bootstrap_classes,
)
from frugalseg.evaluation.confusion import Confusions, scores


def made_frames(frames, quality=0.6, seed=0, classes=4):
    """F x C x (C + 1): each frame with its own mix of classes and its own share of hits around `quality`."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 400, (frames, classes))
    hit = np.clip(quality + 0.15 * rng.standard_normal((frames, classes)), 0.05, 0.95)
    weights = np.repeat(((1 - hit) / classes)[..., None], classes + 1, axis=2)
    weights[:, range(classes), range(classes)] = hit
    return rng.multinomial(truth, weights / weights.sum(axis=2, keepdims=True)).astype(np.int64)


def as_confusions(stack):
    return Confusions(stack.shape[1], [(f"{number:05}", matrix) for number, matrix in enumerate(stack)])


def improved(stack, seed=1, share=0.5):
    """The same frames and truth with `share` of the misses turned into hits."""
    rng = np.random.default_rng(seed)
    better = stack.copy()
    for class_id in range(stack.shape[1]):
        mended = rng.binomial(stack[:, class_id], share)
        mended[:, class_id] = 0
        better[:, class_id] -= mended
        better[:, class_id, class_id] += mended.sum(axis=1)
    return better


def naive_iou(matrix):
    """IoU by class from a matrix, in plain Python; None where the truth lacks the class."""
    found = []
    for class_id in range(len(matrix)):
        hits, truth = matrix[class_id][class_id], sum(matrix[class_id])
        predicted = sum(row[class_id] for row in matrix)
        found.append(hits / (truth + predicted - hits) if truth else None)
    return found


def naive_draws(frames, resamples, seed):
    return generator(seed, "bootstrap").multinomial(frames, [1 / frames] * frames, size=resamples)


def naive_mious(stack, ids, resamples, seed):
    whole, values = naive_iou(stack.sum(axis=0).tolist()), []
    for counts in naive_draws(len(stack), resamples, seed):
        merged = sum(int(count) * matrix for count, matrix in zip(counts, stack, strict=True))
        ious = naive_iou(merged.tolist())
        kept = [whole[i] if ious[i] is None else ious[i] for i in ids if whole[i] is not None]
        values.append(sum(kept) / len(kept))
    return values


@pytest.mark.parametrize("ids", [None, [2, 0]])
def test_equals_a_naive_loop(ids):
    stack = made_frames(9)
    stack[1:, 2] = 0  # class 2 is true in one frame only, so many resamples lack it
    got = bootstrap_interval(as_confusions(stack), ids, level=0.9, resamples=80, seed=4)
    samples = naive_mious(stack, ids or range(4), 80, 4)
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(samples, [0.05, 0.95])))
    assert got.value == scores(stack.sum(axis=0), ids).miou
    assert got.level == 0.9


def test_class_intervals_equal_a_naive_loop():
    stack = made_frames(9)
    stack[1:, 2] = 0
    got = bootstrap_classes(as_confusions(stack), resamples=80, seed=4)
    draws = naive_draws(9, 80, 4)
    for class_id in range(4):
        ious = [naive_iou((counts[:, None, None] * stack).sum(axis=0).tolist())[class_id] for counts in draws]
        known = [iou for iou in ious if iou is not None]
        assert (got[class_id].low, got[class_id].high) == pytest.approx(tuple(np.quantile(known, [0.025, 0.975])))


def test_paired_difference_equals_a_naive_loop():
    before, after = made_frames(8), improved(made_frames(8))
    got = paired_bootstrap(as_confusions(before), as_confusions(after), resamples=60, seed=2)
    pairs = zip(naive_mious(before, range(4), 60, 2), naive_mious(after, range(4), 60, 2), strict=True)
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile([b - a for a, b in pairs], [0.025, 0.975])))
    assert 0 < got.low < got.value < got.high


def test_many_resamples_of_many_frames_are_drawn_in_parts_without_a_seam():
    stack = made_frames(3000, classes=2)
    got = bootstrap_interval(as_confusions(stack), resamples=1400)  # more than fit into one part
    sums = np.tensordot(naive_draws(3000, 1400, 0), stack, axes=1)
    samples = [scores(matrix).miou for matrix in sums]
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])), rel=1e-12)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    population = made_frames(6000, seed=9)
    truth = scores(population.sum(axis=0)).miou
    rng, hits, trials = np.random.default_rng(0), 0, 200
    for trial in range(trials):
        sample = as_confusions(population[rng.integers(0, len(population), 40)])
        interval = bootstrap_interval(sample, level=0.9, resamples=300, seed=trial)
        hits += interval.low <= truth <= interval.high
    assert 0.80 <= hits / trials <= 0.97


def test_more_frames_and_lower_levels_give_narrower_intervals():
    few, many = as_confusions(made_frames(10)), as_confusions(made_frames(400))
    width = lambda interval: interval.high - interval.low  # noqa: E731
    assert width(bootstrap_interval(many)) < width(bootstrap_interval(few)) / 2
    assert width(bootstrap_interval(few, level=0.5)) < width(bootstrap_interval(few, level=0.95))


def test_pairing_is_what_makes_a_small_difference_visible():
    before = made_frames(30, seed=3)
    after = improved(before, share=0.04)
    paired = paired_bootstrap(as_confusions(before), as_confusions(after))
    alone = bootstrap_interval(as_confusions(before)), bootstrap_interval(as_confusions(after))
    assert paired.low > 0
    assert alone[1].low < alone[0].high  # the two intervals overlap


def test_seeds_order_and_repetition():
    stack = made_frames(12)
    forwards = as_confusions(stack)
    backwards = Confusions(4, [(key, forwards[key]) for key in reversed(forwards.keys)])
    assert bootstrap_interval(forwards, seed=1) == bootstrap_interval(backwards, seed=1)
    assert bootstrap_interval(forwards, seed=1) != bootstrap_interval(forwards, seed=2)


def test_equal_frames_leave_no_doubt():
    stack = np.repeat(made_frames(1), 7, axis=0)
    interval = bootstrap_interval(as_confusions(stack))
    assert interval.low == pytest.approx(interval.value) == pytest.approx(interval.high)
    same = paired_bootstrap(as_confusions(made_frames(7)), as_confusions(made_frames(7)))
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_class_that_is_absent_has_no_interval_and_no_part_in_the_mean():
    stack = made_frames(10)
    stack[:, 3] = 0
    without, classes = bootstrap_interval(as_confusions(stack)), bootstrap_classes(as_confusions(stack))
    assert math.isnan(classes[3].low) and classes[3].value == 0  # predicted, but never true
    assert without.low <= without.value <= without.high
    assert without.value == pytest.approx(scores(stack.sum(axis=0)).iou_C[:3].mean())


def test_the_mean_does_not_jump_when_a_resample_lacks_a_rare_hopeless_class():
    stack = made_frames(40)
    stack[:, 3] = 0
    stack[0, 3, 4] = 5  # one frame, five pixels, all missed: IoU 0 holds the mean down by a quarter
    interval = bootstrap_interval(as_confusions(stack))
    assert interval.high < interval.value + 0.1


def test_nothing_labelled_gives_nothing():
    empty = Confusions(3, [(key, np.zeros((3, 4), np.int64)) for key in "abc"])
    for interval in (bootstrap_interval(empty), paired_bootstrap(empty, empty), *bootstrap_classes(empty)):
        assert np.isnan([interval.value, interval.low, interval.high]).all()


def test_class_differences_are_differences_of_the_class_scores():
    before, after = as_confusions(made_frames(20)), as_confusions(improved(made_frames(20)))
    got = paired_bootstrap_classes(before, after, resamples=200)
    expected = scores(after.total()).iou_C - scores(before.total()).iou_C
    assert [interval.value for interval in got] == pytest.approx(expected.tolist())
    assert all(interval.low <= interval.value <= interval.high for interval in got)


def test_models_measured_on_different_frames_classes_or_labels_are_not_compared():
    stack = made_frames(6)
    ours = as_confusions(stack)
    with pytest.raises(DataError, match="only in one of them: 00005"):
        paired_bootstrap(ours, as_confusions(stack[:5]))
    with pytest.raises(DataError, match="4 with scores over 5 classes"):
        paired_bootstrap(ours, as_confusions(made_frames(6, classes=5)))
    with pytest.raises(DataError, match="different labels"):
        paired_bootstrap(ours, as_confusions(stack + np.eye(4, 5, dtype=np.int64)))


def test_nonsense_requests_are_refused():
    ours = as_confusions(made_frames(3))
    with pytest.raises(ConfigError, match="0 frames"):
        bootstrap_interval(Confusions(3))
    with pytest.raises(ConfigError, match="0 resamples"):
        bootstrap_interval(ours, resamples=0)
    with pytest.raises(ConfigError, match="level is 95"):
        bootstrap_interval(ours, level=95)
    with pytest.raises(ConfigError, match="0–3"):
        bootstrap_interval(ours, ids=[4])


def test_gap_closed():
    assert gap_closed(0.35, 0.45, 0.55) == pytest.approx(0.5)
    assert gap_closed(0.35, 0.30, 0.55) == pytest.approx(-0.25)
    assert gap_closed(0.35, 0.60, 0.55) == pytest.approx(1.25)
    assert math.isnan(gap_closed(0.5, 0.4, 0.5))
