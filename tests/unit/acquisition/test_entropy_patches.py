import numpy as np
import pytest

from frugalseg.acquisition.entropy_patches import EntropyPatches, EntropyPatchesConfig
from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.core.chance import generator
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Point, Region, Verdict


def select(views, budget, seed=0, **config):
    selector = EntropyPatches(EntropyPatchesConfig(**config), Budget.parse(budget), len(views), CostModel(), seed)
    for view in views:
        selector.see(view)
    return selector.finish()


def frame(entropy_HW, key="a", askable=None):
    return FrameView(key, entropy_HW.astype(np.float32), np.zeros(entropy_HW.shape, np.uint8), askable)


def naive_top_cells(entropy_HW, rows, columns, k):
    """Equations 5 (as a mean) and 6, pixel by pixel: the k cells of highest mean entropy as (top, left)."""
    height, width = entropy_HW.shape
    means = []
    for row in range(rows):
        for column in range(columns):
            top, bottom = row * height // rows, (row + 1) * height // rows
            left, right = column * width // columns, (column + 1) * width // columns
            total = 0.0
            for y in range(top, bottom):
                for x in range(left, right):
                    total += float(entropy_HW[y, x])
            means.append((total / ((bottom - top) * (right - left)), top, left))
    return {(top, left): mean for mean, top, left in sorted(means, reverse=True)[:k]}


@pytest.mark.parametrize("size_HW", [(64, 128), (45, 61)])
def test_it_equals_a_loop_over_equations_5_and_6(size_HW):
    for seed in range(5):
        entropy = generator(seed, "entropy").random(size_HW, dtype=np.float32)
        queries = select([frame(entropy)], "50points/image")
        expected = naive_top_cells(entropy, 8, 16, 10)
        asked = {(query.cell.top, query.cell.left): query.score for query in queries}
        assert asked == pytest.approx(expected, abs=1e-6)
        assert [query.score for query in queries] == sorted((query.score for query in queries), reverse=True)


def test_every_selected_cell_gets_its_points():
    queries = select([frame(generator(0).random((64, 128)))], "50points/image")
    cells = [query.cell for query in queries]
    assert {cells.count(cell) for cell in cells} == {5}
    for query in queries:
        assert query.cell.top <= query.point.row < query.cell.top + query.cell.height
        assert query.cell.left <= query.point.column < query.cell.left + query.cell.width


def test_the_mean_makes_ragged_cells_comparable():
    entropy = np.full((1, 5), 0.5)  # cells: columns 0-1 and 2-4; by the sum the wider one would win
    entropy[0, 0] = 0.6
    (query,) = select([frame(entropy)], "1points/image", rows=1, columns=2, points_per_cell=1)
    assert query.cell == Region(0, 0, 1, 2)
    assert query.score == pytest.approx(0.55)


def test_a_masked_car_neither_raises_nor_lowers_a_score():
    entropy = np.array([[1.0, 0.2, 0.5, 0.5]])
    askable = np.array([[False, True, True, True]])
    (query,) = select([frame(entropy, askable=askable)], "1points/image", rows=1, columns=2, points_per_cell=1)
    assert query.cell == Region(0, 2, 1, 2)


def test_what_does_not_divide_goes_to_the_next_best_cell():
    entropy = np.repeat([0.1, 0.9, 0.5, 0.7], 10)[None]
    queries = select([frame(entropy)], "12points/image", rows=1, columns=4)
    assert [query.cell.left for query in queries] == 5 * [10] + 5 * [30] + 2 * [20]


def test_ties_are_broken_by_the_frames_key_not_by_position():
    flat = np.full((64, 128), 0.5)
    firsts = {select([frame(flat, key=f"f{n}")], "1points/image")[0].cell for n in range(12)}
    assert len(firsts) > 8
    same = [select([frame(flat, key="f0")], "50points/image", seed=seed) for seed in (0, 1)]
    assert {query.cell for query in same[0]} == {query.cell for query in same[1]}
    assert {query.point for query in same[0]} != {query.point for query in same[1]}


def test_points_are_uniform_in_their_cell():
    entropy = np.zeros((4, 8))
    entropy[:, 4:] = 1
    counts = np.zeros((4, 8), int)
    for seed in range(800):
        for query in select([frame(entropy)], "2points/image", seed=seed, rows=1, columns=2, points_per_cell=2):
            counts[query.point.row, query.point.column] += 1
    expected = 800 * 2 / 16
    assert counts[:, :4].sum() == 0
    assert ((counts[:, 4:] - expected) ** 2 / expected).sum() < 37.7  # 15 degrees of freedom, p = 0.001


def test_a_change_elsewhere_leaves_the_points_of_a_cell_alone():
    entropy = np.repeat([0.1, 0.9, 0.5, 0.7], 10)[None]
    swapped = np.repeat([0.1, 0.7, 0.5, 0.9], 10)[None]
    first = select([frame(entropy)], "10points/image", rows=1, columns=4)
    second = select([frame(swapped)], "10points/image", rows=1, columns=4)
    assert {query.point for query in first} == {query.point for query in second}
    assert first[0].cell != second[0].cell


def test_full_labelling_of_the_paper_asks_in_every_cell():
    queries = select([frame(generator(0).random((64, 128)))], "640points/image")
    assert len({query.cell for query in queries}) == 128


def test_a_cell_that_nobody_could_answer_for_is_not_asked_again():
    entropy = np.full((64, 128), 0.5)
    entropy[8:16, 8:16], entropy[40:48, 40:48] = 0.9, 0.8  # two cells of the grid
    first = select([frame(entropy)], "5points/image")
    assert {query.cell for query in first} == {Region(8, 8, 8, 8)}

    def second(verdict, **config):
        asked = tuple(Asked(query.point, verdict) for query in first)
        again = FrameView("a", entropy.astype(np.float32), np.zeros(entropy.shape, np.uint8), asked=asked)
        return {query.cell: query.score for query in select([again], "5points/image", **config)}

    assert second(Verdict.CLASS) == {Region(8, 8, 8, 8): pytest.approx(0.9)}
    assert second(Verdict.AMBIGUOUS) == {Region(40, 40, 8, 8): pytest.approx(0.8)}
    assert second(Verdict.AMBIGUOUS, ambiguous_radius_px=0) == {Region(8, 8, 8, 8): pytest.approx(0.9)}


def test_entropy_around_an_ambiguous_answer_counts_less_before_the_mean():
    entropy = np.array([[0.5, 0.8, 0.4, 0.1, 0.1, 0.1]], np.float32)
    asked = (Asked(Point(0, 0), Verdict.AMBIGUOUS),)
    doubted = FrameView("a", entropy, np.zeros(entropy.shape, np.uint8), asked=asked)
    (query,) = select([doubted], "1points/image", rows=1, columns=2, points_per_cell=1, ambiguous_radius_px=1)
    expected = (0.8 * (1 - np.exp(-0.5)) + 0.4 * (1 - np.exp(-2))) / 2  # the pixel that was asked does not count
    assert query.cell == Region(0, 0, 1, 3) and query.score == pytest.approx(expected, rel=1e-6)
