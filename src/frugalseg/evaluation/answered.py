"""What the report is told of the people who answered: what answers took, and how far they can be believed."""

from collections.abc import Mapping
from dataclasses import dataclass

from frugalseg.evaluation.compare import Interval


@dataclass(frozen=True)
class Timed:
    """Answers of one `kind` in one round: their number, their seconds in all and each; NaN where unknown.

    `median_s` has its 95 % interval, `low_s` and `high_s` are quartiles; `forecast_s` is what one was expected to take
    when the questions were chosen.
    """

    round: str
    kind: str
    answers: int
    seconds: float
    median_s: Interval
    low_s: float
    high_s: float
    forecast_s: float

    @property
    def off(self) -> float:
        """How much longer the median answer took than was forecast, as a share; NaN where nothing was forecast."""
        return self.median_s.value / self.forecast_s - 1


@dataclass(frozen=True)
class Person:
    """One person over all rounds. `right` is the share right of `checked` answers to what is known, with its interval.

    `estimated_right` is that of the confusion matrix estimated from `judged` answers, NaN where there are none;
    `mistakes` are classes taken for others: the true one's name, the answer's, and how many answers, as expected.
    """

    name: str
    answers: int
    seconds: float
    revealed: int
    checked: int
    right: Interval
    judged: int
    estimated_right: float
    mistakes: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True)
class Answered:
    """All of it. On `shared` questions several people answered, on `same` of these alike; `undecided` are open.

    `plan_s` is what a question of each kind (point, image) that was answered is reckoned with from here on.
    """

    timed: tuple[Timed, ...]
    people: tuple[Person, ...]
    shared: int
    same: int
    undecided: int
    plan_s: Mapping[str, float]
