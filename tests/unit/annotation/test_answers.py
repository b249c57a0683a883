import numpy as np
import pytest

from frugalseg.annotation.answers import by_frame, fold, read_answers, write_answers
from frugalseg.annotation.oracle import Oracle
from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.cost import CostModel
from frugalseg.core.errors import AnswerError, ArtifactError
from frugalseg.core.records import Answer, Point, Provenance, Query, QueryKind, Region, Verdict

SIZE_HW = (3, 4)


def query(name, row, column, key="a"):
    return Query(name, key, QueryKind.POINT, "test", 0.0, Point(row, column))


def says(name, class_id=None, verdict=None):
    verdict = verdict or (Verdict.NONE if class_id is None else Verdict.CLASS)
    return Answer(name, verdict, class_id, "anna", 3.0)


def labelled(label):
    return {(int(row), int(column)): int(label[row, column]) for row, column in np.argwhere(label != IGNORE)}


def test_answered_pixels_get_their_class_and_all_others_none():
    partial = fold([query("p", 0, 1), query("q", 2, 3)], [says("p", 0), says("q", 7)], SIZE_HW)
    assert partial.key == "a" and partial.label.shape == SIZE_HW and partial.label.dtype == np.uint8
    assert labelled(partial.label) == {(0, 1): 0, (2, 3): 7}
    assert set(partial.provenance[partial.label != IGNORE]) == {Provenance.HUMAN_POINT}
    assert set(partial.provenance[partial.label == IGNORE]) == {Provenance.UNKNOWN}


@pytest.mark.parametrize("verdict", [Verdict.AMBIGUOUS, Verdict.NONE, Verdict.SKIP])
def test_the_last_answer_counts_also_when_it_takes_a_class_back(verdict):
    asked = [query("p", 0, 1)]
    assert labelled(fold(asked, [says("p", 4), says("p", 6)], SIZE_HW).label) == {(0, 1): 6}
    assert labelled(fold(asked, [says("p", 4), says("p", verdict=verdict)], SIZE_HW).label) == {}
    assert labelled(fold(asked, [says("p", verdict=verdict), says("p", 4)], SIZE_HW).label) == {(0, 1): 4}


def test_the_last_answer_counts_when_two_questions_are_about_one_pixel():
    asked = [query("p", 0, 1), query("q", 0, 1)]
    assert labelled(fold(asked, [says("q", 4), says("p", 6)], SIZE_HW).label) == {(0, 1): 6}


def test_a_frame_nobody_was_asked_about_has_an_empty_label():
    partial = fold([], [], SIZE_HW, key="b")
    assert partial.key == "b" and (partial.label == IGNORE).all()
    with pytest.raises(AnswerError, match="got 0 frames"):
        fold([], [], SIZE_HW)


def test_queries_of_two_frames_are_refused():
    with pytest.raises(AnswerError, match="got 2 frames: a, b"):
        fold([query("p", 0, 0), query("q", 0, 0, key="b")], [], SIZE_HW)
    with pytest.raises(AnswerError, match="got 2 frames: a, b"):
        fold([query("p", 0, 0)], [], SIZE_HW, key="b")


def test_answers_that_fit_no_question_are_listed_together():
    region = Query("r", "a", QueryKind.REGION, "test", 0.0, cell=Region(0, 0, 2, 2))
    asked = [query("p", 0, 0), query("low", 3, 0), query("right", 0, 4), region]
    given = [says("p", 1), says("low", 1), says("right", 1), says("r", 1), says("stranger", 1), says("p", 255)]
    with pytest.raises(AnswerError) as caught:
        fold(asked, [*given, says("p", -1)], SIZE_HW)
    message = str(caught.value)
    assert message.startswith("a: 6 answer(s) do not fit their questions:")
    assert "answer to low of anna: row 3, column 0 lies outside the frame of 3x4 (height x width)." in message
    assert "right" in message and "it is about a region" in message and "stranger of anna: there is no such" in message
    assert "class 255 is outside 0–253" in message and "class -1" in message


def test_a_long_list_of_mistakes_is_cut():
    with pytest.raises(AnswerError, match="… and 5 more"):
        fold([query("p", 0, 0)], [says(f"x{number}") for number in range(25)], SIZE_HW)


def test_by_frame_keeps_the_order_and_knows_every_frame_asked_about():
    asked = [query("p", 0, 0), query("q", 0, 0, key="b"), query("r", 1, 1), query("s", 0, 0, key="c")]
    given = [says("r", 1), says("q", 2), says("p", 3), says("r", 4)]
    groups = by_frame(asked, given)
    assert groups["a"] == ([asked[0], asked[2]], [given[0], given[2], given[3]])
    assert groups["b"] == ([asked[1]], [given[1]])
    assert groups["c"] == ([asked[3]], [])


def test_by_frame_refuses_answers_to_nothing():
    with pytest.raises(AnswerError, match="1 answer.* belong to no query: x.*another project"):
        by_frame([query("p", 0, 0)], [says("p", 1), says("x", 1)])


def test_what_the_oracle_says_of_every_pixel_folds_into_its_ground_truth(tmp_path):
    label = generator(0, "label").choice(np.array([0, 1, 5, IGNORE], np.uint8), SIZE_HW)
    asked = [query(f"{row}-{column}", row, column) for row in range(3) for column in range(4)]
    answers = Oracle(CostModel(ambiguous_rate=0.0), 0).answer(asked, label)
    write_answers(tmp_path / "answers.parquet", answers)
    assert read_answers(tmp_path / "answers.parquet") == answers
    assert (fold(asked, read_answers(tmp_path / "answers.parquet"), SIZE_HW).label == label).all()


def test_no_answers_at_all_are_written_and_read(tmp_path):
    write_answers(tmp_path / "answers.parquet", [])
    assert read_answers(tmp_path / "answers.parquet") == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="answers.parquet"):
        read_answers(tmp_path / "answers.parquet")


def image(name, key="a"):
    return Query(name, key, QueryKind.IMAGE, "test", 0.0)


def masked(name):
    return Answer(name, Verdict.MASK, None, "anna", 4500.0)


def test_a_mask_is_about_every_pixel_that_has_a_class_in_it():
    mask = np.array([[0, 1, 1, IGNORE]] * 3, np.uint8)
    asked = [query("p", 0, 0), query("q", 1, 3), image("m")]
    partial = fold(asked, [says("p", 5), says("q", 6), masked("m")], SIZE_HW, mask_of=lambda name: mask)
    expected = mask.copy()
    expected[1, 3] = 6  # the mask says nothing there: the point stays
    assert np.array_equal(partial.label, expected)
    assert partial.provenance[1, 3] == Provenance.HUMAN_POINT and partial.provenance[0, 3] == Provenance.UNKNOWN
    assert (partial.provenance[mask != IGNORE] == Provenance.HUMAN_MASK).all()


def test_the_last_answer_counts_among_points_and_masks():
    mask = np.zeros(SIZE_HW, np.uint8)
    asked = [query("p", 0, 0), image("m")]
    after = fold(asked, [masked("m"), says("p", 5)], SIZE_HW, mask_of=lambda name: mask)
    assert after.label[0, 0] == 5 and after.provenance[0, 0] == Provenance.HUMAN_POINT and after.label[0, 1] == 0
    taken_back = fold(asked, [masked("m"), says("p")], SIZE_HW, mask_of=lambda name: mask)
    assert taken_back.label[0, 0] == IGNORE and taken_back.provenance[0, 0] == Provenance.UNKNOWN


def test_an_image_that_nobody_could_label_says_nothing():
    partial = fold([image("m")], [says("m", verdict=Verdict.SKIP)], SIZE_HW)
    assert (partial.label == IGNORE).all()


@pytest.mark.parametrize(
    ("asked", "answer", "mask", "message"),
    [
        (image("m"), says("m", 3), None, "names class 3, and the question is about a whole image"),
        (query("p", 0, 0), masked("p"), None, "is a mask, and the question is about one pixel"),
        (image("m"), masked("m"), None, "no mask is at hand"),
        (image("m"), masked("m"), np.zeros((3, 5), np.uint8), r"its mask is 3 x 5, the frame 3 x 4"),
    ],
)
def test_masks_that_do_not_fit_are_refused(asked, answer, mask, message):
    with pytest.raises(AnswerError, match=message):
        fold([asked], [answer], SIZE_HW, mask_of=None if mask is None else lambda name: mask)
