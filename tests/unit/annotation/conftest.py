"""A store on SQLite and on a real PostgreSQL server, with a clock that a test turns."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frugalseg.annotation.accounts import Account, Role
from frugalseg.annotation.events import Event
from frugalseg.annotation.questions import Question, Selection
from frugalseg.annotation.store import Store
from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.records import Point, Query, QueryKind

CLASSES = ClassSet("three", tuple(SemanticClass(name, (9 * c, 0, 0), (c,)) for c, name in enumerate(("a", "b", "c"))))


class Clock:
    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "answers.db"
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture
def store(where: Path | str, clock: Clock) -> Iterator[Store]:
    opened = Store(where, clock)
    yield opened
    opened.close()


@pytest.fixture
def file_store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(tmp_path / "answers.db", clock)
    yield opened
    opened.close()


def question(number: int, truth: int | None = None) -> Question:
    query = Query(f"q{number}", f"frame_{number // 3}", QueryKind.POINT, "test", 0.0, Point(number, 2))
    return Question(query, (1000, 10), {"lens": "x"}, truth)


@pytest.fixture
def ask() -> Callable[..., Selection]:
    def add(store: Store, count: int, overlap: float = 0.0, gold: int = 0, gold_share: float = 0.0) -> Selection:
        questions = [question(n) for n in range(count)] + [question(count + n, truth=1) for n in range(gold)]
        return store.add("f" * 64, "0001-select", CLASSES, questions, overlap, gold_share)

    return add


@pytest.fixture
def person() -> Callable[..., Account]:
    def invite(store: Store, name: str, role: Role = Role.ANNOTATOR) -> Account:
        ticket = store.accounts.login(store.accounts.invite(name, role, "test").secret)
        return store.accounts.who(ticket.secret)

    return invite


@pytest.fixture
def said() -> Callable[..., Event]:
    def event(held: dict, kind: str = "answer", class_id: int | None = 0, verdict: str = "class", **other) -> Event:
        reply = {"verdict": verdict, "class_id": class_id if verdict == "class" else None, "shown_at_ms": 1000,
                 "active_ms": other.pop("active_ms", 2000), "hidden_ms": 0,
                 "revealed": other.pop("revealed", False)}  # fmt: skip
        payload = {"kind": kind, "answered_at_ms": 3000, **({} if kind == "undo" else reply)}
        base = other.pop("base", held["version"])
        fence = other.pop("fence", held.get("fence", 0))
        return Event.model_validate(
            {"query": held["query"], "seq": 1, "base_version": base, "fence": fence, "payload": payload}
        )

    return event
