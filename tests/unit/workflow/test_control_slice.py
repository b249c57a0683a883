"""The hidden random control: how many, where from, and that its place gives nothing away."""

import numpy as np
import pytest
from PIL import Image

from frugalseg.acquisition.view import Asked
from frugalseg.core.cost import CostModel
from frugalseg.core.records import Frame, Point, Query, QueryKind
from frugalseg.workflow.control_slice import control_points, draw_control, mixed
from frugalseg.workflow.shelf import Shelf

FRAMES = [Frame(f"k{n}", f"{n}.png", None, "s", n, "train", 8, 6, "") for n in range(5)]


def query(key: str, number: int, strategy: str) -> Query:
    return Query(f"{strategy}{key}{number}", key, QueryKind.POINT, strategy, 0.0, Point(number, 0))


@pytest.mark.parametrize(
    "total, share, strategy, expected",
    [
        (1000, 0.1, "ripu", 100),
        (14, 0.1, "ripu", 1),
        (12, 0.01, "ripu", 1),  # at least one where there are ten
        (9, 0.01, "ripu", 0),
        (1, 0.5, "ripu", 0),  # the last question is the strategy's
        (1000, 0.0, "ripu", 0),
        (1000, 0.1, "random_points", 0),
    ],
)
def test_how_many(total, share, strategy, expected):
    assert control_points(total, share, strategy) == expected


def test_the_draw_is_uniform_over_what_may_be_asked(tmp_path):
    """Over many seeds each free pixel comes up equally often, those of the camera's car and asked ones never."""
    mask = np.full((6, 8), 255, np.uint8)
    mask[4:] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    frame = Frame("k", "k.png", None, "s", 0, "train", 8, 6, "", str(tmp_path / "mask.png"))
    before = {"k": (Asked(Point(0, 0), None), Asked(Point(3, 7), None))}
    counts = np.zeros((6, 8), int)
    for seed in range(600):
        for asked in draw_control([frame], 6, before, CostModel(), seed):
            counts[asked.point.row, asked.point.column] += 1
    assert counts[4:].sum() == counts[0, 0] == counts[3, 7] == 0
    free = counts[:4][counts[:4] > 0]
    expected = 600 * 6 / 30
    assert len(free) == 30
    assert ((free - expected) ** 2 / expected).sum() < 58.3  # chi-square with 29 degrees of freedom, 99.9 %


def test_another_round_draws_elsewhere_and_the_same_one_the_same():
    one, again, other = (draw_control(FRAMES, 20, {}, CostModel(), seed) for seed in (1, 1, 2))
    assert one == again and {q.point for q in one} != {q.point for q in other}
    assert draw_control(FRAMES, 0, {}, CostModel(), 1) == []


def test_mixing_keeps_everything_in_key_order_and_the_chosen_in_theirs():
    chosen = [query(key, number, "ripu") for key in ("a", "b") for number in range(20)]
    control = [query(key, number, "random_points") for key in ("b", "a", "c") for number in range(3)]
    found = mixed(chosen, control)
    assert sorted(found, key=lambda q: q.id) == sorted([*chosen, *control], key=lambda q: q.id)
    assert [q.key for q in found] == sorted(q.key for q in found)
    assert [q for q in found if q.strategy == "ripu"] == chosen
    assert mixed(chosen, control[::-1]) == found


def test_no_place_tells_the_control():
    """Over many frames the control stands in the first, the middle and the last third about equally often."""
    places = []
    for frame in range(300):
        key = f"f{frame}"
        found = mixed([query(key, n, "ripu") for n in range(18)], [query(key, 0, "random_points")])
        places.append([q.strategy for q in found].index("random_points") // 7)
    counts = np.bincount(places, minlength=3)
    assert counts.min() > 60


def test_the_shelf_gives_back_what_was_put_and_leaves_no_file(tmp_path):
    rng = np.random.default_rng(0)
    maps = {f"k{n}": rng.integers(0, 19, (5 + n, 9)).astype(np.uint8) for n in range(4)}
    with Shelf(tmp_path) as shelf:
        for key, ids in maps.items():
            shelf.put(key, ids[:, ::-1][:, ::-1])
        for key in reversed(maps):
            assert np.array_equal(shelf.get(key), maps[key])
    assert list(tmp_path.iterdir()) == []
