"""The forecast of the next hour: right on curves it knows, wide where it cannot know, and honest about stopping."""

import numpy as np
import pytest

from frugalseg.evaluation.compare import Interval
from frugalseg.evaluation.confusion import Confusions, confusion
from frugalseg.evaluation.forecast import Advice, Forecast, draw_gains, forecast


def drawn(measured: np.ndarray, sd: float = 0.002) -> np.ndarray:
    """Scores on 2000 resamples: one wobble that all models share (the frames), and a little of their own."""
    rng = np.random.default_rng(0)
    return measured[:, None] + rng.normal(0, 0.01, (1, 2000)) + rng.normal(0, sd, (len(measured), 2000))


def gains(measured: np.ndarray, hours: np.ndarray, more: float = 1.0) -> tuple[float, float, float]:
    low, middle, high = np.quantile(draw_gains(hours, measured, drawn(measured), more), [0.025, 0.5, 0.975])
    return low, middle, high


CURVES = {
    "logarithm": lambda h: 0.4 + 0.05 * np.log1p(h),
    "power": lambda h: 0.55 - 0.15 * (1 + h) ** -0.5,
    "exponential": lambda h: 0.5 - 0.1 * np.exp(-h / 2),
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
@pytest.mark.parametrize("rounds", [1, 2, 3, 5])
def test_the_interval_holds_the_true_gain(curve, rounds):
    hours = np.arange(rounds + 1.0)
    low, _, high = gains(curve(hours), hours)
    assert low <= curve(rounds + 1.0) - curve(float(rounds)) <= high


def test_more_rounds_narrow_it():
    curve = CURVES["logarithm"]
    spans = [np.ptp(gains(curve(np.arange(n + 1.0)), np.arange(n + 1.0))) for n in (1, 3, 6)]
    assert spans[0] > spans[1] > spans[2]


def test_a_flat_end_brings_nothing_and_a_longer_time_never_less():
    hours = np.arange(5.0)
    measured = np.array([0.40, 0.45, 0.451, 0.4505, 0.4508])
    _, middle, high = gains(measured, hours)
    assert middle < 0.002 and high < 0.012
    curve = CURVES["power"](hours)
    assert gains(curve, hours, 2.0)[1] >= gains(curve, hours, 1.0)[1] >= gains(curve, hours, 0.25)[1]


def test_scores_that_fell_do_not_predict_a_loss():
    low, middle, _ = gains(np.array([0.5, 0.45]), np.array([0.0, 1.0]))
    assert (low, middle) == (0, 0)


def test_the_unit_of_time_makes_no_difference():
    hours, measured = np.arange(4.0), CURVES["logarithm"](np.arange(4.0))
    assert gains(measured, hours) == pytest.approx(gains(measured, hours * 60, 60.0))


def model(wrong: int) -> Confusions:
    truth = np.tile(np.array([0, 1], np.uint8), (4, 50))
    found = Confusions(2)
    for key in range(6):
        prediction = truth.copy()
        prediction[0, : wrong + key] ^= 1
        found.add(f"f{key}", confusion(truth, prediction, 2))
    return found


def test_too_few_models_say_nothing():
    assert forecast([], 1.0) is None
    assert forecast([(0.0, model(50))], 1.0) is None
    assert forecast([(0.0, model(50)), (0.0, model(30))], 1.0) is None, "no hour was spent between them"


def test_two_models_give_a_guess_and_say_how_far_out_it_is():
    found = forecast([(0.5, model(60)), (1.0, model(30))], 4.0, resamples=500)
    assert found is not None and found.far and not forecast([(0.5, model(60)), (1.0, model(30))], 1.0, 500).far
    assert (found.rounds, found.spent_h) == (1, 0.5)
    assert 0 <= found.gain.low < found.gain.value < found.gain.high


@pytest.mark.parametrize(
    "bounds, advice",
    [
        ((0.000, 0.001, 0.004), Advice.STOP),
        ((0.001, 0.003, 0.009), Advice.PROBABLY_STOP),
        ((0.001, 0.006, 0.009), Advice.PROBABLY_GO_ON),
        ((0.005, 0.006, 0.009), Advice.GO_ON),
    ],
)
def test_the_stopping_rule(bounds, advice):
    low, middle, high = bounds
    assert Forecast(Interval(middle, low, high), 1.0, 2, 3.0).advice(0.005) is advice
