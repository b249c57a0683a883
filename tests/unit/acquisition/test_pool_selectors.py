"""global_points and diverse: frames compete."""

import numpy as np
import pytest

from frugalseg.acquisition.diverse import Diverse, DiverseConfig
from frugalseg.acquisition.global_points import GlobalPoints, GlobalPointsConfig
from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.core.chance import generator, key_hash
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Point, Verdict


def select(selector, config, views, budget, seed=0):
    chosen = selector(config, Budget.parse(budget), len(views), CostModel(), seed)
    for view in views:
        chosen.see(view)
    return chosen.finish()


@pytest.mark.parametrize("count", [1, 10, 300])
def test_global_points_equals_a_sort_of_the_whole_pool(count):
    entropy = generator(0, "entropy").random((5, 12, 16), dtype=np.float32)
    views = [FrameView(str(n), each, np.zeros((12, 16), np.uint8)) for n, each in enumerate(entropy)]
    found = {
        (int(query.key), query.point.row, query.point.column)
        for query in select(GlobalPoints, GlobalPointsConfig(), views, f"{count}points")
    }
    best = np.argsort(-entropy, axis=None)[:count]
    assert found == {tuple(int(at) for at in place) for place in np.stack(np.unravel_index(best, entropy.shape), 1)}


def drive(name, looks):
    size_HW = (32, 64)
    return [
        FrameView(f"{name}{n}", np.zeros(size_HW, np.float32), np.full(size_HW, look, np.uint8), sequence=name, index=n)
        for n, look in enumerate(looks)
    ]


def test_diverse_asks_one_of_those_that_look_alike():
    views = drive("x", [0, 0, 0, 1, 1]) + drive("y", [0, 2])
    queries = select(Diverse, DiverseConfig(), views, "40points")
    asked = sorted({query.key for query in queries})
    assert [key for key in asked if key[0] == "y"] == ["y0", "y1"]
    assert len([key for key in asked if key in ("x0", "x1", "x2")]) == 1
    assert len([key for key in asked if key in ("x3", "x4")]) == 1
    assert {sum(query.key == key for query in queries) for key in asked} == {10}


def test_diverse_asks_what_looks_like_a_frame_left_out_only():
    views = sorted(drive("x", [0, 0, 0]), key=lambda view: key_hash(view.key))
    views[1].prediction_HW[:8], views[2].prediction_HW[:16] = 1, 1  # neighbours differ in a quarter
    asked = {query.key for query in select(Diverse, DiverseConfig(tolerance=0.25), views, "40points")}
    assert asked == {views[0].key, views[2].key}


def test_diverse_keeps_its_questions_apart():
    queries = select(Diverse, DiverseConfig(apart=0.1), drive("x", [0]), "12points")
    points = [(query.point.row, query.point.column) for query in queries]
    distances = [max(abs(a - c), abs(b - d)) for n, (a, b) in enumerate(points) for c, d in points[:n]]
    assert min(distances) > 6


def test_diverse_goes_to_the_others_when_a_frame_has_nothing_left():
    views = drive("x", [0, 0])
    assert len(select(Diverse, DiverseConfig(), views, "3000points")) == 3000


def test_diverse_asks_less_often_around_an_ambiguous_answer():
    def near(verdict, radius):
        asked = (Asked(Point(0, 0), verdict),)
        view = FrameView("a", np.zeros((1, 40), np.float32), np.zeros((1, 40), np.uint8), asked=asked)
        config = DiverseConfig(apart=0, ambiguous_radius_px=radius)
        queries = [query for seed in range(200) for query in select(Diverse, config, [view], "1point", seed)]
        return sum(query.point.column < 6 for query in queries)

    assert near(Verdict.CLASS, 8) == near(Verdict.AMBIGUOUS, 0) > 15 > 3 * near(Verdict.AMBIGUOUS, 8)
