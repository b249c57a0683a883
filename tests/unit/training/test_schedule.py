import pytest

from frugalseg.training.schedule import poly


def test_by_hand() -> None:
    assert poly(0, 100) == 1.0
    assert poly(50, 100) == pytest.approx(0.5**0.9)
    assert poly(75, 100, power=2.0) == pytest.approx(0.0625)


def test_power_zero_is_constant() -> None:
    assert {poly(step, 7, power=0.0) for step in range(7)} == {1.0}


def test_every_step_has_a_rate_and_it_falls() -> None:
    rates = [poly(step, 20) for step in range(20)]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 0


def test_warm_up_rises_linearly_and_then_leaves_poly_alone() -> None:
    ramp = [poly(step, 1000, warm_up=4) / poly(step, 1000) for step in range(6)]
    assert ramp == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_past_the_end_is_zero_not_complex() -> None:
    assert poly(101, 100) == 0.0
