"""Scores of single frames, and which of them are shown."""

import itertools

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import DataError
from frugalseg.evaluation.confusion import confusion
from frugalseg.evaluation.frame_scores import FrameScore, Keeper, extremes


def scored(key, miou, entropy=0.5):
    return FrameScore(key, 10, miou, miou, entropy)


def naive_miou(truth, prediction, classes):
    """Mean over the classes of the frame's own truth, pixel by pixel."""
    ious = []
    for c in range(classes):
        pairs = [(t, p) for t, p in zip(truth.ravel(), prediction.ravel(), strict=True) if t != IGNORE]
        if any(t == c for t, _ in pairs):
            both = sum(t == c and p == c for t, p in pairs)
            ious.append(both / sum(t == c or p == c for t, p in pairs))
    return sum(ious) / len(ious)


def test_hand_worked():
    # class 0: 2 true, 1 hit, 1 pixel of class 1 called 0: 1/3; class 1: 2 true, 1 hit, one more predicted: 1/3
    # class 2 occurs in the prediction only: it is in no mean
    truth = np.array([[0, 0, 1, 1, 1, IGNORE]], np.uint8)
    prediction = np.array([[0, 1, 1, 0, 2, 0]], np.uint8)
    score = FrameScore.of("k", confusion(truth, prediction, 4), 0.25)
    assert score.miou == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert score.accuracy == pytest.approx(2 / 5) and score.labelled_px == 5 and score.entropy_01 == 0.25


@pytest.mark.parametrize("seed", range(3))
def test_against_the_plain_loop_and_any_order_of_pixels_and_classes(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, 3, (2, 6, 7)).astype(np.uint8)
    truth[0] = IGNORE
    score = FrameScore.of("k", confusion(truth, prediction, 5), 0.0)
    assert score.miou == pytest.approx(naive_miou(truth, prediction, 5))
    order, names = rng.permutation(truth.size), np.full(256, IGNORE, np.uint8)
    names[:5] = rng.permutation(5)
    moved = [names[array].ravel()[order][None] for array in (truth, prediction)]
    assert FrameScore.of("k", confusion(*moved, 5), 0.0).miou == pytest.approx(score.miou)


def test_limits():
    truth = np.array([[0, 1, 1]], np.uint8)
    assert FrameScore.of("k", confusion(truth, truth, 2), 0.0).miou == 1
    assert FrameScore.of("k", confusion(truth, 1 - truth, 2), 1.0).miou == 0
    bare = FrameScore.of("k", confusion(np.full((2, 2), IGNORE, np.uint8), np.zeros((2, 2), np.uint8), 2), 0.3)
    assert bare.miou is None and bare.accuracy is None and bare.labelled_px == 0
    with pytest.raises(DataError, match="entropy_01 is nan"):
        FrameScore.of("k", confusion(truth, truth, 2), float("nan"))


def test_worst_best_and_uncertain():
    frames = [scored("a", 0.9, 0.1), scored("b", 0.2, 0.3), scored("c", None, 0.9), scored("d", 0.5, 0.2)]
    frames += [scored("e", 0.2, 0.8), scored("f", 0.7, 0.8)]
    groups = extremes(frames, 2)
    assert groups.worst == ("b", "e") and groups.best == ("a", "f") and groups.uncertain == ("c", "e")
    for shuffled in itertools.islice(itertools.permutations(frames), 0, 720, 97):
        assert extremes(shuffled, 2) == groups


@pytest.mark.parametrize("count", range(6))
def test_no_frame_is_both_worst_and_best(count):
    groups = extremes([scored(str(number), 0.5) for number in range(count)], 4)
    assert not set(groups.worst) & set(groups.best)
    assert len(groups.worst) + len(groups.best) == count and len(groups.uncertain) == min(4, count)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("frames", [1, 5, 8, 60])
def test_streaming_keeps_what_the_whole_would_and_no_more(seed, frames):
    rng = np.random.default_rng(seed)
    scores = [  # few different values: many ties
        scored(f"{key:02}", None if rng.random() < 0.1 else rng.integers(4) / 4, rng.integers(4) / 4)
        for key in range(frames)
    ]
    keeper, most = Keeper(3), 0
    for number in rng.permutation(frames):
        keeper.see(scores[number], scores[number].key)
        most = max(most, len(keeper._kept))
    assert most <= 9
    assert keeper.kept() == {key: key for group in extremes(scores, 3) for key in group}
