"""Reliability counts and the calibration error: by hand, against a plain loop, at the limits, in any order."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ArtifactError, DataError
from frugalseg.evaluation.reliability import BINS, CONFIDENCE, PIXELS, RIGHT, UNIT, Reliability


def frame(seed, size=(13, 17), classes=4):
    """Truth with unknown pixels, a prediction that is right half of the time, and confidences."""
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, classes, size).astype(np.uint8)
    truth = np.where(rng.random(size) < 0.5, prediction, rng.integers(0, classes, size)).astype(np.uint8)
    truth[rng.random(size) < 0.1] = IGNORE
    return truth, prediction, rng.uniform(1 / classes, 1, size).astype(np.float32)


def one_row(right, confidence, prediction=0):
    """Pixels in a row: whether each is right, and how sure the network was."""
    truth = np.where(right, prediction, 1 - prediction).astype(np.uint8)[None]
    return Reliability.count(truth, np.full_like(truth, prediction), np.array([confidence], np.float32), 2)


def naive_ece(truth, prediction, confidence):
    """Guo et al., equation 3, as it is written."""
    seen = [
        (c, t == p)
        for t, p, c in zip(truth.ravel(), prediction.ravel(), confidence.ravel(), strict=True)
        if t != IGNORE
    ]
    total = 0.0
    for m in range(1, BINS + 1):
        inside = [(c, right) for c, right in seen if (m - 1) / BINS < c <= m / BINS]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            total += len(inside) / len(seen) * abs(accuracy - sum(float(c) for c, _ in inside) / len(inside))
    return total


def test_hand_worked():
    # one bin: 4 pixels at 0.95, 3 right: |0.75 - 0.95|; another: 1 pixel at 0.59, right: |1 - 0.59|; (4*0.2 + 0.41) / 5
    curve = one_row([True, True, True, False, True], [0.95, 0.95, 0.95, 0.95, 0.59]).curve()
    assert curve.ece == pytest.approx(0.242, abs=1e-6)
    assert curve.accuracy == pytest.approx(0.8) and curve.confidence == pytest.approx(0.878, abs=1e-6)
    assert curve.gap == pytest.approx(0.078, abs=1e-6)
    assert curve.pixels_B[14] == 4 and curve.accuracy_B[14] == 0.75
    assert curve.pixels_B[8] == 1 and np.isnan(curve.accuracy_B[0])


def test_bins_are_open_below_and_closed_above():
    truth = np.zeros((1, 4), np.uint8)
    edge = Reliability.count(truth, truth, np.array([[0.0, 3 / BINS, 3.001 / BINS, 1.0]]), 2).curve()
    assert np.flatnonzero(edge.pixels_B).tolist() == [0, 2, 3, 14]


@pytest.mark.parametrize("seed", range(3))
def test_against_the_plain_loop(seed):
    assert Reliability.count(*frame(seed), 4).curve().ece == pytest.approx(naive_ece(*frame(seed)), abs=1e-6)


def test_against_torchmetrics():
    truth, prediction, confidence = frame(7)
    seen = truth != IGNORE
    confidence = np.clip(confidence, 0.501, 1)  # its binary form then bins the same confidences
    right = torch.tensor((truth == prediction)[seen].astype(int))
    theirs = binary_calibration_error(torch.tensor(confidence[seen]), right, n_bins=BINS, norm="l1")
    assert Reliability.count(truth, prediction, confidence, 4).curve().ece == pytest.approx(float(theirs), abs=1e-5)


def test_limits():
    assert one_row([True] * 5, [1.0] * 5).curve().ece == 0
    assert one_row([False] * 5, [1.0] * 5).curve().ece == 1
    nothing = Reliability.count(np.full((2, 3), IGNORE, np.uint8), *frame(0, (2, 3))[1:], 4).curve()
    assert math.isnan(nothing.ece) and math.isnan(nothing.accuracy) and not nothing.pixels_B.any()


def test_parts_merge_to_the_whole_in_any_order():
    frames = [frame(seed) for seed in range(5)]
    whole = Reliability.count(*(np.concatenate(maps) for maps in zip(*frames, strict=True)), 4)
    forwards = backwards = Reliability.empty(4)
    for one in frames:
        forwards = forwards.merge(Reliability.count(*one, 4))
    for one in reversed(frames):
        backwards = Reliability.count(*one, 4).merge(backwards)
    assert np.array_equal(forwards.counts, whole.counts) and np.array_equal(backwards.counts, whole.counts)


def test_classes_and_pixels_may_be_renamed_and_shuffled():
    truth, prediction, confidence = frame(1)
    order = np.random.default_rng(0).permutation(truth.size)
    shuffled = [array.ravel()[order].reshape(truth.shape) for array in (truth, prediction, confidence)]
    assert np.array_equal(Reliability.count(*shuffled, 4).counts, Reliability.count(*frame(1), 4).counts)
    names = np.full(256, IGNORE, np.uint8)
    names[:4] = [2, 0, 3, 1]
    renamed = Reliability.count(names[truth], names[prediction], confidence, 4)
    assert np.array_equal(renamed.counts[names[:4]], Reliability.count(truth, prediction, confidence, 4).counts)
    assert renamed.curve().ece == pytest.approx(Reliability.count(truth, prediction, confidence, 4).curve().ece)


def test_classes_add_up_to_all():
    counted = Reliability.count(*frame(3), 4)
    truth = frame(3)[0]
    assert counted.counts[..., PIXELS].sum() == (truth != IGNORE).sum()
    assert sum(counted.curve([c]).pixels_B.sum() for c in range(4)) == counted.curve().pixels_B.sum()
    assert (counted.counts[..., CONFIDENCE] <= counted.counts[..., PIXELS] * UNIT).all()
    assert (counted.counts[..., RIGHT] <= counted.counts[..., PIXELS]).all()


def test_saved_and_loaded(tmp_path):
    counted = Reliability.count(*frame(3), 4)
    counted.save(tmp_path / "r.npz")
    assert np.array_equal(Reliability.load(tmp_path / "r.npz").counts, counted.counts)
    (tmp_path / "r.npz").write_bytes((tmp_path / "r.npz").read_bytes()[:100])
    with pytest.raises(ArtifactError, match="evaluation again"):
        Reliability.load(tmp_path / "r.npz")
    np.savez(tmp_path / "other.npz", counts=np.array([object()]))
    with pytest.raises(ArtifactError):
        Reliability.load(tmp_path / "other.npz")


def test_what_does_not_fit_is_refused():
    truth, prediction, confidence = frame(0)
    with pytest.raises(DataError, match="differ in size"):
        Reliability.count(truth, prediction[1:], confidence, 4)
    confidence[truth != IGNORE] = np.nan
    with pytest.raises(DataError, match="not finite"):
        Reliability.count(truth, prediction, confidence, 4)
    with pytest.raises(DataError, match="4 and over 5"):
        Reliability.empty(4).merge(Reliability.empty(5))
    with pytest.raises(DataError, match="more right pixels"):
        wrong = np.zeros((4, BINS, 3), np.int64)
        wrong[0, 0, RIGHT] = 1
        Reliability(wrong)
