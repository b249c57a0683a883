"""What the report shows of the people who answered, from the ledgers of their label stages."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from frugalseg.annotation.annotators import Annotators
from frugalseg.core.runs import RunInfo
from frugalseg.evaluation.answered import Answered, Person, Timed
from frugalseg.evaluation.compare import Interval
from frugalseg.evaluation.surprise import wilson
from frugalseg.workflow.pricing import Prices
from frugalseg.workflow.project import LEDGER, Project
from frugalseg.workflow.round_labels import annotators_of
from frugalseg.workflow.rounds import label_stages

KINDS = {"point": "pixel", "gold": "known pixel", "decision": "decision", "image": "whole frame"}
ASKED = ("point", "image")  # what a selection forecasts the seconds of
MISTAKES = 5  # named of each person


def answered(project: Project, runs: Sequence[RunInfo]) -> Answered | None:
    """Return what people's rounds say; None where nobody has answered, or answers were simulated."""
    labels = [run for run in label_stages(runs) if not run.extra.get("simulated")]
    ledgers = [json.loads((run.folder / LEDGER).read_text()) for run in labels]
    if not ledgers:
        return None
    by_name = [ledger for ledger in ledgers if "people" in ledger]  # whole frames come back without names
    timed = [row for run, ledger in zip(labels, ledgers, strict=True) for row in _timed(project, run, ledger)]
    return Answered(
        timed=tuple(timed),
        people=_people(project, by_name, annotators_of(labels) or Annotators.nobody(len(project.classes))),
        shared=sum(ledger["agreement"]["questions"] for ledger in by_name),
        same=sum(ledger["agreement"]["same"] for ledger in by_name),
        undecided=sum(ledger["undecided"] for ledger in by_name),
        plan_s={
            kind: Prices(project).common.model.expected(kind)
            for kind in ASKED
            if any(kind in ledger["answers"] for ledger in ledgers)
        },
    )


def _timed(project: Project, run: RunInfo, ledger: Mapping[str, Any]) -> list[Timed]:
    asked = project.run(str(run.input("questions"))).extra
    return [
        Timed(
            round=run.folder.name,
            kind=KINDS.get(kind, kind),
            answers=count,
            seconds=ledger["seconds"][kind],
            median_s=Interval(*(_number(ledger["each_s"][kind].get(name)) for name in ("median", "from", "to"))),
            low_s=_number(ledger["each_s"][kind]["low"]),
            high_s=_number(ledger["each_s"][kind]["high"]),
            forecast_s=_forecast_s(asked, kind) if kind in ASKED else math.nan,
        )
        for kind, count in ledger["answers"].items()
    ]


def _forecast_s(asked: Mapping[str, Any], kind: str) -> float:
    """Return what one answer was expected to take; pixels are partly asked twice, and among known ones."""
    cost = asked.get("cost", {})
    shares = cost.get("overlap", 0.0) + cost.get("gold", 0.0) if kind == "point" else 0.0
    each_s = float(asked.get("human_seconds_planned", math.nan)) / float(asked["questions"] * (1 + shares))
    return round(each_s, 6)  # shares in and out: 3 s stay 3 s


def _people(project: Project, ledgers: Sequence[Mapping[str, Any]], told: Annotators) -> tuple[Person, ...]:
    people, names = [], project.classes.names
    for name in sorted({person["name"] for ledger in ledgers for person in ledger["people"]}):
        own = [person for ledger in ledgers for person in ledger["people"] if person["name"] == name]
        answers, revealed, checked, correct = (
            sum(person[key] for person in own) for key in ("answers", "revealed", "checked", "right")
        )
        people.append(
            Person(
                name=name,
                answers=answers,
                seconds=math.fsum(person["seconds"] for person in own),
                revealed=revealed,
                checked=checked,
                right=wilson(correct, checked),
                judged=told.judged(name),
                estimated_right=_number(told.right(name)),
                mistakes=tuple(
                    (names[one.truth], names[one.said], one.count) for one in told.mistakes(name)[:MISTAKES]
                ),
            )
        )
    return tuple(people)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
