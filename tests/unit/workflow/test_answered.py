"""What status and the report tell of people who answered: measured, not the priors; each export counted once."""

import json
import math
import re
from uuid import uuid4

import pytest

from frugalseg.annotation.accounts import Role
from frugalseg.annotation.events import Event
from frugalseg.cli.main import run
from frugalseg.core.records import Point, Query, QueryKind
from frugalseg.core.table import write_records
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.answered_exhibits import answered
from frugalseg.workflow.people import export, figures, open_store, prepare
from frugalseg.workflow.pricing import Prices
from frugalseg.workflow.project import MODEL, QUESTIONS, Project, init_project
from frugalseg.workflow.report import report_stage
from frugalseg.workflow.round_labels import annotators_of
from frugalseg.workflow.rounds import label_stages
from frugalseg.workflow.stage import Options, run_stage
from frugalseg.workflow.status import status

QUIET = Options(quiet=True)
ASKED, PLANNED_S = 40, 3.0


def answer(store, known, name, active_ms, choose, most=1000):
    """A person answers what there is, or `most` questions."""
    person = store.accounts.who(store.accounts.login(store.accounts.invite(name, Role.ANNOTATOR, "t").secret).secret)
    while most > 0 and (held := store.lease(known, person, min(most, 8))):
        for entry in held:
            reply = {"kind": "answer", "verdict": "class", "class_id": choose(entry), "shown_at_ms": 1,
                     "answered_at_ms": 2, "active_ms": active_ms, "hidden_ms": 0}  # fmt: skip
            event = {"query": entry["query"], "seq": 1, "base_version": entry["version"], "fence": entry["fence"]}
            store.put(str(uuid4()), Event.model_validate({**event, "payload": reply}), person, known)
        most -= len(held)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Two people answered 40 questions, twice each, in 1.5 and 2.5 s; one of them takes every known class for 1."""
    root = tmp_path_factory.mktemp("answered")
    for name, seed in (("target", 2), ("validation", 3)):
        write_dataset(root / name, "street", seed, 1, 2, (48, 64))
    project = init_project(root / "p", {name: f"folder:{root / name}" for name in ("target", "validation")}, None)
    frames = project.manifest("target").frames
    queries = [Query(f"q{n}", frames[n % 2].key, QueryKind.POINT, "test", 0.0, Point(n, n)) for n in range(ASKED)]

    def work(folder):
        write_records(folder / QUESTIONS, queries, Query)
        planned_s = PLANNED_S * ASKED * (1 + 1.0 + 0.2)  # all asked twice, and some known ones
        return {"questions": ASKED, "human_seconds_planned": planned_s, "cost": {"overlap": 1.0, "gold": 0.2}}

    def train(folder):
        (folder / MODEL).mkdir()
        (folder / MODEL / "weights").write_text("none")
        return {}

    target = project.manifest_folder("target")
    model = run_stage(project, "adapt-source_only", {"target": target}, {}, train, QUIET).where / MODEL
    inputs, config = {"target": target, "model": model}, {"budget": f"{ASKED}points"}
    selection = run_stage(project, "select-test", inputs, config, work, QUIET).where
    store = open_store(project, None)
    known = prepare(project, selection, store, 1.0, 0.2, QUIET)
    truth = {history.number: history.truth for history in store.histories(known)}
    answer(store, known, "ann", 1500, lambda held: truth[held["query"]] or 0, most=10)
    export(project, selection, store, QUIET)  # in the middle
    answer(store, known, "ann", 1500, lambda held: truth[held["query"]] or 0)
    answer(store, known, "bob", 2500, lambda held: 1 if truth[held["query"]] is not None else 0)
    export(project, selection, store, QUIET)
    yield Project.open(root / "p"), selection, store
    store.close()


def test_of_two_exports_the_newer_counts(told):
    project, _, _ = told
    labels = [one for one in project.list() if one.name == "label"]
    assert len(labels) == 2 and label_stages(project.list()) == labels[1:]
    found = status(project)
    assert found["human_seconds"] == pytest.approx(labels[1].extra["human_seconds"])
    assert found["human_seconds"] >= ASKED * (1.5 + 2.5)  # and the gold questions
    (row,) = found["rounds"]
    assert (row["answers"], row["each_s"], row["agreement"]) == (labels[1].extra["answers"], 2.0, 1.0)


def test_costs_are_measured_and_drawn_to_the_prior_by_thirty_answers(told):
    cost = Prices(told[0]).common
    assert cost.measured["point"].answers == 2 * ASKED
    assert cost.model.point_s == pytest.approx((80 * 2.0 + 30 * 3.0) / 110)


def test_the_figures_of_the_report(told):
    project, selection, store = told
    found = answered(project, project.list())
    point, gold = found.timed
    assert (point.kind, point.answers, point.seconds) == ("pixel", 80, pytest.approx(160.0))
    assert (point.median_s.value, point.median_s.low, point.median_s.high) == (2.0, 1.5, 2.5)
    assert (point.forecast_s, point.off) == (pytest.approx(PLANNED_S), pytest.approx(-1 / 3)), "of one answer"
    assert gold.kind == "known pixel" and math.isnan(gold.off)
    assert (found.shared, found.same, found.undecided) == (ASKED, ASKED, 0)
    assert found.plan_s == {"point": Prices(project).common.model.point_s}
    ann, bob = found.people
    assert (ann.name, ann.right.value, ann.checked) == ("ann", 1.0, gold.answers - bob.checked)
    assert bob.right.value < 0.5 and bob.estimated_right < ann.estimated_right and bob.judged == ASKED + bob.checked
    assert bob.mistakes and bob.mistakes[0][1] == project.classes.names[1]
    people = {person["name"]: person for person in figures(project, selection, store)["people"]}
    assert people["bob"]["estimated_right"] == pytest.approx(bob.estimated_right)


def test_retrain_is_told_what_was_measured(told):
    project, _, _ = told
    (run_,) = label_stages(project.list())
    content = json.loads((run_.folder / "annotators.json").read_text())
    both = annotators_of([run_])
    assert both.mixture_CC.tolist() == content["confusion"]
    assert both.answers_A.tolist() == [ASKED, ASKED]
    assert annotators_of([]) is None


def test_the_page_and_the_verbs_say_so(told, capsys):
    project, _, _ = told
    html = report_stage(project, QUIET).where.joinpath("report.html").read_text()
    section = re.search(r'<section id="answered">.*?</section>', html, re.DOTALL)[0]
    assert "2.0 s" in section.replace("\N{NO-BREAK SPACE}", " ") or "2 s" in section
    assert "\N{MINUS SIGN}33.3" in section and "40 of 40" in section and "bob" in section
    assert 'href="#answered"' in html and "simulated" not in html
    ledger = re.search(r'<section id="ledger">.*?</section>', html, re.DOTALL)[0]
    assert ledger.count("<tbody>") == 1 and ledger.count("-label-") == 1
    assert run(["answers", str(project.folder), "figures"]) == 0
    said = capsys.readouterr().out
    assert "Two people said the same on 40 of 40 questions; 0 open." in said and "estimated" in said
    assert run(["status", str(project.folder)]) == 0
    assert "s/answer" in capsys.readouterr().out
