"""The statistics of benchmarks/points.py: intervals of paired differences, and the control at equal seconds."""

import math
import statistics
from types import ModuleType
from typing import Any

import pytest


def run(paired: ModuleType, miou: float, minutes: float = 1.0, seed: int = 0, points: int = 5, draw: int = 0) -> Any:
    return paired.Run("any", points, seed, draw, miou, minutes, 10, 1.0, {}, {})


@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (9, 2.26216), (10, 2.22814), (30, 2.04227)]
)
def test_quantiles_are_those_of_the_printed_tables(paired: ModuleType, freedom: int, t: float) -> None:
    assert paired.t_quantile(freedom, 0.95) == pytest.approx(t, rel=1e-5)


def test_quantile_tends_to_the_normal_one(paired: ModuleType) -> None:
    assert paired.t_quantile(10_000, 0.95) == pytest.approx(statistics.NormalDist().inv_cdf(0.975), rel=1e-3)


def test_interval_by_hand(paired: ModuleType) -> None:
    found = paired.mean_interval([1.0, 2.0, 3.0])  # sd 1, so half = 4.30265 / sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2 - 2.48414, 2 + 2.48414), abs=1e-4)
    assert math.isnan(paired.mean_interval([1.0]).low) and paired.mean_interval([1.0]).value == 1.0
    assert math.isnan(paired.mean_interval([]).value)


def test_many_draws_of_one_seed_do_not_narrow_the_interval_over_seeds(paired: ModuleType) -> None:
    once = paired.gain([(0, 1.0), (1, 3.0)])
    often = paired.gain([(0, 1.0)] * 5 + [(1, 3.0)] * 5)
    assert once.over_seeds == often.over_seeds and (often.pairs, often.seeds) == (10, 2)
    assert often.over_pairs.high - often.over_pairs.low < once.over_pairs.high - once.over_pairs.low


def test_a_difference_that_is_not_known_is_no_pair(paired: ModuleType) -> None:
    assert paired.gain([(0, 1.0), (1, math.nan)]).pairs == 1


def test_curve_is_straight_in_log_minutes(paired: ModuleType) -> None:
    curve = [(1.0, 0.2), (100.0, 0.4), (10.0, 0.5)]
    assert paired.log_line(curve, math.sqrt(10)) == pytest.approx(0.35)  # half way to 10 in the logarithm
    assert paired.log_line(curve, 10.0) == pytest.approx(0.5)
    assert paired.log_line(curve, math.sqrt(1000)) == pytest.approx(0.45)
    assert paired.log_line(curve, 1 / 1.4) == pytest.approx(0.2 - 0.3 * math.log10(1.4))
    assert paired.log_line(curve, 140.0) == pytest.approx(0.4 - 0.1 * math.log10(1.4))


def test_curve_ends_where_nothing_near_was_measured(paired: ModuleType) -> None:
    curve = [(1.0, 0.2), (10.0, 0.5)]
    assert math.isnan(paired.log_line(curve, 16.0)) and math.isnan(paired.log_line(curve, 0.6))
    assert math.isnan(paired.log_line([(1.0, 0.2)], 1.0))


def test_control_is_the_mean_over_draws_of_the_same_seed(paired: ModuleType) -> None:
    draws = [run(paired, 0.2), run(paired, 0.4, draw=1), run(paired, 0.9, seed=1)]
    dearer = [run(paired, 0.5, minutes=10.0, points=50), run(paired, 0.7, minutes=10.0, points=50, draw=1)]
    control = paired.Control(draws + dearer)
    assert control.at_clicks(run(paired, 0.0)) == pytest.approx(0.3)
    assert control.at_minutes(run(paired, 0.0, minutes=math.sqrt(10))) == pytest.approx(0.45)
    assert math.isnan(control.at_clicks(run(paired, 0.0, points=10)))
    assert math.isnan(control.at_clicks(run(paired, 0.0, seed=2)))


def test_at_the_controls_own_minutes_seconds_and_clicks_agree(paired: ModuleType) -> None:
    control = paired.Control([run(paired, 0.3, 5.0, points=5), run(paired, 0.4, 10.0, points=10)])
    one = run(paired, 0.0, 10.0, points=10)
    assert control.at_minutes(one) == pytest.approx(control.at_clicks(one))


def test_spread_of_draws_leaves_seeds_out(paired: ModuleType) -> None:
    runs = [run(paired, miou, seed=seed, draw=draw) for seed, pair in enumerate([(1, 3), (11, 13)]) for draw, miou in
            enumerate(pair)]  # fmt: skip
    assert paired.spread_of_draws(runs) == pytest.approx(math.sqrt(2))
    assert math.isnan(paired.spread_of_draws(runs[:1]))
