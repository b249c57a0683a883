"""A selection goes into the store, and answers come out as a `label` stage that `retrain` can read."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from frugalseg.annotation.accounts import Role
from frugalseg.annotation.answers import fold
from frugalseg.annotation.events import Event
from frugalseg.annotation.store import Store
from frugalseg.core.artifact import Stage
from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import read_label_png
from frugalseg.core.errors import ArtifactError, StageOrderError
from frugalseg.core.records import Answer, Point, Provenance, Query, QueryKind
from frugalseg.core.table import read_records, write_records
from frugalseg.data.labels import LabelReader
from frugalseg.data.toycity import write_dataset
from frugalseg.evaluation.surprise import Guess
from frugalseg.workflow.drawing import draw_selection
from frugalseg.workflow.people import export, open_store, prepare, waiting
from frugalseg.workflow.project import GUESSES, QUESTIONS, SHOWN, Project, init_project
from frugalseg.workflow.stage import Options

QUIET = Options(quiet=True)
SIZE_HW = (48, 64)


@pytest.fixture
def project(tmp_path):
    for name, seed in (("target", 2), ("validation", 3)):
        write_dataset(tmp_path / name, "street", seed, 1, 3, SIZE_HW)
    init_project(tmp_path / "p", {name: f"folder:{tmp_path / name}" for name in ("target", "validation")}, None)
    return Project.open(tmp_path / "p")


def selected(project, number=1):
    queries = [
        Query(f"q{n}", frame.key, QueryKind.POINT, "test", 0.0, Point(5 * n, 7 * n))
        for n, frame in enumerate((*project.manifest("target"), *project.manifest("target")))
    ]
    inputs, config = {"target": project.manifest_folder("target")}, {"number": number}
    with Stage(project.runs, "select-test", inputs, config, ["test"], 0) as stage:
        write_records(stage.folder / QUESTIONS, queries, Query)
        write_records(stage.folder / GUESSES, [Guess(query.id, 3, False) for query in queries], Guess)
        return stage.commit({}).folder


@pytest.fixture
def selection(project):
    return selected(project)


@pytest.fixture
def store(project):
    opened = open_store(project, None)
    yield opened
    opened.close()


def account(store, name):
    return store.accounts.who(store.accounts.login(store.accounts.invite(name, Role.REVIEWER, "t").secret).secret)


def say(store, known, person, held, verdict="class", class_id=1, kind="answer"):
    reply = {"kind": kind, "verdict": verdict, "class_id": class_id if verdict == "class" else None, "shown_at_ms": 1,
             "answered_at_ms": 2, "active_ms": 2500, "hidden_ms": 0}  # fmt: skip
    event = {"query": held["query"], "seq": 1, "base_version": held["version"], "fence": held.get("fence", 0)}
    return store.put(str(uuid4()), Event.model_validate({**event, "payload": reply}), person, known)


def test_questions_are_drawn_once_with_guesses_and_gold_from_validation(project, selection, store) -> None:
    known = prepare(project, selection, store, 0.0, 0.5, QUIET)
    histories = store.histories(known)
    assert [history.query for history in histories if history.truth is None] == [f"q{n}" for n in (0, 3, 1, 4, 2, 5)]
    gold = [history for history in histories if history.truth is not None]
    assert len(gold) == 3
    validation = project.manifest("validation")
    reader = LabelReader(validation.classes, project.classes)
    for shown, history in zip(store.questions([h.number for h in gold]), gold, strict=True):
        label = reader.read(validation.by_key[shown["key"]])
        around = label[max(0, shown["row"] - 5) : shown["row"] + 6, max(0, shown["column"] - 5) : shown["column"] + 6]
        assert (around == history.truth).all() and history.truth != IGNORE
    first = store.questions([histories[0].number])[0]
    assert first["guess"] == 3
    assert (project.folder / "media" / first["media"]["lens"]["name"]).is_file()
    assert prepare(project, selection, store, 0.0, 0.5, QUIET) == known


def test_each_selection_has_gold_questions_of_its_own(project, store, tmp_path) -> None:
    def gold(store, selection):
        known = prepare(project, selection, store, 0.0, 1.0, QUIET)
        numbers = [history.number for history in store.histories(known) if history.truth is not None]
        return [(shown["key"], shown["row"], shown["column"]) for shown in store.questions(numbers)]

    first, second = selected(project), selected(project, 2)
    asked = [*gold(store, first), *gold(store, second)]
    assert len(asked) == 12, "as many as questions, in both"
    for number, (key, row, column) in enumerate(asked):
        near = [other for other in asked[:number] if other[0] == key]
        assert all(max(abs(row - other[1]), abs(column - other[2])) > 5 for other in near)
    apart = [Store(tmp_path / f"{name}.db") for name in ("one", "two", "three")]
    drawn = [gold(store, selection) for store, selection in zip(apart, (first, first, second), strict=True)]
    for store in apart:
        store.close()
    assert drawn[0] == drawn[1] == asked[:6], "a selection's gold questions can be drawn again"
    assert not {*drawn[0]} & {*drawn[2]}


def test_what_was_drawn_at_selection_is_shown_and_only_what_is_gone_is_drawn_again(
    project, selection, store, capsys
) -> None:
    queries = read_records(selection / QUESTIONS, Query)
    draw_selection(project, queries, selection)
    shown = json.loads((selection / SHOWN).read_text())
    assert set(shown) == {query.id for query in queries}
    lenses = {query: project.folder / "media" / what["lens"]["name"] for query, what in shown.items()}
    lenses["q1"].unlink()
    frames = {query.key for query in queries if query.id != "q1"} - {queries[1].key}
    for frame in project.manifest("target"):
        if frame.key in frames:
            Path(frame.image).unlink()  # never looked at again
    known = prepare(project, selection, store, 0.0, 0.0, Options())
    assert capsys.readouterr().err == f"{selection.name}: drawing 1 questions …\n"
    assert {history.query for history in store.histories(known)} == set(shown)
    assert lenses["q1"].is_file()


def test_a_damaged_note_of_what_is_shown_says_what_to_do(project, selection, store) -> None:
    (selection / SHOWN).write_text('{"q0": {"window": 3}}')
    with pytest.raises(ArtifactError, match="Remove this file; they are then drawn anew"):
        prepare(project, selection, store, 0.0, 0.0, QUIET)


def test_answers_become_a_stage_and_the_same_answers_the_same_one(project, selection, store) -> None:
    known = prepare(project, selection, store, 0.0, 0.0, QUIET)
    with pytest.raises(StageOrderError, match="nobody has answered"):
        export(project, selection, store, QUIET)
    ann = account(store, "ann")
    held = store.lease(known, ann, 8)
    for entry, verdict in zip(held[:3], ("class", "ambiguous", "skip"), strict=True):
        say(store, known, ann, entry, verdict)
    so_far = waiting(project, selection, store, known)
    assert so_far.found == {"questions": 6, "answered": 2, "waiting": str(selection)} and so_far.left == 4
    found = export(project, selection, store, QUIET)
    assert (found.found["answers"], found.found["human_seconds"], found.found["each_s"]) == (3, 7.5, 2.5)
    assert found.found["verdicts"] == {"ambiguous": 1, "class": 1}
    label = read_label_png(found.where / "partial" / "labels" / f"{held[0]['key']}.png")
    places = np.argwhere(label != IGNORE).tolist()
    assert places == [[held[0]["row"], held[0]["column"]]] and label.max(initial=0, where=label != IGNORE) == 1
    provenance = read_label_png(found.where / "partial" / "provenance" / f"{held[0]['key']}.png")
    assert (provenance == Provenance.HUMAN_POINT).sum() == 1
    assert export(project, selection, store, QUIET).done_before
    say(store, known, ann, held[3])
    assert export(project, selection, store, QUIET).where != found.where


def test_what_people_differ_on_is_learned_only_after_a_decision(project, selection, store) -> None:
    known = prepare(project, selection, store, 1.0, 0.0, QUIET)
    people = [account(store, name) for name in ("ann", "bob")]
    for class_id, person in enumerate(people):
        held = store.lease(known, person, 1)[0]
        say(store, known, person, held, class_id=class_id)

    def labelled() -> list[int]:
        stage = export(project, selection, store, QUIET)
        queries = [query for query in read_records(selection / QUESTIONS, Query) if query.key == held["key"]]
        rows = [row for row in read_records(stage.where / "answers.parquet", Answer)]
        again = fold(queries, [row for row in rows if row.query in {query.id for query in queries}], SIZE_HW)
        label = read_label_png(stage.where / "partial" / "labels" / f"{held['key']}.png")
        assert (again.label == label).all()
        return label[label != IGNORE].tolist()

    assert labelled() == []
    say(store, known, people[0], {"query": held["query"], "version": 1}, class_id=1, kind="decision")
    assert labelled() == [1]
    ledger = json.loads((project.list()[-1].folder / "ledger.json").read_text())
    assert ledger["answers"] == {"point": 2, "decision": 1}
    assert [(p["name"], p["checked"], p["right"]) for p in ledger["people"]] == [("ann", 0, 0), ("bob", 1, 1)]


def test_a_frame_that_cannot_be_read_is_left_out_by_name(project, selection, store, capsys) -> None:
    frame = project.manifest("target").frames[1]
    with open(frame.image, "ab") as file:
        file.write(b"changed")
    known = prepare(project, selection, store, 0.0, 0.0, Options())
    assert len(store.histories(known)) == 4
    assert frame.image in capsys.readouterr().err


def test_labelling_loads_no_torch() -> None:
    code = (
        "import sys, frugalseg.cli.label, frugalseg.workflow.people, frugalseg.web.serve, frugalseg.workflow.status;"
        "print([name for name in ('torch', 'torchvision', 'lightning', 'timm') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
