"""The store of people's answers: questions go out under leases, events come in, nothing is ever overwritten.

All methods may be called from several threads and, on PostgreSQL or with several processes on one SQLite file, from
several processes.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from frugalseg.annotation import leases
from frugalseg.annotation.accounts import Account, Accounts, Right
from frugalseg.annotation.database import Database
from frugalseg.annotation.events import Event, Line, Reply, Stored, Undo, fold
from frugalseg.annotation.history import History
from frugalseg.annotation.models import AccountRow, EventRow, LeaseRow, QuestionRow, StoreRow
from frugalseg.annotation.questions import (
    Question,
    Selection,
    add_selection,
    find_selection,
    question_row,
    question_rows,
    shown,
)
from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import AnswerError, ConflictError, ForbiddenError
from frugalseg.core.records import Point

PAYLOAD: TypeAdapter[Reply | Undo] = TypeAdapter(Reply | Undo)
MOST_LEASES = 32  # that one request asks for


def clock_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Receipt:
    """What became of an event: `applied`, a `branch`, or `waiting` for the one before; and the version now."""

    uuid: str
    fate: str
    version: int
    repeated: bool


@dataclass(frozen=True)
class Progress:
    """Questions without the gold ones: all of them; answered by somebody; by as many as are wanted; open branches."""

    questions: int
    answered: int
    settled: int
    people: int

    @property
    def left(self) -> int:
        """How many questions still need an answer: one person alone cannot give second opinions."""
        return max(0, self.questions - (self.settled if self.people > 1 else self.answered))

    @property
    def complete(self) -> bool:
        """Whether nothing is left to ask."""
        return not self.left


class Store:
    """An opened store. `now_ms` is the clock."""

    def __init__(self, where: Path | str, now_ms: Callable[[], int] = clock_ms, wait_s: float = 5.0) -> None:
        self.database = Database(where, wait_s)
        self._now_ms = now_ms
        self.accounts = Accounts(self.database, now_ms)
        with self.database.write() as session:
            row = session.scalar(select(StoreRow))
            if row is None:
                row = StoreRow(project=secrets.token_hex(8), created_ms=now_ms())
                session.add(row)
            self.project = row.project

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def selection(self, fingerprint: str) -> Selection | None:
        """Return a selection by the fingerprint of its stage, or None."""
        with self.database.read() as session:
            return find_selection(session, fingerprint)

    def add(
        self,
        fingerprint: str,
        name: str,
        classes: ClassSet,
        questions: Sequence[Question],
        overlap: float,
        gold: float,
    ) -> Selection:
        """Store a selection; one that is there already stays as it is."""
        with self.database.write() as session:
            known = find_selection(session, fingerprint)
            if known is None:
                self.accounts.note(session, "", "selection", {"name": name, "questions": len(questions)})
            return known or add_selection(session, fingerprint, name, classes, questions, self._now_ms(), overlap, gold)

    def lease(self, selection: Selection, account: Account, count: int) -> list[dict[str, Any]]:
        """Return up to `count` questions for a person: those held already, then new ones.

        Each comes with its `fence` and the `version` that the next event is made upon.
        """
        count, now = min(count, MOST_LEASES), self._now_ms()
        with self.database.write() as session:
            missing = count - len(leases.held(session, selection.id, account.id, now))
            if missing > 0:
                leases.grant(session, selection.id, account.id, missing, selection.gold_share, now)
            rows = leases.held(session, selection.id, account.id, now)[:count]
            numbers = [row.question_id for row in rows]
            questions, lines = question_rows(session, numbers), _lines(session, numbers, account.id)
            return [
                {
                    **shown(questions[row.question_id]),
                    "fence": row.fence,
                    "version": lines[row.question_id].version,
                }
                for row in rows
            ]

    def heartbeat(self, selection: Selection, account: Account) -> list[int]:
        """Renew a person's leases; return the numbers of the questions still held."""
        with self.database.write() as session:
            return [row.question_id for row in leases.held(session, selection.id, account.id, self._now_ms())]

    def put(self, uuid: str, event: Event, account: Account, selection: Selection) -> Receipt:
        """Store an event; it is on the disk when this returns. The same event again changes nothing.

        Raises:
            ConflictError: another event has this uuid.
            NotFoundError, ForbiddenError: no such question, one of another selection, or a decision of no reviewer.
            AnswerError: a class that the selection does not have.
        """
        _check(event, account, selection)
        with self.database.write() as session:
            known = session.scalar(select(EventRow).where(EventRow.uuid == uuid))
            if known is not None and (known.hash != event.hash or known.account_id != account.id):
                raise ConflictError(f"event {uuid} is stored already, with other content. It stays as it was.")
            question = question_row(session, event.query)
            if question.selection_id != selection.id:
                raise ForbiddenError(f"question {event.query} belongs to another selection.")
            if known is None:
                self._insert(session, uuid, event, account, question)
            line = _lines(session, [question.id], account.id)[question.id]
            lease = leases.lease_of(session, question.id, account.id)
            if known is None:
                leases.settle(session, question, lease, line, self._now_ms())
            return Receipt(uuid, _fate(uuid, line), line.version, repeated=known is not None)

    def progress(self, selection: Selection) -> Progress:
        """Count what is answered."""
        asked = (QuestionRow.selection_id == selection.id) & QuestionRow.truth.is_(None)
        done = select(LeaseRow.id).where(LeaseRow.question_id == QuestionRow.id, LeaseRow.state == leases.DONE)
        with self.database.read() as session:
            count = select(func.count()).select_from(QuestionRow).where(asked)
            people = (
                select(func.count(func.distinct(EventRow.account_id)))
                .join(QuestionRow, QuestionRow.id == EventRow.question_id)
                .where(QuestionRow.selection_id == selection.id, EventRow.kind == "answer")
            )
            return Progress(
                session.scalar(count) or 0,
                session.scalar(count.where(done.exists())) or 0,
                session.scalar(count.where(QuestionRow.settled)) or 0,
                session.scalar(people) or 0,
            )

    def histories(self, selection: Selection) -> list[History]:
        """Return what people said about each question (gold ones too), in the order of the questions."""
        with self.database.read() as session:
            questions = session.scalars(
                select(QuestionRow).where(QuestionRow.selection_id == selection.id).order_by(QuestionRow.position)
            ).all()
            found = session.execute(
                select(EventRow, AccountRow.name)
                .join(AccountRow, AccountRow.id == EventRow.account_id)
                .join(QuestionRow, QuestionRow.id == EventRow.question_id)
                .where(QuestionRow.selection_id == selection.id)
                .order_by(EventRow.id)
            ).all()
        events: dict[int, list[tuple[str, Stored]]] = defaultdict(list)
        for row, name in found:
            events[row.question_id].append((name, _stored(row)))
        return [History.of(row.id, row.query, row.wanted, row.truth, events[row.id]) for row in questions]

    def questions(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return what a page shows of questions.

        Raises:
            NotFoundError: one of them does not exist.
        """
        with self.database.read() as session:
            return [shown(question_row(session, number)) for number in numbers]

    def gold(self) -> dict[str, list[Point]]:
        """Return the pixels with known answers that any selection asked, by the key of their frame."""
        found: dict[str, list[Point]] = defaultdict(list)
        with self.database.read() as session:
            known = select(QuestionRow.key, QuestionRow.row, QuestionRow.column).where(QuestionRow.truth.is_not(None))
            for key, row, column in session.execute(known):
                found[key].append(Point(row, column))
        return found

    def _insert(self, session: Session, uuid: str, event: Event, account: Account, question: QuestionRow) -> None:
        lease = leases.lease_of(session, question.id, account.id)
        decision = isinstance(event.payload, Reply) and event.payload.kind == "decision"
        holds = lease is not None and lease.state != leases.LOST and lease.fence == event.fence
        session.add(
            EventRow(
                uuid=uuid,
                question_id=question.id,
                account_id=account.id,
                seq=event.seq,
                base_version=event.base_version,
                fence=event.fence,
                fenced=not (holds or decision),
                kind=event.payload.kind,
                payload_json=event.payload_json,
                hash=event.hash,
                received_ms=self._now_ms(),
            )
        )
        session.flush()


def _check(event: Event, account: Account, selection: Selection) -> None:
    reply = event.payload
    if not isinstance(reply, Reply):
        return
    if reply.kind == "decision":
        account.need(Right.REVIEW)
    if reply.class_id is not None and reply.class_id >= len(selection.classes):
        raise AnswerError(f"class {reply.class_id}: this selection has {len(selection.classes)} classes.")


def _lines(session: Session, questions: Sequence[int], account: int) -> dict[int, Line]:
    """Return a person's folded events about each of a few questions."""
    rows = session.scalars(
        select(EventRow).where(EventRow.question_id.in_(questions), EventRow.account_id == account)
    ).all()
    return {number: fold(_stored(row) for row in rows if row.question_id == number) for number in questions}


def _stored(row: EventRow) -> Stored:
    payload = PAYLOAD.validate_json(row.payload_json)
    return Stored(
        row.id, row.uuid, row.question_id, row.account_id, row.base_version, row.fenced, payload, row.received_ms
    )


def _fate(uuid: str, line: Line) -> str:
    if any(event.uuid == uuid for event in line.applied):
        return "applied"
    return "waiting" if any(event.uuid == uuid for event in line.waiting) else "branch"
