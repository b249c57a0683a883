import numpy as np
import pytest

from frugalseg.acquisition.margin import Margin, MarginConfig
from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.core.chance import generator
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Point, Verdict


def select(margin_HW, count, prediction=None, asked=(), askable=None, **config):
    margin_HW = np.asarray(margin_HW, np.float32)
    prediction = np.zeros(margin_HW.shape, np.uint8) if prediction is None else np.array(prediction, np.uint8)
    entropy = np.zeros(margin_HW.shape, np.float32)
    view = FrameView("a", entropy, prediction, askable, margin_HW, asked=asked)
    selector = Margin(MarginConfig(**config), Budget.parse(f"{count}points"), 1, CostModel(), 0)
    selector.see(view)
    return [((query.point.row, query.point.column), query.score) for query in selector.finish()]


def test_the_smallest_margins_are_asked_in_order():
    found = select([[0.9, 0.2, 0.5], [0.1, 0.7, 0.4]], 3)
    assert [point for point, _ in found] == [(1, 0), (0, 1), (1, 2)]
    assert [score for _, score in found] == pytest.approx([0.9, 0.8, 0.6])


@pytest.mark.parametrize("count", [1, 17, 60])
def test_it_equals_a_full_sort(count):
    margin = generator(count, "margin").random((9, 13), dtype=np.float32)
    askable = generator(count, "mask").random((9, 13)) < 0.7
    expected = [divmod(at, 13) for at in np.argsort(margin, axis=None).tolist() if askable.ravel()[at]][:count]
    assert [point for point, _ in select(margin, count, askable=askable)] == expected


def test_pixels_near_predicted_edges_come_last():
    margin, prediction = [[0.5, 0.4, 0.1, 0.2, 0.3, 0.6]], [[0, 0, 0, 1, 1, 1]]
    assert [column for (_, column), _ in select(margin, 6, prediction)] == [2, 3, 4, 1, 0, 5]
    assert [column for (_, column), _ in select(margin, 6, prediction, boundary_px=1)] == [4, 1, 0, 5, 2, 3]


def test_an_ambiguous_answer_sends_the_question_elsewhere():
    margin = [[0.1, 0.12, 0.14] + [0.9] * 20 + [0.3]]
    asked = (Asked(Point(0, 0), Verdict.AMBIGUOUS),)
    assert select(margin, 1, asked=asked, ambiguous_radius_px=0)[0][0] == (0, 1)
    assert select(margin, 1, asked=asked, ambiguous_radius_px=4)[0][0] == (0, 23)


def test_ties_are_broken_by_hash():
    points = [point for point, _ in select(np.full((6, 8), 0.5), 8)]
    assert points != sorted(points) and len({row for row, _ in points}) > 2
