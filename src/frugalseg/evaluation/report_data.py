"""What a report is made of: frozen records of arrays and numbers, checked once at birth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import DataError
from frugalseg.core.records import Answer, Query, Verdict
from frugalseg.evaluation.answered import Answered
from frugalseg.evaluation.asked_rounds import AskedRound, StillUnsure
from frugalseg.evaluation.coarse import CoarseScores
from frugalseg.evaluation.compare import RESAMPLES, CurvePoint, Interval, bootstrap_classes, bootstrap_interval
from frugalseg.evaluation.confusion import Confusions, Scores, scores
from frugalseg.evaluation.drift_findings import DriftFindings
from frugalseg.evaluation.exhibits import ChosenImages, DataCheck, Gallery, Ranking, SpatialPriors
from frugalseg.evaluation.reliability import Reliability
from frugalseg.evaluation.surprise import SliceResult

SAME_TIME = 0.15  # people's times that differ by no more than this share of the longer one are about equal


class Role(StrEnum):
    """What a model is in the report's story."""

    STEP = "step"  # the project's own models, in order; the first is "before", the last is "after"
    CONTROL = "control"  # the same budget spent at random
    UPPER_BOUND = "upper bound"  # everything labelled


@dataclass(frozen=True, eq=False)
class EvaluatedModel:
    """One model's scores on the validation frames. `human_seconds` is all the people's time spent to get it."""

    name: str
    confusions: Confusions
    scores: Scores
    miou: Interval
    iou_C: tuple[Interval, ...]
    human_seconds: float
    role: Role = Role.STEP
    note: str = ""

    def took_as_long(self, other: "EvaluatedModel") -> bool:
        """Return whether about as much of people's time went into `other`."""
        one_s, other_s = self.human_seconds, other.human_seconds
        return abs(one_s - other_s) <= SAME_TIME * max(one_s, other_s)

    @classmethod
    def measure(
        cls,
        name: str,
        confusions: Confusions,
        human_seconds: float,
        role: Role = Role.STEP,
        note: str = "",
        ids: Sequence[int] | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> "EvaluatedModel":
        """Score the merged matrix and bootstrap mIoU (over `ids`, default all classes) and each class's IoU."""
        return cls(
            name=name,
            confusions=confusions,
            scores=scores(confusions.total(), ids),
            miou=bootstrap_interval(confusions, ids, resamples=resamples, seed=seed),
            iou_C=bootstrap_classes(confusions, resamples=resamples, seed=seed),
            human_seconds=human_seconds,
            role=role,
            note=note,
        )


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """One frame to look at: among the questions if it has any or an entropy map, among the predictions if it has any.

    `image` is H x W or H x W x channels: uint8, uint16, or float in 0–1; the first three channels are shown as RGB.
    `predictions` are class ids by model name, in the order to show. `entropy_01` is the map before people answered.

    Raises:
        DataError: a map of another size than the image, or a question about a pixel outside it.
    """

    key: str
    image: NDArray[Any]
    truth: NDArray[np.uint8] | None = None
    predictions: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    entropy_01: NDArray[np.floating[Any]] | None = None
    queries: tuple[Query, ...] = ()
    answers: tuple[Answer, ...] = ()

    def __post_init__(self) -> None:
        maps = {"truth": self.truth, "entropy": self.entropy_01, **self.predictions}
        for name, array_HW in maps.items():
            if array_HW is not None and array_HW.shape != self.size_HW:
                raise DataError(
                    f"frame {self.key}: {name} is {array_HW.shape}, its image is {self.size_HW} (height, width)."
                )
        height, width = self.size_HW
        for query in self.queries:
            if query.point and not (query.point.row < height and query.point.column < width):
                raise DataError(f"frame {self.key}: query {query.id} asks about {query.point} outside {self.size_HW}.")

    @property
    def size_HW(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class LedgerRow:
    """What one round of questions cost: how many were asked, what came back, and the people's time it took.

    `role` is CONTROL for questions that were drawn at random for comparison.
    """

    what: str
    asked: int
    classes: int
    ambiguous: int
    none: int
    skipped: int
    human_seconds: float
    simulated: bool = False
    role: Role = Role.STEP

    @classmethod
    def count(
        cls,
        what: str,
        queries: Sequence[Query],
        answers: Sequence[Answer],
        simulated: bool = False,
        role: Role = Role.STEP,
    ) -> "LedgerRow":
        """Sum seconds and count what holds: the last answer to a question; one that was answered twice costs twice.

        A mask counts among the classes.
        """
        verdicts = list({answer.query: answer.verdict for answer in answers}.values())
        return cls(
            what=what,
            asked=len(queries),
            classes=verdicts.count(Verdict.CLASS) + verdicts.count(Verdict.MASK),
            ambiguous=verdicts.count(Verdict.AMBIGUOUS),
            none=verdicts.count(Verdict.NONE),
            skipped=verdicts.count(Verdict.SKIP),
            human_seconds=sum(answer.seconds for answer in answers),
            simulated=simulated,
            role=role,
        )


@dataclass(frozen=True)
class StageRecord:
    """How a stage was run, exactly: `command` is the argument list, `config` the resolved settings."""

    name: str
    command: tuple[str, ...]
    config: Mapping[str, Any]
    seed: int
    wall_s: float
    device_s: float = 0.0
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything in a report. `models` may be empty (no labelled frames: nothing to score); so may the rest.

    `created` is a date as text (the report itself has no clock), `budget` the budget as the user wrote it, `notes`
    are caveats printed under the headline. `reliability` and `coarse` are by model name; `drift` as the last step's
    network sees it; `left_out` are sections that the stages gave no material for, each with the reason; `slice`
    compares chosen questions with the random ones hidden among them, `forecast` is a sentence about the next hour,
    `answered` is about the people who answered; None where answers were simulated.

    Raises:
        DataError: a model scored over another number of classes, or two models of one name.
    """

    title: str
    project: str
    classes: ClassSet
    models: tuple[EvaluatedModel, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    frames: tuple[ShownFrame, ...] = ()
    ledger: tuple[LedgerRow, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    budget: str = ""
    notes: tuple[str, ...] = ()
    created: str = ""
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    gallery: Gallery | None = None
    drift: DriftFindings | None = None
    check: DataCheck | None = None
    ranking: Ranking | None = None
    priors: SpatialPriors | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    rounds: tuple[AskedRound, ...] = ()
    slice: SliceResult | None = None
    unsure: StillUnsure | None = None
    forecast: str = ""
    answered: Answered | None = None
    chosen: ChosenImages | None = None
    coarse: Mapping[str, CoarseScores] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            raise DataError(f"report {self.title!r}: model names must differ, got {', '.join(names)}.")
        for model in self.models:
            if model.confusions.classes != len(self.classes):
                raise DataError(
                    f"report {self.title!r}: model {model.name!r} was scored over {model.confusions.classes} classes, "
                    f"the project has {len(self.classes)}."
                )

    @property
    def steps(self) -> tuple[EvaluatedModel, ...]:
        """The project's own models in order."""
        return tuple(model for model in self.models if model.role is Role.STEP)

    def control_of(self, model: EvaluatedModel) -> EvaluatedModel | None:
        """Return the control that `model` can be compared with: of about as much of people's time, or the same round.

        Of several the nearest in time, then the newest. None: there is none yet.
        """
        number = {asked.model: asked.number for asked in self.rounds if asked.model}
        controls = [
            other
            for other in self.models
            if other.role is Role.CONTROL
            if model.took_as_long(other) or (model.name in number and number[model.name] == number.get(other.name))
        ]
        return min(reversed(controls), key=lambda one: abs(one.human_seconds - model.human_seconds), default=None)

    def first(self, role: Role) -> EvaluatedModel | None:
        """Return the first model of `role`, or None."""
        return next((model for model in self.models if model.role is role), None)
