"""Flow on the target's grid: places out of view are marked, composing is reading one flow along the other."""

import numpy as np
import pytest

from frugalseg.core.errors import DataError
from frugalseg.propagation.flow import FIXED_PER_PX, Flow, compose, inside, pick_nearest, places


def uniform(columns, rows, size_HW=(6, 8)):
    return Flow.of(np.broadcast_to(np.array([columns, rows], np.float32), (*size_HW, 2)))


def smooth_flow(seed, size_HW=(20, 30), px=3.0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size_HW[0], : size_HW[1]].astype(np.float32)
    a, b, c, d = rng.uniform(-px, px, 4)
    return Flow.of(np.stack([a + b * np.sin(rows / 7), c + d * np.cos(columns / 9)], axis=2))


def test_a_place_is_valid_up_to_half_a_pixel_beyond_the_outer_centres() -> None:
    columns = np.array([[-0.51, -0.5, 0, 7.49, 7.5, 3, 3, 3]], np.float32).repeat(2, 0)
    rows = np.zeros((2, 8), np.float32)
    rows[:, 5:] = [-0.6, -0.5, 1.5]
    assert inside(np.stack([columns, rows], axis=2))[0].tolist() == [False, True, True, True, False, False, True, False]


def test_flow_out_of_the_frame_or_unknown_is_marked() -> None:
    px = np.zeros((2, 3, 2), np.float32)
    px[0, 0] = [-1, 0]
    px[0, 1] = [np.nan, 0]
    px[1, 2] = [0, 0.4]
    flow = Flow.of(px)
    assert flow.valid_HW.tolist() == [[False, False, True], [True, True, True]]
    assert flow.px_HW2[0, 0].tolist() == [-1, 0], "the guess is kept: a direct flow may start from it"
    assert np.isfinite(flow.px_HW2).all()
    assert np.isnan(px[0, 1, 0]), "what was given is not changed"
    taken = Flow.of(px, copy=False)
    assert taken.px_HW2 is px and (px == flow.px_HW2).all() and (taken.valid_HW == flow.valid_HW).all()


def test_places_of_a_flow() -> None:
    columns, rows = np.moveaxis(places(uniform(2, -1).px_HW2), 2, 0)
    assert columns[3].tolist() == [2, 3, 4, 5, 6, 7, 8, 9] and rows[:, 0].tolist() == [-1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(("px", "mask"), [((2, 3, 2), (3, 2)), ((2, 3), (2, 3))])
def test_shapes_that_do_not_fit_are_refused(px, mask) -> None:
    with pytest.raises(DataError, match="expected height x width x 2 float32"):
        Flow(np.zeros(px, np.float32), np.ones(mask, bool))


def test_fixed_point_keeps_a_64th_of_a_pixel() -> None:
    flow = smooth_flow(1)
    back = Flow.from_fixed(flow.to_fixed())
    assert np.abs(back.px_HW2 - flow.px_HW2).max() <= 0.5 / FIXED_PER_PX
    assert Flow.from_fixed(back.to_fixed()).to_fixed().tolist() == flow.to_fixed().tolist()


def test_what_is_too_long_for_fixed_point_is_marked_and_not_cut_short() -> None:
    px = np.zeros((1, 1300, 2), np.float32)
    px[0, 0, 0], px[0, 1, 0] = 511.9, 512.1
    back = Flow.from_fixed(Flow.of(px).to_fixed())
    assert back.valid_HW[0, :3].tolist() == [True, False, True]
    assert back.px_HW2[0, 0, 0] == pytest.approx(511.9, abs=0.01)


def test_what_is_hidden_or_out_of_view_stays_marked_in_fixed_point() -> None:
    px = np.zeros((3, 4, 2), np.float32)
    px[1, 1] = np.nan  # hidden in the source
    px[0, 0] = [-2, 0]
    back = Flow.from_fixed(Flow.of(px).to_fixed())
    assert np.argwhere(~back.valid_HW).tolist() == [[0, 0], [1, 1]] and back.px_HW2[0, 0].tolist() == [-2, 0]


@pytest.mark.parametrize("odd", [None, 511.992, 511.993, -511.9, -600.0, np.nan])
def test_rounding_is_writing_and_reading_without_either(odd) -> None:
    px = np.random.default_rng(0).normal(0, 3, (40, 1300, 2)).astype(np.float32)
    px[0, :64, 0] = np.arange(-32, 32) / 128  # halves of a step, and what rounds to 0 from below
    if odd is not None:
        px[1, 650] = odd
    flow = Flow.of(px)
    back, rounded = Flow.from_fixed(flow.to_fixed()), flow.rounded()
    assert rounded.px_HW2.tobytes() == back.px_HW2.tobytes() and (rounded.valid_HW == back.valid_HW).all()


def naive_compose(near, far):
    height, width = near.size_HW
    px, valid = np.zeros((height, width, 2)), np.zeros((height, width), bool)
    for r in range(height):
        for c in range(width):
            column, row = c + near.px_HW2[r, c, 0], r + near.px_HW2[r, c, 1]
            column_, row_ = min(max(column, 0), width - 1), min(max(row, 0), height - 1)
            left, top = int(min(np.floor(column_), width - 2)), int(min(np.floor(row_), height - 2))
            x, y = column_ - left, row_ - top
            corner = far.px_HW2[top : top + 2, left : left + 2]
            far_px = (1 - y) * ((1 - x) * corner[0, 0] + x * corner[0, 1]) + y * (
                (1 - x) * corner[1, 0] + x * corner[1, 1]
            )
            px[r, c] = near.px_HW2[r, c] + far_px
            seen = near.valid_HW[r, c] and far.valid_HW[int(np.rint(row_)), int(np.rint(column_))]
            place = c + px[r, c, 0], r + px[r, c, 1]
            valid[r, c] = seen and -0.5 <= place[0] < width - 0.5 and -0.5 <= place[1] < height - 0.5
    return px, valid


def test_compose_against_a_naive_loop() -> None:
    for seed in range(5):
        near, far = smooth_flow(seed), smooth_flow(seed + 50)
        ours, (px, valid) = compose(near, far), naive_compose(near, far)
        assert np.abs(ours.px_HW2 - px).max() < 0.1  # OpenCV reads between pixels in 32nds
        assert (ours.valid_HW != valid).mean() < 0.01 and 0.3 < valid.mean() < 1


def test_uniform_flows_add_up_and_marks_are_never_lost() -> None:
    flow = compose(uniform(2, 0), uniform(-2, 1))
    assert (flow.px_HW2 == [0, 1]).all()
    # The last two columns were out of the middle frame's view, though the sum leads back inside; the last row leaves.
    expected = np.ones((6, 8), bool)
    expected[:, 6:] = expected[5] = False
    assert (flow.valid_HW == expected).all()


def test_a_still_flow_changes_nothing() -> None:
    flow = smooth_flow(3)
    for composed in (compose(flow, Flow.still(flow.size_HW)), compose(Flow.still(flow.size_HW), flow)):
        assert np.allclose(composed.px_HW2, flow.px_HW2, atol=1e-6) and (composed.valid_HW == flow.valid_HW).all()


def test_flows_of_two_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="one size"):
        compose(Flow.still((4, 5)), Flow.still((5, 4)))


def test_pick_nearest_against_a_naive_loop() -> None:
    source, flow = np.random.default_rng(0).integers(0, 200, (20, 30), np.uint8), smooth_flow(9)
    picked = pick_nearest(source, flow, 255)
    for r in range(20):
        for c in range(30):
            column, row = c + flow.px_HW2[r, c, 0], r + flow.px_HW2[r, c, 1]
            near_tie = (
                max(abs(column % 1 - 0.5), abs(row % 1 - 0.5)) < 0.02
                or min(abs(column % 1 - 0.5), abs(row % 1 - 0.5)) < 0.02
            )
            if not near_tie:
                expected = source[round(float(row)), round(float(column))] if flow.valid_HW[r, c] else 255
                assert picked[r, c] == expected
