import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from frugalseg.annotation.accounts import Role
from frugalseg.annotation.leases import LEASE_MS
from frugalseg.annotation.questions import Question
from frugalseg.annotation.store import Store
from frugalseg.core.errors import AnswerError, ConflictError, ForbiddenError, NotFoundError, StoreBusyError
from frugalseg.core.records import Point, Query, QueryKind


def uuid() -> str:
    return str(uuid4())


def queries(held) -> list[int]:
    return [entry["query"] for entry in held]


def test_an_answer_is_stored_once_however_often_it_is_sent(store, ask, person, said) -> None:
    selection, ann = ask(store, 3), person(store, "ann")
    held = store.lease(selection, ann, 1)[0]
    event, name = said(held, class_id=2), uuid()
    receipts = [store.put(name, event, ann, selection) for _ in range(3)]
    assert [(r.fate, r.version, r.repeated) for r in receipts] == [("applied", 1, n > 0) for n in range(3)]
    with pytest.raises(ConflictError, match="stays as it was"):
        store.put(name, said(held, class_id=1), ann, selection)
    with pytest.raises(ConflictError):
        store.put(name, event, person(store, "bob"), selection)
    history = store.histories(selection)[0]
    assert [(row.class_id, row.annotator, row.seconds) for row in history.rows()] == [(2, "ann", 2.0)]
    assert store.progress(selection).settled == 1


def test_the_store_and_its_project_survive_reopening(where, ask, person, said, clock) -> None:
    first = Store(where, clock)
    selection, ann = ask(first, 2), person(first, "ann")
    first.put(uuid(), said(first.lease(selection, ann, 1)[0]), ann, selection)
    project = first.project
    first.close()
    again = Store(where, clock)
    assert again.project == project
    assert again.selection("f" * 64) == selection
    assert again.progress(selection).answered == 1
    assert len(again.lease(selection, ann, 8)) == 1
    again.close()


def test_two_people_never_hold_one_question(store, ask, person) -> None:
    selection = ask(store, 20)
    one, two = (queries(store.lease(selection, person(store, name), 8)) for name in ("ann", "bob"))
    assert len(one) == len(two) == 8
    assert not set(one) & set(two)


def test_asking_again_gives_the_same_questions(store, ask, person) -> None:
    selection, ann = ask(store, 20), person(store, "ann")
    first = store.lease(selection, ann, 4)
    assert store.lease(selection, ann, 4) == first
    assert queries(store.lease(selection, ann, 6))[:4] == queries(first)


def test_overlap_asks_the_share_it_says_and_two_different_people(store, ask, person, said) -> None:
    selection = ask(store, 20, overlap=0.1)
    seen = []
    for name in ("ann", "bob", "cid"):
        account = person(store, name)
        while held := store.lease(selection, account, 8):
            seen += queries(held)
            for entry in held:
                store.put(uuid(), said(entry), account, selection)
    counts = sorted(seen.count(query) for query in set(seen))
    assert counts == [1] * 18 + [2] * 2
    assert store.progress(selection).settled == 20


def test_one_person_alone_can_finish_a_selection_with_overlap(store, ask, person, said) -> None:
    selection, ann = ask(store, 10, overlap=0.5), person(store, "ann")
    for entry in store.lease(selection, ann, 10):
        assert not store.progress(selection).complete
        store.put(uuid(), said(entry), ann, selection)
    progress = store.progress(selection)
    assert (progress.complete, progress.answered, progress.settled) == (True, 10, 5)


def test_a_lease_that_ran_out_goes_to_another_and_the_late_answer_becomes_a_branch(
    store, ask, person, said, clock
) -> None:
    selection, ann, bob = ask(store, 1), person(store, "ann"), person(store, "bob")
    late = store.lease(selection, ann, 1)[0]
    clock.ms += LEASE_MS
    held = store.lease(selection, bob, 1)[0]
    assert held["query"] == late["query"] and held["fence"] > late["fence"]
    assert store.put(uuid(), said(held, class_id=1), bob, selection).fate == "applied"
    assert store.put(uuid(), said(late, class_id=2), ann, selection).fate == "branch"
    history = store.histories(selection)[0]
    assert [(row.class_id, row.annotator) for row in history.rows()] == [(1, "bob")]
    assert [(name, event.payload.class_id) for name, event in history.late] == [("ann", 2)]


def test_a_late_answer_that_nobody_overtook_counts(store, ask, person, said, clock) -> None:
    selection, ann = ask(store, 1), person(store, "ann")
    held = store.lease(selection, ann, 1)[0]
    clock.ms += 10 * LEASE_MS
    assert store.put(uuid(), said(held), ann, selection).fate == "applied"


def test_heartbeats_keep_a_lease(store, ask, person, clock) -> None:
    selection, ann, bob = ask(store, 1), person(store, "ann"), person(store, "bob")
    held = store.lease(selection, ann, 1)
    for _ in range(4):
        clock.ms += LEASE_MS - 1
        assert store.heartbeat(selection, ann) == queries(held)
        assert store.lease(selection, bob, 1) == []
    clock.ms += LEASE_MS
    assert queries(store.lease(selection, bob, 1)) == queries(held)
    assert store.heartbeat(selection, ann) == []


def test_taking_back_opens_the_question_for_the_same_person(store, ask, person, said) -> None:
    selection, ann, bob = ask(store, 1), person(store, "ann"), person(store, "bob")
    held = store.lease(selection, ann, 1)[0]
    store.put(uuid(), said(held, class_id=0), ann, selection)
    store.put(uuid(), said(held, "undo", base=1), ann, selection)
    assert store.progress(selection).answered == 0
    assert store.lease(selection, bob, 1) == []
    again = store.lease(selection, ann, 1)[0]
    assert (again["query"], again["version"], again["fence"]) == (held["query"], 2, held["fence"])
    store.put(uuid(), said(again, class_id=2), ann, selection)
    rows = store.histories(selection)[0].rows()
    assert [(str(row.verdict), row.class_id) for row in rows] == [("class", 0), ("skip", None), ("class", 2)]


def test_events_that_arrive_in_the_wrong_order_end_the_same(store, ask, person, said) -> None:
    selection, ann = ask(store, 1), person(store, "ann")
    held = store.lease(selection, ann, 1)[0]
    fates = []
    for base, kind, class_id in ((2, "answer", 2), (1, "undo", None), (0, "answer", 0)):
        fates.append(store.put(uuid(), said(held, kind, class_id, base=base), ann, selection).fate)
    assert fates == ["waiting", "waiting", "applied"]
    history = store.histories(selection)[0]
    assert history.result is not None and history.result.class_id == 2
    assert store.progress(selection).settled == 1


def test_two_tabs_of_one_person_the_first_counts_and_the_second_is_kept(store, ask, person, said) -> None:
    selection, ann = ask(store, 1), person(store, "ann")
    held = store.lease(selection, ann, 1)[0]
    fates = [store.put(uuid(), said(held, class_id=c), ann, selection).fate for c in (1, 2)]
    assert fates == ["applied", "branch"]
    assert [event.payload.class_id for _, event in store.histories(selection)[0].late] == [2]


def test_a_skipped_question_goes_to_others_first_and_comes_back_last(store, ask, person, said) -> None:
    selection, ann = ask(store, 3), person(store, "ann")
    first = store.lease(selection, ann, 2)[0]
    store.put(uuid(), said(first, verdict="skip"), ann, selection)
    assert queries(store.lease(selection, ann, 2)) == [2, 3]
    for held in store.lease(selection, ann, 2):
        store.put(uuid(), said(held), ann, selection)
    assert (store.progress(selection).answered, store.progress(selection).complete) == (2, False)
    again = store.lease(selection, ann, 2)
    assert [(entry["query"], entry["version"]) for entry in again] == [(first["query"], 1)]


def test_a_question_skipped_by_one_is_given_to_another_and_the_skip_is_taken_back_too_late(
    store, ask, person, said
) -> None:
    selection, ann, bob = ask(store, 1), person(store, "ann"), person(store, "bob")
    held = store.lease(selection, ann, 1)[0]
    store.put(uuid(), said(held, verdict="skip"), ann, selection)
    assert queries(store.lease(selection, bob, 1)) == [held["query"]]
    assert store.put(uuid(), said(held, "undo", base=1), ann, selection).fate == "branch"


def test_gold_questions_come_at_their_share_and_count_for_nothing_else(store, ask, person, said) -> None:
    selection, ann = ask(store, 6, gold=4, gold_share=1.0), person(store, "ann")
    golden = store.lease(selection, ann, 4)
    assert {entry["query"] for entry in golden} == {7, 8, 9, 10}
    assert all("truth" not in entry for entry in golden)
    store.put(uuid(), said(golden[0], class_id=1), ann, selection)
    assert (store.progress(selection).questions, store.progress(selection).answered) == (6, 0)
    assert len(store.lease(selection, person(store, "bob"), 4)) == 4


def test_without_gold_questions_all_are_given(store, ask, person) -> None:
    assert len(store.lease(ask(store, 5, gold_share=0.5), person(store, "ann"), 8)) == 5


def test_what_is_refused(store, ask, person, said) -> None:
    selection, ann = ask(store, 1), person(store, "ann")
    held = store.lease(selection, ann, 1)[0]
    with pytest.raises(AnswerError, match="class 3: this selection has 3 classes"):
        store.put(uuid(), said(held, class_id=3), ann, selection)
    with pytest.raises(NotFoundError, match="question 99"):
        store.put(uuid(), said({**held, "query": 99}), ann, selection)
    with pytest.raises(ForbiddenError, match="ann is annotator"):
        store.put(uuid(), said(held, "decision"), ann, selection)
    assert store.histories(selection)[0].lines == {}


def test_a_question_that_was_never_leased_is_answered_into_a_branch(store, ask, person, said) -> None:
    selection, ann = ask(store, 2), person(store, "ann")
    assert store.put(uuid(), said({"query": 2, "version": 0, "fence": 1}), ann, selection).fate == "branch"
    assert store.progress(selection).answered == 0


def test_a_reviewer_decides_between_two(store, ask, person, said) -> None:
    selection, ann, bob = ask(store, 1, overlap=1.0), person(store, "ann"), person(store, "bob")
    for account, class_id in ((ann, 1), (bob, 2)):
        store.put(uuid(), said(store.lease(selection, account, 1)[0], class_id=class_id), account, selection)
    history = store.histories(selection)[0]
    assert history.differs and history.result is None
    assert (str(history.rows()[-1].verdict), history.rows()[-1].annotator) == ("skip", "nobody yet")
    rita = person(store, "rita", Role.REVIEWER)
    decision = said({"query": history.number, "version": 0}, "decision", 2)
    assert store.put(uuid(), decision, rita, selection).fate == "applied"
    history = store.histories(selection)[0]
    assert not history.differs and history.result is not None and history.result.class_id == 2
    assert (history.rows()[-1].annotator, history.rows()[-1].class_id) == ("rita", 2)


def test_events_are_never_changed_or_removed(store, ask, person, said) -> None:
    selection, ann = ask(store, 1), person(store, "ann")
    store.put(uuid(), said(store.lease(selection, ann, 1)[0]), ann, selection)
    for statement in ("UPDATE events SET fenced = NOT fenced", "DELETE FROM events"):
        with pytest.raises(DBAPIError, match="never changed or removed"), store.database.write() as session:
            session.execute(text(statement))
    assert store.progress(selection).answered == 1


@pytest.mark.parametrize(("row", "column"), [(10, 0), (0, 20), (10**9, 0)])
def test_a_question_about_a_pixel_outside_its_frame_is_refused(row, column) -> None:
    """Case 36: a point at x = width."""
    query = Query("q", "f", QueryKind.POINT, "t", 0.0, Point(row, column))
    with pytest.raises(AnswerError, match=f"row {row}, column {column} lies outside f, which is 10x20"):
        Question(query, (10, 20), {})


def test_many_people_at_once_share_all_questions_and_no_answer_is_lost(store, ask, person, said) -> None:
    selection = ask(store, 60, overlap=0.2)
    accounts = [person(store, f"p{number}") for number in range(6)]

    def work(account) -> list[int]:
        answered = []
        while held := store.lease(selection, account, 4):
            for entry in held:
                assert store.put(uuid(), said(entry), account, selection).fate == "applied"
                answered.append(entry["query"])
        return answered

    with ThreadPoolExecutor(6) as pool:
        answered = [query for found in pool.map(work, accounts) for query in found]
    assert len(answered) == 72
    assert len(set(answered)) == 60
    assert sum(len(history.answers) for history in store.histories(selection)) == 72


def test_who_waits_too_long_for_another_writer_is_told_so(where, ask, clock) -> None:
    """Within one process and between two connections."""
    one, two = Store(where, clock, wait_s=0.2), Store(where, clock, wait_s=0.2)
    ready, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with one.database.write():
            ready.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(10)
    try:
        for other in (one, two):
            with pytest.raises(StoreBusyError), other.database.write():
                pass
    finally:
        leave.set()
        thread.join()
    with two.database.write():
        pass
    one.close()
    two.close()
