"""What benchmarks/points.py says of a selector's answers, on answers counted by hand."""

import math
from collections import Counter
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from frugalseg.core.records import Verdict

NAMES = ("sky", "road", "car")


def told(evidence: ModuleType, said: int | None, guess: int = 0, key: str = "a", at: tuple[int, int] = (0, 0)) -> Any:
    verdict = Verdict.AMBIGUOUS if said is None else Verdict.CLASS
    return evidence.Told(key, *at, verdict, said, guess, 0.25, said is None, 6.0 if said is None else 3.0)


def test_answers_counted_by_hand(evidence: ModuleType) -> None:
    four = [told(evidence, said) for said in (0, 1, 1, None)]
    found = evidence.describe(four, (1 / 3, 1 / 3, 1 / 3), NAMES, {"b"})
    assert (found["clicks"], found["named"]) == (4, 3)
    assert found["classes"] == pytest.approx({"sky": 1 / 3, "road": 2 / 3, "car": 0})
    assert found["classes_off"] == pytest.approx(1 / 3)  # the third of the answers that should have said car
    assert (found["near_edge"], found["ambiguous"], found["unnamed"]) == (0.25, 0.25, 0.25)
    assert found["surprise"] == pytest.approx(2 / 3) and found["entropy_01"] == 0.25 and found["alike"] == 0
    bits = 1 / 3 * math.log2(3) + 2 / 3 * math.log2(3 / 2)  # all were predicted sky: the answers' own entropy
    assert found["effective_classes"] == pytest.approx(2**bits)
    assert found["bits"] == pytest.approx(3 / 4 * bits)
    assert found["bits_a_minute"] == pytest.approx(3 * bits / (15 / 60))


def test_answers_that_the_prediction_tells_bring_no_bits(evidence: ModuleType) -> None:
    assert evidence.new_bits([(0, 0), (1, 1), (2, 2)]) == pytest.approx(0)
    assert evidence.new_bits([(0, 1), (1, 2), (2, 0)]) == pytest.approx(0)  # always wrong, and always the same way
    assert evidence.new_bits([(0, 0), (0, 1), (1, 1), (1, 0)]) == pytest.approx(1)
    assert evidence.entropy_bits(Counter()) == 0


def test_nearest_neighbour_is_sought_within_the_frame(evidence: ModuleType) -> None:
    places = [("a", (0, 0)), ("a", (3, 4)), ("a", (3, 10)), ("b", (0, 1)), ("c", (5, 5)), ("c", (5, 5))]
    asked = [told(evidence, 0, key=key, at=at) for key, at in places]
    assert evidence.neighbour_px(asked) == pytest.approx((5 + 5 + 6 + 0 + 0) / 5)
    assert math.isnan(evidence.neighbour_px(asked[3:4]))


def test_nearest_neighbour_of_many_equals_the_naive_loop(evidence: ModuleType) -> None:
    points = np.random.default_rng(0).integers(0, 999, (evidence.DISTANCES_AT_ONCE + 9, 2)).tolist()
    naive = [min(math.dist(one, other) for j, other in enumerate(points) if i != j) for i, one in enumerate(points)]
    asked = [told(evidence, 0, at=tuple(point)) for point in points]
    assert evidence.neighbour_px(asked) == pytest.approx(sum(naive) / len(naive))
