"""A simulated annotator, who answers from ground truth, takes time, is unsure at edges, and errs if told to.

Near a true class edge (within `boundary_px`, Chebyshev distance, of a pixel of another class; IGNORE is no class) an
answer takes `boundary_point_s`, and `ambiguous_rate` of the answers there are "ambiguous". On a pixel without a class
the answer is "none". What is drawn depends on the seed and the query's id only, not on the order of the queries.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.config import Config
from frugalseg.core.cost import CostModel
from frugalseg.core.errors import AnswerError, ConfigError
from frugalseg.core.records import Answer, Point, Query, QueryKind, Verdict

ANNOTATOR = "oracle"


class OracleConfig(Config):
    """How imperfect the simulated annotator is; by default he is only unsure at edges."""

    wrong_rate: float = Field(0.0, ge=0, le=1, description="share of the class answers that name a wrong class")
    skip_rate: float = Field(0.0, ge=0, le=1, description='share of the questions answered with "skip"')
    none_rate: float = Field(
        0.0, ge=0, le=1, description='share of the others answered "none of these" despite a class'
    )
    ambiguous_rate: float | None = Field(
        None,
        ge=0,
        le=1,
        description='share of the answers near class edges that are "ambiguous"; none: the cost model\'s',
    )
    near_px: int = Field(
        32,
        ge=1,
        description="a wrong answer names a class seen within so many rows and columns, likelier the more it shows",
    )
    confusion: tuple[tuple[float, ...], ...] | None = Field(
        None, description="how often each class (row) is taken for each other one (column), instead of what is near"
    )


class Oracle:
    """Answers point queries.

    A wrong answer names a class that `confusion` makes as likely as its entry says (rows = truth, any scale, diagonal
    not used), or without `confusion` one that stands near the pixel, as likely as its share there; where no other
    class is near, any other that the frame shows. Where there is no other class to name, the answer is right.

    Raises:
        ConfigError: `confusion` is not square, or has a negative entry.
    """

    def __init__(self, cost: CostModel, seed: int, config: OracleConfig | None = None) -> None:
        self._cost, self._seed, self._config = cost, seed, config or OracleConfig()
        rate = self._config.ambiguous_rate
        self._ambiguous_rate = cost.ambiguous_rate if rate is None else rate
        self._confusion = None if self._config.confusion is None else _confusion(self._config.confusion)

    def answer(self, queries: Sequence[Query], label_HW: NDArray[np.uint8]) -> list[Answer]:
        """Return one answer a query, in order; the queries are of one frame, whose true class ids are `label_HW`.

        Raises:
            AnswerError: queries of several frames, not about points, or outside the label; all of them are listed.
        """
        points = _points(queries, label_HW.shape)
        return [self._reply(query, point, label_HW) for query, point in zip(queries, points, strict=True)]

    def answer_image(self, query: Query) -> Answer:
        """Return the answer to a question about a whole image: its mask is the truth.

        Raises:
            AnswerError: the query is about something else.
        """
        if query.kind is not QueryKind.IMAGE:
            raise AnswerError(f"oracle: query {query.id} asks about a {query.kind}, not about a whole image.")
        return Answer(query.id, Verdict.MASK, None, ANNOTATOR, self._cost.each("image"))

    def _reply(self, query: Query, point: Point, label_HW: NDArray[np.uint8]) -> Answer:
        truth = int(label_HW[point.row, point.column])
        unsure, wrong, which, skipped, denied = generator(self._seed, "oracle", query.id).random(5).tolist()
        at_edge = truth != IGNORE and near_edge(label_HW, point, self._cost.boundary_px)
        seconds = self._cost.each("boundary_point" if at_edge else "point")
        if skipped < self._config.skip_rate:
            return Answer(query.id, Verdict.SKIP, None, ANNOTATOR, seconds)
        if at_edge and unsure < self._ambiguous_rate:
            return Answer(query.id, Verdict.AMBIGUOUS, None, ANNOTATOR, seconds)
        if truth == IGNORE or denied < self._config.none_rate:
            return Answer(query.id, Verdict.NONE, None, ANNOTATOR, seconds)
        class_id = self._mistake(point, which, label_HW) if wrong < self._config.wrong_rate else truth
        return Answer(query.id, Verdict.CLASS, class_id, ANNOTATOR, seconds)

    def _mistake(self, point: Point, which_01: float, label_HW: NDArray[np.uint8]) -> int:
        truth = int(label_HW[point.row, point.column])
        if self._confusion is not None:
            if truth >= len(self._confusion):
                raise AnswerError(f"oracle: the label holds class {truth}; confusion has {len(self._confusion)}.")
            weights_C = self._confusion[truth].copy()
        else:
            weights_C = _others(_around(label_HW, point, self._config.near_px), truth)
            if not weights_C.any():
                weights_C = (_others(label_HW, truth) > 0).astype(np.float64)
        weights_C[truth] = 0
        if not weights_C.any():
            return truth
        sums, last = np.cumsum(weights_C), int(np.flatnonzero(weights_C)[-1])
        return min(int(np.searchsorted(sums, which_01 * sums[-1], side="right")), last)  # the product may round up


def _confusion(entries: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    if any(len(row) != len(entries) for row in entries):
        widths = ", ".join(sorted({str(len(row)) for row in entries}))
        raise ConfigError(f"oracle: confusion has {len(entries)} rows of {widths} entries; expected classes x classes.")
    confusion = np.array(entries, np.float64)
    if (confusion < 0).any():
        raise ConfigError("oracle: confusion has negative entries.")
    return confusion


def _others(label_HW: NDArray[np.uint8], truth: int) -> NDArray[np.float64]:
    """Return how many pixels each class but `truth` has; IGNORE is no class."""
    pixels = np.bincount(label_HW.ravel(), minlength=IGNORE + 1).astype(np.float64)
    pixels[[truth, IGNORE]] = 0
    return pixels


def _around(label_HW: NDArray[np.uint8], point: Point, distance_px: int) -> NDArray[np.uint8]:
    """Return the part of the label within `distance_px` rows and columns of a point."""
    rows = slice(max(point.row - distance_px, 0), point.row + distance_px + 1)
    columns = slice(max(point.column - distance_px, 0), point.column + distance_px + 1)
    return label_HW[rows, columns]


def near_edge(label_HW: NDArray[np.uint8], point: Point, distance_px: int) -> bool:
    """Return whether a pixel of another class than the point's lies within `distance_px` rows and columns of it."""
    around = _around(label_HW, point, distance_px)
    return bool(((around != label_HW[point.row, point.column]) & (around != IGNORE)).any())


def _points(queries: Sequence[Query], size_HW: tuple[int, ...]) -> list[Point]:
    """Return the point of each query, all of them checked first."""
    keys = sorted({query.key for query in queries})
    if len(keys) > 1:
        raise AnswerError(f"oracle: got queries of {len(keys)} frames ({', '.join(keys[:3])} …); expected one frame.")
    points, mistakes = [], []
    for query in queries:
        if query.point is None:
            mistakes.append(f"query {query.id} asks about a {query.kind}, not about a point")
        elif query.point.row >= size_HW[0] or query.point.column >= size_HW[1]:
            mistakes.append(f"query {query.id} asks about row {query.point.row}, column {query.point.column}")
        else:
            points.append(query.point)
    if mistakes:
        size = " x ".join(map(str, size_HW))
        raise AnswerError(
            f"{keys[0]}: {len(mistakes)} queries do not fit the label of {size} (height x width):\n  "
            + "\n  ".join(mistakes[:10])
            + "\nWere the questions selected on frames of another size?"
        )
    return points
