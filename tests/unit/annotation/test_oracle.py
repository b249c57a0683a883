import numpy as np
import pytest

from frugalseg.annotation.oracle import Oracle, near_edge
from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.cost import CostModel
from frugalseg.core.errors import AnswerError, ConfigError
from frugalseg.core.records import Point, Query, QueryKind, Region, Verdict

COST = CostModel()


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
    return [Oracle(COST, 0, **oracle).answer(queries(pixel, salt=str(number)), label)[0] for number in range(count)]


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
    together = Oracle(COST, 0, wrong_rate=0.5).answer(queries(*pixels), street())
    backwards = Oracle(COST, 0, wrong_rate=0.5).answer(queries(*pixels[::-1]), street())
    one_by_one = [Oracle(COST, 0, wrong_rate=0.5).answer([query], street())[0] for query in queries(*pixels)]
    assert together == backwards[::-1] == one_by_one
    assert together != Oracle(COST, 1, wrong_rate=0.5).answer(queries(*pixels), street())


def test_costs_come_from_the_cost_model_and_repeats_are_not_counted_twice():
    cost = CostModel(point_s=1.5, boundary_point_s=9, boundary_px=0, ambiguous_rate=1.0, overlap=0.1, gold=0.03)
    (answer,) = Oracle(cost, 0).answer(queries((4, 9)), street())
    assert (answer.verdict, answer.seconds) == (Verdict.CLASS, 1.5)
    (answer,) = Oracle(CostModel(boundary_point_s=9, ambiguous_rate=1.0), 0).answer(queries((4, 9)), street())
    assert (answer.verdict, answer.seconds) == (Verdict.AMBIGUOUS, 9)


def test_a_careless_annotator_names_other_classes_of_the_frame():
    label = street()
    label[7, 0] = 5
    label[7, 19] = IGNORE
    answers = answers_at((0, 0), label, wrong_rate=0.2)
    wrong = [answer.class_id for answer in answers if answer.class_id != 0]
    assert len(wrong) / len(answers) == pytest.approx(0.2, abs=0.03)
    assert set(wrong) == {3, 5}
    assert wrong.count(3) / len(wrong) == pytest.approx(0.5, abs=0.09)


def test_being_unsure_and_being_wrong_are_independent():
    answers = answers_at((4, 9), street(), wrong_rate=0.3)
    sure = [answer for answer in answers if answer.verdict is Verdict.CLASS]
    assert len(sure) / len(answers) == pytest.approx(0.7, abs=0.035)
    assert sum(answer.class_id == 3 for answer in sure) / len(sure) == pytest.approx(0.3, abs=0.04)


def test_confusion_says_which_class_is_taken_for_which():
    confusion = np.array([[90, 1, 0, 3], [0, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]])
    kept = confusion.copy()
    answers = answers_at((0, 0), street(), wrong_rate=1.0, confusion=confusion)
    assert {answer.class_id for answer in answers} == {1, 3}
    share = sum(answer.class_id == 3 for answer in answers) / len(answers)
    assert share == pytest.approx(0.75, abs=0.035)
    assert (confusion == kept).all()


def test_a_class_that_nobody_mistakes_stays_right():
    (answer,) = Oracle(COST, 0, wrong_rate=1.0, confusion=np.eye(4)).answer(queries((0, 0)), street())
    assert answer.class_id == 0
    (answer,) = Oracle(COST, 0, wrong_rate=1.0).answer(queries((0, 0)), np.zeros((4, 4), np.uint8))
    assert answer.class_id == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wrong_rate": 1.2}, "wrong_rate = 1.2"),
        ({"wrong_rate": float("nan")}, "wrong_rate = nan"),
        ({"confusion": np.ones((2, 3))}, r"confusion is \(2, 3\)"),
        ({"confusion": np.array([[1, -1], [0, 1]])}, "negative or not finite"),
        ({"confusion": np.array([[1, np.nan], [0, 1]])}, "negative or not finite"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Oracle(COST, 0, **settings)


def test_a_confusion_of_too_few_classes_is_refused():
    with pytest.raises(AnswerError, match="holds class 3; confusion has 2"):
        Oracle(COST, 0, wrong_rate=1.0, confusion=np.ones((2, 2))).answer(queries((0, 19)), street())


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
