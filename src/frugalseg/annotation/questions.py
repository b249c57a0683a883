"""A selection's questions as the store takes them: which pixel, how many people, what is known, what is shown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from frugalseg.annotation.events import canonical
from frugalseg.annotation.models import QuestionRow, SelectionRow
from frugalseg.core.chance import key_hash
from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import AnswerError, ConfigError, NotFoundError
from frugalseg.core.records import Query


@dataclass(frozen=True)
class Question:
    """A point query and what the page shows of it. `media` names files and says where in the frame they lie.

    Raises:
        AnswerError: the query is not about a point, or its point lies outside the frame.
    """

    query: Query
    size_HW: tuple[int, int]
    media: Mapping[str, Any]
    truth: int | None = None
    guess: int | None = None

    def __post_init__(self) -> None:
        point = self.query.point
        if point is None:
            raise AnswerError(f"{self.query.id}: it is about a {self.query.kind}; this page asks about single pixels.")
        if point.row >= self.size_HW[0] or point.column >= self.size_HW[1]:
            raise AnswerError(
                f"{self.query.id}: row {point.row}, column {point.column} lies outside {self.query.key}, which is "
                f"{self.size_HW[0]}x{self.size_HW[1]} (height x width)."
            )


@dataclass(frozen=True)
class Selection:
    """A selection in the store."""

    id: int
    name: str
    classes: ClassSet
    gold_share: float


def find_selection(session: Session, fingerprint: str) -> Selection | None:
    """Return the selection of that fingerprint, or None."""
    row = session.scalar(select(SelectionRow).where(SelectionRow.fingerprint == fingerprint))
    return None if row is None else _selection(row)


def add_selection(
    session: Session,
    fingerprint: str,
    name: str,
    classes: ClassSet,
    questions: Sequence[Question],
    now_ms: int,
    overlap: float,
    gold: float,
) -> Selection:
    """Store a selection's questions, in the order given; the one that is there already is returned as it is.

    Raises:
        ConfigError: `overlap` or `gold` is no share.
    """
    for share, what in ((overlap, "overlap"), (gold, "gold")):
        if not 0 <= share <= 1:
            raise ConfigError(f"{what} = {share} is no share; expected 0 to 1.")
    if (found := find_selection(session, fingerprint)) is not None:
        return found
    row = SelectionRow(
        fingerprint=fingerprint,
        name=name,
        classes_json=canonical(classes.to_dict()),
        gold_share=gold,
        created_ms=now_ms,
    )
    session.add(row)
    session.flush()
    twice = _asked_twice([question for question in questions if question.truth is None], overlap)
    session.add_all(
        _question_row(row.id, position, question, 2 if question.query.id in twice else 1)
        for position, question in enumerate(questions)
    )
    return _selection(row)


def question_row(session: Session, number: int) -> QuestionRow:
    """Return a question by its number.

    Raises:
        NotFoundError: there is none.
    """
    row = session.get(QuestionRow, number)
    if row is None:
        raise NotFoundError(f"question {number}: there is none. Is it from another project?")
    return row


def question_rows(session: Session, numbers: Sequence[int]) -> dict[int, QuestionRow]:
    """Return those questions that exist, by number, in one query."""
    return {row.id: row for row in session.scalars(select(QuestionRow).where(QuestionRow.id.in_(numbers)))}


def shown(row: QuestionRow) -> dict[str, Any]:
    """Return what the page needs of a question; never whether its answer is known."""
    return {
        "query": row.id,
        "key": row.key,
        "row": row.row,
        "column": row.column,
        "guess": row.guess,
        "media": json.loads(row.media_json),
    }


def _asked_twice(questions: Sequence[Question], overlap: float) -> set[str]:
    """The share of questions with the smallest hash: which ones says nothing about them."""
    order = sorted(questions, key=lambda question: (key_hash(f"overlap {question.query.id}"), question.query.id))
    return {question.query.id for question in order[: round(overlap * len(order))]}


def _question_row(selection: int, position: int, question: Question, wanted: int) -> QuestionRow:
    point = question.query.point
    assert point is not None  # Question has seen to it
    return QuestionRow(
        selection_id=selection,
        query=question.query.id,
        position=position,
        key=question.query.key,
        row=point.row,
        column=point.column,
        wanted=wanted,
        truth=question.truth,
        guess=question.guess,
        media_json=canonical(dict(question.media)),
        settled=False,
        fence=0,
    )


def _selection(row: SelectionRow) -> Selection:
    classes = ClassSet.from_dict(json.loads(row.classes_json), f"selection {row.name}")
    return Selection(row.id, row.name, classes, row.gold_share)
