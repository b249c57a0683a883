import numpy as np
import pytest

from frugalseg.acquisition.expected_gain import (
    ExpectedGain,
    ExpectedGainConfig,
    answerable,
    class_share,
    doubt,
    edge_probability,
    seconds,
)
from frugalseg.acquisition.maps import edge_distance
from frugalseg.acquisition.view import MARGIN, SECOND, Asked, FrameView
from frugalseg.core.chance import generator
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Point, Verdict

ALONE = {"disagreement": 0.0, "boundary_px": 0, "region_redundancy": 0.0, "frame_redundancy": 0.0, "explore": 0.0}
ALONE |= {"twin_redundancy": 0.0}


def array(*values):
    return np.array(values, np.float32)


def view(margin_HW, prediction=None, key="a", asked=(), second=None):
    margin_HW = np.asarray(margin_HW, np.float32)
    prediction = np.zeros(margin_HW.shape, np.uint8) if prediction is None else np.array(prediction, np.uint8)
    second = prediction if second is None else np.array(second, np.uint8)
    return FrameView(key, np.zeros(margin_HW.shape, np.float32), prediction, None, margin_HW, second, asked=asked)


def select(views, budget, seed=0, **config):
    selector = ExpectedGain(ExpectedGainConfig(**config), Budget.parse(budget), len(views), CostModel(), seed)
    for each in views:
        selector.see(each)
    return selector.finish()


def shares(views, budget, seeds=1, **config):
    """Return how many questions each predicted class gets."""
    maps = {each.key: each.prediction_HW for each in views}
    queries = [query for seed in range(seeds) for query in select(views, budget, seed, **config)]
    return np.bincount([maps[query.key][query.point.row, query.point.column] for query in queries]).tolist()


def test_doubt_by_hand():
    found = doubt(array(0.8, 0.8, 1.0, 1.0, 0.0), np.array([False, True, False, True, False]), 0.5)
    assert found.tolist() == pytest.approx([0.2, 0.6, 0.0, 0.5, 1.0])


def test_an_edge_is_certain_where_the_annotator_hesitates_and_fades_from_there():
    found = edge_probability(array(1, 2, 4, 6, 1000), boundary_px=2, fade_px=2.0)
    assert found.tolist() == pytest.approx([1, 1, np.exp(-1), np.exp(-2), 0])


def test_answers_and_seconds_by_hand():
    assert answerable(array(0, 0.5, 1), CostModel()).tolist() == pytest.approx([1, 0.85, 0.7])
    assert seconds(array(0, 0.5, 1), CostModel()).tolist() == pytest.approx([3, 4.5, 6])


def test_class_shares_by_hand():
    assert class_share(16.0, 1.0, 1.0) == 1
    assert class_share(16.0, 0.0, 1.0) == 16
    assert class_share(16.0, 0.5, 2.0) == 8


def test_the_value_is_their_product_and_quotient():
    looked = view([[0.75, 0.75, 0.75]], [[0, 0, 1]], second=[[0, 1, 1]])
    selector = ExpectedGain(
        ExpectedGainConfig(edge_fade_px=1.0, disagreement=0.5), Budget.parse("1point"), 1, CostModel(boundary_px=0), 0
    )
    assert selector.needs == {MARGIN, SECOND}
    assert ExpectedGain(ExpectedGainConfig(), Budget.parse("1point"), 1, CostModel(), 0).needs == {MARGIN}
    value = selector.value(looked, edge_distance(looked.prediction_HW))
    at_edge = np.exp(-1)
    for column, (doubted, edge) in enumerate([(0.25, np.exp(-2)), (0.625, at_edge), (0.25, at_edge)]):
        assert value[0, column] == pytest.approx(doubted**0.5 * (1 - 0.3 * edge) / (3 + 3 * edge), rel=1e-5)


def test_a_past_ambiguous_answer_takes_its_neighbourhoods_value():
    selector = ExpectedGain(ExpectedGainConfig(), Budget.parse("1point"), 1, CostModel(), 0)
    fresh, doubted = (
        view(np.full((9, 9), 0.5)),
        view(np.full((9, 9), 0.5), asked=(Asked(Point(4, 4), Verdict.AMBIGUOUS),)),
    )
    far = np.full((9, 9), 18, np.float32)
    ratio = selector.value(doubted, far) / selector.value(fresh, far)
    assert ratio[4, 4] == 0 and ratio[4, 8] == pytest.approx(1 - np.exp(-0.125), rel=1e-4)


def test_pixels_are_drawn_in_proportion_to_their_value():
    looked = view([[0.0] * 10 + [0.75] * 10])  # doubts 1 and .25, values 1/3 and 1/12
    config = ALONE | {"sharpness": 1.0}
    certain = sum(
        query.point.column >= 10 for seed in range(2000) for query in select([looked], "1point", seed, **config)
    )
    assert certain / 2000 == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 2000))


def test_with_everything_off_the_draw_is_uniform():
    looked = view(generator(0, "margin").random((4, 8)))
    counts = np.zeros((4, 8), int)
    for seed in range(800):
        (query,) = select([looked], "1point", seed, **(ALONE | {"sharpness": 0.0}))
        counts[query.point.row, query.point.column] += 1
    assert ((counts - 25) ** 2 / 25).sum() < 61.1  # 31 degrees of freedom, p = 0.001


def test_a_share_of_each_class_is_uniform_over_it():
    looked = view([[0.0] * 1 + [1.0] * 999])  # one doubtful pixel, the others are certain
    config = ALONE | {"sharpness": 1.0, "explore": 0.5}
    assert sum(query.score == 0 for query in select([looked], "40points", **config)) >= 20
    queries = select([looked], "1point", **(config | {"explore": 0.0}))
    assert [query.point.column for query in queries] == [0]


BANDS = np.repeat([0, 1, 2], [10, 2, 4])[:, None] * np.ones((1, 30), int)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"class_balance": 1.0}, [16, 16, 16]),
        ({"class_balance": 0.0}, [30, 6, 12]),
        ({"class_balance": 1.0, "importance": (1.0, 2.0)}, [12, 24, 12]),
        ({"class_balance": 1.0, "importance": (0.0, 1.0, 1.0)}, [0, 24, 24]),
    ],
)
def test_classes_share_the_budget(config, expected):
    views = [view(np.full(BANDS.shape, 0.5), BANDS, key) for key in "ab"]
    config = ALONE | {"edge_fade_px": 1e-3, "sharpness": 1.0} | config
    found = np.array(shares(views, "48points", **config) + [0] * 3)[:3]
    if config.get("class_balance") == 0:  # values near the edges are lower
        assert found[0] > 2 * found[2] > 2 * found[1]
    else:
        assert np.abs(found - expected).max() <= 1


def test_pixels_next_to_another_class_come_last():
    views = [view(np.full(BANDS.shape, 0.5), BANDS)]
    distance = edge_distance(BANDS.astype(np.uint8))
    config = ALONE | {"boundary_px": 1, "class_balance": 0.0}
    found = [distance[query.point.row, query.point.column] for query in select(views, "40points", **config)]
    thin = BANDS[:, 0].tolist().count(1) * BANDS.shape[1]  # class 1 has no other pixels
    assert 0 < sum(each <= 1 for each in found) < 40 * thin / BANDS.size * 1.5


def spread(queries):
    return len({(query.point.row // 4, query.point.column // 4) for query in queries})


def test_questions_about_one_class_keep_out_of_each_others_region():
    looked = view(generator(1, "margin").random((16, 32)))
    near, far = (
        sum(spread(select([looked], "16points", seed, **(ALONE | {"region_redundancy": r}))) for seed in range(10))
        for r in (0.0, 50.0)
    )
    assert far == 160 and near < 140  # 32 regions of 4 x 4


def test_earlier_questions_count_as_well():
    asked = tuple(Asked(Point(row, column), Verdict.CLASS) for row in (0, 5) for column in (0, 1, 5))
    regions = {(0, 0), (0, 1), (1, 0), (1, 1)}
    config = ALONE | {"region_redundancy": 1e4}
    queries = select([view(np.full((16, 32), 0.5), asked=asked)], "28points", **config)
    assert regions.isdisjoint((query.point.row // 4, query.point.column // 4) for query in queries)


def test_a_frame_like_others_is_asked_less():
    views = [view(np.full((16, 32), 0.5), key=key) for key in "abcd"]
    views.append(view(np.full((16, 32), 0.5), np.ones((16, 32)), "other"))

    def counts(r):
        queries = select(views, "60points", **(ALONE | {"twin_redundancy": r, "class_balance": 1.0}))
        return [sum(query.key == key for query in queries) for key in ("a", "b", "c", "d", "other")]

    alike, apart = counts(0.0), counts(20.0)
    assert alike[-1] == apart[-1] == 30
    assert max(apart[:4]) - min(apart[:4]) >= 8 > max(alike[:4]) - min(alike[:4])
