"""The protocol of propagated labels: which cases there are, and how they are counted."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import DataError
from frugalseg.evaluation.by_distance import Case, Curve, by_anchors, centres, one_anchor, two_anchors


def test_the_protocol_on_101_frames() -> None:
    assert centres(101) == tuple(range(10, 91, 5)) and len(centres(101)) == 17
    cases = one_anchor(101)
    assert [sum(case.k == k for case in cases) for k in (1, 5, 10)] == [34, 34, 34]
    assert {abs(case.target - case.anchors[0]) - case.k for case in cases} == {0}
    assert min(case.target for case in cases) == 0 and max(case.target for case in cases) == 100
    midway = two_anchors(101)
    assert len(midway) == 170 and {sum(case.anchors) - 2 * case.target for case in midway} == {0}
    assert {case.anchors[1] - case.anchors[0] - 2 * case.k for case in midway} == {0}


def test_a_video_without_a_centre_is_refused() -> None:
    assert centres(21) == (10,)
    with pytest.raises(DataError, match="20 frames has no centre"):
        centres(20)


def test_a_walk_makes_all_cases_of_one_anchor_and_side() -> None:
    walks = list(by_anchors(one_anchor(31)))
    assert [(anchor, side) for anchor, side, _ in walks] == [
        (10, 1), (10, -1), (15, 1), (15, -1), (20, 1), (20, -1),
    ]  # fmt: skip
    assert all([case.k for case in walk] == list(range(1, 11)) for _, _, walk in walks)


def test_one_matrix_a_distance_misses_for_255_and_absent_classes_left_out() -> None:
    curve = Curve(3)
    truth = np.array([[0, 0, 1, 1, IGNORE]], np.uint8)
    curve.add(Case(1, (0,), 1), truth, np.array([[0, 0, 1, 1, 2]], np.uint8))
    curve.add(Case(2, (0,), 2), truth, np.array([[0, 0, IGNORE, 1, 0]], np.uint8))
    curve.add(Case(3, (1,), 2), truth, np.array([[0, 1, 1, 1, 0]], np.uint8))
    assert curve.distances == (1, 2)
    miou = curve.miou()
    assert miou[1] == 1.0
    # k = 2: class 0: 3 hits of 4; class 1: 3 hits, 1 missed, 1 false; class 2 is in no truth
    assert miou[2] == pytest.approx((3 / 4 + 3 / 5) / 2)
    assert len(curve.cases(2)) == 2
