import numpy as np
import pytest

from frugalseg.annotation.oracle import Oracle, OracleConfig, near_edge
from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.config import load_config
from frugalseg.core.cost import CostModel
from frugalseg.core.errors import AnswerError, ConfigError
from frugalseg.core.records import Point, Query, QueryKind, Region, Verdict

COST = CostModel()
EYE = tuple(map(tuple, np.eye(4).tolist()))


def queries(*pixels, key="a", salt=""):
    return [
        Query(f"{key}{salt}-{row}-{column}", key, QueryKind.POINT, "test", 0.0, Point(row, column))
        for row, column in pixels
    ]


def street(width=20, edge=10):
    label = np.zeros((8, width), np.uint8)
    label[:, edge:] = 3
    return label


def answers_at(pixel, label, count=2000, **oracle):
    return [
        Oracle(COST, 0, OracleConfig(**oracle)).answer(queries(pixel, salt=str(number)), label)[0]
        for number in range(count)
    ]


def test_far_from_edges_the_answer_is_the_truth_in_three_seconds():
    answers = Oracle(COST, 0).answer(queries((0, 0), (7, 19)), street())
    assert [(answer.verdict, answer.class_id, answer.seconds) for answer in answers] == [
        (Verdict.CLASS, 0, 3.0),
        (Verdict.CLASS, 3, 3.0),
    ]
    assert [answer.query for answer in answers] == ["a-0-0", "a-7-19"]


def test_the_edge_zone_is_two_pixels_wide_on_each_side():
    answers = Oracle(COST, 0).answer(queries(*((4, column) for column in range(20))), street())
    assert [column for column, answer in enumerate(answers) if answer.seconds == 6.0] == [8, 9, 10, 11]


def test_at_edges_three_of_ten_are_ambiguous_and_the_rest_right():
    answers = answers_at((4, 9), street())
    ambiguous = [answer for answer in answers if answer.verdict is Verdict.AMBIGUOUS]
    assert len(ambiguous) / len(answers) == pytest.approx(0.3, abs=0.035)  # 3.4 standard deviations
    assert all(answer.class_id is None and answer.seconds == 6.0 for answer in ambiguous)
    assert {answer.class_id for answer in answers if answer not in ambiguous} == {0}


def test_pixels_without_a_class_are_none_of_these():
    label = street()
    label[2, 2] = IGNORE
    (answer,) = Oracle(COST, 0).answer(queries((2, 2)), label)
    assert (answer.verdict, answer.class_id, answer.seconds) == (Verdict.NONE, None, 3.0)


def test_the_border_of_an_unlabelled_area_is_no_class_edge():
    label = np.zeros((8, 8), np.uint8)
    label[4:] = IGNORE
    assert not near_edge(label, Point(3, 3), 2)


@pytest.mark.parametrize("distance_px", [0, 1, 2, 4])
def test_near_edge_equals_a_loop_over_all_pixels(distance_px):
    label = generator(0, "label").choice(np.array([0, 0, 0, 0, 0, 1, IGNORE], np.uint8), (12, 15))
    label[:6, :8] = 0
    found = set()
    for row in range(12):
        for column in range(15):
            expected = any(
                label[y, x] not in (label[row, column], IGNORE)
                for y in range(12)
                for x in range(15)
                if max(abs(y - row), abs(x - column)) <= distance_px
            )
            assert near_edge(label, Point(row, column), distance_px) == expected
            found.add(expected)
    assert found == ({False} if distance_px == 0 else {True, False})


def test_an_answer_depends_on_seed_and_query_only():
    pixels = [(row, column) for row in range(8) for column in range(8, 12)]
    careless = OracleConfig(wrong_rate=0.5, skip_rate=0.1, none_rate=0.1)
    together = Oracle(COST, 0, careless).answer(queries(*pixels), street())
    backwards = Oracle(COST, 0, careless).answer(queries(*pixels[::-1]), street())
    one_by_one = [Oracle(COST, 0, careless).answer([query], street())[0] for query in queries(*pixels)]
    assert together == backwards[::-1] == one_by_one
    assert together != Oracle(COST, 1, careless).answer(queries(*pixels), street())


def test_costs_come_from_the_cost_model_and_repeats_are_not_counted_twice():
    cost = CostModel(point_s=1.5, boundary_point_s=9, boundary_px=0, ambiguous_rate=1.0, overlap=0.1, gold=0.03)
    (answer,) = Oracle(cost, 0).answer(queries((4, 9)), street())
    assert (answer.verdict, answer.seconds) == (Verdict.CLASS, 1.5)
    (answer,) = Oracle(CostModel(boundary_point_s=9, ambiguous_rate=1.0), 0).answer(queries((4, 9)), street())
    assert (answer.verdict, answer.seconds) == (Verdict.AMBIGUOUS, 9)


def test_a_careless_annotator_names_the_classes_that_stand_near_by_how_much_they_show():
    label = street(width=60, edge=10)  # class 0 in 10 columns, then class 3
    label[7, 0] = 5
    label[7, 19] = IGNORE
    label[:, 50:] = 7
    answers = answers_at((0, 0), label, wrong_rate=0.2, near_px=11)
    wrong = [answer.class_id for answer in answers if answer.class_id != 0]
    assert len(wrong) / len(answers) == pytest.approx(0.2, abs=0.03)
    assert set(wrong) == {3, 5}, "class 7 is far away"
    assert wrong.count(5) / len(wrong) == pytest.approx(1 / 17, abs=0.04)  # one pixel beside two columns of eight


def test_far_from_everything_any_other_class_of_the_frame_is_named():
    label = street(width=40, edge=20)
    label[7, 39] = 5
    wrong = [answer.class_id for answer in answers_at((0, 0), label, wrong_rate=1.0, near_px=4)]
    assert set(wrong) == {3, 5} and wrong.count(3) / len(wrong) == pytest.approx(0.5, abs=0.035)


def naive_shares(label, row, column, distance_px):
    """The shares of the other classes near a pixel, counted one pixel after the other."""
    seen = {}
    for y in range(label.shape[0]):
        for x in range(label.shape[1]):
            value = int(label[y, x])
            if max(abs(y - row), abs(x - column)) <= distance_px and value not in (int(label[row, column]), IGNORE):
                seen[value] = seen.get(value, 0) + 1
    return {value: count / sum(seen.values()) for value, count in seen.items()}


@pytest.mark.parametrize(("pixel", "distance_px"), [((0, 0), 3), ((5, 7), 2), ((11, 14), 6)])
def test_what_stands_near_equals_a_loop_over_all_pixels(pixel, distance_px):
    label = generator(1, "label").choice(np.array([0, 1, 2, 2, 4, IGNORE], np.uint8), (12, 15))
    label[pixel] = 0
    answers = answers_at(pixel, label, wrong_rate=1.0, ambiguous_rate=0.0, near_px=distance_px)
    expected = naive_shares(label, *pixel, distance_px)
    assert {answer.class_id for answer in answers} == set(expected)
    for class_id, share in expected.items():
        found = sum(answer.class_id == class_id for answer in answers) / len(answers)
        assert found == pytest.approx(share, abs=0.04)  # 3.6 standard deviations


def test_questions_are_skipped_or_denied_a_class_as_often_as_told():
    label = street()
    label[2, 2] = IGNORE
    answers = answers_at((0, 0), label, skip_rate=0.2, none_rate=0.25, wrong_rate=0.5)
    share = {verdict: sum(a.verdict is verdict for a in answers) / len(answers) for verdict in Verdict}
    assert share[Verdict.SKIP] == pytest.approx(0.2, abs=0.035)
    assert share[Verdict.NONE] == pytest.approx(0.25 * 0.8, abs=0.035)
    assert share[Verdict.AMBIGUOUS] == 0
    classes = [answer.class_id for answer in answers if answer.verdict is Verdict.CLASS]
    assert sum(class_id != 0 for class_id in classes) / len(classes) == pytest.approx(0.5, abs=0.05)
    assert all(answer.class_id is None for answer in answers if answer.verdict is not Verdict.CLASS)
    assert {answer.seconds for answer in answers} == {3.0}, "looking takes its time, whatever is said"
    nothing_there = answers_at((2, 2), label, skip_rate=0.2)
    assert {answer.verdict for answer in nothing_there} == {Verdict.SKIP, Verdict.NONE}


def test_a_rate_of_ambiguous_answers_takes_the_place_of_the_cost_models():
    answers = answers_at((4, 9), street(), ambiguous_rate=0.9)
    assert sum(a.verdict is Verdict.AMBIGUOUS for a in answers) / len(answers) == pytest.approx(0.9, abs=0.025)
    assert all(a.verdict is Verdict.CLASS for a in answers_at((4, 9), street(), count=50, ambiguous_rate=0.0))


def test_without_settings_answers_are_those_of_the_first_version():
    """Drawn with the code before there were settings: a project's answers stay what they are."""
    label = street()
    label[2, 2] = IGNORE
    pixels = [(row, column) for row in range(0, 8, 2) for column in (2, 8, 9, 10, 11)]
    answers = Oracle(COST, 3).answer(queries(*pixels), label)
    said = "".join(str(a.class_id) if a.verdict is Verdict.CLASS else a.verdict[0] for a in answers)
    assert said == "0003an00aa0003300033"
    assert Oracle(COST, 3, OracleConfig(wrong_rate=0.0)).answer(queries(*pixels), label) == answers


def test_being_unsure_and_being_wrong_are_independent():
    answers = answers_at((4, 9), street(), wrong_rate=0.3)
    sure = [answer for answer in answers if answer.verdict is Verdict.CLASS]
    assert len(sure) / len(answers) == pytest.approx(0.7, abs=0.035)
    assert sum(answer.class_id == 3 for answer in sure) / len(sure) == pytest.approx(0.3, abs=0.04)


def test_confusion_says_which_class_is_taken_for_which():
    confusion = ((90, 1, 0, 3), (0, 1, 0, 0), (1, 1, 1, 1), (1, 1, 1, 1))
    answers = answers_at((0, 0), street(), wrong_rate=1.0, confusion=confusion)
    assert {answer.class_id for answer in answers} == {1, 3}
    share = sum(answer.class_id == 3 for answer in answers) / len(answers)
    assert share == pytest.approx(0.75, abs=0.035)


def test_a_class_that_nobody_mistakes_stays_right():
    (answer,) = Oracle(COST, 0, OracleConfig(wrong_rate=1.0, confusion=EYE)).answer(queries((0, 0)), street())
    assert answer.class_id == 0
    (answer,) = Oracle(COST, 0, OracleConfig(wrong_rate=1.0)).answer(queries((0, 0)), np.zeros((4, 4), np.uint8))
    assert answer.class_id == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["wrong_rate=1.2"], "wrong_rate = 1.2"),
        (["skip_rate=-0.1"], "skip_rate = -0.1"),
        (["wrong_rate=nan"], "wrong_rate"),
        (["confusion=[[1, inf], [0, 1]]"], "confusion"),
        (["wrong=0.1"], "Did you mean 'wrong_rate'"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_config(OracleConfig, None, settings)


@pytest.mark.parametrize(
    ("confusion", "message"),
    [(((1, 2, 3), (1, 2, 3)), "2 rows of 3 entries"), (((1, -1), (0, 1)), "negative entries")],
)
def test_a_confusion_without_sense_is_refused(confusion, message):
    with pytest.raises(ConfigError, match=message):
        Oracle(COST, 0, OracleConfig(confusion=confusion))


def test_a_confusion_of_too_few_classes_is_refused():
    few = OracleConfig(wrong_rate=1.0, confusion=((1, 1), (1, 1)))
    with pytest.raises(AnswerError, match="holds class 3; confusion has 2"):
        Oracle(COST, 0, few).answer(queries((0, 19)), street())


def test_questions_that_do_not_fit_are_listed_together():
    region = Query("r", "a", QueryKind.REGION, "test", 0.0, cell=Region(0, 0, 2, 2))
    with pytest.raises(AnswerError) as caught:
        Oracle(COST, 0).answer([*queries((0, 0), (8, 0), (0, 20)), region], street())
    message = str(caught.value)
    assert "3 queries do not fit the label of 8 x 20" in message
    assert "a-8-0 asks about row 8, column 0" in message and "a-0-20" in message and "a region" in message


def test_one_frame_at_a_time():
    with pytest.raises(AnswerError, match="queries of 2 frames"):
        Oracle(COST, 0).answer(queries((0, 0)) + queries((0, 0), key="b"), street())
    assert Oracle(COST, 0).answer([], street()) == []
