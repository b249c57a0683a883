"""Comparing: intervals by bootstrap over frames, paired differences, and what human time bought.

Legend: F frames, C classes, R resamples. Frames are drawn with replacement (Efron 1979, percentile interval); the
scores of a resample come from its merged matrix. A draw is a row of multinomial counts, so all resamples are one matrix
product. Frames count as independent: neighbours in one video are not, and then the true uncertainty is larger.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.core.errors import ConfigError, DataError
from frugalseg.evaluation.confusion import Confusions, Tally, check_ids, mean_where, scores

RESAMPLES = 2000
COUNTS_AT_ONCE = 4_000_000  # multinomial counts in memory: 32 MB


@dataclass(frozen=True)
class Interval:
    """A value measured on all frames and the interval that holds it with probability `level`; NaN where undefined."""

    value: float
    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True)
class CurvePoint:
    """One point of mIoU against human time; scores are fractions 0–1, NaN bounds mean "not measured".

    Points of one `series` are joined by a line; `name` says what this one is.
    """

    human_minutes: float
    miou: float
    low: float
    high: float
    name: str
    series: str = "this project"


def bootstrap_interval(
    confusions: Confusions,
    ids: Sequence[int] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return mIoU over `ids` (default: all classes) with its bootstrap interval.

    The mean runs over the classes that occur in the truth of all frames. Where a resample misses one, that class keeps
    its measured IoU: dropping it would move the mean for no reason but which classes are rare.
    """
    samples_SR = resampled_miou([confusions], ids, resamples, seed)
    return _interval(scores(confusions.total(), ids).miou, samples_SR[0], level)


def bootstrap_classes(
    confusions: Confusions, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Interval, ...]:
    """Return each class's IoU with its bootstrap interval over the resamples whose truth has it (none: NaN bounds)."""
    samples_RC = _resampled_iou([confusions], resamples, seed)[0]
    iou_C = scores(confusions.total()).iou_C
    return tuple(_interval(float(iou), samples_R, level) for iou, samples_R in zip(iou_C, samples_RC.T, strict=True))


def paired_bootstrap(
    before: Confusions,
    after: Confusions,
    ids: Sequence[int] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return mIoU of `after` minus mIoU of `before`, both on the same resampled frames: positive is better.

    Raises:
        DataError: the two were not measured on the same frames and classes.
    """
    samples_SR = resampled_miou([before, after], ids, resamples, seed)
    value = scores(after.total(), ids).miou - scores(before.total(), ids).miou
    return _interval(value, samples_SR[1] - samples_SR[0], level)


def paired_bootstrap_mean(
    pairs: Sequence[tuple[Confusions, Confusions]],
    ids: Sequence[int] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean over (before, after) pairs of the difference in mIoU, all on the same resampled frames.

    With a pair for each training seed, the interval says what other frames would change, not what other seeds would.

    Raises:
        DataError: they were not all measured on the same frames and classes.
    """
    return paired_bootstrap_groups([pairs], ids, level, resamples, seed)


def paired_bootstrap_groups(
    groups: Sequence[Sequence[tuple[Confusions, Confusions]]],
    ids: Sequence[int] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean of the difference in mIoU over all (before, after) pairs of all groups, equally many in each.

    Groups may be scored against labels of their own, such as those of other targets: they share the names of what is
    drawn, and every group gets the same draws.

    Raises:
        DataError: a group's pairs were not all measured on the same frames and classes, or groups differ in frames.
    """
    if any(group[0][0].keys != groups[0][0][0].keys for group in groups):
        raise DataError("cannot draw the same frames for groups that were measured on different ones.")
    values, samples = [], []
    for group in groups:
        samples_SR = resampled_miou([one for pair in group for one in pair], ids, resamples, seed)
        samples.append((samples_SR[1::2] - samples_SR[::2]).mean(axis=0))
        values += [scores(after.total(), ids).miou - scores(before.total(), ids).miou for before, after in group]
    return _interval(math.fsum(values) / len(values), np.mean(samples, axis=0), level)


def paired_bootstrap_classes(
    before: Confusions, after: Confusions, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Interval, ...]:
    """Return each class's IoU of `after` minus that of `before`, with intervals from the same resampled frames.

    Raises:
        DataError: the two were not measured on the same frames and classes.
    """
    samples_SRC = _resampled_iou([before, after], resamples, seed)
    value_C = scores(after.total()).iou_C - scores(before.total()).iou_C
    samples_RC = samples_SRC[1] - samples_SRC[0]
    return tuple(_interval(float(value), samples, level) for value, samples in zip(value_C, samples_RC.T, strict=True))


def gap_closed(source_only: float, method: float, full: float) -> float:
    """Return the share of the gap between `source_only` and `full` supervision that `method` closes.

    0 = no better than the source alone, 1 = as good as all labels; NaN where full supervision is not the better one.
    """
    return (method - source_only) / (full - source_only) if full > source_only else math.nan


def _resampled(sets: Sequence[Confusions], resamples: int, seed: int) -> Iterator[Tally]:
    """Yield tallies of S x r x C, one row a resample, the same frames for each of the S sets, R rows in all."""
    first = sets[0]
    for other in sets[1:]:
        if other.keys != first.keys or other.classes != first.classes:
            raise DataError(_not_comparable(first, other))
    if not len(first) or resamples < 1:
        raise ConfigError(
            f"cannot draw {resamples} resamples from {len(first)} frames; at least one of each is needed."
        )
    tallies = [Tally.of(one.stack()) for one in sets]
    if any((tally.truth != tallies[0].truth).any() for tally in tallies):
        raise DataError("cannot compare models scored against different labels; evaluate both against the same.")
    # float64 is exact up to 2^53 pixels, and only floats have a fast matrix product
    parts_SF3C = [np.concatenate(tally, axis=1).astype(np.float64) for tally in tallies]
    rng = generator(seed, "bootstrap")
    frames, rows = len(first), max(1, COUNTS_AT_ONCE // len(first))
    for start in range(0, resamples, rows):
        draws_RF = rng.multinomial(frames, np.full(frames, 1 / frames), size=min(rows, resamples - start))
        sums_SR3C = np.stack([draws_RF.astype(np.float64) @ parts_F3C for parts_F3C in parts_SF3C])
        yield Tally(*np.split(sums_SR3C, 3, axis=2))


def _resampled_iou(sets: Sequence[Confusions], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return S x R x C; NaN where the truth of a resample lacks the class."""
    chunks = [np.where(tally.truth > 0, tally.iou, np.nan) for tally in _resampled(sets, resamples, seed)]
    return np.concatenate(chunks, axis=1)


def resampled_miou(
    sets: Sequence[Confusions], ids: Sequence[int] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Return mIoU over `ids` of each of S models on each of R resamples, S x R, the same frames for all models.

    NaN if no class of `ids` occurs in the truth at all.

    Raises:
        DataError: they were not all measured on the same frames and classes.
    """
    chosen = check_ids(ids, sets[0].classes)
    samples_SRC = _resampled_iou(sets, resamples, seed)[..., chosen]
    totals = [Tally.of(one.total()) for one in sets]
    measured_S1C = np.stack([total.iou[chosen] for total in totals])[:, None]
    present_C = totals[0].truth[chosen] > 0
    return mean_where(np.where(np.isnan(samples_SRC), measured_S1C, samples_SRC), present_C)


def _interval(value: float, samples_R: NDArray[np.float64], level: float) -> Interval:
    if not 0 < level < 1:
        raise ConfigError(f"interval level is {level}; expected a fraction between 0 and 1, such as 0.95.")
    known = samples_R[~np.isnan(samples_R)]
    if math.isnan(value) or not known.size:
        return Interval(value, math.nan, math.nan, level)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level)


def _not_comparable(first: Confusions, other: Confusions) -> str:
    if other.classes != first.classes:
        return f"cannot compare scores over {first.classes} with scores over {other.classes} classes."
    only = [*sorted(set(first.keys) - set(other.keys)), *sorted(set(other.keys) - set(first.keys))]
    return (
        f"cannot compare models measured on different frames ({len(first)} and {len(other)}); "
        f"only in one of them: {', '.join(only[:5])}{' …' if len(only) > 5 else ''}.\nEvaluate both on the same frames."
    )
