"""The losses of the reconstruction network against loops written from their definitions; hidden pixels have no say."""

import math

import numpy as np
import pytest
import torch

from frugalseg.propagation.flow import Flow
from frugalseg.propagation.sdc_loss import (
    EDGE,
    HOME_PX2,
    HOME_SHARE,
    SOFT,
    SSIM_1,
    SSIM_2,
    STRUCTURE,
    loss_of,
    photometric,
    roughness,
    ssim,
    visible_in,
)
from frugalseg.propagation.sdc_net import halves, warp
from frugalseg.propagation.warp import warp_picture

HEIGHT, WIDTH = 7, 9


def images(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((2, channels, HEIGHT, WIDTH), np.float32))


def flows(seed: int, px: float = 3.0) -> torch.Tensor:
    return (images(seed, 2) - 0.5) * 2 * px


def mask(seed: int) -> torch.Tensor:
    return (images(seed, 1) > 0.4).float()


def read(image_CHW: np.ndarray, column: float, row: float) -> np.ndarray:
    """Bilinear, the outermost pixels repeated."""
    column, row = min(max(column, 0), WIDTH - 1), min(max(row, 0), HEIGHT - 1)
    left, top = min(int(column), WIDTH - 2), min(int(row), HEIGHT - 2)
    right, below = column - left, row - top
    upper = (1 - right) * image_CHW[:, top, left] + right * image_CHW[:, top, left + 1]
    lower = (1 - right) * image_CHW[:, top + 1, left] + right * image_CHW[:, top + 1, left + 1]
    return (1 - below) * upper + below * lower


def test_warping_against_a_naive_loop_and_against_the_one_of_pictures() -> None:
    source, flow = images(0), flows(1)
    found = warp(source, flow).numpy()
    for n, row, column in np.ndindex(2, HEIGHT, WIDTH):
        right, down = flow[n, :, row, column].tolist()
        assert found[n, :, row, column] == pytest.approx(read(source[n].numpy(), column + right, row + down), abs=1e-5)
    picture = (source[0] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    other = warp_picture(picture, Flow.of(flow[0].permute(1, 2, 0).numpy()))
    ours = warp(torch.from_numpy(picture).permute(2, 0, 1)[None].float(), flow[:1])[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - other).max() < 5, "OpenCV reads at 32nds of a pixel"


def test_visible_against_a_naive_loop() -> None:
    flow, back = flows(2, 2.0), -flows(2, 2.0) + flows(3, 0.6)
    found = visible_in(flow, back)[:, 0].bool().numpy()
    for n, row, column in np.ndindex(2, HEIGHT, WIDTH):
        right, down = flow[n, :, row, column].tolist()
        at = column + right, row + down
        inside = -0.5 <= at[0] < WIDTH - 0.5 and -0.5 <= at[1] < HEIGHT - 0.5
        home = read(back[n].numpy(), *at)
        away = (right + home[0]) ** 2 + (down + home[1]) ** 2
        limit = HOME_SHARE * (right**2 + down**2 + home[0] ** 2 + home[1] ** 2) + HOME_PX2
        assert found[n, row, column] == (inside and away <= limit)
    assert 0.05 < found.mean() < 0.95
    unchecked = visible_in(flow, None)[:, 0].bool().numpy()
    assert (unchecked >= found).all() and unchecked.sum() > found.sum() and not unchecked.all()


def naive_ssim(one: np.ndarray, other: np.ndarray, visible: np.ndarray, row: int, column: int) -> float:
    places = [(r, c) for r in range(row - 1, row + 2) for c in range(column - 1, column + 2)]
    seen = [(r, c) for r, c in places if 0 <= r < HEIGHT and 0 <= c < WIDTH and visible[r, c]]
    x, y = (np.array([image[place] for place in seen], np.float64) for image in (one, other))
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    above = (2 * x.mean() * y.mean() + SSIM_1) * (2 * covariance + SSIM_2)
    return above / ((x.mean() ** 2 + y.mean() ** 2 + SSIM_1) * (x.var() + y.var() + SSIM_2))


def test_structure_and_the_photometric_loss_against_a_naive_loop() -> None:
    target, warped, visible = images(4), images(5), mask(6)
    found, misfits = ssim(target, warped, visible), []
    for n, row, column in np.ndindex(2, HEIGHT, WIDTH):
        if not visible[n, 0, row, column]:
            continue
        one, other = target[n].double().numpy(), warped[n].double().numpy()
        own = [naive_ssim(one[c], other[c], visible[n, 0].numpy(), row, column) for c in range(3)]
        assert found[n, :, row, column].tolist() == pytest.approx(own, abs=1e-4)
        colour = np.mean([math.sqrt((one[c, row, column] - other[c, row, column]) ** 2 + SOFT**2) for c in range(3)])
        misfits.append(STRUCTURE * (1 - np.mean(own)) / 2 + (1 - STRUCTURE) * colour)
    assert float(photometric(target, warped, visible)) == pytest.approx(np.mean(misfits), abs=1e-4)
    assert float(photometric(target, target, visible)) == pytest.approx((1 - STRUCTURE) * SOFT, abs=1e-5)
    assert float(photometric(target, warped, torch.zeros_like(visible))) == 0


def test_roughness_against_a_naive_loop() -> None:
    flow, target = flows(7), images(8)
    steps: dict[int, list[float]] = {0: [], 1: []}
    for n, row, column in np.ndindex(2, HEIGHT, WIDTH):
        for axis, (r, c) in enumerate(((row + 1, column), (row, column + 1))):
            if r < HEIGHT and c < WIDTH:
                edge = float((target[n, :, r, c] - target[n, :, row, column]).abs().mean())
                for bend in (flow[n, :, r, c] - flow[n, :, row, column]).tolist():
                    steps[axis].append(math.exp(-EDGE * edge) * math.sqrt(bend**2 + SOFT**2))
    assert float(roughness(flow, target)) == pytest.approx(sum(map(np.mean, steps.values())) / 2, rel=1e-4)


def test_hidden_pixels_have_no_say_and_nothing_pulls_on_their_flow() -> None:
    target, source, visible = images(9), images(10), mask(11)
    flow = flows(12, 1.0).requires_grad_()
    loss = photometric(target, warp(source, flow), visible)
    loss.backward()
    assert flow.grad is not None and (flow.grad[(visible == 0).expand_as(flow)] == 0).all()
    assert (flow.grad[(visible == 1).expand_as(flow)] != 0).float().mean() > 0.8
    strange = torch.where(visible == 1, target, images(13))
    assert float(photometric(strange, warp(source, flow), visible).detach()) == pytest.approx(
        float(loss.detach()), abs=1e-6
    )


def test_the_loss_is_the_mean_over_sizes_and_leaves_out_what_the_way_back_does_not_lead_home_from() -> None:
    target, source = images(14), images(15)
    sizes = [flows(16, 1.0)[..., :4, :5], flows(17, 1.0)]
    backs = [-sizes[0], -sizes[1] + 1.5 * (mask(18) > 0)]
    expected = 0.0
    coarse = [halves(x, 1)[1] for x in (target, source)]
    for (one, other), flow, back in zip((coarse, (target, source)), sizes, backs, strict=True):
        expected += float(photometric(one, warp(other, flow), visible_in(flow, back)) + 0.3 * roughness(flow, one)) / 2
    assert float(loss_of(target, source, sizes, backs, 0.3, check=True)) == pytest.approx(expected, abs=1e-6)
    assert float(loss_of(target, source, sizes, backs, 0.3, check=False)) != pytest.approx(expected, abs=1e-4)
