"""What holds for every selector of points; one is tested by being listed in the table of contents."""

import copy
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from frugalseg.acquisition.view import MARGIN, SECOND, Asked, FrameView
from frugalseg.core.chance import generator
from frugalseg.core.config import describe
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.errors import BudgetError, DataError
from frugalseg.core.records import QueryKind, Verdict
from frugalseg.workflow import catalog

pytestmark = pytest.mark.parametrize("name", sorted(set(catalog.SELECTORS) - set(catalog.IMAGE_SELECTORS)))
SIZES_HW = ((40, 64), (33, 47), (64, 40))
FRAMES = 7


def views(frames=FRAMES, masked=True):
    found = []
    for number in range(frames):
        size_HW = SIZES_HW[number % len(SIZES_HW)]
        entropy = generator(number, "entropy").random(size_HW, dtype=np.float32)
        askable = None
        if masked and number % 2:
            askable = np.ones(size_HW, bool)
            askable[-9:, 5:] = False
        found.append(frame(f"drive/{number:03d}", entropy, np.zeros(size_HW, np.uint8), askable, index=number))
    return found


def frame(key, entropy, prediction, askable=None, **more):
    """Return a view with every map that a selector may need."""
    rng = generator(0, "maps", key)
    margin = rng.random(entropy.shape, dtype=np.float32)
    second = (rng.random(entropy.shape) < 0.2).astype(np.uint8)
    return FrameView(key, entropy, prediction, askable, margin, second, **more)


def blocks(frames=FRAMES):
    """Return views whose predictions are blocks of five classes."""
    return [
        replace(view, prediction_HW=np.kron(coarse, np.ones((8, 8)))[: view.size_HW[0], : view.size_HW[1]].astype("u1"))
        for view in views(frames)
        for coarse in [generator(view.index, "blocks").integers(0, 5, (8, 8))]
    ]


def selector(name, budget, frames=FRAMES, seed=0, cost=None, **config):
    entry = catalog.entry("selector", name)
    return entry.load()(entry.load_config()(**config), Budget.parse(budget), frames, cost or CostModel(), seed)


def select(name, budget="50points/image", shown=None, seed=0, cost=None):
    shown = views() if shown is None else shown
    chosen = selector(name, budget, len(shown), seed, cost)
    for view in shown:
        chosen.see(view)
    return chosen.finish()


def even(name):
    return catalog.entry("selector", name).load().even


def chance(name):
    return catalog.entry("selector", name).load().chance


def counts(queries):
    return {view.key: sum(query.key == view.key for query in queries) for view in views()}


@pytest.mark.parametrize(
    ("budget", "total"),
    [
        ("50points/image", 350),
        ("7points/image", 49),
        ("0.5points/image", 3),
        ("1point", 1),
        ("3points", 3),
        ("100points", 100),
        ("20min", 400),
        ("100s", 33),
        ("1images", 1500),
        ("700points/image", 4900),
    ],
)
def test_the_budget_is_met_exactly_and_evenly(name, budget, total):
    queries = select(name, budget)
    assert len(queries) == total
    if even(name):
        assert max(counts(queries).values()) - min(counts(queries).values()) <= 1


def test_a_dearer_point_buys_fewer(name):
    assert len(select(name, "20min", cost=CostModel(point_s=6.0))) == 200


def test_questions_are_inside_the_frame_askable_and_asked_once(name):
    queries = select(name, "120points/image")
    by_key = {view.key: view for view in views()}
    assert len({query.id for query in queries}) == len(queries)
    assert len({(query.key, query.point) for query in queries}) == len(queries)
    for query in queries:
        view = by_key[query.key]
        assert query.kind is QueryKind.POINT and query.strategy == name
        assert query.point.row < view.size_HW[0] and query.point.column < view.size_HW[1]
        assert view.askable_HW is None or view.askable_HW[query.point.row, query.point.column]
        if query.cell is not None:
            assert 0 <= query.point.row - query.cell.top < query.cell.height
            assert 0 <= query.point.column - query.cell.left < query.cell.width
            assert query.cell.top + query.cell.height <= view.size_HW[0]
            assert query.cell.left + query.cell.width <= view.size_HW[1]


def test_the_order_of_frames_makes_no_difference(name):
    shuffled = [views()[number] for number in generator(0, "order").permutation(FRAMES)]
    for budget in ("50points/image", "100points", "11points"):
        assert select(name, budget) == select(name, budget, shuffled) == select(name, budget, views()[::-1])


def test_the_seed_decides_and_nothing_else(name):
    np.random.seed(1)
    first = select(name)
    np.random.seed(2)
    assert select(name) == first
    other = select(name, seed=1)
    assert {query.id for query in other}.isdisjoint(query.id for query in first)
    same_pixels = {(query.key, query.point) for query in other} == {(query.key, query.point) for query in first}
    assert same_pixels != chance(name)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_workers_that_share_the_frames_ask_what_one_asks(name, workers):
    for budget in ("7points/image", "100points"):
        parts = [selector(name, budget) for _ in range(workers)]
        for number, view in enumerate(blocks()):
            parts[number % workers].see(view)
        for order in (range(workers), range(workers)[::-1]):
            merged = selector(name, budget)
            for number in order:
                merged.merge(copy.deepcopy(parts[number]))
            assert merged.finish() == select(name, budget, blocks())


def test_two_workers_may_not_both_see_a_frame(name):
    parts = [selector(name, "7points/image", frames=2) for _ in range(2)]
    for part in parts:
        part.see(views()[0])
    with pytest.raises(DataError, match="drive/000 was scored twice"):
        parts[0].merge(parts[1])


def test_it_says_what_it_needs_and_reads_no_other_map(name):
    needs = selector(name, "7points/image").needs
    assert needs <= {MARGIN, SECOND}
    bare = [replace(view, **{each: None for each in {MARGIN, SECOND} - needs}) for view in blocks()]
    assert select(name, "7points/image", bare) == select(name, "7points/image", blocks())
    for each in needs:
        with pytest.raises(DataError, match=each):
            select(name, "7points/image", [replace(view, **{each: None}) for view in blocks()])


def test_several_classes_nest_too_and_the_order_of_frames_makes_no_difference(name):
    asked = [set(select(name, f"{points}points", blocks())) for points in (5, 41, 200, 700)]
    for smaller, larger in zip(asked, asked[1:], strict=False):
        assert smaller < larger
    assert select(name, "41points", blocks()[::-1]) == select(name, "41points", blocks())


def test_a_larger_budget_asks_what_a_smaller_one_asks_and_more(name):
    asked = [set(select(name, f"{points}points")) for points in (5, 40, 41, 200, 700)]
    for smaller, larger in zip(asked, asked[1:], strict=False):
        assert smaller < larger


def test_what_is_asked_of_a_frame_does_not_depend_on_the_other_frames(name):
    if not even(name):
        pytest.skip("its frames compete")
    alone = select(name, shown=views()[3:4])
    assert alone == [query for query in select(name) if query.key == alone[0].key]


def test_pixels_asked_before_can_be_taken_out(name):
    first = select(name)
    again = []
    for view in views():
        askable = np.ones(view.size_HW, bool) if view.askable_HW is None else view.askable_HW.copy()
        for query in first:
            if query.key == view.key:
                askable[query.point.row, query.point.column] = False
        again.append(replace(view, askable_HW=askable))
    second = select(name, shown=again)
    assert len(second) == len(first)
    assert {(query.key, query.point) for query in second}.isdisjoint((query.key, query.point) for query in first)


def test_what_was_asked_in_an_earlier_round_is_not_asked_again(name):
    first = select(name, shown=blocks())
    verdicts = [*Verdict, None]
    by_key = {}
    for number, query in enumerate(first):
        by_key.setdefault(query.key, []).append(Asked(query.point, verdicts[number % len(verdicts)]))
    second = select(name, shown=[replace(view, asked=tuple(by_key[view.key])) for view in blocks()])
    assert len(second) == len(first)
    assert {(query.key, query.point) for query in second}.isdisjoint((query.key, query.point) for query in first)


def dark(view):
    return replace(view, askable_HW=np.zeros(view.size_HW, bool))


def test_frames_without_anything_to_ask_leave_their_share_to_the_others(name):
    shown = views()
    queries = select(name, "100points", [dark(view) for view in shown[:3]] + shown[3:])
    assert len(queries) == 100 and not any(counts(queries)[view.key] for view in shown[:3])
    if even(name):
        assert counts(queries) == {view.key: 25 if number >= 3 else 0 for number, view in enumerate(shown)}


def test_a_budget_without_enough_pixels_is_refused_before_anybody_is_asked(name):
    with pytest.raises(BudgetError, match="drive/000"):
        select(name, shown=[dark(view) for view in views()])


def test_frames_smaller_than_the_grid_work(name):
    tiny = [frame("a", np.full((2, 3), 0.5, np.float32), np.zeros((2, 3), np.uint8))]
    assert len(select(name, "6points", tiny)) == 6
    with pytest.raises(BudgetError):
        select(name, "7points", tiny)


def test_each_frame_is_seen_once_and_none_is_left_out(name):
    chosen = selector(name, "50points/image", frames=2)
    chosen.see(views()[0])
    with pytest.raises(DataError, match="scored twice"):
        chosen.see(views()[0])
    with pytest.raises(DataError, match="1 of 2 frames"):
        chosen.finish()


def test_memory_does_not_hold_the_frames(name):
    frames, size_HW = 30, (256, 512)
    chosen = selector(name, "50points/image", frames)
    # a queue for what is asked in each of 19 classes' two strata, as their weights are known at the end only
    queues = 2 * 19 if name == "expected_gain" else 1
    tracemalloc.start()
    for number in range(frames):
        entropy = generator(number, "entropy").random(size_HW, dtype=np.float32)
        coarse = generator(number, "classes").integers(0, 19, (8, 16), np.uint8)
        prediction = coarse.repeat(32, axis=0).repeat(32, axis=1)
        chosen.see(FrameView(f"{number}", entropy, prediction, np.ones(size_HW, bool), entropy, prediction))
        del entropy, prediction
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / frames < 4_000 + queues * 50 * 24  # bytes; one entropy map is 524,288


def test_every_setting_is_described(name):
    assert all(setting.description for setting in describe(catalog.entry("selector", name).load_config()))


def test_frames_that_look_the_same_are_asked_elsewhere(name):
    view = views()[0]
    twins = [replace(view, key=key) for key in ("a", "b")]
    if not chance(name):
        pytest.skip("it asks what its map says, and the twins' maps are the same")
    queries = select(name, shown=twins)
    assert {q.point for q in queries if q.key == "a"} != {q.point for q in queries if q.key == "b"}


def test_cells_are_asked_at_different_places(name):
    view = frame("a", np.full((64, 128), 0.5, np.float32), np.zeros((64, 128), np.uint8))
    places = {}
    for query in select(name, shown=[view]):
        if query.cell is not None:
            place = (query.point.row - query.cell.top, query.point.column - query.cell.left)
            places.setdefault(query.cell, []).append(place)
    assert len({tuple(place) for place in places.values()}) == len(places)
