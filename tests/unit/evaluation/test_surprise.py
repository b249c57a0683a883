"""Chosen questions against the random control: rates, intervals, and what they are not."""

import math

import pytest

from frugalseg.evaluation.surprise import Group, Reply, compare_slice, wilson


def replies(surprises: int, others: int, frames: int = 10, seconds: float = 3.0) -> list[Reply]:
    classes = [1] * surprises + [0] * others
    return [Reply(f"f{number % frames}", 0, class_id, seconds) for number, class_id in enumerate(classes)]


def test_wilson_by_hand():
    # 2 of 10, z = 1.96: middle (0.2 + 0.19208) / 1.38416, half 1.96 / 1.38416 * sqrt(0.016 + 0.0096040)
    found = wilson(2, 10)
    assert (found.low, found.high) == pytest.approx((0.0567, 0.5098), abs=1e-4)
    assert wilson(0, 10).low == 0 and wilson(10, 10).high == pytest.approx(1)
    assert math.isnan(wilson(0, 0).value)


def test_a_group_counts_what_came_back():
    group = Group.of(
        [
            Reply("a", 0, 0, 3.0),
            Reply("a", 0, 1, 3.0, at_edge=True),
            Reply("b", 1, None, 6.0, at_edge=True),  # no class named: neither right nor a surprise
            Reply("b", 1, 0, 3.0),
        ]
    )
    assert (group.answers, group.named, group.surprises, group.seconds) == (4, 3, 2, 15.0)
    assert group.surprise.value == pytest.approx(2 / 3)
    assert group.per_minute == pytest.approx(8.0)
    assert (group.unnamed_share, group.edge_share) == (0.25, 0.5)
    shares = (2 / 3, 1 / 3)
    assert group.even_classes == pytest.approx(math.exp(-sum(share * math.log(share) for share in shares)))


def test_as_many_even_classes_as_there_are_when_all_are_alike():
    assert Group.of([Reply("a", 0, class_id, 1.0) for class_id in range(7)]).even_classes == pytest.approx(7)
    assert Group.of([Reply("a", 0, 3, 1.0)] * 9).even_classes == pytest.approx(1)


def test_a_clear_difference_is_seen_and_no_difference_is_not():
    clear = compare_slice(replies(180, 120), replies(20, 80)).difference
    assert clear.value == pytest.approx(0.4) and 0 < clear.low < 0.4 < clear.high
    same = compare_slice(replies(60, 240), replies(20, 80)).difference
    assert same.low < 0 < same.high
    swapped = compare_slice(replies(20, 80), replies(180, 120)).difference
    assert swapped.value == -clear.value
    assert (swapped.low, swapped.high) == pytest.approx((-clear.high, -clear.low), abs=0.02)


def test_newcombe_by_hand_where_frames_are_many():
    """Newcombe 1998, table II, case (a): 56/70 - 48/80 = 0.2, method 10: 0.0524 to 0.3339."""
    found = compare_slice(replies(56, 14, frames=70), replies(48, 32, frames=80)).difference
    assert found.value == pytest.approx(0.2)
    assert found.low <= 0.0524 + 5e-4 and found.high >= 0.3339 - 5e-4
    assert found.low > 0.0 and found.high < 0.40


def test_answers_of_one_frame_count_as_alike():
    """All surprises in one frame of three: resampling frames knows that this says little."""
    chosen = [Reply("a", 0, 1, 3.0)] * 100 + [Reply("b", 0, 0, 3.0)] * 100 + [Reply("c", 0, 0, 3.0)] * 100
    spread = [Reply(key, 0, int(number < 33), 3.0) for key in "abc" for number in range(100)]
    control = [Reply(key, 0, int(number < 10), 3.0) for key in "abc" for number in range(100)]
    clustered, even = (compare_slice(group, control).difference for group in (chosen, spread))
    assert even.low > 0
    assert clustered.low < even.low and clustered.high > even.high


@pytest.mark.parametrize(
    "chosen, control", [([], []), (replies(3, 3), []), ([Reply("a", 0, None, 3.0)], replies(1, 1))]
)
def test_without_both_groups_nothing_is_said(chosen, control):
    assert math.isnan(compare_slice(chosen, control).difference.value)
