import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.core.classes import IGNORE
from frugalseg.training import confidence_histogram
from frugalseg.training.confidence_histogram import (
    BINS,
    ConfidenceHistogram,
    Thresholds,
    balanced_labels,
    bits_doubt,
    doubt_and_class,
    doubt_bits,
)

TOLERANCE = 2.0**-10


def logits_of(probabilities: list[list[float]]) -> torch.Tensor:
    """Return C x 1 x N logits whose softmax is the given rows, one pixel a row."""
    return torch.tensor(probabilities, dtype=torch.float64).clamp_min(1e-30).log().T[:, None].float()


def logits_of_doubt(doubts: np.ndarray, winner: int = 0, classes: int = 4) -> torch.Tensor:
    """Return logits of pixels predicted `winner` with u = 1 - p, shared evenly by the other classes."""
    logits = torch.zeros(classes, 1, len(doubts), dtype=torch.float64)
    logits[:] = torch.from_numpy(np.log(doubts / (1 - doubts) / (classes - 1)))
    logits[winner] = 0.0
    return logits.float()


def exact(logits_CHW: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return u in double precision, and the class: what a full sort would sort."""
    flat_CN = logits_CHW.flatten(1).numpy()
    winner_N = flat_CN.argmax(axis=0)
    terms_CN = np.exp(flat_CN.astype(np.float64) - flat_CN.max(axis=0))
    terms_CN[winner_N, np.arange(len(winner_N))] = 0
    rest_N = terms_CN.sum(axis=0)
    return rest_N / (1 + rest_N), winner_N


def sorted_threshold(doubts: np.ndarray, ratio: float) -> float:
    """Algorithm 2 by a full sort: the confidence at rank max(1, round(p N)), as u = 1 - p."""
    return float(np.sort(doubts)[max(1, math.floor(ratio * len(doubts) + 0.5)) - 1])


def filled(*frames: torch.Tensor) -> ConfidenceHistogram:
    histogram = ConfidenceHistogram(frames[0].shape[0])
    for frame in frames:
        histogram.add(frame)
    return histogram


def random_logits(seed: int, classes: int = 5, scale: float = 6.0, size_HW: tuple[int, int] = (24, 32)) -> torch.Tensor:
    return torch.randn(classes, *size_HW, generator=torch.Generator().manual_seed(seed)) * scale


# --- u = 1 - p and its bin


def test_doubt_by_hand() -> None:
    doubt, winner = doubt_and_class(logits_of([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.5, 0.5, 0.0]]))
    assert doubt[0].tolist() == pytest.approx([0.3, 0.2, 0.5])
    assert winner[0].tolist() == [0, 2, 0]


@pytest.mark.parametrize("doubt", [1e-1, 1e-4, 1e-7, 1e-9, 1e-12])
def test_doubt_is_precise_where_one_minus_p_is_not(doubt: float) -> None:
    got, _ = doubt_and_class(logits_of_doubt(np.array([doubt])))
    assert float(got) == pytest.approx(doubt, rel=1e-5)
    if doubt < 1e-7:
        assert float(1 - logits_of_doubt(np.array([doubt])).softmax(dim=0).amax()) == 0  # what is to be avoided


def test_doubt_does_not_depend_on_a_shift_or_the_order_of_the_classes() -> None:
    logits = random_logits(0)
    doubt, winner = doubt_and_class(logits)
    shifted, same_winner = doubt_and_class(logits + 64.0)
    torch.testing.assert_close(shifted, doubt, rtol=1e-4, atol=0)
    assert torch.equal(winner, same_winner)
    order = torch.tensor([3, 1, 4, 0, 2])
    permuted, permuted_winner = doubt_and_class(logits[order])
    torch.testing.assert_close(permuted, doubt, rtol=1e-5, atol=0)
    assert torch.equal(order[permuted_winner], winner)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_bins_are_ordered_as_the_doubts(doubts: list[float]) -> None:
    ordered = torch.tensor(sorted(doubts), dtype=torch.float32)
    bits = doubt_bits(ordered)
    assert (bits.diff() >= 0).all()
    assert bits.min() >= 0 and bits.max() < BINS


@given(st.floats(2e-9, 1))
def test_a_bin_stands_for_its_doubts_within_half_the_tolerance(doubt: float) -> None:
    doubt = float(np.float32(doubt))
    back = bits_doubt(doubt_bits(torch.tensor([doubt])).numpy())
    assert float(back[0]) == pytest.approx(doubt, rel=TOLERANCE / 2)


# --- thresholds


def test_thresholds_by_hand() -> None:
    # class 0: confidences .9 .8 .7 .6, class 1: .95, class 2: never predicted
    rows = [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.05, 0.95, 0], [0.8, 0.2, 0], [0.7, 0.3, 0]]
    thresholds = filled(logits_of(rows)).thresholds(0.5)
    assert thresholds.doubt[:2].tolist() == pytest.approx([0.2, 0.05], rel=TOLERANCE)  # the 2nd of 4, the 1st of 1
    assert thresholds.k[:2].tolist() == pytest.approx([-math.log(0.8), -math.log(0.95)], rel=TOLERANCE)
    assert thresholds.pixels.tolist() == [4, 1, 0]
    assert thresholds.bits[2] == -1 and thresholds.doubt[2] == 0 and np.isnan(thresholds.k[2])


@pytest.mark.parametrize(("ratio", "rank"), [(0.01, 1), (0.2, 1), (0.25, 1), (0.375, 2), (0.5, 2), (0.75, 3), (1.0, 4)])
def test_the_rank_is_rounded_and_at_least_one(ratio: float, rank: int) -> None:
    doubts = np.array([0.1, 0.2, 0.3, 0.4])
    got = filled(logits_of_doubt(doubts)).thresholds(ratio).doubt[0]
    assert got == pytest.approx(doubts[rank - 1], rel=TOLERANCE)


@pytest.mark.parametrize("ratio", [0.05, 0.2, 0.35, 0.5, 1.0])
def test_thresholds_equal_a_full_sort_down_to_1e_7(ratio: float) -> None:
    rng = np.random.default_rng(0)
    frames, seen = [], []
    for winner in range(4):
        spread = 10 ** rng.uniform(-7 + winner / 2, np.log10(0.7), 20_000)
        frames.append(logits_of_doubt(spread, winner))
        seen.append(exact(frames[-1])[0])
    got = filled(*frames).thresholds(ratio).doubt
    true = np.array([sorted_threshold(doubts, ratio) for doubts in seen])
    assert (np.abs(got - true) <= TOLERANCE * true).all()
    if ratio == 0.05:
        assert true.min() < 3e-7


def test_the_most_confident_pixel_is_found_at_1e_7() -> None:
    doubts = np.array([1e-7, 1.1e-7, 2e-7, 1e-3])
    got = filled(logits_of_doubt(doubts)).thresholds(0.25).doubt[0]
    assert abs(got - 1e-7) <= TOLERANCE * 1e-7


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.floats(0.001, 1.0), st.floats(0.1, 12.0))
def test_thresholds_equal_a_full_sort(seed: int, classes: int, ratio: float, scale: float) -> None:
    logits = random_logits(seed, classes, scale, (9, 11))
    got = filled(logits).thresholds(ratio)
    doubts, winners = exact(logits)
    for c in range(classes):
        mine = doubts[winners == c]
        assert got.pixels[c] == len(mine)
        if not len(mine):
            assert got.bits[c] == -1
        elif sorted_threshold(mine, ratio) >= 1e-7:
            assert got.doubt[c] == pytest.approx(sorted_threshold(mine, ratio), rel=TOLERANCE)


def test_shared_threshold_is_the_sort_over_all_classes() -> None:
    logits = random_logits(1)
    got = filled(logits).thresholds(0.3, shared=True)
    doubts, winners = exact(logits)
    assert got.doubt.tolist() == pytest.approx([sorted_threshold(doubts, 0.3)] * 5, rel=TOLERANCE)
    assert got.pixels.tolist() == np.bincount(winners, minlength=5).tolist()


# --- merging and bands


def test_merging_and_order_change_nothing() -> None:
    frames = [random_logits(seed) for seed in range(6)]
    whole = filled(*frames)
    reverse = filled(*frames[::-1])
    left, right = filled(*frames[:1]), filled(*frames[1:])
    left.merge(right)
    assert np.array_equal(whole.counts, reverse.counts)
    assert np.array_equal(whole.counts, left.counts)
    assert whole.counts.sum() == 6 * 24 * 32 and whole.counts.dtype == np.int64


@pytest.mark.parametrize("band", [1, 5 * 32, 5 * 32 * 7, 1 << 30])
def test_the_size_of_the_bands_changes_nothing(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = random_logits(2)
    counts, labels = filled(logits).counts, balanced_labels(logits, filled(logits).thresholds(0.4), IGNORE)
    monkeypatch.setattr(confidence_histogram, "BAND", band)
    assert np.array_equal(filled(logits).counts, counts)
    assert torch.equal(balanced_labels(logits, filled(logits).thresholds(0.4), IGNORE), labels)


def test_counts_go_past_32_bits() -> None:
    histogram = ConfidenceHistogram(2)
    histogram.counts[0, 100] = 3_000_000_000
    histogram.counts[0, 200] = 3_300_000_000
    thresholds = histogram.thresholds(0.5)
    assert thresholds.pixels[0] == 6_300_000_000 and thresholds.bits[0] == 200  # rank 3.15e9
    assert histogram.thresholds(0.4).bits[0] == 100


def test_memory_is_the_same_for_any_number_of_frames() -> None:
    assert filled(*[random_logits(seed) for seed in range(4)]).counts.nbytes == ConfidenceHistogram(5).counts.nbytes
    assert ConfidenceHistogram(19).counts.nbytes == 19 * 65_536 * 8


# --- pseudo-labels


def naive_labels(logits_CHW: torch.Tensor, thresholds: Thresholds) -> np.ndarray:
    """Equation 8 pixel by pixel in double precision, keeping a ratio of 1."""
    probabilities = logits_CHW.double().softmax(dim=0).numpy()
    classes, height, width = probabilities.shape
    labels = np.full((height, width), IGNORE, np.uint8)
    for row in range(height):
        for column in range(width):
            best, best_ratio = -1, -1.0
            for c in range(classes):
                if thresholds.bits[c] < 0:
                    continue
                ratio = probabilities[c, row, column] / math.exp(-thresholds.k[c])
                if ratio > best_ratio:
                    best, best_ratio = c, ratio
            if best_ratio >= 1:
                labels[row, column] = best
    return labels


def ratio_margin(logits_CHW: torch.Tensor, thresholds: Thresholds) -> np.ndarray:
    """How far every ratio is from 1, as a share of u: below the bins' width either side is right."""
    probabilities = logits_CHW.double().softmax(dim=0).numpy()
    doubt = np.maximum(thresholds.doubt, 1e-300)[:, None, None]
    return np.abs((1 - probabilities) - doubt).min(axis=0) / doubt.min(axis=0)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_labels_equal_a_naive_loop_of_equation_8(ratio: float, scale: float) -> None:
    logits = random_logits(3, scale=scale)
    thresholds = filled(logits).thresholds(ratio)
    got, expected = balanced_labels(logits, thresholds, IGNORE).numpy(), naive_labels(logits, thresholds)
    differ = got != expected
    assert ratio_margin(logits, thresholds)[differ].max(initial=0) <= TOLERANCE
    assert differ.mean() < 0.02
    assert (expected != IGNORE).any()


def test_a_normalised_confidence_can_beat_the_larger_probability() -> None:
    # class 1 is never very sure: its .45 counts for more than class 0's .55
    doubt = np.array([0.1, 0.6])
    thresholds = Thresholds(doubt_bits(torch.from_numpy(doubt)).numpy(), doubt, pixels=np.array([2, 1]))
    labels = balanced_labels(logits_of([[0.55, 0.45], [0.95, 0.05], [0.65, 0.35]]), thresholds, IGNORE)
    assert labels[0].tolist() == [1, 0, IGNORE]  # ratios (.61, 1.125) (1.06, .125) (.72, .875)


def test_ties_at_certainty_are_kept_not_lost() -> None:
    logits = torch.zeros(3, 2, 5)
    logits[1] = 200.0  # exp(-200) is 0 in float32: p = 1 in every pixel
    thresholds = filled(logits).thresholds(0.2)
    assert thresholds.bits[1] == 0 and thresholds.k[1] == 0
    assert balanced_labels(logits, thresholds, IGNORE).eq(1).all()


def test_every_pixel_counted_up_to_the_rank_is_kept() -> None:
    doubts = np.sort(10 ** np.random.default_rng(0).uniform(-8, -1, 1000))
    logits = logits_of_doubt(doubts)
    kept = balanced_labels(logits, filled(logits).thresholds(0.37), IGNORE)[0] == 0
    assert kept[:370].all()
    ties = int((doubts[370:] <= doubts[369] * (1 + TOLERANCE)).sum())
    assert int(kept.sum()) <= 370 + ties


def test_a_class_never_predicted_takes_no_pixel() -> None:
    train = logits_of([[0.6, 0.3, 0.1]] * 3)
    thresholds = filled(train).thresholds(1.0)
    labels = balanced_labels(logits_of([[0.1, 0.2, 0.7], [0.7, 0.2, 0.1], [0.3, 0.6, 0.1]]), thresholds, IGNORE)
    assert labels[0].tolist() == [IGNORE, 0, IGNORE]


def test_nothing_counted_labels_nothing() -> None:
    thresholds = ConfidenceHistogram(3).thresholds(0.5)
    assert balanced_labels(torch.randn(3, 2, 2), thresholds, IGNORE).eq(IGNORE).all()


def test_a_ratio_of_one_labels_every_pixel() -> None:
    logits = random_logits(5)
    labels = balanced_labels(logits, filled(logits).thresholds(1.0), IGNORE)
    assert labels.dtype == torch.uint8 and int((labels == IGNORE).sum()) == 0


def test_with_one_threshold_for_all_the_label_is_the_argmax() -> None:
    logits = random_logits(6)
    labels = balanced_labels(logits, filled(logits).thresholds(0.5, shared=True), IGNORE)
    kept = labels != IGNORE
    assert torch.equal(labels[kept].long(), logits.argmax(dim=0)[kept])
    assert abs(float(kept.float().mean()) - 0.5) < 0.02


def test_labels_follow_a_permutation_of_the_classes() -> None:
    logits, order = random_logits(7), torch.tensor([3, 1, 4, 0, 2])
    labels = balanced_labels(logits, filled(logits).thresholds(0.3), IGNORE)
    permuted = balanced_labels(logits[order], filled(logits[order]).thresholds(0.3), IGNORE)
    back = torch.cat([order, torch.full((251,), IGNORE)])
    assert (
        float((back[permuted.long()] == labels).float().mean()) > 0.995
    )  # rounding may move a pixel over a bin's edge


def test_only_usable_pixels_count() -> None:
    logits = random_logits(8)
    usable = np.random.default_rng(0).random((24, 32)) < 0.5
    usable.setflags(write=False)
    histogram = ConfidenceHistogram(5)
    histogram.add(logits, usable)
    chosen = filled(logits[:, torch.from_numpy(usable.copy())][:, None])
    assert np.array_equal(histogram.counts, chosen.counts) and histogram.counts.sum() == usable.sum()
