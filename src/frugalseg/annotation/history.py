"""Everything people said about a selection, folded: what each answered, what it took, and where they differ."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from frugalseg.annotation.events import Line, Reply, Stored, fold
from frugalseg.core.records import Answer, Verdict

NOBODY = "nobody yet"  # the annotator of a row that takes back what people differ on


@dataclass(frozen=True)
class History:
    """A question (`number` in the store, `query` in the selection) and the line of each person who answered it."""

    number: int
    query: str
    wanted: int
    truth: int | None
    lines: Mapping[str, Line] = field(default_factory=dict)

    @classmethod
    def of(
        cls, number: int, query: str, wanted: int, truth: int | None, events: Iterable[tuple[str, Stored]]
    ) -> "History":
        """Fold events, each with the name of its person."""
        by_person: dict[str, list[Stored]] = defaultdict(list)
        for name, event in events:
            by_person[name].append(event)
        return cls(number, query, wanted, truth, {name: fold(by_person[name]) for name in sorted(by_person)})

    @property
    def answers(self) -> dict[str, Reply]:
        """The present answers by person, skips left out and reviewers' decisions too."""
        return {name: reply for name, reply in self._replies() if reply.kind == "answer" and _says_something(reply)}

    @property
    def decision(self) -> Reply | None:
        """The newest decision of a reviewer, or None."""
        newest = max(self._decisions(), key=lambda line: line.applied[-1].number, default=None)
        return None if newest is None else newest.answer

    @property
    def differs(self) -> bool:
        """Whether people's answers differ and nobody has decided between them; what is known needs no decision."""
        open_ = self.truth is None and self.decision is None
        return open_ and len({_said(reply) for reply in self.answers.values()}) > 1

    @property
    def late(self) -> list[tuple[str, Stored]]:
        """Answers that do not count, by person, which say something else than what does; a decision ends them.

        There is nothing to decide about a gold question.
        """
        if self.truth is not None:
            return []
        said = None if self.result is None else _said(self.result)
        decided = max((line.applied[-1].number for line in self._decisions()), default=0)
        found = [(name, event) for name, line in self.lines.items() for event in (*line.branch, *line.waiting)]
        return [
            (name, event)
            for name, event in found
            if isinstance(event.payload, Reply) and _says_something(event.payload)
            if event.number > decided and _said(event.payload) != said
        ]

    @property
    def result(self) -> Reply | None:
        """What holds: the decision, else what all who answered agree on, else None."""
        if self.decision is not None:
            return self.decision
        return None if self.differs else next(iter(self.answers.values()), None)

    def rows(self) -> list[Answer]:
        """Return the question's rows of answers.parquet: every event that counts, in the order they came.

        What was taken back, and what people differ on, ends in a row with the verdict "skip", so that the last row of a
        question is what holds.
        """
        events = sorted(
            ((event.number, name, event) for name, line in self.lines.items() for event in line.applied),
            key=lambda entry: entry[0],
        )
        rows = [_row(self.query, name, event) for _, name, event in events]
        result = self.result
        wanted = Answer(self.query, Verdict.SKIP, None, NOBODY, 0.0) if result is None else None
        if rows and result is not None and _said_row(rows[-1]) != _said(result):
            wanted = Answer(self.query, result.verdict, result.class_id, self._holder(result), 0.0, result.revealed)
        return rows + ([wanted] if rows and wanted and _said_row(rows[-1]) != _said_row(wanted) else [])

    def _decisions(self) -> list[Line]:
        return [line for line in self.lines.values() if line.answer is not None and line.answer.kind == "decision"]

    def _replies(self) -> list[tuple[str, Reply]]:
        return [(name, line.answer) for name, line in self.lines.items() if line.answer is not None]

    def _holder(self, result: Reply) -> str:
        return next(name for name, reply in self._replies() if reply == result)


def seconds(reply: Reply) -> float:
    """Return the seconds a person worked on an answer."""
    return reply.active_ms / 1000


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Return median, quartiles (`low`, `high`) and the median's 95 % interval (`from`, `to`); None where unknown.

    Means would follow the one person who went for coffee.
    """
    found: dict[str, float | None] = dict.fromkeys(("median", "low", "high"))
    if len(values) > 1:
        found = dict(zip(("low", "median", "high"), statistics.quantiles(values, n=4, method="inclusive"), strict=True))
    elif values:
        found["median"] = values[0]
    return found | dict(zip(("from", "to"), median_interval(values), strict=True))


def median_interval(values: Sequence[float], share: float = 0.95) -> tuple[float | None, float | None]:
    """Return values between which the median of all such answers lies, with probability `share` or a little more.

    These are the k-th smallest and the k-th largest of n values, k as large as Binomial(n, 1/2) allows: nothing is
    assumed of their distribution (David & Nagaraja, Order Statistics, section 7.1). Fewer than six values: none.
    """
    ordered, count = sorted(values), len(values)
    outside, tail, log_term = 0, 0.0, -count * math.log(2)
    while count and (tail := tail + math.exp(log_term)) <= (1 - share) / 2:
        log_term += math.log((count - outside) / (outside + 1))
        outside += 1
    return (ordered[outside - 1], ordered[count - outside]) if outside else (None, None)


def replies(histories: Iterable[History]) -> list[tuple[str, History, Reply]]:
    """Return every answer ever given (taken-back ones too) with its person and question."""
    return [
        (name, history, event.payload)
        for history in histories
        for name, line in history.lines.items()
        for event in line.applied
        if isinstance(event.payload, Reply)
    ]


def people(histories: Sequence[History]) -> list[dict[str, Any]]:
    """Return each person's figures: answers, seconds, and how often they were right on what is known or decided.

    `confusion` counts (known class, answered class) pairs, over gold questions and decided ones. Answers given after a
    look at the model's guess are left out there: they say what the model thinks.
    """
    given: dict[str, list[Reply]] = defaultdict(list)
    for name, _, reply in replies(histories):
        given[name].append(reply)
    known: dict[str, list[tuple[int, Reply]]] = defaultdict(list)
    for history in histories:
        truth = known_class(history)
        for name, reply in history.answers.items():
            if truth is not None and not reply.revealed:
                known[name].append((truth, reply))
    found = []
    for name in sorted(given):
        pairs = [(truth, reply.class_id) for truth, reply in known[name] if reply.class_id is not None]
        found.append(
            {
                "name": name,
                "answers": len(given[name]),
                "seconds": sum(map(seconds, given[name])),
                "each_s": spread([seconds(reply) for reply in given[name]]),
                "revealed": sum(reply.revealed for reply in given[name]),
                "checked": len(pairs),
                "right": sum(truth == said for truth, said in pairs),
                "confusion": _count(pairs),
            }
        )
    return found


def known_class(history: History) -> int | None:
    """Return the true class of a gold question, or the one that a reviewer decided for; else None."""
    if history.truth is not None:
        return history.truth
    return None if history.decision is None else history.decision.class_id


def agreement(histories: Iterable[History]) -> dict[str, int]:
    """Return on how many questions several people answered, and on how many of them they said the same."""
    both = [history for history in histories if history.truth is None and len(history.answers) > 1]
    same = sum(len({_said(reply) for reply in history.answers.values()}) == 1 for history in both)
    return {"questions": len(both), "same": same}


def _says_something(reply: Reply) -> bool:
    return reply.verdict is not Verdict.SKIP


def _said(reply: Reply) -> tuple[str, int | None]:
    return reply.verdict.value, reply.class_id


def _said_row(row: Answer) -> tuple[str, int | None]:
    return row.verdict.value, row.class_id


def _row(query: str, name: str, event: Stored) -> Answer:
    if isinstance(event.payload, Reply):
        reply = event.payload
        return Answer(query, reply.verdict, reply.class_id, name, seconds(reply), reply.revealed)
    return Answer(query, Verdict.SKIP, None, name, 0.0)


def _count(pairs: Sequence[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"truth": truth, "said": said, "count": count} for (truth, said), count in sorted(Counter(pairs).items())]
