"""Costs measured in the project: when they count, and how far."""

import pytest

from frugalseg.core.cost import CostModel
from frugalseg.core.measured_cost import ENOUGH_ANSWERS, IDLE_S, learn_cost

PRIOR = CostModel()


def test_too_few_answers_leave_the_prior():
    found = learn_cost(PRIOR, {"point": [10.0] * (ENOUGH_ANSWERS - 1)})
    assert found.model == PRIOR and not found.measured


def test_a_median_is_drawn_towards_the_prior_by_hand():
    # 60 answers of 6 s and the prior's 30 of 3 s: (60 * 6 + 30 * 3) / 90 = 5
    found = learn_cost(PRIOR, {"point": [6.0] * 60})
    assert found.model.point_s == pytest.approx(5.0)
    assert (found.measured["point"].answers, found.measured["point"].median_s) == (60, 6.0)
    assert found.model.image_s == PRIOR.image_s


def test_many_answers_are_believed():
    assert learn_cost(PRIOR, {"point": [2.0] * 100_000}).model.point_s == pytest.approx(2.0, abs=1e-3)


def test_coffee_breaks_make_no_difference():
    """A third of the answers took an hour: the median does not move; and where most idle, they count IDLE_S."""
    assert learn_cost(PRIOR, {"point": [3.0] * 40 + [3600.0] * 20}).measured["point"].median_s == 3.0
    assert learn_cost(PRIOR, {"point": [3600.0] * 60}).measured["point"].median_s == IDLE_S
    assert learn_cost(PRIOR, {"image": [3600.0] * 60}).measured["image"].median_s == 3600.0


def test_an_answer_at_an_edge_is_never_the_cheaper_one():
    slow = learn_cost(PRIOR, {"point": [20.0] * 3000}).model
    assert slow.boundary_point_s == slow.point_s > PRIOR.boundary_point_s


def test_zero_seconds_measure_nothing():
    assert learn_cost(PRIOR, {"point": [0.0] * 50}).model == PRIOR


def test_what_is_written_down_names_every_second_used():
    facts = learn_cost(PRIOR, {"point": [6.0] * 60}, simulated=True).facts
    assert facts["point_s"] == pytest.approx(5.0) and facts["region_s"] == 25.0
    assert facts["measured"] == {"point": {"answers": 60, "median_s": 6.0}} and facts["simulated"]
    assert not learn_cost(PRIOR, {}, simulated=True).facts["simulated"], "priors are nobody's answers"


def test_a_few_whole_images_tell_more_than_as_many_clicks():
    assert learn_cost(PRIOR, {"image": [1800.0] * 2}).model == PRIOR
    # 5 images of 1800 s and the prior's 5 of 4500 s
    assert learn_cost(PRIOR, {"image": [1800.0] * 5}).model.image_s == pytest.approx(3150.0)
