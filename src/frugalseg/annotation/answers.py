"""Answers folded into partial labels: events in, one label and its provenance a frame out.

Answers are events in the order they came; the last one about a pixel counts, also if it takes a class back
("ambiguous", "none", "skip"). A mask of the whole image is about all pixels that have a class in it.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, MAX_CLASSES
from frugalseg.core.errors import AnswerError
from frugalseg.core.records import Answer, PartialLabel, Point, Provenance, Query, QueryKind, Verdict
from frugalseg.core.table import read_records, write_records

SHOWN = 20  # mistakes listed in one message


def fold(
    queries: Sequence[Query],
    answers: Iterable[Answer],
    size_HW: tuple[int, int],
    key: str | None = None,
    mask_of: Callable[[str], NDArray[np.uint8]] | None = None,
) -> PartialLabel:
    """Return what the answers to a frame's queries say: people's points and masks, IGNORE elsewhere.

    `key` names the frame where there may be no query at all; `mask_of` returns the class ids (H x W) of a query about
    the whole image that was answered by a mask. A mask says nothing about pixels that are IGNORE in it.

    Raises:
        AnswerError: the queries are not of one frame; or, all listed together: answers to no query, to one of another
            kind, about a point outside the frame, with a class id out of range or a mask of another size.
    """
    frame_key = _frame_key(queries, key)
    by_id = {query.id: query for query in queries}
    label, provenance = np.full(size_HW, IGNORE, np.uint8), np.zeros(size_HW, np.uint8)
    mistakes = []
    for answer in answers:
        try:
            query = by_id.get(answer.query)
            if query is not None and query.kind is QueryKind.IMAGE:
                _lay_mask(answer, mask_of, label, provenance)
                continue
            point = _point(answer, query, size_HW)
        except AnswerError as mistake:
            mistakes.append(f"answer to {answer.query} of {answer.annotator}: {mistake}.")
        else:
            class_id = IGNORE if answer.class_id is None else answer.class_id
            label[point.row, point.column] = class_id
            provenance[point.row, point.column] = Provenance.UNKNOWN if class_id == IGNORE else Provenance.HUMAN_POINT
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


def _lay_mask(
    answer: Answer,
    mask_of: Callable[[str], NDArray[np.uint8]] | None,
    label_HW: NDArray[np.uint8],
    provenance_HW: NDArray[np.uint8],
) -> None:
    """Write a mask over what is known of its frame; the errors are the ends of sentences."""
    if answer.verdict is Verdict.CLASS:
        raise AnswerError(f"it names class {answer.class_id}, and the question is about a whole image")
    if answer.verdict is not Verdict.MASK:
        return
    if mask_of is None:
        raise AnswerError("it is a mask, and no mask is at hand")
    mask_HW = mask_of(answer.query)
    if mask_HW.shape != label_HW.shape:
        got, wanted = (" x ".join(map(str, shape)) for shape in (mask_HW.shape, label_HW.shape))
        raise AnswerError(f"its mask is {got}, the frame {wanted} (height x width)")
    known_HW = mask_HW != IGNORE
    label_HW[known_HW], provenance_HW[known_HW] = mask_HW[known_HW], Provenance.HUMAN_MASK


def _point(answer: Answer, query: Query | None, size_HW: tuple[int, int]) -> Point:
    """Return the pixel that `answer` is about; the errors are the ends of sentences."""
    if query is None:
        raise AnswerError("there is no such query")
    if query.point is None:
        raise AnswerError(f"it is about a {query.kind}; only points and images are folded")
    if answer.verdict is Verdict.MASK:
        raise AnswerError("it is a mask, and the question is about one pixel")
    if query.point.row >= size_HW[0] or query.point.column >= size_HW[1]:
        place = f"row {query.point.row}, column {query.point.column}"
        raise AnswerError(f"{place} lies outside the frame of {size_HW[0]}x{size_HW[1]} (height x width)")
    if answer.class_id is not None and not 0 <= answer.class_id < MAX_CLASSES:
        raise AnswerError(f"class {answer.class_id} is outside 0–{MAX_CLASSES - 1}")
    return query.point
