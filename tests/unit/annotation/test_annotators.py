"""Confusion matrices of people: hand-worked, against a naive loop, and whether simulated people are found out."""

import math

import numpy as np
import pytest

from frugalseg.annotation.annotators import PRIOR_ANSWERS, PRIOR_RIGHT, Annotators, Judged, learn, people_figures
from frugalseg.annotation.events import Reply, Stored
from frugalseg.annotation.history import History
from frugalseg.core.errors import ArtifactError


def gold(truth, *answers, name="ann"):
    return [Judged({name: answer}, truth) for answer in answers]


def test_gold_answers_by_hand() -> None:
    """Of four answers to class 0 one was wrong; two priors of four answers, 95 % right, one after the other."""
    found = learn(gold(0, 0, 0, 0, 1), 2)
    assert found.counts_ACC[0].tolist() == [[3, 1], [0, 0]]
    assert found.everybody_CC[0] == pytest.approx([(3 + 3.8) / 8, (1 + 0.2) / 8])  # 0.85, 0.15
    assert found.matrices_ACC[0, 0] == pytest.approx([(3 + 4 * 0.85) / 8, (1 + 4 * 0.15) / 8])  # 0.8, 0.2
    assert found.matrices_ACC[0, 1] == pytest.approx([0.05, 0.95])
    assert found.right_A[0] == pytest.approx((5 * 0.8 + 1 * 0.95) / 6)
    assert [(one.truth, one.said, one.count, one.share) for one in found.mistakes("ann")] == [(0, 1, 1.0, 0.25)]


def test_a_shared_question_by_hand() -> None:
    """Nobody knows anything yet: both are right with 0.95, so a difference stays half and half, agreement does not."""
    differ, agree = learn([Judged({"ann": 0, "bob": 1})], 2), learn([Judged({"ann": 0, "bob": 0})], 2)
    assert differ.counts_ACC.sum() == pytest.approx(2) and differ.counts_ACC[0, 0, 0] == pytest.approx(0.5)
    right = agree.matrices_ACC[0, 0, 0] * agree.matrices_ACC[1, 0, 0]
    wrong = agree.matrices_ACC[0, 1, 0] * agree.matrices_ACC[1, 1, 0]
    weight = agree.counts_ACC[0, 0, 0]
    share = (weight + 1) / 3  # equation 2.4 with one added to each class
    assert weight == pytest.approx(share * right / (share * right + (1 - share) * wrong), abs=1e-6)
    assert weight > 0.99


def naive(judged, classes, names, rounds=200):
    """Equations 2.3 to 2.5 with the priors, word by word."""
    told = [one for one in judged if one.truth is not None or len(one.said) > 1]
    weight = []
    for one in told:
        votes = [sum(said == c for said in one.said.values()) / len(one.said) for c in range(classes)]
        weight.append([float(c == one.truth) for c in range(classes)] if one.truth is not None else votes)
    for _ in range(rounds):
        counts = {name: np.zeros((classes, classes)) for name in names}
        for w, one in zip(weight, told, strict=True):
            for name, said in one.said.items():
                for c in range(classes):
                    counts[name][c, said] += w[c]
        total, everybody, matrix = sum(counts.values()), np.zeros((classes, classes)), {}
        for c in range(classes):
            for y in range(classes):
                prior = PRIOR_RIGHT if c == y else (1 - PRIOR_RIGHT) / (classes - 1)
                everybody[c, y] = (total[c, y] + PRIOR_ANSWERS * prior) / (total[c].sum() + PRIOR_ANSWERS)
        for name in names:
            matrix[name] = np.zeros((classes, classes))
            for c in range(classes):
                for y in range(classes):
                    own = counts[name][c, y] + PRIOR_ANSWERS * everybody[c, y]
                    matrix[name][c, y] = own / (counts[name][c].sum() + PRIOR_ANSWERS)
        share = [(sum(w[c] for w in weight) + 1) / (len(told) + classes) for c in range(classes)]
        after = []
        for w, one in zip(weight, told, strict=True):
            if one.truth is not None:
                after.append(w)
                continue
            likely = [share[c] * math.prod(matrix[n][c, y] for n, y in one.said.items()) for c in range(classes)]
            after.append([value / sum(likely) for value in likely])
        weight = after
    return counts


def simulate(seed, questions, confusions, gold_share, asked, classes):
    """Questions that `asked` people answer each, with their confusions; a share has a known truth."""
    rng = np.random.default_rng(seed)
    found, names = [], list(confusions)
    for _ in range(questions):
        truth = int(rng.choice(classes, p=np.arange(1, classes + 1) / sum(range(1, classes + 1))))
        who = rng.choice(names, size=asked, replace=False)
        said = {str(name): int(rng.choice(classes, p=confusions[name][truth])) for name in who}
        found.append(Judged(said, truth if rng.random() < gold_share else None))
    return found


def confusion(right, takes=None, classes=4):
    """Right so often; what is wrong is spread evenly, or is `takes`: a class for another."""
    matrix = np.full((classes, classes), (1 - right) / (classes - 1))
    np.fill_diagonal(matrix, right)
    if takes is not None:
        matrix[takes[0]] = np.eye(classes)[takes[1]] * 0.6 + np.eye(classes)[takes[0]] * 0.4
    return matrix


PEOPLE = {"ann": confusion(0.97), "bob": confusion(0.75), "cid": confusion(0.95, takes=(3, 2))}


@pytest.mark.parametrize("seed", range(3))
def test_em_equals_a_naive_loop(seed) -> None:
    judged = simulate(seed, 40, PEOPLE, 0.2, 2, 4)
    found, expected = learn(judged, 4), naive(judged, 4, list(PEOPLE))
    for place, name in enumerate(found.names):
        np.testing.assert_allclose(found.counts_ACC[place], expected[name], atol=1e-6)


def test_simulated_people_are_found_out() -> None:
    """30 gold questions each and 100 shared ones, 20 times: closer to the truth than gold alone, and than the prior."""

    def off(one: Annotators) -> float:
        return float(np.mean([np.abs(m - PEOPLE[n]).mean() for n, m in zip(one.names, one.matrices_ACC, strict=True)]))

    errors, rights = [], []
    for seed in range(20):
        shared = simulate(seed, 100, PEOPLE, 0.0, 2, 4)
        known = [
            one
            for number, name in enumerate(PEOPLE)
            for one in simulate(1000 * (number + 1) + seed, 30, {name: PEOPLE[name]}, 1.0, 1, 4)
        ]
        found = learn(shared + known, 4)
        errors.append([off(found), off(learn(known, 4))])
        rights.append(found.right_A)
        assert (found.mistakes("cid")[0].truth, found.mistakes("cid")[0].said) == (3, 2)
    prior = float(np.mean([np.abs(confusion(PRIOR_RIGHT) - matrix).mean() for matrix in PEOPLE.values()]))
    with_shared, gold_alone = np.mean(errors, axis=0)
    assert with_shared < 0.85 * gold_alone < gold_alone < prior
    ann, bob, cid = np.mean(rights, axis=0)
    assert ann > 0.9 and 0.65 < bob < 0.85 and cid < 0.85  # 0.97, 0.75, 0.73 with the classes as often as here


def test_what_one_person_alone_answered_says_nothing() -> None:
    judged = simulate(0, 30, PEOPLE, 0.3, 2, 4)
    found = learn([*judged, *(Judged({"bob": 1}) for _ in range(500))], 4)
    np.testing.assert_array_equal(found.counts_ACC, learn(judged, 4).counts_ACC)


def test_people_and_classes_may_be_renamed() -> None:
    judged = simulate(0, 60, PEOPLE, 0.3, 2, 4)
    order, called = np.array([2, 0, 3, 1]), {"ann": "zoe", "bob": "abe", "cid": "moe"}
    renamed = [
        Judged({called[n]: int(order[c]) for n, c in one.said.items()},
               None if one.truth is None else int(order[one.truth]))
        for one in judged
    ]  # fmt: skip
    one, other = learn(judged, 4), learn(renamed, 4)
    for name, new in called.items():
        counts = other.counts_ACC[other.names.index(new)][order][:, order]
        np.testing.assert_allclose(counts, one.counts_ACC[one.names.index(name)], atol=1e-6)


def test_nobody_known_is_the_prior_and_rows_are_shares() -> None:
    nobody = learn([], 3, {"ann": 5})
    assert nobody.mixture_CC == pytest.approx(np.full((3, 3), 0.025) + np.eye(3) * 0.925)
    assert learn([], 1).everybody_CC.tolist() == [[1.0]]
    found = learn(simulate(0, 50, PEOPLE, 0.5, 2, 4), 4, {"ann": 90, "bob": 10})
    for matrices in (found.everybody_CC, found.mixture_CC, found.matrices_ACC):
        np.testing.assert_allclose(matrices.sum(axis=-1), 1)
        assert (matrices > 0).all()
    ann, bob = (found.matrices_ACC[found.names.index(name)] for name in ("ann", "bob"))
    np.testing.assert_allclose(found.mixture_CC, 0.9 * ann + 0.1 * bob)


def test_rounds_add_up_and_files_come_back() -> None:
    first, second = learn(gold(0, 0, 1), 2, {"ann": 3}), learn(gold(0, 0, name="bob") + gold(1, 1), 2, {"bob": 2})
    both = first + second
    assert both.names == ("ann", "bob") and both.answers_A.tolist() == [3, 2]
    assert both.counts_ACC[0].tolist() == [[1, 1], [0, 1]] and both.counts_ACC[1].tolist() == [[1, 0], [0, 0]]
    again = Annotators.from_json(both.to_json(), "annotators.json")
    np.testing.assert_array_equal(again.counts_ACC, both.counts_ACC)
    assert (again.names, again.answers_A.tolist()) == (both.names, [3, 2])
    for content in ({}, {"classes": 2, "people": {"a": {"answers": 1, "counts": [[5, 0, 1.0]]}}}, {"people": 3}):
        with pytest.raises(ArtifactError, match=r"annotators\.json: no file of annotators"):
            Annotators.from_json(content, "annotators.json")


def said(number, class_id, kind="answer", revealed=False, verdict="class"):
    reply = Reply(kind=kind, verdict=verdict, class_id=class_id, revealed=revealed, shown_at_ms=1, answered_at_ms=2,
                  active_ms=900, hidden_ms=0)  # fmt: skip
    return Stored(number, f"u{number}", 1, 1, 0, False, reply, 0)


def test_a_selection_is_read_with_gold_overlap_and_decisions() -> None:
    histories = [
        History.of(1, "g", 1, 2, [("ann", said(1, 2)), ("bob", said(2, 1, revealed=True))]),  # gold; bob had looked
        History.of(2, "d", 2, None, [("ann", said(3, 0)), ("bob", said(4, 1)), ("rita", said(5, 1, "decision"))]),
        History.of(3, "o", 1, None, [("ann", said(6, 0))]),  # alone
        History.of(4, "a", 2, None, [("ann", said(7, 0)), ("bob", said(8, None, verdict="ambiguous"))]),
    ]
    found = Annotators.of(histories, 3)
    assert found.names == ("ann", "bob") and found.answers_A.tolist() == [3, 1]
    assert np.argwhere(found.counts_ACC).tolist() == [[0, 1, 0], [0, 2, 2], [1, 1, 1]]


def test_figures_say_what_they_rest_on() -> None:
    histories = [
        History.of(1, "g", 1, 2, [("ann", said(1, 1)), ("bob", said(2, 2))]),
        History.of(2, "o", 1, None, [("cid", said(3, 0))]),
    ]
    ann, bob, cid = people_figures(histories, Annotators.of(histories, 3))
    assert (ann["judged"], bob["judged"], cid["judged"]) == (1, 1, 0)
    assert ann["estimated_right"] < bob["estimated_right"] and cid["estimated_right"] is None
    assert ann["mistakes"] == [{"truth": 2, "said": 1, "count": 1.0, "share": 1.0}]
    assert bob["mistakes"] == cid["mistakes"] == [] and cid["answers"] == 1
