"""What a set of answers took: medians with their intervals."""

import math
import statistics

import numpy as np
import pytest

from frugalseg.annotation.history import median_interval, spread


def test_spread_by_hand() -> None:
    assert spread([]) == dict.fromkeys(("median", "low", "high", "from", "to"))
    assert spread([4.0]) == {"median": 4.0, "low": None, "high": None, "from": None, "to": None}
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == {"low": 2.0, "median": 3.0, "high": 4.0, "from": None, "to": None}


@pytest.mark.parametrize(("count", "place"), [(5, None), (6, 1), (8, 1), (9, 2), (20, 6), (100, 40)])
def test_the_medians_interval_is_that_of_the_table(count, place) -> None:
    """Places of the order statistics for 95 %, from tables of the sign test."""
    values = list(range(1, count + 1))
    assert median_interval(values) == ((None, None) if place is None else (place, count - place + 1))


@pytest.mark.parametrize("count", [6, 7, 30, 101, 400])
def test_it_leaves_out_as_many_as_the_binomial_allows(count) -> None:
    low, high = median_interval(range(count))
    tails = [sum(math.comb(count, k) for k in range(outside)) / 2**count for outside in (low + 1, low + 2)]
    assert tails[0] <= 0.025 < tails[1] and high == count - 1 - low


def test_many_values_neither_overflow_nor_miss_the_median() -> None:
    values = np.random.default_rng(0).exponential(size=20_000).tolist()
    low, high = median_interval(values)
    assert low < statistics.median(values) < high
    assert low < math.log(2) < high and high - low < 0.06
