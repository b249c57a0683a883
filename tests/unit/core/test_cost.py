import dataclasses
import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from frugalseg.core.cost import Budget, BudgetKind, CostModel, Ledger
from frugalseg.core.errors import AnswerError, BudgetError, ConfigError, UnknownNameError
from frugalseg.core.records import Answer, Point, Query, QueryKind, Verdict

COST = CostModel()


@given(
    number=st.decimals("0.01", 9999, places=2),
    unit=st.sampled_from(["points/image", "point/image", "points", "images", "%images", "s", "min", "h"]),
)
def test_every_budget_reads_back_as_itself(number, unit):
    whole = unit in ("points", "images")
    assume(unit != "%images" or number <= 100)
    assume(not whole or number == int(number))
    budget = Budget.parse(f" {number} {unit}")
    assert Budget.parse(str(budget)) == budget
    assert budget.amount == float(Fraction(str(number)) * {"min": 60, "h": 3600}.get(unit, 1))


@pytest.mark.parametrize(
    ("text", "points", "images"),  # over 20 frames; an image takes 4500 s, a point 3 s
    [
        ("50points/image", 1000, None),
        ("0.05points/image", 1, None),
        ("2000points", 2000, 1),
        ("15images", 15 * 1500, 15),
        ("5%images", 1500, 1),
        ("100%images", 30_000, 20),
        ("2h", 2400, 1),
        ("30min", 600, None),
        ("45s", 15, None),
        ("100h", 120_000, 20),
    ],
)
def test_what_a_budget_buys(text, points, images):
    budget = Budget.parse(text)
    assert budget.total_points(20, COST) == points
    assert budget.points_per_image(20, COST) == points / 20
    if images is None:
        with pytest.raises(BudgetError, match="buys no image"):
            budget.total_images(20, COST)
    else:
        assert budget.total_images(20, COST) == images


def test_decimal_numbers_are_counted_as_written():
    assert Budget.parse("0.29points/image").total_points(100, COST) == 29
    assert Budget.parse("0.7points/image").total_points(10, COST) == 7
    assert Budget.parse("1.1%images").total_images(1000, COST) == 11


@given(hours=st.integers(1, 100), frames=st.integers(1, 5000), overlap=st.floats(0, 1), point_s=st.floats(0.1, 60))
def test_never_more_than_is_paid_for(hours, frames, overlap, point_s):
    cost = CostModel(point_s=point_s, overlap=overlap)
    budget = Budget.parse(f"{hours}h")
    bought = budget.total_points(frames, cost)
    each = cost.seconds("point", 1)
    assert bought * each <= hours * 3600 * (1 + 1e-6)
    assert (bought + 1) * each > hours * 3600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("50", "cannot be read"),
        ("points", "cannot be read"),
        ("-5points", "cannot be read"),
        ("1e3points", "cannot be read"),
        ("5 apples", "cannot be read"),
        ("nan points", "cannot be read"),
        ("٥points", "cannot be read"),
        ("9" * 13 + "points", "cannot be read"),
        ("0points", "buys nothing"),
        ("0.0h", "buys nothing"),
        ("101%images", "no more than 100 %"),
        ("2.5points", "must be a whole number"),
        ("1.5images", "must be a whole number"),
    ],
)
def test_what_is_no_budget_is_refused_with_examples(text, message):
    with pytest.raises(BudgetError, match=message):
        Budget.parse(text)
    if "cannot" in message:
        with pytest.raises(BudgetError, match="50points/image, 2000points, 15images, 5%images, 2h, 30min, 45s"):
            Budget.parse(text)


def test_a_budget_over_a_pool_that_does_not_fit():
    with pytest.raises(BudgetError, match="only 10 frames"):
        Budget.parse("15images").total_images(10, COST)
    with pytest.raises(BudgetError, match="buys no point; one takes 3 s"):
        Budget.parse("2s").total_points(10, COST)
    with pytest.raises(BudgetError, match="no frame"):
        Budget.parse("2h").human_seconds(0, COST)


def test_human_seconds():
    assert Budget.parse("50points/image").human_seconds(4, COST) == 600
    assert Budget.parse("5%images").human_seconds(40, COST) == 9000
    assert Budget.parse("0.5h").human_seconds(4, COST) == 1800
    assert Budget.parse("2h").kind is BudgetKind.SECONDS


def test_points_near_an_edge_count_by_their_share():
    cost = CostModel(edge_share=0.25)
    assert cost.expected("point") == pytest.approx(0.75 * 3 + 0.25 * 6) and cost.each("point") == 3
    assert cost.seconds("point", 100) == pytest.approx(375) and cost.seconds("region", 2) == 50
    assert Budget.parse("375s").total_points(1, cost) == 100


def test_overlap_and_gold_cost_extra():
    cost = CostModel(overlap=0.1, gold=0.1)
    assert cost.seconds("point", 100) == pytest.approx(360)
    assert Budget.parse("1h").total_points(1, cost) == 1000
    assert Budget.parse("6600s").total_points(1, CostModel(overlap=0.1)) == 2000
    assert cost.seconds("image", 2) == 9000, "people's own tools ask nothing twice"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(CostModel)])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_cost_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=f"{field} = "):
        CostModel(**{field: value})


def test_limits_of_the_cost_model():
    for wrong in ({"point_s": 0.0}, {"ambiguous_rate": 1.01}):
        with pytest.raises(ConfigError):
            CostModel(**wrong)
    CostModel(ambiguous_rate=1.0, boundary_px=0)
    with pytest.raises(UnknownNameError, match="Did you mean 'region'"):
        COST.each("regions")
    assert COST.each(QueryKind.POINT) == 3.0


def test_the_ledger_sums_by_kind_in_any_order():
    queries = [Query(str(n), "a", QueryKind.POINT, "s", 0.0, Point(0, n)) for n in range(10)]
    queries.append(Query("i", "a", QueryKind.IMAGE, "s", 0.0))
    answers = [Answer(str(n), Verdict.SKIP, None, "ann", 0.1) for n in range(10)]
    answers.append(Answer("i", Verdict.SKIP, None, "ann", 1e9))
    ledger = Ledger.of(queries, answers)
    assert ledger == Ledger.of(queries, answers[::-1])
    assert dict(ledger.seconds) == {"image": 1e9, "point": 1.0}
    assert (ledger.total_answers, ledger.total_s) == (11, 1e9 + 1)
    assert (ledger + ledger).answers == {"image": 2, "point": 20}
    assert ledger + Ledger() == ledger


def test_answers_given_twice_count_twice():
    queries = [Query("q", "a", QueryKind.IMAGE, "s", 0.0)]
    answers = [Answer("q", Verdict.SKIP, None, "ann", 2.0), Answer("q", Verdict.CLASS, 0, "ann", 3.0)]
    assert Ledger.of(queries, answers).seconds == {"image": 5.0}


def test_an_answer_to_nothing_is_refused():
    with pytest.raises(AnswerError, match="answer to q of ann: there is no such query"):
        Ledger.of([], [Answer("q", Verdict.SKIP, None, "ann", 2.0)])


@pytest.mark.parametrize("text", ["30points", "2.5points/image", "90s", "15min", "1images", "20%images"])
@pytest.mark.parametrize("points", [1, 3, 7])
def test_less_leaves_exactly_the_other_points(text, points):
    budget = Budget.parse(text)
    left = budget.less(points, 12, COST)
    assert left.total_points(12, COST) == budget.total_points(12, COST) - points
    assert (left.kind is BudgetKind.POINTS) == (budget.kind in (BudgetKind.POINTS, BudgetKind.POINTS_PER_IMAGE))
