"""The label-free score: by hand, against naive loops, at its limits, and under permutations."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional import spearman_corrcoef

from frugalseg.core.classes import IGNORE
from frugalseg.evaluation.label_free import Judgement, UnlabelledTally, best, rank_scores, ranks, spearman

SCORES = st.lists(st.integers(0, 5), min_size=3, max_size=7)


def judgement(entropy: float, agreement: float, source: float | None = None) -> Judgement:
    return Judgement(entropy, agreement, {"mirrored": agreement}, agreement, source)


def tally(frames, classes=3, changes=("a", "b")) -> Judgement:
    counted = UnlabelledTally(classes, changes)
    for frame in frames:
        counted.see(*frame)
    return counted.judgement()


def random_frames(rng, count=3, classes=3):
    frames = []
    for _ in range(count):
        draw = rng.integers(0, classes, (3, 4, 5)).astype(np.uint8)
        usable = rng.random((4, 5)) < 0.8
        frames.append((draw[0], rng.random((4, 5), np.float32), {"a": draw[1], "b": draw[2]}, usable))
    return frames


def test_two_frames_by_hand() -> None:
    prediction = np.array([[0, 0, 1, 1]], np.uint8)
    entropy = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    frames = [(prediction, entropy, {"a": np.array([[0, 1, 1, 1]], np.uint8), "b": prediction})] * 2
    found = tally(frames)
    assert found.entropy_01 == pytest.approx(0.25)
    assert found.agreement_by_change["a"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)  # class 2: nobody predicts it
    assert found.agreement_by_change["b"] == pytest.approx(2 / 3)
    assert found.agreement == pytest.approx((7 / 18 + 2 / 3) / 2)
    assert found.same_pixels == pytest.approx(7 / 8)


def test_a_naive_loop_over_pixels_gives_the_same() -> None:
    frames = random_frames(np.random.default_rng(0))
    found = tally(frames)
    entropies = [float(e[at]) for _, e, _, usable in frames for at in np.ndindex(e.shape) if usable[at]]
    assert found.entropy_01 == pytest.approx(sum(entropies) / len(entropies))
    for change in ("a", "b"):
        ious = []
        for c in range(3):
            both = either = 0
            for prediction, _, changed, usable in frames:
                for at in np.ndindex(prediction.shape):
                    if usable[at]:
                        one, other = prediction[at] == c, changed[change][at] == c
                        both, either = both + int(one and other), either + int(one or other)
            ious.append(both / either if either else 0.0)
        assert found.agreement_by_change[change] == pytest.approx(sum(ious) / 3)


def test_limits() -> None:
    everything = np.zeros((4, 5), np.uint8)
    varied = (np.arange(20) % 3).astype(np.uint8).reshape(4, 5)
    flat, sure = np.ones((4, 5), np.float32), np.zeros((4, 5), np.float32)
    steady = tally([(varied, sure, {"a": varied, "b": varied})])
    assert (steady.entropy_01, steady.agreement, steady.same_pixels) == (0, 1, 1)
    collapsed = tally([(everything, sure, {"a": everything, "b": everything})])
    assert collapsed.same_pixels == 1
    assert collapsed.agreement == pytest.approx(1 / 3), "always saying the same class is no agreement on the others"
    hidden = tally([(varied, flat, {"a": varied, "b": varied}, np.zeros((4, 5), bool))])
    assert (hidden.entropy_01, hidden.agreement, hidden.same_pixels) == (1, 0, 0)
    assert IGNORE not in np.unique(varied)


def test_the_order_of_frames_pixels_and_classes_makes_no_difference() -> None:
    rng = np.random.default_rng(1)
    frames = random_frames(rng)
    found = tally(frames)
    names = rng.permutation(3).astype(np.uint8)
    mixed = []
    for prediction, entropy, changed, usable in reversed(frames):
        order = rng.permutation(20)
        turn = [a.reshape(-1)[order].reshape(4, 5) for a in (prediction, entropy, usable, changed["a"], changed["b"])]
        mixed.append((names[turn[0]], turn[1], {"a": names[turn[3]], "b": names[turn[4]]}, turn[2]))
    again = tally(mixed)
    assert again.entropy_01 == pytest.approx(found.entropy_01)
    assert again.agreement == pytest.approx(found.agreement)
    assert again.same_pixels == found.same_pixels


def test_the_rule_by_hand() -> None:
    sure, steady, knowing = judgement(0.1, 0.5, 0.3), judgement(0.3, 0.7, 0.4), judgement(0.2, 0.6, 0.5)
    assert rank_scores([sure, steady, knowing]) == pytest.approx([1 / 3, (0 + 1 + 1 / 2) / 3, (1 / 2 + 1 / 2 + 1) / 3])
    assert best([sure, steady, knowing]) == 2


def test_the_rule_without_a_source_and_with_one_candidate() -> None:
    assert rank_scores([judgement(0.1, 0.5), judgement(0.3, 0.7, 0.9)]) == pytest.approx([0.5, 0.5])
    assert best([judgement(0.1, 0.5), judgement(0.3, 0.7, 0.9)]) == 1, "of equals the steadier"
    assert (rank_scores([judgement(0.9, 0.1)]), best([judgement(0.9, 0.1)]), rank_scores([])) == ([1.0], 0, [])


def test_the_rule_does_not_depend_on_the_candidates_order() -> None:
    rng = np.random.default_rng(2)
    candidates = [judgement(*rng.random(3)) for _ in range(4)]
    by_candidate = dict(zip(map(id, candidates), rank_scores(candidates), strict=True))
    for order in itertools.permutations(candidates):
        assert [by_candidate[id(one)] for one in order] == pytest.approx(rank_scores(order))
        assert order[best(order)] is candidates[best(candidates)]


@given(SCORES)
def test_ranks_equal_a_naive_count(values) -> None:
    ordered = sorted(values)
    expected = [np.mean([place for place, other in enumerate(ordered, 1) if other == value]) for value in values]
    assert ranks(values).tolist() == expected


@given(SCORES, st.randoms(use_true_random=False))
def test_spearman_is_torchmetrics(values, random) -> None:
    other = values[:]
    random.shuffle(other)
    found = spearman(values, other)
    if len(set(values)) == 1:
        assert found is None
    else:
        expected = float(spearman_corrcoef(torch.tensor(values, dtype=torch.float64), torch.tensor(other).double()))
        assert found == pytest.approx(expected, abs=1e-5)


def test_spearman_at_its_limits() -> None:
    assert spearman([1, 2, 3], [10, 20, 999]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2], [1, 2]) is None, "two points always lie on a line"
    assert not math.isnan(spearman([1, 1, 2], [1, 2, 1]) or 0.0)
