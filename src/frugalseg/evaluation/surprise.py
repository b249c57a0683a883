"""Whether selection paid, as far as answers alone can tell: chosen questions against the standing random control.

An answer is a *surprise* if it names another class than the model said when it asked. The control's points are drawn
uniformly from all pixels, so its rate is the model's own error rate; the chosen questions should surprise more often.
More surprise is not more gain: labels at edges and of noise surprise too, and teach little. A model trained on the same
budget at random is the proof; this is the evidence that comes free with every round.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.evaluation.compare import RESAMPLES, Interval

Z = 1.959964  # the standard normal's 97.5 % quantile, of 95 % intervals


@dataclass(frozen=True)
class Guess:
    """What the model said at a question's point, and whether an edge between two of its classes was near."""

    query: str
    class_id: int
    at_edge: bool


@dataclass(frozen=True)
class Reply:
    """An answer beside the model's guess; `class_id` is None where no class was named. `key` is the frame's.

    `seconds` are all that people spent on the question, several of them or again.
    """

    key: str
    guess_id: int
    class_id: int | None
    seconds: float
    at_edge: bool = False

    @property
    def surprise(self) -> bool:
        """Whether a class was named, and another one than the model's."""
        return self.class_id is not None and self.class_id != self.guess_id


@dataclass(frozen=True)
class Group:
    """What came back to one group of questions.

    `surprise` is the share of surprises among the answers that name a class, with Wilson's interval; `per_minute` how
    many surprises a minute of people's time brought; `even_classes` as how many equally frequent classes the answers
    spread (the exponential of their entropy); shares are of all answers.
    """

    answers: int
    named: int
    surprises: int
    surprise: Interval
    per_minute: float
    even_classes: float
    unnamed_share: float
    edge_share: float
    seconds: float

    @classmethod
    def of(cls, replies: Sequence[Reply]) -> "Group":
        """Count."""
        named = [reply for reply in replies if reply.class_id is not None]
        surprises, seconds = sum(reply.surprise for reply in replies), math.fsum(reply.seconds for reply in replies)
        many = len(replies)
        return cls(
            answers=many,
            named=len(named),
            surprises=surprises,
            surprise=wilson(surprises, len(named)),
            per_minute=60 * surprises / seconds if seconds > 0 else math.nan,
            even_classes=_even_classes([reply.class_id for reply in named if reply.class_id is not None]),
            unnamed_share=1 - len(named) / many if many else math.nan,
            edge_share=sum(reply.at_edge for reply in replies) / many if many else math.nan,
            seconds=seconds,
        )


@dataclass(frozen=True)
class SliceResult:
    """Both groups, and how much more often the chosen questions surprised: a difference of shares."""

    chosen: Group
    control: Group
    difference: Interval


def compare_slice(
    chosen: Sequence[Reply], control: Sequence[Reply], resamples: int = RESAMPLES, seed: int = 0
) -> SliceResult:
    """Compare chosen questions with the control.

    The interval of the difference is on each side the wider of two: Newcombe's (1998, method 10), right for few
    answers, and the bootstrap over frames, which knows that answers in one frame are alike. NaN without both groups.
    """
    one, other = Group.of(chosen), Group.of(control)
    if not one.named or not other.named:
        return SliceResult(one, other, Interval(math.nan, math.nan, math.nan))
    value = one.surprise.value - other.surprise.value
    low = value - math.hypot(one.surprise.value - one.surprise.low, other.surprise.high - other.surprise.value)
    high = value + math.hypot(one.surprise.high - one.surprise.value, other.surprise.value - other.surprise.low)
    drawn_R = _resampled_difference(chosen, control, resamples, seed)
    if drawn_R.size:
        drawn_low, drawn_high = np.quantile(drawn_R, [0.025, 0.975]).tolist()
        low, high = min(low, drawn_low), max(high, drawn_high)
    return SliceResult(one, other, Interval(value, low, high))


def wilson(successes: int, trials: int) -> Interval:
    """Return a share with Wilson's score interval (1927) of 95 %; NaN without trials."""
    if trials < 1:
        return Interval(math.nan, math.nan, math.nan)
    share, z2 = successes / trials, Z * Z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def _even_classes(ids: Sequence[int]) -> float:
    if not ids:
        return math.nan
    shares = np.bincount(ids) / len(ids)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _resampled_difference(
    chosen: Sequence[Reply], control: Sequence[Reply], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Return the difference on each resample of frames that has answers of both groups."""
    keys = sorted({reply.key for reply in [*chosen, *control]})
    place = {key: number for number, key in enumerate(keys)}
    counts_F4 = np.zeros((len(keys), 4))  # named, surprises of the chosen; named, surprises of the control
    for column, replies in ((0, chosen), (2, control)):
        for reply in replies:
            counts_F4[place[reply.key], column] += reply.class_id is not None
            counts_F4[place[reply.key], column + 1] += reply.surprise
    draws_RF = generator(seed, "slice").multinomial(len(keys), np.full(len(keys), 1 / len(keys)), size=resamples)
    sums_R4 = draws_RF @ counts_F4
    sums_R4 = sums_R4[(sums_R4[:, 0] > 0) & (sums_R4[:, 2] > 0)]
    difference_R: NDArray[np.float64] = sums_R4[:, 1] / sums_R4[:, 0] - sums_R4[:, 3] / sums_R4[:, 2]
    return difference_R
