import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.acquisition.grid import CANDIDATE, Grid, Shortlist, draw, draw_in, draw_in_cells, exact_shares
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import generator, key_hash
from frugalseg.core.errors import BudgetError, DataError
from frugalseg.core.records import Region


def view(size_HW, key="a", seed=0, askable=None):
    entropy = generator(seed, "entropy", key).random(size_HW, dtype=np.float32)
    return FrameView(key, entropy, np.zeros(size_HW, np.uint8), askable)


def cells(grid, size_HW):
    down, across = grid.edges(size_HW)
    return [grid.cell(size_HW, number) for number in range((len(down) - 1) * (len(across) - 1))]


def test_the_papers_grid_has_64_by_64_cells():
    grid = Grid(8, 16)
    assert {(cell.height, cell.width) for cell in cells(grid, (512, 1024))} == {(64, 64)}
    assert grid.cell((512, 1024), 17) == Region(64, 64, 64, 64)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
def test_cells_cover_every_pixel_once_and_are_alike(rows, columns, height, width):
    seen = np.zeros((height, width), int)
    regions = cells(Grid(rows, columns), (height, width))
    for cell in regions:
        seen[cell.slices] += 1
    assert (seen == 1).all()
    assert len(regions) == min(rows, height) * min(columns, width)
    assert max(cell.height for cell in regions) - min(cell.height for cell in regions) <= 1
    assert max(cell.width for cell in regions) - min(cell.width for cell in regions) <= 1


def test_a_cells_mean_by_hand():
    entropy = np.array([[0.0, 1.0, 0.5], [0.5, 0.5, 0.25]], np.float32)
    askable = np.array([[True, True, False], [True, False, False]])
    grid = Grid(1, 2)  # columns 0 | 1, 2
    assert grid.mean(FrameView("a", entropy, entropy.astype(np.uint8)), entropy).tolist() == [0.25, 0.5625]
    masked = FrameView("a", entropy, entropy.astype(np.uint8), askable)
    assert grid.mean(masked, entropy).tolist() == [0.25, 1.0]
    assert grid.askable_pixels(masked).tolist() == [2, 1]
    nothing = FrameView("a", entropy, entropy.astype(np.uint8), np.zeros((2, 3), bool))
    assert grid.mean(nothing, entropy).tolist() == [0.0, 0.0]
    assert grid.askable_pixels(nothing).tolist() == [0, 0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size_HW", [(24, 32), (23, 37), (5, 40), (3, 2)])
def test_the_mean_equals_a_loop_over_pixels(size_HW, masked):
    frame = view(size_HW, askable=generator(1, "mask").random(size_HW) < 0.7 if masked else None)
    grid = Grid(8, 16)
    for number, cell in enumerate(cells(grid, size_HW)):
        values = [
            float(frame.entropy_HW[row, column])
            for row in range(cell.top, cell.top + cell.height)
            for column in range(cell.left, cell.left + cell.width)
            if frame.askable_HW is None or frame.askable_HW[row, column]
        ]
        assert grid.askable_pixels(frame)[number] == len(values)
        assert grid.mean(frame, frame.entropy_HW)[number] == pytest.approx(sum(values) / max(len(values), 1), abs=2e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0])
def test_equal_cells_tie_exactly_whatever_their_size(value):
    frame = FrameView("a", np.full((23, 37), value, np.float32), np.zeros((23, 37), np.uint8))
    assert len(set(Grid(8, 16).mean(frame, frame.entropy_HW).tolist())) == 1


def test_the_mean_does_not_depend_on_the_order_of_pixels():
    frame = view((16, 16))
    turned = FrameView("a", frame.entropy_HW[::-1, ::-1], frame.prediction_HW)
    assert Grid(1, 1).mean(frame, frame.entropy_HW) == Grid(1, 1).mean(turned, turned.entropy_HW)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_draws_are_different_and_a_larger_count_only_appends(first, second, seed):
    population = 60
    drawn = draw(generator(seed, "draw"), population, max(first, second)).tolist()
    assert len(set(drawn)) == len(drawn) and all(0 <= number < population for number in drawn)
    assert draw(generator(seed, "draw"), population, min(first, second)).tolist() == drawn[: min(first, second)]


def test_all_orders_are_equally_likely():
    rng = generator(0, "orders")
    rounds = 6000
    counts = dict.fromkeys(itertools.permutations(range(4), 2), 0)
    for _ in range(rounds):
        counts[tuple(draw(rng, 4, 2).tolist())] += 1
    expected = rounds / len(counts)
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 31.3  # 11 degrees of freedom, p = 0.001


def test_points_of_a_region_are_askable_and_all_of_them_when_many_are_wanted():
    askable = np.zeros((6, 8), bool)
    askable[2, 3] = askable[3, 5] = askable[0, 0] = True
    points = draw_in(view((6, 8), askable=askable), Region(1, 2, 4, 5), generator(0), 9)
    assert sorted(zip(points["row"], points["column"], strict=True)) == [(2, 3), (3, 5)]
    everywhere = draw_in(view((6, 8)), Region(1, 2, 4, 5), generator(0), 99)
    assert len(everywhere) == 20
    assert everywhere["row"].min() == 1 and everywhere["row"].max() == 4
    assert everywhere["column"].min() == 2 and everywhere["column"].max() == 6


def test_cells_get_their_points_in_order_and_more_only_when_all_have_theirs():
    grid, ranked = Grid(1, 3), np.array([2, 0, 1])
    askable = np.ones((2, 12), bool)
    askable[:, :4] = False
    askable[0, 0] = True  # cell 0 has one pixel to ask about
    frame = view((2, 12), askable=askable)

    def order(count):
        return draw_in_cells(frame, grid, ranked, 3, count, lambda cell: generator(0, cell))["cell"].tolist()

    assert order(5) == [2, 2, 2, 0, 1]
    assert order(11) == [2, 2, 2, 0, 1, 1, 1, 2, 2, 2, 1]
    assert sorted(order(99)) == [0] + 8 * [1] + 8 * [2]
    assert order(0) == []


def test_points_of_a_cell_do_not_depend_on_its_rank():
    grid, frame = Grid(2, 2), view((20, 20))

    def points(ranked):
        drawn = draw_in_cells(frame, grid, np.array(ranked), 5, 10, lambda cell: generator(0, cell))
        return drawn[drawn["cell"] == 3].tolist()

    assert points([3, 1]) == points([1, 3]) != []


def test_shares_by_hand():
    assert exact_shares(6, {"a": 9, "b": 9, "c": 9}) == {"a": 2, "b": 2, "c": 2}
    assert exact_shares(0, {"a": 9}) == {"a": 0}
    assert exact_shares(0, {}) == {}
    assert exact_shares(9, {"a": 1, "b": 9, "c": 9}) == {"a": 1, "b": 4, "c": 4}
    assert exact_shares(99, {"a": 1, "b": 9}) == {"a": 1, "b": 9}


def test_what_does_not_divide_goes_to_the_smallest_hashes():
    keys = ["a", "b", "c", "d"]
    first, second, third, fourth = sorted(keys, key=key_hash)
    assert exact_shares(10, dict.fromkeys(keys, 9)) == {first: 3, second: 3, third: 2, fourth: 2}
    assert exact_shares(1, dict.fromkeys(reversed(keys), 9)) == {first: 1, second: 0, third: 0, fourth: 0}


@given(st.integers(0, 200), st.lists(st.integers(0, 30), max_size=12))
def test_shares_are_exact_and_as_even_as_the_offers_allow(total, offers):
    offered = {f"frame{number}": count for number, count in enumerate(offers)}
    shares = exact_shares(total, offered)
    assert sum(shares.values()) == min(total, sum(offers))
    assert all(0 <= shares[key] <= offered[key] for key in offered)
    free = [shares[key] for key in offered if shares[key] < offered[key]]
    assert not free or max(shares.values()) - min(free) <= 1
    more = exact_shares(total + 1, offered)
    assert all(more[key] >= shares[key] for key in offered)


def offer(shortlist, key, points):
    candidates = np.zeros(points, CANDIDATE)
    candidates["column"] = np.arange(points)
    shortlist.offer(view((1, 500), key), candidates)


def test_a_shortlist_keeps_twice_the_share_and_no_more():
    shortlist = Shortlist("random_points", 0, total=99, frames=10)
    assert shortlist.depth == 20
    offer(shortlist, "a", 500)
    assert len(shortlist._offers["a"][1]) == 20
    assert shortlist._offers["a"][1].base is None  # or all 500 would stay in memory


def test_frames_make_up_for_each_other_up_to_one_half():
    shortlist = Shortlist("random_points", 0, total=40, frames=4)
    for key, points in {"a": 0, "b": 99, "c": 0, "d": 99}.items():
        offer(shortlist, key, points)
    assert [query.key for query in shortlist.queries()] == 20 * ["b"] + 20 * ["d"]


def test_too_few_pixels_are_named():
    shortlist = Shortlist("random_points", 0, total=40, frames=4)
    for key, points in {"a": 0, "b": 99, "c": 3, "d": 7}.items():
        offer(shortlist, key, points)
    with pytest.raises(BudgetError, match="10 of the budget's 40 points find no place.* in a, c, d. Lower the budget"):
        shortlist.queries()


def test_a_frame_twice_and_a_frame_short_are_refused():
    shortlist = Shortlist("random_points", 0, total=4, frames=2)
    offer(shortlist, "a", 9)
    with pytest.raises(DataError, match="frame a was scored twice"):
        offer(shortlist, "a", 9)
    with pytest.raises(DataError, match="1 of 2 frames"):
        shortlist.queries()
