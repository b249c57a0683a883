import numpy as np
import pytest

from frugalseg.acquisition.class_balanced import ClassBalanced, ClassBalancedConfig, sure
from frugalseg.acquisition.maps import edge_distance
from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.core.chance import generator
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Point, Verdict

SIZE_HW = (40, 60)


def frames(count=6):
    """Four classes in bands of 30, 6, 3 and 1 rows; the last (with its edges) only in frame 0."""
    prediction = np.zeros(SIZE_HW, np.uint8)
    prediction[30:] = 1
    prediction[20:26, :40] = 2
    first = prediction.copy()
    first[5:12, 5:12] = 3
    entropies = [generator(number, "entropy").random(SIZE_HW, dtype=np.float32) for number in range(count)]
    return [FrameView(f"f{n}", entropy, prediction if n else first) for n, entropy in enumerate(entropies)]


def select(views, budget, seed=0, **config):
    selector = ClassBalanced(ClassBalancedConfig(**config), Budget.parse(budget), len(views), CostModel(), seed)
    for view in views:
        selector.see(view)
    return selector.finish()


def predicted(views, queries):
    maps = {view.key: view.prediction_HW for view in views}
    return [int(maps[query.key][query.point.row, query.point.column]) for query in queries]


def test_every_class_gets_the_same_even_if_it_is_in_one_frame_only():
    views = frames()
    assert np.bincount(predicted(views, select(views, "32points"))).tolist() == [8, 8, 8, 8]


def test_a_class_asks_in_every_frame_before_it_asks_in_one_twice():
    views = frames()
    queries = select(views, "24points")
    classes = predicted(views, queries)
    for class_id in (0, 1, 2):
        keys = [query.key for query, its in zip(queries, classes, strict=True) if its == class_id]
        assert sorted(keys) == [f"f{n}" for n in range(6)]


@pytest.mark.parametrize("boundary_px", [0, 1, 3])
def test_pixels_near_an_edge_are_left_out_while_there_are_others(boundary_px):
    views = frames()
    distances = {view.key: edge_distance(view.prediction_HW) for view in views}
    queries = select(views, "40points", boundary_px=boundary_px)
    found = [distances[query.key][query.point.row, query.point.column] for query in queries]
    reached = 3 if boundary_px == 3 else boundary_px + 1  # class 2 is 6 rows high: three from its edges at most
    assert min(found) >= reached or boundary_px == 3


def test_a_class_that_is_all_edge_is_asked_nevertheless():
    views = frames()
    assert np.bincount(predicted(views, select(views, "32points", boundary_px=8))).tolist() == [8, 8, 8, 8]


def test_only_the_unsure_part_of_a_class_is_drawn_from():
    views = frames()
    for query in select(views, "32points", unsure_share=0.25, boundary_px=0):
        view = next(view for view in views if view.key == query.key)
        mine = view.prediction_HW == view.prediction_HW[query.point.row, query.point.column]
        assert query.score >= np.quantile(view.entropy_HW[mine], 0.74)


def test_sure_pixels_are_told_by_class():
    classes = np.array([0, 0, 0, 0, 1, 1], np.uint8)
    entropy = np.array([0.1, 0.4, 0.2, 0.3, 0.8, 0.9], np.float32)
    assert sure(classes, entropy, 0.5).tolist() == [True, False, True, False, True, False]
    assert sure(classes, entropy, 0.01).tolist() == [True, False, True, True, True, False]


def test_the_draw_is_uniform_over_a_class():
    flat = FrameView("a", np.full((4, 8), 0.5, np.float32), np.zeros((4, 8), np.uint8))
    counts = np.zeros((4, 8), int)
    for seed in range(800):
        (query,) = select([flat], "1point", seed=seed)
        counts[query.point.row, query.point.column] += 1
    assert ((counts - 25) ** 2 / 25).sum() < 61.1  # 31 degrees of freedom, p = 0.001


def doubted(verdict):
    """A frame of one class that an answer came back for at its left end, which is the more uncertain one."""
    entropy = np.linspace(0.9, 0.5, 40, dtype=np.float32)[None]
    return FrameView("a", entropy, np.zeros((1, 40), np.uint8), asked=(Asked(Point(0, 0), verdict),))


@pytest.mark.parametrize("unsure_share", [1.0, 0.5])
def test_around_an_ambiguous_answer_pixels_are_drawn_less_often_and_score_less(unsure_share):
    def near(verdict, radius):
        settings = {"unsure_share": unsure_share, "ambiguous_radius_px": radius}
        queries = [query for seed in range(200) for query in select([doubted(verdict)], "1point", seed, **settings)]
        return sum(query.point.column < 6 for query in queries), queries

    many, few = near(Verdict.CLASS, 8)[0], near(Verdict.AMBIGUOUS, 8)
    assert many == near(Verdict.AMBIGUOUS, 0)[0] > 20 > 3 * few[0]
    column = few[1][0].point.column
    trust = -np.expm1(-(column**2) / 128) if column <= 24 else 1.0
    assert few[1][0].score == pytest.approx(trust * np.linspace(0.9, 0.5, 40)[column], rel=1e-5)
