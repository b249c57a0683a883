"""The tables of the store. Times are whole milliseconds since 1970, UTC; texts that are JSON say so in their name.

Events are only ever inserted; a trigger refuses anything else. `leases` and the columns `settled` and `fence` of
`questions` stand beside them and say who may answer what at this moment.
"""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {  # so that both databases, and every later migration, call a constraint the same
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
RowId = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself only in an INTEGER column


class Base(DeclarativeBase):
    """The root of all tables."""

    metadata = MetaData(naming_convention=NAMES)


class StoreRow(Base):
    """The store itself, one row. A page's queue belongs to a `project`: it is never sent to another one's server."""

    __tablename__ = "store"
    project: Mapped[str] = mapped_column(String(32), primary_key=True)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class SelectionRow(Base):
    """What one `select` stage asked, and how it is handed out. `fingerprint` is the stage's."""

    __tablename__ = "selections"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(Text)
    classes_json: Mapped[str] = mapped_column(Text)
    gold_share: Mapped[float]
    created_ms: Mapped[int] = mapped_column(BigInteger)


class QuestionRow(Base):
    """One pixel to ask about. `wanted` people answer it; a gold question has a known `truth` and goes to everybody."""

    __tablename__ = "questions"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    selection_id: Mapped[int] = mapped_column(ForeignKey("selections.id"))
    query: Mapped[str] = mapped_column(String(64))
    position: Mapped[int]
    key: Mapped[str] = mapped_column(Text)
    row: Mapped[int]
    column: Mapped[int]
    wanted: Mapped[int]
    truth: Mapped[int | None]
    guess: Mapped[int | None]
    media_json: Mapped[str] = mapped_column(Text)
    settled: Mapped[bool]
    fence: Mapped[int]
    __table_args__ = (
        UniqueConstraint("selection_id", "query"),
        Index(None, "selection_id", "settled", "position"),
    )


class AccountRow(Base):
    """A person."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    created_ms: Mapped[int] = mapped_column(BigInteger)


class TokenRow(Base):
    """A secret that stands for a person, as its sha256; `scope` says what it opens."""

    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(16))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int] = mapped_column(BigInteger)
    revoked_ms: Mapped[int | None] = mapped_column(BigInteger)


class LeaseRow(Base):
    """Who holds a question: `open` until `expires_ms`, `done`, `skipped`, or `lost` to somebody else."""

    __tablename__ = "leases"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    state: Mapped[str] = mapped_column(String(8))
    fence: Mapped[int]
    skips: Mapped[int]
    expires_ms: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (
        UniqueConstraint("question_id", "account_id"),
        Index(None, "account_id", "state"),
    )


class EventRow(Base):
    """Something a person did to a question: answered it, took the answer back, or decided between others' answers.

    Never changed, never removed. `fenced` says that the question had gone to somebody else when the event came.
    """

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    seq: Mapped[int] = mapped_column(BigInteger)
    base_version: Mapped[int]
    fence: Mapped[int]
    fenced: Mapped[bool]
    kind: Mapped[str] = mapped_column(String(16))
    payload_json: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))
    received_ms: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (Index(None, "question_id", "account_id"),)


class AuditRow(Base):
    """Who did what to accounts, tokens, selections and the store itself."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at_ms: Mapped[int] = mapped_column(BigInteger)
    account: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(40))
    detail_json: Mapped[str] = mapped_column(Text)
