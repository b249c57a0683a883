"""What an answer costs a person, the budget grammar, and what has been spent; all in seconds of people's time."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from frugalseg.core.choose import choose
from frugalseg.core.errors import AnswerError, BudgetError, ConfigError
from frugalseg.core.records import Answer, Query

EXAMPLES = "50points/image, 2000points, 15images, 5%images, 2h, 30min, 45s"


@dataclass(frozen=True)
class CostModel:
    """Seconds a person needs for one answer: priors until a project's own medians replace them.

    `boundary_point_s` holds within `boundary_px` of a true class edge, where `ambiguous_rate` of the answers are
    "ambiguous"; `edge_share` is the share of the questions that are near one. `overlap` is the share of questions asked
    twice, `gold` the share asked only to check the annotator.

    Raises:
        ConfigError: a cost that is no positive number, or a rate outside its range.
    """

    point_s: float = 3.0
    boundary_point_s: float = 6.0
    region_s: float = 25.0  # a 64x64 patch
    review_s: float = 30.0  # looking over one given mask
    image_s: float = 4500.0  # a full street image: 60–90 min
    boundary_px: int = 2
    ambiguous_rate: float = 0.3
    edge_share: float = 0.0
    overlap: float = 0.0
    gold: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            low = math.ulp(0.0) if entry.name.endswith("_s") else 0.0
            high = 1.0 if entry.name in ("ambiguous_rate", "edge_share") else math.inf
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(
                    f"cost model: {entry.name} = {value} is out of range; the default is {entry.default}."
                )

    def each(self, kind: str) -> float:
        """Return the seconds of one answer of `kind`: point, boundary_point, region, review or image.

        Raises:
            UnknownNameError: no such kind.
        """
        return choose(
            "kind of answer",
            str(kind),
            {
                "point": self.point_s,
                "boundary_point": self.boundary_point_s,
                "region": self.region_s,
                "review": self.review_s,
                "image": self.image_s,
            },
        )

    def expected(self, kind: str) -> float:
        """Return the seconds that one answer of `kind` is expected to take: of points `edge_share` lie near an edge."""
        if str(kind) != "point":
            return self.each(kind)
        return (1 - self.edge_share) * self.point_s + self.edge_share * self.boundary_point_s

    def seconds(self, kind: str, count: int) -> float:
        """Return the seconds that `count` questions of `kind` cost, overlap and gold questions included.

        Whole images are labelled in people's own tools, which ask nothing twice and check nobody.
        """
        more = 0.0 if str(kind) == "image" else self.overlap + self.gold
        return count * self.expected(kind) * (1 + more)

    def affords(self, kind: str, seconds: float) -> int:
        """Return how many questions of `kind` fit into `seconds`, overlap and gold questions included."""
        return math.floor(seconds / self.seconds(kind, 1) + 1e-6)  # the slack undoes rounding, e.g. 6600.000000000001


class BudgetKind(StrEnum):
    """The unit of a budget; the values are what one writes after the number (seconds also as min and h)."""

    POINTS_PER_IMAGE = "points/image"
    POINTS = "points"
    IMAGES = "images"
    PERCENT_IMAGES = "%images"
    SECONDS = "s"


_UNITS = {
    "points/image": (BudgetKind.POINTS_PER_IMAGE, 1),
    "point/image": (BudgetKind.POINTS_PER_IMAGE, 1),
    "points": (BudgetKind.POINTS, 1),
    "point": (BudgetKind.POINTS, 1),
    "images": (BudgetKind.IMAGES, 1),
    "image": (BudgetKind.IMAGES, 1),
    "%images": (BudgetKind.PERCENT_IMAGES, 1),
    "s": (BudgetKind.SECONDS, 1),
    "min": (BudgetKind.SECONDS, 60),
    "h": (BudgetKind.SECONDS, 3600),
}
_WHOLE = (BudgetKind.POINTS, BudgetKind.IMAGES)
_BUDGET = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?([a-z%/]+)")


@dataclass(frozen=True)
class Budget:
    """How much may be asked: an amount in the unit `kind` (hours and minutes as seconds), and the text it came from.

    A budget in one unit buys questions of another at equal human time: `15images` buys `15 * image_s / point_s` points.
    """

    kind: BudgetKind
    amount: float
    text: str

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read `50points/image`, `2000points`, `15images`, `5%images`, `2h`, `30min` or `45s`.

        Raises:
            BudgetError: no such form, nothing bought, more than 100 %, or a fraction of a point or image.
        """
        match = _BUDGET.fullmatch(text.strip())
        if match is None or match[2] not in _UNITS:
            raise BudgetError(f"budget {text!r} cannot be read. Write for example {EXAMPLES}.")
        kind, factor = _UNITS[match[2]]
        amount = float(Fraction(match[1]) * factor)
        if amount <= 0:
            raise BudgetError(f"budget {text!r} buys nothing. Write for example {EXAMPLES}.")
        if kind is BudgetKind.PERCENT_IMAGES and amount > 100:
            raise BudgetError(f"budget {text!r}: there are no more than 100 % of the images.")
        if kind in _WHOLE and not amount.is_integer():
            raise BudgetError(f"budget {text!r}: {kind} must be a whole number; a fraction goes with points/image.")
        return cls(kind, amount, match[1] + match[2])

    def __str__(self) -> str:
        return self.text

    @property
    def counts_points(self) -> bool:
        """Whether it says how many points are asked, whatever they cost."""
        return self.kind in (BudgetKind.POINTS, BudgetKind.POINTS_PER_IMAGE)

    def human_seconds(self, frames: int, cost: CostModel) -> float:
        """Return the seconds of people's time this budget stands for, over a pool of `frames` frames.

        Raises:
            BudgetError: it buys nothing from that pool, or more images than there are.
        """
        if frames < 1:
            raise BudgetError(f"budget {self.text}: there is no frame to ask about.")
        match self.kind:
            case BudgetKind.SECONDS:
                return self.amount
            case BudgetKind.POINTS | BudgetKind.POINTS_PER_IMAGE:
                return cost.seconds("point", self.total_points(frames, cost))
            case BudgetKind.IMAGES | BudgetKind.PERCENT_IMAGES:
                return cost.seconds("image", self.total_images(frames, cost))

    def total_points(self, frames: int, cost: CostModel) -> int:
        """Return how many points may be asked in all, over a pool of `frames` frames; never more than is paid for.

        Raises:
            BudgetError: not even one.
        """
        if self.kind is BudgetKind.POINTS:
            points = int(self.amount)
        elif self.kind is BudgetKind.POINTS_PER_IMAGE:
            points = math.floor(self._exact() * frames)
        else:
            points = cost.affords("point", self.human_seconds(frames, cost))
        return self._at_least_one(points, "point", frames, cost)

    def less(self, points: int, frames: int, cost: CostModel) -> "Budget":
        """Return what is left of this budget once `points` questions about a pixel are paid for.

        Raises:
            BudgetError: it buys nothing from that pool.
        """
        if self.counts_points:
            return Budget(BudgetKind.POINTS, self.total_points(frames, cost) - points, self.text)
        left_s = self.human_seconds(frames, cost) - cost.seconds("point", points)
        return Budget(BudgetKind.SECONDS, left_s, self.text)

    def points_per_image(self, frames: int, cost: CostModel) -> float:
        """Return `total_points` divided by `frames`; seldom whole, so spread the remainder.

        Raises:
            BudgetError: not even one point in all.
        """
        return self.total_points(frames, cost) / frames

    def total_images(self, frames: int, cost: CostModel) -> int:
        """Return how many whole images may be asked, at most `frames`; never more than is paid for.

        Raises:
            BudgetError: not even one, or `15images` out of fewer.
        """
        if self.kind is BudgetKind.IMAGES:
            images = int(self.amount)
            if images > frames:
                raise BudgetError(f"budget {self.text}: there are only {frames} frames to choose from.")
        elif self.kind is BudgetKind.PERCENT_IMAGES:
            images = math.floor(self._exact() * frames / 100)
        else:
            images = min(frames, cost.affords("image", self.human_seconds(frames, cost)))
        return self._at_least_one(images, "image", frames, cost)

    def _exact(self) -> Fraction:
        return Fraction(repr(self.amount))  # the decimal number as written: 0.29 * 100 frames is 29 points, not 28.99…

    def _at_least_one(self, count: int, unit: str, frames: int, cost: CostModel) -> int:
        if count < 1:
            raise BudgetError(
                f"budget {self.text} over {frames} frame(s) buys no {unit}; one takes {cost.seconds(unit, 1):g} s "
                f"of a person's time. Give more, e.g. one of {EXAMPLES}."
            )
        return count


@dataclass(frozen=True)
class Ledger:
    """Answers given and people's seconds spent, by kind of question. Every answer counts, also those taken back."""

    answers: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", MappingProxyType(dict(self.answers)))
        object.__setattr__(self, "seconds", MappingProxyType(dict(self.seconds)))

    @classmethod
    def of(cls, queries: Iterable[Query], answers: Iterable[Answer]) -> "Ledger":
        """Sum the answers by the kind of their query; their order makes no difference, not even in the last bit.

        Raises:
            AnswerError: an answer to no query.
        """
        kinds = {query.id: str(query.kind) for query in queries}
        spent: dict[str, list[float]] = {}
        for answer in answers:
            if answer.query not in kinds:
                raise AnswerError(f"answer to {answer.query} of {answer.annotator}: there is no such query.")
            spent.setdefault(kinds[answer.query], []).append(answer.seconds)
        return cls(
            {kind: len(spent[kind]) for kind in sorted(spent)}, {kind: math.fsum(spent[kind]) for kind in sorted(spent)}
        )

    @property
    def total_s(self) -> float:
        """All seconds of all kinds."""
        return math.fsum(self.seconds.values())

    @property
    def total_answers(self) -> int:
        """All answers of all kinds."""
        return sum(self.answers.values())

    def __add__(self, other: "Ledger") -> "Ledger":
        kinds = sorted({*self.answers, *other.answers})
        return Ledger(
            {kind: self.answers.get(kind, 0) + other.answers.get(kind, 0) for kind in kinds},
            {kind: self.seconds.get(kind, 0.0) + other.seconds.get(kind, 0.0) for kind in kinds},
        )
