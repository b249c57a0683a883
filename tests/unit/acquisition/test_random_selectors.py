import numpy as np

from frugalseg.acquisition.random_patches import RandomPatches, RandomPatchesConfig
from frugalseg.acquisition.random_points import RandomPoints, RandomPointsConfig
from frugalseg.acquisition.view import FrameView
from frugalseg.core.cost import Budget, CostModel


def frame(size_HW, key="a", askable=None, entropy=0.5):
    return FrameView(key, np.full(size_HW, entropy, np.float32), np.zeros(size_HW, np.uint8), askable)


def patches(view, budget, seed, **config):
    selector = RandomPatches(RandomPatchesConfig(**config), Budget.parse(budget), 1, CostModel(), seed)
    selector.see(view)
    return selector.finish()


def points(view, budget, seed):
    selector = RandomPoints(RandomPointsConfig(), Budget.parse(budget), 1, CostModel(), seed)
    selector.see(view)
    return selector.finish()


def test_random_patches_ask_in_ten_cells_five_points_each():
    cells = [query.cell for query in patches(frame((64, 128)), "50points/image", 0)]
    assert len(set(cells)) == 10
    assert {cells.count(cell) for cell in cells} == {5}


def test_all_cells_are_equally_likely_but_for_those_without_a_pixel_to_ask():
    askable = np.ones((4, 16), bool)
    askable[:, :8] = False
    askable[0, 7] = True  # the second cell has one pixel, and is as likely as a full one
    counts = dict.fromkeys((4, 8, 12), 0)
    for seed in range(900):
        (query,) = patches(frame((4, 16), askable=askable), "1points/image", seed, rows=1, columns=4)
        counts[query.cell.left] += 1
    assert sum((count - 300) ** 2 / 300 for count in counts.values()) < 13.8  # 2 degrees of freedom, p = 0.001


def test_random_selectors_do_not_look_at_the_entropy():
    calm, torn = frame((64, 128)), frame((64, 128), entropy=0.9)
    assert patches(calm, "50points/image", 0) == patches(torn, "50points/image", 0)
    assert points(calm, "50points/image", 0) == points(torn, "50points/image", 0)


def test_random_points_are_uniform_over_the_askable_pixels_and_have_no_cell():
    askable = np.ones((3, 8), bool)
    askable[2] = False
    counts = np.zeros((3, 8), int)
    for seed in range(800):
        for query in points(frame((3, 8), askable=askable), "2points/image", seed):
            assert query.cell is None
            counts[query.point.row, query.point.column] += 1
    assert counts[2].sum() == 0
    assert ((counts[:2] - 100) ** 2 / 100).sum() < 37.7  # 15 degrees of freedom, p = 0.001
