"""What a page sends: an event about one question, and the fold of a person's events into the present answer.

An event knows the version of the answer it was made upon (`base_version`: how many events of this person about this
question counted before). The fold replays events in that order, whatever order they came in: of two upon the same
version the first to arrive counts, and the other becomes a branch for the reviewer. Nothing is dropped.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from frugalseg.core.classes import MAX_CLASSES
from frugalseg.core.records import Verdict

WHOLE = 2**53 - 1  # the largest whole number that JavaScript counts to
HOUR_MS = 3_600_000

Count = Annotated[int, Field(ge=0, le=WHOLE)]
Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Reply(_Strict):
    """A class, or one of three kinds of "no". A `decision` is a reviewer's, between the answers of others."""

    kind: Literal["answer", "decision"]
    verdict: Annotated[Verdict, Field(strict=False)]
    class_id: int | None = Field(None, ge=0, lt=MAX_CLASSES)
    revealed: bool = Field(False, description="whether the model's guess was looked at")
    shown_at_ms: Count = Field(description="when the question came on the screen, since 1970")
    answered_at_ms: Count
    active_ms: int = Field(ge=0, le=HOUR_MS, description="time on the question, without pauses over 30 s")
    hidden_ms: Count = Field(description="time the page lay in the background")

    @model_validator(mode="after")
    def _class_goes_with_verdict(self) -> "Reply":
        if (self.verdict is Verdict.CLASS) != (self.class_id is not None):
            raise ValueError(f"verdict {self.verdict} does not go with class {self.class_id}")
        if self.verdict is Verdict.MASK:
            raise ValueError("a mask is no answer to a question about one pixel")
        if self.kind == "decision" and self.verdict is Verdict.SKIP:
            raise ValueError("a reviewer decides; skip is no decision")
        return self


class Undo(_Strict):
    """Takes the present answer back; the question is open again."""

    kind: Literal["undo"]
    answered_at_ms: Count


class Event(_Strict):
    """One thing a person did. `seq` counts what a page sends; `fence` comes with the lease of the question."""

    query: Count = Field(description="number of the question")
    seq: Count
    base_version: int = Field(ge=0, le=1_000_000)
    fence: int = Field(ge=0, le=1_000_000_000)
    payload: Annotated[Reply | Undo, Field(discriminator="kind")]

    @property
    def payload_json(self) -> str:
        """The payload as it is stored."""
        return canonical(self.payload.model_dump(mode="json"))

    @property
    def hash(self) -> str:
        """sha256 of everything the event says; the same identifier with another hash is refused."""
        return hashlib.sha256(canonical(self.model_dump(mode="json")).encode()).hexdigest()


def canonical(value: object) -> str:
    """Return the one JSON text of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True)
class Stored:
    """An event as the store has it; `number` counts arrivals."""

    number: int
    uuid: str
    question: int
    account: int
    base_version: int
    fenced: bool
    payload: Reply | Undo
    received_ms: int


@dataclass(frozen=True)
class Line:
    """One person's events about one question, folded.

    `answer` is the present one (None: none yet, or taken back); `applied` the events that count, in order; `branch`
    those that do not: late, or made upon a version that was no longer the last; `waiting` those whose predecessor has
    not arrived.
    """

    answer: Reply | None = None
    applied: tuple[Stored, ...] = ()
    branch: tuple[Stored, ...] = ()
    waiting: tuple[Stored, ...] = ()

    @property
    def version(self) -> int:
        """How many events count; the next event's `base_version`."""
        return len(self.applied)


def fold(events: Iterable[Stored]) -> Line:
    """Fold one person's events about one question; the order they are given in makes no difference."""
    answer: Reply | None = None
    applied: list[Stored] = []
    branch: list[Stored] = []
    waiting: list[Stored] = []
    for event in sorted(events, key=lambda event: (event.base_version, event.number)):
        if event.fenced or event.base_version < len(applied):
            branch.append(event)
        elif event.base_version > len(applied):
            waiting.append(event)
        else:
            applied.append(event)
            answer = event.payload if isinstance(event.payload, Reply) else None
    return Line(answer, tuple(applied), tuple(branch), tuple(waiting))
