"""What holds for every selector of whole images; one is tested by being listed in the table of contents."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from frugalseg.acquisition.images import LIKENESS, SOURCE, VECTORS, ImageSelector, ImageView
from frugalseg.core.anchors import ImageVectors
from frugalseg.core.chance import generator
from frugalseg.core.config import describe
from frugalseg.core.errors import BudgetError, DataError
from frugalseg.core.records import QueryKind
from frugalseg.workflow import catalog

pytestmark = pytest.mark.parametrize("name", sorted(catalog.IMAGE_SELECTORS))
FRAMES, CLASSES, FEATURES = 30, 4, 3


def vectors(key, scenes=4):
    rng = generator(0, "vectors", key)
    scene = generator(0, "scene", int(rng.integers(scenes))).normal(0, 5, (CLASSES, FEATURES))
    present = rng.random(CLASSES) < 0.8
    present[0] = True
    return ((scene + rng.normal(0, 1, scene.shape)) * present[:, None]).astype(np.float32), present


def view(key, index):
    rng = generator(0, "view", key)
    means, present = vectors(key)
    return ImageView(
        key, float(rng.random()), key.partition("/")[0], index, False, means, present, float(0.2 + 0.6 * rng.random())
    )


def views():
    return [view(f"drive_{number % 3}/{number:03}", number) for number in range(FRAMES)]


def source():
    keys = tuple(f"source_{number}" for number in range(40))
    means, present = zip(*(vectors(key) for key in keys), strict=True)
    return ImageVectors(keys, np.stack(means), np.stack(present))


def selector(name, total, frames=FRAMES, seed=0, **config):
    entry = catalog.entry("selector", name)
    return ImageSelector(entry.load()(entry.load_config()(**config)), total, frames, seed)


def select(name, total=5, shown=None, seed=0, **config):
    shown = views() if shown is None else shown
    chosen = selector(name, total, len(shown), seed, **config)
    for one in shown:
        chosen.see(one)
    return chosen.finish(source())


def test_it_bears_its_name_and_says_what_it_needs(name):
    strategy = selector(name, 1).strategy
    assert strategy.name == name and strategy.needs <= {VECTORS, LIKENESS, SOURCE}


def test_exactly_so_many_whole_images_are_asked_once_each(name):
    for total in (1, 5, FRAMES):
        queries, table, _ = select(name, total)
        assert len({query.key for query in queries}) == len(queries) == total
        assert all(
            query.kind is QueryKind.IMAGE and query.point is None and query.strategy == name for query in queries
        )
        assert [query.key for query in queries] == sorted(query.key for query in queries)
        assert [row.key for row in table] == sorted(one.key for one in views())
        assert {row.key: row.score for row in table if row.chosen} == {query.key: query.score for query in queries}


def test_the_order_of_frames_makes_no_difference(name):
    shuffled = [views()[number] for number in generator(0, "order").permutation(FRAMES)]
    assert select(name)[:2] == select(name, shown=shuffled)[:2] == select(name, shown=views()[::-1])[:2]


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_workers_that_share_the_frames_ask_what_one_asks(name, workers):
    parts = [selector(name, 5) for _ in range(workers)]
    for number, one in enumerate(views()):
        parts[number % workers].see(one)
    for order in (range(workers), range(workers)[::-1]):
        merged = selector(name, 5)
        for number in order:
            merged.merge(copy.deepcopy(parts[number]))
        assert merged.finish(source())[:2] == select(name)[:2]


def test_a_larger_budget_asks_what_a_smaller_one_asks_and_more(name):
    asked = [{query.key for query in select(name, total)[0]} for total in (1, 2, 5, 13, 29)]
    for smaller, larger in zip(asked, asked[1:], strict=False):
        assert smaller < larger


def test_the_seed_decides_and_nothing_else(name):
    np.random.seed(1)
    first = select(name)
    np.random.seed(2)
    assert select(name)[:2] == first[:2]
    others = [select(name, seed=seed)[0] for seed in range(1, 6)]
    assert {query.id for query in others[0]}.isdisjoint(query.id for query in first[0])
    if not selector(name, 1).strategy.chance:
        assert all([query.key for query in other] == [query.key for query in first[0]] for other in others)


def test_what_was_labelled_in_an_earlier_round_is_not_asked_again(name):
    first = {query.key for query in select(name)[0]}
    again = [replace(one, asked=one.key in first) for one in views()]
    second = {query.key for query in select(name, shown=again)[0]}
    assert len(second) == 5 and second.isdisjoint(first)
    with pytest.raises(BudgetError, match="of 30 frames only 25 have not been labelled yet"):
        select(name, 26, again)


def test_it_reads_nothing_that_it_does_not_need(name):
    needs = selector(name, 1).strategy.needs
    bare = {VECTORS: {"vectors_CF": None, "present_C": None}, LIKENESS: {"likeness_01": None}}
    unneeded = {field: None for need, fields in bare.items() if need not in needs for field in fields}
    assert select(name, shown=[replace(one, **unneeded) for one in views()])[:2] == select(name)[:2]
    for need in needs & set(bare):
        with pytest.raises(DataError, match=need):
            select(name, shown=[replace(one, **bare[need]) for one in views()])


def test_each_frame_is_seen_once_and_none_is_left_out(name):
    chosen = selector(name, 1, frames=2)
    chosen.see(views()[0])
    with pytest.raises(DataError, match="scored twice"):
        chosen.see(views()[0])
    with pytest.raises(DataError, match="1 of 2 frames"):
        chosen.finish(source())


def test_every_setting_is_described(name):
    assert all(setting.description for setting in describe(catalog.entry("selector", name).load_config()))
