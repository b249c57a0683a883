import numpy as np
import pytest

from frugalseg.acquisition.pool import Pool, first, ranks
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import generator
from frugalseg.core.errors import BudgetError, DataError


def view(key="a", size_HW=(4, 8)):
    return FrameView(key, np.zeros(size_HW, np.float32), np.zeros(size_HW, np.uint8))


def pool(total, frames=1):
    return Pool("test", 0, total, frames)


def offer(to, key, strata, order):
    flat = np.arange(len(strata))
    order = np.array(order, np.float32)
    to.offer(view(key), np.array(strata), flat, order, order)


def held(chosen):
    return [*chosen._strata.values(), *(offers for _, offers in chosen._waiting)]


def asked(queries):
    return [(query.key, query.point.row * 8 + query.point.column) for query in queries]


def test_the_smallest_orders_are_asked_the_most_wanted_first():
    chosen = pool(3)
    offer(chosen, "a", [0, 0, 0, 0, 0], [5, 1, 4, 0.5, 3])
    assert asked(chosen.queries()) == [("a", 3), ("a", 1), ("a", 4)]


def test_frames_compete():
    chosen = pool(3, frames=2)
    offer(chosen, "b", [0, 0, 0], [1, 2, 9])
    offer(chosen, "a", [0, 0, 0], [7, 8, 3])
    assert asked(chosen.queries()) == [("a", 2), ("b", 0), ("b", 1)]


@pytest.mark.parametrize(("total", "expected"), [(4, (2, 2)), (6, (3, 3)), (10, (6, 4))])
def test_strata_get_the_same_and_what_one_lacks_the_other_gets(total, expected):
    chosen = pool(total)
    offer(chosen, "a", [0] * 9 + [1] * 4, np.arange(13))
    counts = np.bincount([flat >= 9 for _, flat in asked(chosen.queries())], minlength=2)
    assert tuple(counts) == expected


def test_shares_follow_the_weights_by_sainte_lague():
    chosen = pool(8)  # turns of weight 3: 1/6, 3/6, 5/6, 7/6, 9/6, 11/6; of weight 1: 1/2, 3/2
    offer(chosen, "a", [0] * 9 + [1] * 9, np.arange(18))
    counts = np.bincount([flat >= 9 for _, flat in asked(chosen.queries({0: 3.0, 1: 1.0}))])
    assert counts.tolist() == [6, 2]


def test_a_stratum_of_weight_0_is_asked_only_when_nothing_else_is_left():
    chosen = pool(5)
    offer(chosen, "a", [0] * 3 + [1] * 9, np.arange(12))
    assert sorted(flat for _, flat in asked(chosen.queries({0: 1.0, 1: 0.0}))) == [0, 1, 2, 3, 4]
    chosen = pool(3)
    offer(chosen, "a", [0] * 3 + [1] * 9, np.arange(12))
    assert sorted(flat for _, flat in asked(chosen.queries({0: 1.0}))) == [0, 1, 2]


def test_a_delayed_frame_comes_later():
    chosen = pool(3, frames=3)  # one question of stratum 0, two of stratum 1
    offer(chosen, "a", [0, 0], [1, 2])
    offer(chosen, "b", [0, 0], [1.5, 3])
    offer(chosen, "c", [1, 1, 1], [1, 2, 3])
    weights = {0: 1.0, 1: 3.0}
    assert asked(chosen.queries(weights)) == [("a", 0), ("c", 0), ("c", 1)]
    assert asked(chosen.queries(weights, delays={"a": 4.0})) == [("b", 0), ("c", 0), ("c", 1)]


def test_what_is_dropped_on_the_way_would_not_have_been_asked():
    rng = generator(0, "pool")
    orders = rng.random((40, 30), dtype=np.float32)
    chosen = pool(25, frames=40)
    for number, order in enumerate(orders):
        offer(chosen, f"{number:02d}", [0] * 30, order)
    best = np.argsort(orders, axis=None)[:25]
    assert sorted(asked(chosen.queries())) == sorted((f"{at // 30:02d}", at % 30) for at in best.tolist())
    assert sum(len(offers) for offers in held(chosen)) <= 25 * 1.1 + 30


@pytest.mark.parametrize("points", [1, 7, 60, 400])
def test_equal_strata_share_what_is_held_and_ask_what_all_offers_would(points):
    rng = generator(points, "pool")
    sizes = [(rng.integers(0, 40, 6) * (rng.random(6) < 0.7)).tolist() for _ in range(30)]
    sides = [Pool("test", 0, points, 30, equal=equal) for equal in (True, False)]
    halves = [Pool("test", 0, points, 30, equal=True) for _ in range(2)]
    for number, size in enumerate(sizes):
        strata = np.repeat(np.arange(6), size)
        orders = rng.integers(0, 9, len(strata)).astype(np.float32)  # many ties
        for side in (*sides, halves[number % 2]):
            offer(side, f"{number:02d}", strata, orders)
        assert sum(len(offers) for offers in held(sides[0])) <= 1.1 * (points + 6) + sum(size)
    halves[0].merge(halves[1])
    assert sides[0].queries() == sides[1].queries() == halves[0].queries()


def test_equal_strata_cannot_be_weighed_or_delayed_afterwards():
    chosen = Pool("test", 0, 1, 1, equal=True)
    offer(chosen, "a", [0, 1], [1, 2])
    for after in ({"weights": {0: 2.0}}, {"delays": {"a": 2.0}}):
        with pytest.raises(AssertionError):
            chosen.queries(**after)


def test_ties_do_not_depend_on_what_came_first():
    def select(keys):
        chosen = pool(20, frames=8)
        for key in keys:
            offer(chosen, key, [0] * 32, [1] * 32)
        return chosen.queries()

    assert select("abcdefgh") == select("hgfedcba")
    assert len({query.key for query in select("abcdefgh")}) > 4  # by hash, not by key
    assert {query.point.row for query in select("abcdefgh")} == {0, 1, 2, 3}


def test_misuse_is_refused():
    chosen = pool(50, frames=2)
    offer(chosen, "a", [0], [1])
    with pytest.raises(DataError, match="a was scored twice"):
        offer(chosen, "a", [0], [1])
    with pytest.raises(DataError, match="1 of 2 frames"):
        chosen.queries()
    offer(chosen, "b", [0], [1])
    with pytest.raises(BudgetError, match="48 of the budget's 50 points"):
        chosen.queries()


def test_first_takes_the_smallest_of_each_stratum():
    strata = np.array([3, 1, 3, 3, 1], np.uint8)
    order = np.array([9, 2, 5, 7, 1], np.float32)
    assert sorted(first(strata, order, 2).tolist()) == [1, 2, 3, 4]
    assert sorted(first(strata, order, 1).tolist()) == [2, 4]
    assert first(strata[:0], order[:0], 2).tolist() == []


def test_ranks_count_earlier_entries_of_the_group():
    assert ranks(np.array([3, 5, 3, 3])).tolist() == [0, 0, 1, 2]
    assert ranks(np.array([], np.int64)).tolist() == []
    assert ranks(np.array([7])).tolist() == [0]
