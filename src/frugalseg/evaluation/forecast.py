"""What the next hour of people's time is predicted to bring, from the rounds so far, and whether to stop.

mIoU against hours h is fitted as a + b g(h), b >= 0, for a list of saturating shapes g: log(1 + h/t),
1 - (1 + h/t)^-c and 1 - exp(-h/t), with t in units of the first round's hours. Uncertainty is drawn, not derived: each
draw takes the scores on resampled frames (the same frames for all rounds), adds the noise of training, and picks a
shape by how well it fits (its likelihood under that noise). One round leaves the shape wide open, and the interval says
so.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.evaluation.compare import RESAMPLES, Interval, resampled_miou
from frugalseg.evaluation.confusion import Confusions, scores

TRAINING_SD = 0.006  # of mIoU: what another seed moves a retrained model by (benchmarks/real_pair.py: 0.6 points)
LEAST = 2  # models: one before any answer, one after a round
KNOWN_SHAPE = 4  # models from which on the scatter around the fit is measured too
FAR = 2.0  # a forecast over more than this many times the hours spent so far is said to be far out

Shape = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Advice(StrEnum):
    """What a forecast means for the next hour."""

    GO_ON = "go on"
    PROBABLY_GO_ON = "probably go on"
    PROBABLY_STOP = "probably stop"
    STOP = "stop"


@dataclass(frozen=True)
class Forecast:
    """The gain in mIoU (a fraction) predicted for `hours` more, after `rounds` rounds of `spent_h` hours in all."""

    gain: Interval
    hours: float
    rounds: int
    spent_h: float

    @property
    def far(self) -> bool:
        """Whether it reaches far beyond what was measured."""
        return self.hours > FAR * self.spent_h

    def advice(self, least_gain: float) -> Advice:
        """Say whether to go on, if these hours have to bring `least_gain` (a fraction)."""
        if self.gain.high < least_gain:
            return Advice.STOP
        if self.gain.low >= least_gain:
            return Advice.GO_ON
        return Advice.PROBABLY_GO_ON if self.gain.value >= least_gain else Advice.PROBABLY_STOP


def forecast(
    models: Sequence[tuple[float, Confusions]], hours: float, resamples: int = RESAMPLES, seed: int = 0
) -> Forecast | None:
    """Predict the gain of `hours` more.

    Args:
        models: People's hours in all and the scores of each model, the one before any answer first.
        hours: How much more people would answer.
        resamples: Draws.
        seed: Of the draws.

    Returns:
        None with too few models to say anything.

    Raises:
        DataError: they were not all measured on the same frames and classes.
    """
    spent_N = np.array([spent for spent, _ in models])
    if len(models) < LEAST or not (np.diff(spent_N) > 0).all():
        return None
    drawn_NR = resampled_miou([found for _, found in models], resamples=resamples, seed=seed)
    measured_N = np.array([scores(found.total()).miou for _, found in models])
    gains_R = draw_gains(spent_N, measured_N, drawn_NR, hours, seed)
    low, middle, high = np.quantile(gains_R, [0.025, 0.5, 0.975]).tolist()
    spent_h = float(spent_N[-1] - spent_N[0])
    return Forecast(Interval(middle, low, high), hours, len(models) - 1, spent_h)


def draw_gains(
    hours_N: NDArray[np.float64],
    measured_N: NDArray[np.float64],
    drawn_NR: NDArray[np.float64],
    more_h: float,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return one predicted gain a draw; `drawn_NR` are the N models' scores on R resamples."""
    rng = generator(seed, "forecast")
    hours_N = hours_N - hours_N[0]
    shapes = _shapes(float(hours_N[1]))
    sd = _noise(hours_N, measured_N, shapes)
    noisy_NR = drawn_NR + rng.normal(0, sd, drawn_NR.shape)
    ahead = np.array([hours_N[-1], hours_N[-1] + more_h])
    gains_SR, misfit_SR = np.empty((2, len(shapes), drawn_NR.shape[1]))
    for number, shape in enumerate(shapes):
        slope_R, misfit_SR[number] = _fit(shape(hours_N), noisy_NR)
        now, then = shape(ahead)
        gains_SR[number] = slope_R * (then - now)
    weights_SR = np.exp(-(misfit_SR - misfit_SR.min(axis=0)) / (2 * sd * sd))
    sums_SR = np.cumsum(weights_SR, axis=0)
    picked_R = (sums_SR < rng.random(drawn_NR.shape[1]) * sums_SR[-1]).sum(axis=0)
    gains_R: NDArray[np.float64] = gains_SR[picked_R, np.arange(drawn_NR.shape[1])]
    return gains_R


def _shapes(first_h: float) -> list[Shape]:
    """Return saturating shapes from early to late, all 0 at 0; `first_h` are the hours of the first round."""
    found: list[Shape] = []
    for time_h in (first_h * factor for factor in (0.1, 0.3, 1.0, 3.0, 10.0)):
        found.append(lambda h, t=time_h: np.log1p(h / t))  # type: ignore[misc]
        found.append(lambda h, t=time_h: -np.expm1(-h / t))  # type: ignore[misc]
        found += [lambda h, t=time_h, c=power: 1 - (1 + h / t) ** -c for power in (0.5, 1.0, 2.0)]  # type: ignore[misc]
    return found


def _fit(g_N: NDArray[np.float64], score_NR: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each draw the slope b >= 0 of the least-squares line a + b g, and its sum of squared residuals."""
    centred_N = g_N - g_N.mean()
    centred_NR = score_NR - score_NR.mean(axis=0)
    slope_R = np.maximum(centred_N @ centred_NR / (centred_N @ centred_N), 0.0)
    misfit_R = ((centred_NR - centred_N[:, None] * slope_R) ** 2).sum(axis=0)
    return slope_R, misfit_R


def _noise(hours_N: NDArray[np.float64], measured_N: NDArray[np.float64], shapes: Sequence[Shape]) -> float:
    """Return how far scores scatter around the curve: TRAINING_SD, or more where the rounds show it."""
    if len(hours_N) < KNOWN_SHAPE:
        return TRAINING_SD
    least = min(float(_fit(shape(hours_N), measured_N[:, None])[1][0]) for shape in shapes)
    return max(TRAINING_SD, math.sqrt(least / (len(hours_N) - 2)))
