"""Who may do what: roles, rights, and tokens that expire, can be revoked, and are stored as hashes only.

An invitation opens sessions until it expires or is revoked; a session opens everything the person's role allows.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from frugalseg.annotation.database import Database
from frugalseg.annotation.events import canonical
from frugalseg.annotation.models import AccountRow, AuditRow, TokenRow
from frugalseg.core.errors import ForbiddenError, LoginError, NotFoundError, StoreError

HOUR_MS = 3_600_000
INVITATION_MS = 14 * 24 * HOUR_MS
SESSION_MS = 12 * HOUR_MS
NAME_LETTERS = 80


class Role(StrEnum):
    """What a person is here for."""

    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    ADMIN = "admin"


class Right(StrEnum):
    """What an action needs."""

    ANSWER = "answer"
    REVIEW = "review"
    ADMIN = "admin"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.ANNOTATOR: frozenset({Right.ANSWER}),
    Role.REVIEWER: frozenset({Right.ANSWER, Right.REVIEW}),
    Role.ADMIN: frozenset(Right),
}


class Scope(StrEnum):
    """What a token opens: only a login, or a session's actions."""

    INVITATION = "invitation"
    SESSION = "session"


@dataclass(frozen=True)
class Account:
    """A person who has logged in."""

    id: int
    name: str
    role: Role

    def need(self, right: Right) -> None:
        """Refuse what the role does not allow.

        Raises:
            ForbiddenError: naming the right.
        """
        if right not in RIGHTS[self.role]:
            raise ForbiddenError(f"{self.name} is {self.role}; this needs the right to {right}.")


@dataclass(frozen=True)
class Ticket:
    """A new token: the secret itself, shown once and never stored."""

    secret: str
    account: Account
    expires_ms: int


class Accounts:
    """People and their tokens. `now_ms` is the clock."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database, self._now_ms = database, now_ms

    def invite(self, name: str, role: Role, by: str, valid_ms: int = INVITATION_MS) -> Ticket:
        """Return an invitation for a person, who gets an account if there is none of that name.

        Raises:
            StoreError: the name is empty, too long or not printable, or has another role already.
        """
        name = name.strip()
        if not name or len(name) > NAME_LETTERS or not name.isprintable():
            raise StoreError(f"{name!r}: a name has 1 to {NAME_LETTERS} printable letters.")
        with self._database.write() as session:
            row = session.scalar(select(AccountRow).where(AccountRow.name == name))
            if row is None:
                row = AccountRow(name=name, role=role.value, created_ms=self._now_ms())
                session.add(row)
                session.flush()
            elif row.role != role:
                raise StoreError(f"{name} is {row.role} already. Give another name, or the same role.")
            self.note(session, by, "invite", {"name": name, "role": role.value})
            return self._ticket(session, _account(row), Scope.INVITATION, valid_ms)

    def login(self, invitation: str, valid_ms: int = SESSION_MS) -> Ticket:
        """Return a session for an invitation.

        Raises:
            LoginError: it is unknown, expired or revoked.
        """
        with self._database.write() as session:
            account = self._holder(session, invitation, Scope.INVITATION)
            self.note(session, account.name, "login", {})
            return self._ticket(session, account, Scope.SESSION, valid_ms)

    def who(self, secret: str | None) -> Account:
        """Return whose session this is.

        Raises:
            LoginError: it is missing, unknown, expired or revoked.
        """
        with self._database.read() as session:
            return self._holder(session, secret or "", Scope.SESSION)

    def revoke(self, name: str, by: str) -> int:
        """End all sessions and invitations of a person; return how many there were. Answers stay.

        Raises:
            NotFoundError: nobody has that name.
        """
        with self._database.write() as session:
            account = session.scalar(select(AccountRow).where(AccountRow.name == name))
            if account is None:
                raise NotFoundError(f"{name}: nobody has this name.")
            rows = session.scalars(
                select(TokenRow).where(TokenRow.account_id == account.id, TokenRow.revoked_ms.is_(None))
            ).all()
            for row in rows:
                row.revoked_ms = self._now_ms()
            self.note(session, by, "revoke", {"name": name, "tokens": len(rows)})
            return len(rows)

    def logout(self, secret: str) -> None:
        """End one session; an unknown one is no error."""
        with self._database.write() as session:
            row = session.scalar(select(TokenRow).where(TokenRow.hash == _hash(secret)))
            if row is not None and row.revoked_ms is None:
                row.revoked_ms = self._now_ms()

    def people(self) -> list[dict[str, Any]]:
        """Return name, role and number of live tokens of everybody."""
        live = (TokenRow.revoked_ms.is_(None)) & (TokenRow.expires_ms > self._now_ms())
        with self._database.read() as session:
            rows = session.execute(
                select(AccountRow, func.count(TokenRow.id))
                .outerjoin(TokenRow, (TokenRow.account_id == AccountRow.id) & live)
                .group_by(AccountRow.id)
                .order_by(AccountRow.id)
            ).all()
            return [{"name": row.name, "role": row.role, "tokens": count} for row, count in rows]

    def audit(self, last: int = 200) -> list[dict[str, Any]]:
        """Return who did what, newest first."""
        with self._database.read() as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(last)).all()
            return [{"at_ms": r.at_ms, "account": r.account, "action": r.action, "detail": r.detail_json} for r in rows]

    def note(self, session: Session, account: str, action: str, detail: Mapping[str, Any]) -> None:
        """Write a line of the audit, in the transaction of what it is about."""
        session.add(AuditRow(at_ms=self._now_ms(), account=account, action=action, detail_json=canonical(dict(detail))))

    def _ticket(self, session: Session, account: Account, scope: Scope, valid_ms: int) -> Ticket:
        secret, now = secrets.token_urlsafe(32), self._now_ms()
        session.add(
            TokenRow(
                account_id=account.id,
                hash=_hash(secret),
                scope=scope.value,
                created_ms=now,
                expires_ms=now + valid_ms,
            )
        )
        return Ticket(secret, account, now + valid_ms)

    def _holder(self, session: Session, secret: str, scope: Scope) -> Account:
        found = session.execute(
            select(AccountRow, TokenRow)
            .join(TokenRow, TokenRow.account_id == AccountRow.id)
            .where(TokenRow.hash == _hash(secret), TokenRow.scope == scope.value)
        ).one_or_none()
        if found is None:
            raise LoginError(f"This {scope} is unknown. Ask for an invitation link.")
        account, token = found
        if token.revoked_ms is not None or token.expires_ms <= self._now_ms():
            raise LoginError(f"This {scope} has ended. Ask for an invitation link.")
        return _account(account)


def _account(row: AccountRow) -> Account:
    return Account(row.id, row.name, Role(row.role))


def _hash(secret: str) -> str:
    """A secret of 256 random bits needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
