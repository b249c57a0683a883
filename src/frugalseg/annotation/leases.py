"""Who answers which question: leases of five minutes, with a fencing number.

A question that wants one answer is held by one person, one that wants two (overlap) by two. A lease that ran out is
honoured until somebody else takes the question; from then on events of its holder carry an old fence: a branch.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from frugalseg.annotation.events import Line
from frugalseg.annotation.models import LeaseRow, QuestionRow
from frugalseg.core.chance import generator
from frugalseg.core.records import Verdict

LEASE_MS = 300_000
OPEN, DONE, SKIPPED, LOST = "open", "done", "skipped", "lost"


def held(session: Session, selection: int, account: int, now_ms: int) -> list[LeaseRow]:
    """Return the person's open leases that nobody has taken over, in the order of the questions, and renew them."""
    rows = session.scalars(
        select(LeaseRow)
        .join(QuestionRow, QuestionRow.id == LeaseRow.question_id)
        .where(QuestionRow.selection_id == selection, LeaseRow.account_id == account, LeaseRow.state == OPEN)
        .order_by(LeaseRow.skips, QuestionRow.position)
    ).all()
    for row in rows:
        row.expires_ms = now_ms + LEASE_MS
    return list(rows)


def grant(session: Session, selection: int, account: int, count: int, gold_share: float, now_ms: int) -> int:
    """Lease up to `count` more questions to a person; return how many.

    What the person skipped (or lost) comes back only when there is nothing else: others are to see it first.
    """
    drawn = session.scalar(select(func.count()).where(LeaseRow.account_id == account)) or 0
    draws = [generator(account, "gold", selection, drawn + number).random() for number in range(count)]
    golden = sum(draw < gold_share for draw in draws)
    rows: list[QuestionRow] = []
    rows += session.scalars(_unseen_gold(selection, account).limit(golden)).all()
    rows += session.scalars(_free(selection, account, now_ms, again=False).limit(count - len(rows))).all()
    if not rows and not held(session, selection, account, now_ms):
        rows += session.scalars(_free(selection, account, now_ms, again=True).limit(count)).all()
    _take(session, rows, account, now_ms)
    return len(rows)


def settle(session: Session, question: QuestionRow, lease: LeaseRow | None, line: Line, now_ms: int) -> None:
    """Write down what a person's folded events mean for the lease and for whether the question is settled."""
    answer = line.answer
    if lease is not None and lease.state != LOST:
        before = lease.state
        skipped = answer is not None and answer.verdict is Verdict.SKIP
        lease.state = OPEN if answer is None else SKIPPED if skipped else DONE
        lease.expires_ms = now_ms + LEASE_MS if answer is None else lease.expires_ms
        lease.skips += skipped and before != SKIPPED
        session.flush()
    done = session.scalar(select(func.count()).where(LeaseRow.question_id == question.id, LeaseRow.state == DONE))
    decided = answer is not None and answer.kind == "decision"
    question.settled = question.truth is None and (decided or (done or 0) >= question.wanted)


def lease_of(session: Session, question: int, account: int) -> LeaseRow | None:
    """Return what a person has to do with a question, or None."""
    return session.scalar(select(LeaseRow).where(LeaseRow.question_id == question, LeaseRow.account_id == account))


def _live(now_ms: int) -> ColumnElement[bool]:
    return or_(LeaseRow.state == DONE, and_(LeaseRow.state == OPEN, LeaseRow.expires_ms > now_ms))


def _free(selection: int, account: int, now_ms: int, again: bool) -> Select[Any]:
    """Questions with a place for one more person: new to this person, or (`again`) skipped or lost before."""
    taken = select(func.count()).where(LeaseRow.question_id == QuestionRow.id, _live(now_ms)).scalar_subquery()
    found = (
        select(QuestionRow)
        .where(QuestionRow.selection_id == selection, QuestionRow.settled.is_(False), QuestionRow.truth.is_(None))
        .where(taken < QuestionRow.wanted)
    )
    if not again:
        mine = select(LeaseRow.id).where(LeaseRow.question_id == QuestionRow.id, LeaseRow.account_id == account)
        return found.where(~mine.exists()).order_by(QuestionRow.position)
    own = aliased(LeaseRow)
    return (
        found.join(own, and_(own.question_id == QuestionRow.id, own.account_id == account))
        .where(own.state.in_((SKIPPED, LOST)))
        .order_by(own.skips, QuestionRow.position)
    )


def _unseen_gold(selection: int, account: int) -> Select[Any]:
    seen = select(LeaseRow.id).where(LeaseRow.question_id == QuestionRow.id, LeaseRow.account_id == account)
    return (
        select(QuestionRow)
        .where(QuestionRow.selection_id == selection, QuestionRow.truth.is_not(None), ~seen.exists())
        .order_by(QuestionRow.position)
    )


def _take(session: Session, questions: Sequence[QuestionRow], account: int, now_ms: int) -> None:
    """Lease these to a person; one query for all, since others wait with their answers until this is written."""
    ids = [question.id for question in questions]
    found = select(LeaseRow).where(LeaseRow.question_id.in_(ids)).order_by(LeaseRow.expires_ms)
    leases: dict[int, list[LeaseRow]] = {number: [] for number in ids}
    for lease in session.scalars(found):
        leases[lease.question_id].append(lease)
    for question in questions:
        question.fence += 1
        if question.truth is None:
            _push_out(question, [lease for lease in leases[question.id] if lease.account_id != account], now_ms)
        own = next((lease for lease in leases[question.id] if lease.account_id == account), None)
        if own is None:
            own = LeaseRow(question_id=question.id, account_id=account, skips=0)
            session.add(own)
        own.state, own.fence, own.expires_ms = OPEN, question.fence, now_ms + LEASE_MS
    session.flush()


def _push_out(question: QuestionRow, others: Sequence[LeaseRow], now_ms: int) -> None:
    """Take the question from those who can no longer keep it: whose lease ran out, or who skipped it."""
    others = [lease for lease in others if lease.state != LOST]
    weak = [lease for lease in others if lease.state == SKIPPED or (lease.state == OPEN and lease.expires_ms <= now_ms)]
    for lease in weak[: max(0, len(others) + 1 - question.wanted)]:
        lease.state = LOST
