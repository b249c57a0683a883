"""A simulated annotator, who answers from ground truth, takes time, and is unsure at edges.

Near a true class edge (within `boundary_px`, Chebyshev distance, of a pixel of another class; IGNORE is no class) an
answer takes `boundary_point_s`, and `ambiguous_rate` of the answers there are "ambiguous". On a pixel without a class
the answer is "none". What is drawn depends on the seed and the query's id only, not on the order of the queries.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.cost import CostModel
from frugalseg.core.errors import AnswerError, ConfigError
from frugalseg.core.records import Answer, Point, Query, Verdict

ANNOTATOR = "oracle"


class Oracle:
    """Answers point queries.

    A share `wrong_rate` of the class answers names a wrong class: one that `confusion` (C x C, rows = truth, any scale,
    diagonal not used) makes as likely as its entry says, or without `confusion` any other class that the frame shows.
    Where there is no other class to name, the answer is right.

    Raises:
        ConfigError: `wrong_rate` is no share, or `confusion` is not square, negative or not finite.
    """

    def __init__(
        self, cost: CostModel, seed: int, wrong_rate: float = 0.0, confusion: NDArray[np.float64] | None = None
    ) -> None:
        if not 0 <= wrong_rate <= 1:
            raise ConfigError(f"oracle: wrong_rate = {wrong_rate} is no share; expected 0 to 1.")
        if confusion is not None:
            confusion = np.array(confusion, np.float64)
            if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
                raise ConfigError(f"oracle: confusion is {confusion.shape}; expected classes x classes.")
            if not np.isfinite(confusion).all() or (confusion < 0).any():
                raise ConfigError("oracle: confusion has entries that are negative or not finite.")
            np.fill_diagonal(confusion, 0)
        self._cost, self._seed, self._wrong_rate, self._confusion = cost, seed, wrong_rate, confusion

    def answer(self, queries: Sequence[Query], label_HW: NDArray[np.uint8]) -> list[Answer]:
        """Return one answer a query, in order; the queries are of one frame, whose true class ids are `label_HW`.

        Raises:
            AnswerError: queries of several frames, not about points, or outside the label; all of them are listed.
        """
        points = _points(queries, label_HW.shape)
        shown = np.unique(label_HW) if self._wrong_rate and self._confusion is None else np.zeros(0, np.uint8)
        return [self._reply(query, point, label_HW, shown) for query, point in zip(queries, points, strict=True)]

    def _reply(self, query: Query, point: Point, label_HW: NDArray[np.uint8], shown: NDArray[np.uint8]) -> Answer:
        truth = int(label_HW[point.row, point.column])
        if truth == IGNORE:
            return Answer(query.id, Verdict.NONE, None, ANNOTATOR, self._cost.each("point"))
        unsure, wrong, which = generator(self._seed, "oracle", query.id).random(3).tolist()
        at_edge = near_edge(label_HW, point, self._cost.boundary_px)
        seconds = self._cost.each("boundary_point" if at_edge else "point")
        if at_edge and unsure < self._cost.ambiguous_rate:
            return Answer(query.id, Verdict.AMBIGUOUS, None, ANNOTATOR, seconds)
        class_id = self._mistake(truth, which, shown) if wrong < self._wrong_rate else truth
        return Answer(query.id, Verdict.CLASS, class_id, ANNOTATOR, seconds)

    def _mistake(self, truth: int, which_01: float, shown: NDArray[np.uint8]) -> int:
        if self._confusion is None:
            others = shown[(shown != truth) & (shown != IGNORE)]
            weights = np.ones(len(others))
        else:
            if truth >= len(self._confusion):
                raise AnswerError(f"oracle: the label holds class {truth}; confusion has {len(self._confusion)}.")
            others = np.flatnonzero(self._confusion[truth])
            weights = self._confusion[truth, others]
        if not len(others):
            return truth
        sums = np.cumsum(weights)
        return int(others[min(np.searchsorted(sums, which_01 * sums[-1], side="right"), len(others) - 1)])


def near_edge(label_HW: NDArray[np.uint8], point: Point, distance_px: int) -> bool:
    """Return whether a pixel of another class than the point's lies within `distance_px` rows and columns of it."""
    rows = slice(max(point.row - distance_px, 0), point.row + distance_px + 1)
    columns = slice(max(point.column - distance_px, 0), point.column + distance_px + 1)
    around = label_HW[rows, columns]
    return bool(((around != label_HW[point.row, point.column]) & (around != IGNORE)).any())


def _points(queries: Sequence[Query], size_HW: tuple[int, ...]) -> list[Point]:
    """Return the point of each query, all of them checked first."""
    keys = sorted({query.key for query in queries})
    if len(keys) > 1:
        raise AnswerError(f"oracle: got queries of {len(keys)} frames ({', '.join(keys[:3])} …); expected one frame.")
    points, mistakes = [], []
    for query in queries:
        if query.point is None:
            mistakes.append(f"query {query.id} asks about a {query.kind}; the oracle answers points only")
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
