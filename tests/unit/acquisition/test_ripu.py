import math

import numpy as np
import pytest

from frugalseg.acquisition.ripu import Ripu, RipuConfig, impurity, region_mean
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import generator
from frugalseg.core.cost import Budget, CostModel


def scene(seed, size_HW=(14, 19)):
    rng = generator(seed, "scene")
    prediction = np.kron(rng.integers(0, 4, (5, 7)), np.ones((3, 3), int)).astype(np.uint8)[: size_HW[0], : size_HW[1]]
    entropy = rng.random(size_HW, dtype=np.float32)
    return FrameView("a", entropy, prediction, rng.random(size_HW) < 0.9)


def dense_score(view, k, uncertainty):
    """Impurity x uncertainty, pixel by pixel over its square."""
    height, width = view.size_HW
    score = np.zeros(view.size_HW)
    for y, x in np.ndindex(height, width):
        square = slice(max(y - k, 0), y + k + 1), slice(max(x - k, 0), x + k + 1)
        classes = view.prediction_HW[square].ravel().tolist()
        shares = [classes.count(each) / len(classes) for each in set(classes)]
        sure = float(np.mean(view.entropy_HW[square], dtype=np.float64))
        own = sure if uncertainty == "region" else float(view.entropy_HW[y, x])
        score[y, x] = -sum(share * math.log(share) for share in shares) * own
    return score


def dense_picks(score, askable, apart, count):
    """One maximum over the whole frame after the other, each blocking its square."""
    score, picks = np.where(askable, score, -np.inf), []
    while len(picks) < count and np.isfinite(score).any():
        y, x = np.unravel_index(np.argmax(score), score.shape)
        score[max(y - apart, 0) : y + apart + 1, max(x - apart, 0) : x + apart + 1] = -np.inf
        picks.append((int(y), int(x)))
    return picks


def select(view, count, **config):
    selector = Ripu(RipuConfig(**config), Budget.parse(f"{count}points"), 1, CostModel(), 0)
    selector.see(view)
    return selector.finish()


@pytest.mark.parametrize("uncertainty", ["pixel", "region"])
@pytest.mark.parametrize("radius_px", [1, 2, 5, 6])
def test_score_and_picks_equal_the_dense_reference(radius_px, uncertainty):
    for seed in range(4):
        view = scene(seed)
        expected = dense_score(view, radius_px, uncertainty)
        picks = dense_picks(expected, view.askable_HW, 2, 8)
        queries = select(view, len(picks), radius_px=radius_px, apart_px=2, uncertainty=uncertainty)
        assert [(query.point.row, query.point.column) for query in queries] == picks
        assert [query.score for query in queries] == pytest.approx([expected[pick] for pick in picks], rel=1e-5)


def test_impurity_by_hand():
    found = impurity(np.array([[0, 0, 1, 2]], np.uint8), 1)
    third = 2 / 3 * math.log(3 / 2) + 1 / 3 * math.log(3)
    assert found[0].tolist() == pytest.approx([0, third, math.log(3), math.log(2)], abs=1e-6)


def test_limits():
    assert (impurity(np.full((6, 7), 3, np.uint8), 2) == 0).all()
    assert (impurity(scene(0).prediction_HW, 0) == 0).all()
    values = generator(0, "values").random((6, 7), dtype=np.float32)
    assert region_mean(values, 0) == pytest.approx(values, abs=1e-7)
    assert region_mean(values, 50) == pytest.approx(np.full((6, 7), values.mean()), abs=1e-6)


def test_naming_classes_otherwise_changes_nothing():
    prediction = scene(1).prediction_HW
    assert np.allclose(impurity(prediction, 3), impurity(np.array([7, 2, 255, 0], np.uint8)[prediction], 3), atol=1e-6)
