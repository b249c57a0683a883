"""Answers folded into partial labels: events in, one label and its provenance a frame out.

Answers are events in the order they came; the last one about a pixel counts, also if it takes a class back
("ambiguous", "none", "skip"). A whole image's mask says something about all of its pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, MAX_CLASSES
from frugalseg.core.errors import AnswerError
from frugalseg.core.records import Answer, PartialLabel, Point, Provenance, Query, QueryKind, Verdict
from frugalseg.core.table import read_records, write_records

SHOWN = 20  # mistakes listed in one message
NO_MASKS: Mapping[str, NDArray[np.uint8]] = MappingProxyType({})


def fold(
    queries: Sequence[Query],
    answers: Iterable[Answer],
    size_HW: tuple[int, int],
    key: str | None = None,
    masks: Mapping[str, NDArray[np.uint8]] = NO_MASKS,
) -> PartialLabel:
    """Return what the answers to a frame's queries say: people's points and masks, IGNORE elsewhere.

    `key` names the frame where there may be no query at all; `masks` are class ids, H x W, by the id of the query about
    a whole image whose last answer is MASK. Any other last answer takes back what was said of that image.

    Raises:
        AnswerError: the queries are not of one frame; or, all listed together: answers to no query, to one about a
            region, about a point outside the frame, with a class id out of range, a mask that is missing or has another
            size.
    """
    frame_key = _frame_key(queries, key)
    by_id, answers = {query.id: query for query in queries}, list(answers)
    last = {answer.query: answer.verdict for answer in answers}
    label, provenance = np.full(size_HW, IGNORE, np.uint8), np.zeros(size_HW, np.uint8)
    mistakes = []
    for answer in answers:
        query = by_id.get(answer.query)
        if query is not None and query.kind is QueryKind.IMAGE and last[query.id] is not Verdict.MASK:
            continue
        try:
            where, said, source = _said(answer, query, size_HW, masks)
        except AnswerError as mistake:
            mistakes.append(f"answer to {answer.query} of {answer.annotator}: {mistake}.")
        else:
            label[where] = said
            provenance[where] = np.where(label[where] == IGNORE, Provenance.UNKNOWN, source)
    if mistakes:
        more = [f"… and {len(mistakes) - SHOWN} more."] if len(mistakes) > SHOWN else []
        lines = "\n  ".join(mistakes[:SHOWN] + more)
        raise AnswerError(f"{frame_key}: {len(mistakes)} answer(s) do not fit their questions:\n  {lines}")
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


def _said(
    answer: Answer, query: Query | None, size_HW: tuple[int, int], masks: Mapping[str, NDArray[np.uint8]]
) -> tuple[Any, int | NDArray[np.uint8], Provenance]:
    """Return which pixels `answer` is about, their class ids, and how they are known; errors are ends of sentences."""
    if query is None:
        raise AnswerError("there is no such query")
    if query.kind is QueryKind.IMAGE:
        return np.s_[:, :], _mask(query, size_HW, masks), Provenance.HUMAN_MASK
    point = _point(answer, query, size_HW)
    said = IGNORE if answer.class_id is None else answer.class_id
    return (point.row, point.column), said, Provenance.HUMAN_POINT


def _mask(query: Query, size_HW: tuple[int, int], masks: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    if query.id not in masks:
        raise AnswerError("its mask is missing")
    if masks[query.id].shape != size_HW:
        got, expected = ("x".join(map(str, size)) for size in (masks[query.id].shape, size_HW))
        raise AnswerError(f"its mask is {got}, but the frame is {expected} (height x width)")
    return masks[query.id]


def _point(answer: Answer, query: Query, size_HW: tuple[int, int]) -> Point:
    """Return the pixel that `answer` is about; the errors are the ends of sentences."""
    if query.point is None:
        raise AnswerError(f"it is about a {query.kind}; points and whole images are folded")
    if answer.verdict is Verdict.MASK:
        raise AnswerError("a mask is no answer about a point")
    if query.point.row >= size_HW[0] or query.point.column >= size_HW[1]:
        place = f"row {query.point.row}, column {query.point.column}"
        raise AnswerError(f"{place} lies outside the frame of {size_HW[0]}x{size_HW[1]} (height x width)")
    if answer.class_id is not None and not 0 <= answer.class_id < MAX_CLASSES:
        raise AnswerError(f"class {answer.class_id} is outside 0–{MAX_CLASSES - 1}")
    return query.point
