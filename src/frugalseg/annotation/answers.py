"""Answers folded into partial labels: events in, one label and its provenance a frame out.

Answers are events in the order they came; the last one about a pixel counts, also if it takes a class back
("ambiguous", "none", "skip").
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from frugalseg.core.classes import IGNORE, MAX_CLASSES
from frugalseg.core.errors import AnswerError
from frugalseg.core.records import Answer, PartialLabel, Point, Provenance, Query
from frugalseg.core.table import read_records, write_records

SHOWN = 20  # mistakes listed in one message


def fold(
    queries: Sequence[Query], answers: Iterable[Answer], size_HW: tuple[int, int], key: str | None = None
) -> PartialLabel:
    """Return what the answers to a frame's queries say: people's points, IGNORE elsewhere.

    `key` names the frame where there may be no query at all.

    Raises:
        AnswerError: the queries are not of one frame; or, all listed together: answers to no query, to one that is not
            about a point, about a point outside the frame, with a class id out of range.
    """
    frame_key = _frame_key(queries, key)
    by_id = {query.id: query for query in queries}
    label = np.full(size_HW, IGNORE, np.uint8)
    mistakes = []
    for answer in answers:
        try:
            point = _point(answer, by_id.get(answer.query), size_HW)
        except AnswerError as mistake:
            mistakes.append(f"answer to {answer.query} of {answer.annotator}: {mistake}.")
        else:
            label[point.row, point.column] = IGNORE if answer.class_id is None else answer.class_id
    if mistakes:
        more = [f"… and {len(mistakes) - SHOWN} more."] if len(mistakes) > SHOWN else []
        lines = "\n  ".join(mistakes[:SHOWN] + more)
        raise AnswerError(f"{frame_key}: {len(mistakes)} answer(s) do not fit their questions:\n  {lines}")
    provenance = np.where(label == IGNORE, Provenance.UNKNOWN, Provenance.HUMAN_POINT).astype(np.uint8)
    return PartialLabel(frame_key, label, provenance)


def by_frame(queries: Iterable[Query], answers: Iterable[Answer]) -> dict[str, tuple[list[Query], list[Answer]]]:
    """Return the queries of each frame, by key, and the answers to them, in the order given.

    Raises:
        AnswerError: answers to no query.
    """
    groups: dict[str, tuple[list[Query], list[Answer]]] = {}
    key_of: dict[str, str] = {}
    for query in queries:
        key_of[query.id] = query.key
        groups.setdefault(query.key, ([], []))[0].append(query)
    strangers = []
    for answer in answers:
        if answer.query in key_of:
            groups[key_of[answer.query]][1].append(answer)
        else:
            strangers.append(answer.query)
    if strangers:
        raise AnswerError(
            f"{len(strangers)} answer(s) belong to no query: {', '.join(strangers[:5])}. "
            "Are they from another project, or from another selection of this one?"
        )
    return groups


def write_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Write answers, in the order given, to a Parquet file."""
    write_records(path, answers, Answer)


def read_answers(path: Path) -> list[Answer]:
    """Read answers, in the order written.

    Raises:
        ArtifactError: the file is missing or holds something else.
    """
    return list(read_records(path, Answer))


def _frame_key(queries: Sequence[Query], key: str | None) -> str:
    keys = sorted({query.key for query in queries} | ({key} if key is not None else set()))
    if len(keys) != 1:
        raise AnswerError(f"fold takes the queries of one frame; got {len(keys)} frames: {', '.join(keys[:5]) or '-'}.")
    return keys[0]


def _point(answer: Answer, query: Query | None, size_HW: tuple[int, int]) -> Point:
    """Return the pixel that `answer` is about; the errors are the ends of sentences."""
    if query is None:
        raise AnswerError("there is no such query")
    if query.point is None:
        raise AnswerError(f"it is about a {query.kind}; only points are folded")
    if query.point.row >= size_HW[0] or query.point.column >= size_HW[1]:
        place = f"row {query.point.row}, column {query.point.column}"
        raise AnswerError(f"{place} lies outside the frame of {size_HW[0]}x{size_HW[1]} (height x width)")
    if answer.class_id is not None and not 0 <= answer.class_id < MAX_CLASSES:
        raise AnswerError(f"class {answer.class_id} is outside 0–{MAX_CLASSES - 1}")
    return query.point
