import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from frugalseg.annotation.events import Event, Reply, Stored, Undo, canonical, fold

TIMES = {"shown_at_ms": 1, "answered_at_ms": 2, "active_ms": 1, "hidden_ms": 0}


def stored(number: int, base: int, class_id: int | None = 0, fenced: bool = False) -> Stored:
    """An event; class None takes back."""
    payload = (
        Undo(kind="undo", answered_at_ms=2)
        if class_id is None
        else Reply(kind="answer", verdict="class", class_id=class_id, **TIMES)
    )
    return Stored(number, f"u{number}", 1, 1, base, fenced, payload, 0)


def test_an_answer_taken_back_and_given_anew() -> None:
    line = fold([stored(1, 0, 4), stored(2, 1, None), stored(3, 2, 5)])
    assert line.answer is not None and line.answer.class_id == 5
    assert (line.version, line.branch, line.waiting) == (3, (), ())


def test_an_answer_taken_back_leaves_none() -> None:
    assert fold([stored(1, 0, 4), stored(2, 1, None)]).answer is None


def test_of_two_upon_the_same_version_the_first_to_arrive_counts() -> None:
    line = fold([stored(1, 0, 4), stored(2, 0, 5)])
    assert line.answer is not None and line.answer.class_id == 4
    assert [event.number for event in line.branch] == [2]


def test_an_event_before_its_predecessor_waits() -> None:
    line = fold([stored(1, 1, None)])
    assert (line.answer, line.version, [event.number for event in line.waiting]) == (None, 0, [1])


def test_fenced_events_never_count() -> None:
    line = fold([stored(1, 0, 4, fenced=True)])
    assert (line.answer, [event.number for event in line.branch]) == (None, [1])


EVENTS = st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(0, 3), st.booleans()), max_size=8)


@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_given_makes_no_difference_and_nothing_is_dropped(rows, random) -> None:
    events = [stored(number, *row) for number, row in enumerate(rows)]
    shuffled = random.sample(events, len(events))
    line = fold(shuffled)
    assert line == fold(events)
    assert sorted(event.number for event in (*line.applied, *line.branch, *line.waiting)) == list(range(len(events)))
    assert [event.base_version for event in line.applied] == list(range(line.version))


REPLY = {"kind": "answer", "verdict": "class", "class_id": 1, **TIMES}
EVENT = {"query": 1, "seq": 1, "base_version": 0, "fence": 1, "payload": REPLY}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("class_id", bad) for bad in (-1, 255, -0.0, 1.0, 1e308, "1", True, None)),
        *(("active_ms", bad) for bad in (-1, 1e308, 3_600_001, float("nan"), float("inf"), "2", None)),
        *(("shown_at_ms", bad) for bad in (-1, 2**53, 1e308)),
        *(("verdict", bad) for bad in ("yes", None, 1)),
        ("kind", "decide"),
        ("extra", 1),
    ],
)
def test_values_out_of_range_are_refused(field, value) -> None:
    """Case 36: -0.0 and 1e308 are no whole numbers, whatever they would become."""
    Event.model_validate(EVENT)
    with pytest.raises(ValidationError):
        Event.model_validate({**EVENT, "payload": {**REPLY, field: value}})


def test_a_class_goes_with_the_verdict_class_only_and_a_skip_decides_nothing() -> None:
    for wrong in ({"verdict": "none"}, {"kind": "decision", "verdict": "skip", "class_id": None}):
        with pytest.raises(ValidationError):
            Event.model_validate({**EVENT, "payload": {**REPLY, **wrong}})


def test_the_hash_covers_everything_and_nothing_else() -> None:
    one = Event.model_validate(EVENT)
    assert one.hash == Event.model_validate(dict(reversed(EVENT.items()))).hash
    for field in ("query", "seq", "base_version", "fence"):
        assert Event.model_validate({**EVENT, field: 7}).hash != one.hash
    assert Event.model_validate({**EVENT, "payload": {**REPLY, "active_ms": 2}}).hash != one.hash


def test_canonical_text_has_one_form() -> None:
    assert canonical({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"\\u00e9"]}'
    with pytest.raises(ValueError, match="Out of range"):
        canonical(float("nan"))
