"""Runs that differ in their labels only, compared pair by pair with a control: t intervals, equal clicks and seconds.

A pair is one run and the control's mean over its draws, of the same seed: same start, same batches, same number of
clicks. Pairs of one seed share the start and that mean, so they are not independent; beside the interval over pairs
stands the one over seeds (each seed's mean once), which takes nothing for granted but the seeds.

Equal seconds: the control's mIoU is read at the minutes that the run really cost, on its curve over budgets, straight
in the logarithm of minutes. The other way, cutting each selector's answers to the control's seconds, needs one more
training for every row, and a cut changes which questions are asked. Selectors differ by a factor of about 1.2 in
seconds a click and budgets by 5: what interpolation errs by is far below the noise.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from frugalseg.evaluation.compare import Interval

REACH = 1.5  # factor in minutes beyond its cheapest and dearest budget to which the control's curve is extended


@dataclass(frozen=True)
class Run:
    """One trained and scored network. `points` a frame; mIoU is a fraction, `minutes` are people's, `cpu_s` training's.

    `draw` counts selections of one selector, seed and budget from 0. `evidence` says what the answers were like; runs
    that chose no questions have none.
    """

    selector: str
    points: int
    seed: int
    draw: int
    miou: float
    minutes: float
    clicks: int
    cpu_s: float
    subsets: dict[str, float]
    iou: dict[str, float | None]
    evidence: dict[str, float | dict[str, float]] | None = None


@dataclass(frozen=True)
class Gain:
    """A mean difference with its interval over pairs and over seeds, and how many there are of each."""

    over_pairs: Interval
    pairs: int
    over_seeds: Interval
    seeds: int


class Control:
    """The control's mean over draws, seed by seed and budget by budget."""

    def __init__(self, runs: Iterable[Run]) -> None:
        found: dict[int, dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
        for run in runs:
            found[run.seed][run.points].append(run)
        self._budgets = {
            seed: {
                points: (
                    statistics.fmean(run.minutes for run in drawn),
                    statistics.fmean(run.miou for run in drawn),
                )
                for points, drawn in sorted(budgets.items())
            }
            for seed, budgets in found.items()
        }

    def at_clicks(self, run: Run) -> float:
        """Return the control's mIoU with as many clicks, in the run's seed; NaN where it was not measured."""
        return self._budgets.get(run.seed, {}).get(run.points, (math.nan, math.nan))[1]

    def at_minutes(self, run: Run) -> float:
        """Return the control's mIoU at the run's minutes, in the run's seed; NaN beyond REACH or with one budget."""
        return log_line(list(self._budgets.get(run.seed, {}).values()), run.minutes)


def no_seed(settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings without the seed: what has to be the same for runs of several seeds to stand in one table."""
    return {name: value for name, value in settings.items() if name != "seed"}


def log_line(curve: Sequence[tuple[float, float]], minutes: float) -> float:
    """Return the value at `minutes` of a curve that is straight between its (minutes, value) in log minutes.

    Up to REACH beyond its ends it goes on straight; NaN further out, and where there are fewer than two points.
    """
    curve = sorted(curve)
    if len(curve) < 2 or not curve[0][0] / REACH <= minutes <= curve[-1][0] * REACH:
        return math.nan
    place = next((n for n in range(1, len(curve) - 1) if minutes <= curve[n][0]), len(curve) - 1)
    (left, low), (right, high) = curve[place - 1 : place + 1]
    return low + (high - low) * math.log(minutes / left) / math.log(right / left)


def gain(pairs: Sequence[tuple[int, float]], level: float = 0.95) -> Gain:
    """Return the mean of (seed, difference) pairs; NaN differences are no pairs."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for seed, difference in pairs:
        if not math.isnan(difference):
            by_seed[seed].append(difference)
    every = [difference for differences in by_seed.values() for difference in differences]
    means = [statistics.fmean(differences) for differences in by_seed.values()]
    return Gain(mean_interval(every, level), len(every), mean_interval(means, level), len(means))


def spread_of_draws(runs: Iterable[Run]) -> float:
    """Return the standard deviation of mIoU between draws of one selector, seed and budget, pooled; NaN without any."""
    groups: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for run in runs:
        groups[run.selector, run.points, run.seed].append(run.miou)
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in groups.values() if len(group) > 1)
    freedom = sum(len(group) - 1 for group in groups.values())
    return math.sqrt(squares / freedom) if freedom else math.nan


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean with Student's interval; NaN bounds for one value, all NaN for none."""
    if not values:
        return Interval(math.nan, math.nan, math.nan, level)
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan, level)
    half = t_quantile(len(values) - 1, level) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, level)


def t_quantile(freedom: int, level: float) -> float:
    """Return t with P(|T| <= t) = level for Student's distribution, by bisection."""
    low, high = 0.0, 1.0
    while within(high, freedom) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, freedom) < level else (low, middle)
    return (low + high) / 2


def within(t: float, freedom: int) -> float:
    """Return P(|T| <= t): Abramowitz & Stegun 26.7.3 (odd degrees of freedom) and 26.7.4 (even)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.sin(angle) * (math.cos(angle) if odd else 1.0)
    total = 0.0
    for place in range(1, freedom // 2 + 1):
        total += term
        term *= math.cos(angle) ** 2 * (2 * place / (2 * place + 1) if odd else (2 * place - 1) / (2 * place))
    return 2 / math.pi * (angle + total) if odd else total
