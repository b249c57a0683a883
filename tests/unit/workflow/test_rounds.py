"""How rounds hang together: earlier answers, people's seconds, costs measured on people; no network is trained here."""

from pathlib import Path

import pytest

from frugalseg.acquisition.view import Asked
from frugalseg.cli import label as label_verb
from frugalseg.cli.main import run as command
from frugalseg.core.codec import read_label_png
from frugalseg.core.cost import Ledger
from frugalseg.core.records import Answer, Point, Query, QueryKind, Region, Verdict
from frugalseg.core.table import read_records, write_records
from frugalseg.data.toycity import write_dataset
from frugalseg.evaluation.surprise import Guess
from frugalseg.workflow.evidence import replies
from frugalseg.workflow.label import cells_by_key
from frugalseg.workflow.people import open_store
from frugalseg.workflow.plan import TOO_FEW, plan
from frugalseg.workflow.pricing import Prices
from frugalseg.workflow.project import GUESSES, MODEL, QUESTIONS, Project, init_project
from frugalseg.workflow.round_labels import round_inputs, write_round
from frugalseg.workflow.rounds import (
    EARLIER,
    asked_before,
    chain,
    human_seconds,
    learned_from,
    own_model,
    rounds,
)
from frugalseg.workflow.select import select
from frugalseg.workflow.series import answers_before, answers_to_follow, newest_answers, outdated
from frugalseg.workflow.stage import Options, run_stage

QUIET = Options(quiet=True)


class World:
    """A project whose stages hold what the tests say, and nothing more."""

    def __init__(self, root: Path) -> None:
        write_dataset(root / "target", "street", 1, 2, 1, (16, 24))
        self.project = init_project(root / "project", {"target": f"folder:{root / 'target'}"}, None)
        self.key = self.project.manifest("target").frames[0].key

    def model(self, name: str, start: Path | None = None, answers: Path | None = None) -> Path:
        def work(folder: Path) -> dict:
            (folder / MODEL).mkdir(exist_ok=True)
            (folder / MODEL / "weights").write_text(f"{name}{start}{answers}")
            return {}

        inputs = {"model": start / MODEL} if start else {}
        inputs |= {"answers": answers} if answers else {}
        return run_stage(self.project, name, inputs, {}, work, QUIET).where

    def select(
        self,
        model: Path,
        points: list[tuple[int, int]],
        strategy: str = "ripu",
        edges: int = 0,
        follow: bool = False,
    ) -> Path:
        queries = [
            Query(f"{strategy}{model.name}{r},{c}", self.key, QueryKind.POINT, strategy, 0.0, Point(r, c), self.cell(r))
            for r, c in points
        ]

        def work(folder: Path) -> dict:
            write_records(folder / QUESTIONS, queries, Query)
            guesses = [Guess(query.id, 1, number < edges) for number, query in enumerate(queries)]
            write_records(folder / GUESSES, guesses, Guess)
            return {"questions": len(queries)}

        earlier = answers_to_follow(self.project, model, strategy) if follow else learned_from(model)
        inputs = {"model": model / MODEL} | ({EARLIER: earlier} if earlier else {})
        return run_stage(self.project, f"select-{strategy}", inputs, {"n": len(points)}, work, QUIET).where

    def cell(self, row: int) -> Region:
        return Region(row // 4 * 4, 0, 4, 24)

    def label(
        self,
        selection: Path,
        said: list[int | None],
        seconds: float | list[float] = 4.0,
        simulated: bool = False,
        more: tuple[Answer, ...] = (),
    ) -> Path:
        queries = read_records(selection / QUESTIONS, Query)
        each_s = seconds if isinstance(seconds, list) else [seconds] * len(said)
        answers = [
            Answer(query.id, Verdict.AMBIGUOUS if c is None else Verdict.CLASS, c, "ann", took_s)
            for query, c, took_s in zip(queries, said, each_s, strict=True)
        ] + list(more)

        def work(folder: Path) -> dict:
            ledger = Ledger.of(write_round(self.project, inputs, answers, folder), answers)
            return {"answers": len(answers), "human_seconds": ledger.total_s, "simulated": simulated}

        inputs = round_inputs(self.project, selection, simulated)
        return run_stage(self.project, "label", inputs, {"said": said}, work, QUIET).where


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_two_rounds_fold_into_one_label_and_the_last_answer_counts(world):
    start = world.model("adapt-cbst")
    first = world.label(world.select(start, [(0, 0), (0, 1), (5, 5)]), [2, 3, 4])
    trained = world.model("retrain-point_da", start, first)
    second = world.label(world.select(trained, [(0, 1), (0, 2), (5, 5)]), [1, None, None])
    label = read_label_png(second / "partial" / "labels" / f"{world.key}.png")
    assert [int(label[p]) for p in ((0, 0), (0, 1), (0, 2), (5, 5))] == [2, 1, 255, 255], "a class can be taken back"
    assert [run.folder for run in chain(second)] == [first, second]
    assert cells_by_key(second) == {world.key: (Region(0, 0, 4, 24), Region(4, 0, 4, 24))}
    assert cells_by_key(first) == {world.key: (Region(0, 0, 4, 24), Region(4, 0, 4, 24))}
    other = world.project.manifest("target").frames[1].key
    assert (read_label_png(second / "partial" / "labels" / f"{other}.png") == 255).all()


def test_what_was_asked_before_comes_with_the_last_verdict(world):
    start = world.model("adapt-cbst")
    first = world.label(world.select(start, [(0, 0), (0, 1)]), [2, None])
    assert asked_before(chain(first)) == {
        world.key: (Asked(Point(0, 0), Verdict.CLASS), Asked(Point(0, 1), Verdict.AMBIGUOUS))
    }
    trained = world.model("retrain-point_da", start, first)
    second = world.label(world.select(trained, [(0, 0)]), [None])
    assert asked_before(chain(second))[world.key][0] == Asked(Point(0, 0), Verdict.AMBIGUOUS)
    assert asked_before(chain(None)) == {}


def test_seconds_add_up_over_rounds_and_series_do_not_mix(world):
    start = world.model("adapt-cbst")
    first = world.label(world.select(start, [(0, 0), (0, 1)]), [2, 3], seconds=5.0)
    one = world.model("retrain-point_da", start, first)
    control = world.label(world.select(start, [(9, 9)], "random_points"), [1], seconds=7.0)
    other = world.model("retrain-point_da", start, control)
    second = world.label(world.select(one, [(1, 1)]), [1], seconds=6.0)
    two = world.model("retrain-point_da", one, second)
    again = world.model("retrain-point_da", start, second)  # all answers, but from the first network
    assert [human_seconds(stage) for stage in (start, one, other, two, again)] == [0, 10, 7, 16, 16]
    assert learned_from(two) == second and learned_from(start) is None
    assert [(one.number, one.strategy) for one in rounds(world.project)] == [
        (1, "ripu"),
        (1, "random_points"),
        (2, "ripu"),
    ]


def test_questions_before_any_training_follow_the_answers_that_wait(world):
    start = world.model("adapt-cbst")
    assert answers_to_follow(world.project, start, "ripu") is None
    first = world.label(world.select(start, [(0, 0), (0, 1)]), [2, 3])
    assert answers_to_follow(world.project, start, "ripu") == answers_to_follow(world.project, start, "margin") == first
    second = world.label(world.select(start, [(0, 2)], follow=True), [1])
    label = read_label_png(second / "partial" / "labels" / f"{world.key}.png")
    assert [int(label[p]) for p in ((0, 0), (0, 1), (0, 2))] == [2, 3, 1], "no answer is lost"
    assert answers_to_follow(world.project, start, "ripu") == newest_answers(world.project) == second
    adapted = world.model("adapt-advent", start)
    assert answers_to_follow(world.project, adapted, "ripu") == second, "they wait for the next model too"
    trained = world.model("retrain-point_da", start, second)
    assert answers_to_follow(world.project, trained, "ripu") == second
    assert answers_to_follow(world.project, start, "ripu") is None, "another series from the same start is its own"
    assert human_seconds(trained) == 12


def test_a_control_follows_controls_only(world):
    start = world.model("adapt-cbst")
    own = world.label(world.select(start, [(0, 0)]), [2])
    assert answers_to_follow(world.project, start, "random_points") is None
    control = world.label(world.select(start, [(9, 9)], "random_points"), [1])
    assert answers_to_follow(world.project, start, "random_points") == control
    assert answers_to_follow(world.project, start, "random_patches") is None
    assert answers_to_follow(world.project, start, "ripu") == own


def test_of_several_exports_the_newest_is_followed_and_counted_once(world):
    start = world.model("adapt-cbst")
    selection = world.select(start, [(0, 0), (0, 1)])
    first = world.label(selection, [2, None])
    trained = world.model("retrain-point_da", start, first)
    after = world.select(trained, [(5, 5)])
    second = world.label(after, [4])
    assert newest_answers(world.project) == second and not outdated(world.project, second)
    again = world.label(selection, [2, 3])
    assert answers_before(world.project, world.project.run(str(after)), simulated=False) == again
    assert newest_answers(world.project) == second, "not an earlier round's, though that is newer"
    assert [run.folder for run in outdated(world.project, second)] == [first]
    healed = world.label(after, [4])
    assert healed != second and newest_answers(world.project) == healed and not outdated(world.project, healed)
    label = read_label_png(healed / "partial" / "labels" / f"{world.key}.png")
    assert [int(label[p]) for p in ((0, 0), (0, 1), (5, 5))] == [2, 3, 4]
    assert human_seconds(world.model("retrain-point_da", trained, healed)) == 12


def test_people_do_not_go_on_from_a_rehearsal(world):
    start = world.model("adapt-cbst")
    rehearsal = world.label(world.select(start, [(0, 0)]), [2], simulated=True)
    selection = world.select(start, [(0, 1)], follow=True)
    people = world.label(selection, [3])
    assert world.project.run(str(selection)).input(EARLIER) == rehearsal
    assert (read_label_png(people / "partial" / "labels" / f"{world.key}.png") != 255).sum() == 1
    world.label(world.select(start, [(0, 2), (0, 3)]), [1, 1], simulated=True)
    assert answers_to_follow(world.project, start, "ripu") == people
    trained = world.model("retrain-point_da", start, rehearsal)
    learned = world.label(world.select(trained, [(1, 1), (1, 2)], follow=True), [1, 1])
    assert [run.folder for run in chain(learned)] == [rehearsal, learned], "the model has learned it"


def test_the_own_model_is_no_control(world):
    start = world.model("adapt-cbst")
    assert own_model(world.project) == start
    own = world.model("retrain-point_da", start, world.label(world.select(start, [(0, 0)]), [2]))
    world.model("retrain-point_da", start, world.label(world.select(start, [(9, 9)], "random_points"), [1]))
    assert own_model(world.project) == own


def test_people_are_measured_and_simulated_answers_never_mix_with_theirs(world):
    start = world.model("adapt-cbst")
    points = [(row, column) for row in range(5) for column in range(12)]
    world.label(world.select(start, points), [1] * 60, seconds=9.0, simulated=True)
    rehearsal = Prices(world.project).common
    assert rehearsal.simulated and rehearsal.model.point_s == pytest.approx((60 * 9 + 30 * 3) / 90)
    world.label(world.select(start, points, "margin"), [1] * 40 + [None] * 20, seconds=6.0)
    people = Prices(world.project).common
    assert not people.simulated and people.measured["point"].answers == 60
    assert people.model.point_s == pytest.approx((60 * 6 + 30 * 3) / 90)
    assert "boundary_point" not in people.measured, "not asked at an edge"


def test_answers_meet_what_the_model_had_said(world):
    start = world.model("adapt-cbst")
    label = world.label(world.select(start, [(0, 0), (0, 1), (0, 2)]), [1, 2, None])
    found = replies([world.project.run(str(label))])["ripu"]
    assert [reply.surprise for reply in found] == [False, True, False]


def test_an_answer_took_what_all_people_took_though_its_last_row_took_nothing(world):
    selection = world.select(world.model("adapt-cbst"), [(0, 0), (0, 1)])
    query = read_records(selection / QUESTIONS, Query)[0].id
    differs = (Answer(query, Verdict.CLASS, 2, "bob", 5.0), Answer(query, Verdict.SKIP, None, "nobody yet", 0.0))
    label = world.label(selection, [1, 2], seconds=4.0, more=differs)
    first, second = replies([world.project.run(str(label))])["ripu"]
    assert (first.class_id, first.seconds) == (None, 9.0) and (second.class_id, second.seconds) == (2, 4.0)


def row_of(found: dict, strategy: str) -> dict:
    return next(row for row in found["strategies"] if row["strategy"] == strategy)


def test_a_plan_prices_each_strategy_by_its_own_answers(world):
    start = world.model("adapt-cbst")
    points = [(row, column) for row in range(5) for column in range(12)]
    world.label(world.select(start, points, "margin"), [1] * 60, seconds=6.0)
    world.label(world.select(start, points, "ripu"), [1] * 60, seconds=2.0)
    found, common_s = plan(world.project, "10min"), (120 * 4 + 30 * 3) / 150
    own = {"margin": (60 * 6 + 30 * common_s) / 90, "ripu": (60 * 2 + 30 * common_s) / 90, "diverse": common_s}
    for strategy, each_s in own.items():
        row = row_of(found, strategy)
        assert row["seconds_each"] == pytest.approx(each_s), strategy
        assert row["points"] == int(600 / (each_s * 1.1)) and 590 < row["human_seconds"] <= 600
    assert found["cost"]["point_s"] == pytest.approx(common_s)


def test_questions_at_predicted_edges_have_a_price_of_their_own(world):
    start = world.model("adapt-cbst")
    points = [(row, column) for row in range(5) for column in range(12)]
    half = world.select(start, points, "margin", edges=30)
    world.label(half, [1] * 60, seconds=[10.0] * 30 + [2.0] * 30)
    world.label(world.select(start, points, "ripu"), [1] * 60, seconds=2.0)
    inside_s, edge_s = (90 * 2 + 30 * 3) / 120, (30 * 10 + 30 * 6) / 60  # of all answers, drawn to the priors
    own = {
        "margin": ((30 * 2 + 30 * inside_s) / 60 + (30 * 10 + 30 * edge_s) / 60) / 2,
        "ripu": (60 * 2 + 30 * inside_s) / 90,  # never at an edge
        "diverse": 0.75 * inside_s + 0.25 * edge_s,  # has not asked: as all questions so far
    }
    found = plan(world.project, "10min")
    for strategy, each_s in own.items():
        row = row_of(found, strategy)
        assert row["seconds_each"] == pytest.approx(each_s), strategy
        assert row["points"] == int(600 / (each_s * 1.1))
    assert found["cost"]["edge_share"] == 0.25 and found["cost"]["measured"]["boundary_point"]["answers"] == 30


def test_the_next_round_is_priced_by_its_strategys_answers(world):
    start = world.model("adapt-cbst")
    points = [(row, column) for row in range(5) for column in range(12)]
    answers = world.label(world.select(start, points, "margin"), [1] * 60, seconds=6.0)
    planned = row_of(plan(world.project, "1min"), "margin")["points"]
    trained = world.model("retrain-point_da", start, answers)
    dry, each_s = Options(dry_run=True, quiet=True), (60 * 6 + 30 * 5) / 90  # 5 s: what all answers say
    told = {name: select(world.project, name, "1min", trained, dry).found["points"] for name in ("margin", "ripu")}
    assert told == {"margin": int(60 / (each_s * 1.1)), "ripu": int(60 / (5 * 1.1))} and planned == told["margin"]


def test_a_plan_counts_an_answer_once_and_no_rehearsal_beside_people(world):
    start = world.model("adapt-cbst")
    world.label(world.select(start, [(9, column) for column in range(20)]), [1] * 20, simulated=True)
    assert row_of(plan(world.project, "10min"), "ripu")["answers_so_far"] == 20
    selection = world.select(start, [(row, column) for row in range(4) for column in range(10)])
    world.label(selection, [1] * 40)
    world.label(selection, [1] * 39 + [None])  # exported again
    row = row_of(plan(world.project, "10min"), "ripu")
    assert (row["answers_so_far"], row["unnamed_share"]) == (40, pytest.approx(1 / 40))


def test_a_plan_before_any_model_and_its_budget(world):
    found = plan(Project.open(world.project.folder), "66s")
    assert found["human_seconds"] == 66 and found["advice"] == TOO_FEW
    row = row_of(found, "entropy_patches")
    assert (row["points"], row["control_points"], row["cells"], row["per_image"]) == (20, 2, 4, 10)
    assert row["human_seconds"] == pytest.approx(66) and found["cost"]["gold"] == 0, "nothing labelled to check by"
    assert {row["kind"]: row["count"] for row in found["kinds"]} == {
        "single pixel": 20,
        "a 64x64 cell": 2,
        "review of one mask": 2,
        "full image": 0,
    }
    assert found["next"].startswith("frugalseg init"), "there is nothing to train from"


def test_a_plan_uses_what_people_took(world):
    start = world.model("adapt-cbst")
    points = [(row, column) for row in range(10) for column in range(12)]
    world.label(world.select(start, points, "entropy_patches"), [1] * 60 + [None] * 60, seconds=6.0)
    found = plan(world.project, "10min")
    used_s = (120 * 6 + 30 * 3) / 150
    assert found["cost"]["point_s"] == pytest.approx(used_s)
    row, own_s = row_of(found, "entropy_patches"), (120 * 6 + 30 * used_s) / 150
    assert row["points"] == int(600 / (own_s * 1.1)) and row["unnamed_share"] == 0.5 and row["answers_so_far"] == 120
    assert row["seconds_each"] == pytest.approx(own_s)


def test_budget_plan_and_label_reckon_with_the_same_second_opinions_and_checks(tmp_path, world, monkeypatch):
    write_dataset(tmp_path / "validation", "street", 2, 2, 1, (48, 64))
    given = {"validation": f"folder:{tmp_path / 'validation'}", "overlap": 0.2, "gold": 0.1, "control_share": 0}
    world.project = init_project(world.project.folder, given, None)
    start = world.model("adapt-cbst")
    row = row_of(plan(world.project, "2h"), "margin")
    dry = Options(dry_run=True, quiet=True)
    asked = select(world.project, "margin", "2h", None, dry).found
    assert row["points"] == asked["points"] == int(7200 / (3 * 1.3))
    assert (asked["config"]["overlap"], asked["config"]["gold"]) == (0.2, 0.1), "other shares are another selection"
    rehearsed = select(world.project, "margin", "2h", None, dry, simulated=True).found
    assert rehearsed["points"] == 2400 and rehearsed["cost"]["overlap"] == rehearsed["cost"]["gold"] == 0
    counted = select(world.project, "margin", "20points", None, dry).found
    assert counted["human_seconds_planned"] == pytest.approx(78) and "overlap" not in counted["config"]

    selection = world.select(start, [(row, column) for row in range(4) for column in range(5)])
    monkeypatch.setattr(label_verb, "_serve", lambda *_, **__: None)
    assert command(["label", str(world.project.folder), "--no-open", "--quiet"]) == 0
    store = open_store(world.project, None)
    histories = store.histories(store.selection(world.project.run(str(selection)).fingerprint))
    store.close()
    assert sum(history.wanted == 2 for history in histories) == 4
    assert sum(history.truth is not None for history in histories) == 2
