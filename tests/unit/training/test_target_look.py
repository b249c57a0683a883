"""Fourier domain adaptation against the discrete transform written out, its limits and its invariances."""

import numpy as np
import pytest
import torch

from frugalseg.training.target_look import slow_waves, with_look, with_target_looks


def image(seed: int, height: int = 6, width: int = 9) -> torch.Tensor:
    return 0.3 + 0.4 * torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def naive(source: np.ndarray, target: np.ndarray, most: int) -> np.ndarray:
    """Equation 3 from the definition of the transform: one wave after the other."""
    height, width = source.shape
    rows, columns = np.mgrid[:height, :width]
    result = np.zeros((height, width), complex)
    for u in range(height):
        for v in range(width):
            wave = np.exp(-2j * np.pi * (u * rows / height + v * columns / width))
            own, other = (source * wave).sum(), (target * wave).sum()
            slow = min(u, height - u) <= most and min(v, width - v) <= most
            amplitude = abs(other) if slow else abs(own)
            result += amplitude * np.exp(1j * np.angle(own)) * wave.conj()
    return (result / (height * width)).real


@pytest.mark.parametrize(("size", "band", "most"), [((6, 9), 0.2, 1), ((8, 8), 0.3, 2), ((7, 10), 0.5, 3)])
def test_the_look_is_equation_3(size: tuple[int, int], band: float, most: int) -> None:
    source, target = image(1, *size), image(2, *size)
    expected = np.stack([naive(s, t, most) for s, t in zip(source.numpy(), target.numpy(), strict=True)])
    found = with_look(source, target, band, 1.0)
    np.testing.assert_allclose(found.numpy(), expected.clip(0, 1), atol=1e-6)


def test_limits() -> None:
    source, target = image(1), image(2)
    torch.testing.assert_close(with_look(source, source, 0.2, 1.0), source)
    torch.testing.assert_close(with_look(source, target, 0.2, 0.0), source)
    half, whole = with_look(source, target, 0.2, 0.5), with_look(source, target, 0.2, 1.0)
    torch.testing.assert_close(half, (source + whole) / 2)
    bright = with_look(source, torch.ones_like(source), 0.01, 1.0)
    assert bright.min() >= 0 and bright.max() <= 1
    torch.testing.assert_close(with_look(source.flip(0), target.flip(0), 0.2, 1.0), whole.flip(0))  # bands permute


def test_the_mean_colour_becomes_the_targets() -> None:
    source, target = 0.5 + 0.1 * (image(1) - 0.5), 0.6 + 0.1 * (image(2) - 0.5)  # far from 0 and 1: nothing is cut
    found = with_look(source, target, 0.01, 1.0)
    torch.testing.assert_close(found.mean((1, 2)), target.mean((1, 2)))


def test_the_band_is_a_square_around_the_slowest_wave() -> None:
    slow = slow_waves(8, 10, 0.3)
    assert slow.shape == (8, 6)
    assert slow.int().tolist() == [[1, 1, 1, 0, 0, 0]] * 3 + [[0] * 6] * 3 + [[1, 1, 1, 0, 0, 0]] * 2


def test_how_often_and_from_whom() -> None:
    sources, targets = torch.stack([image(seed) for seed in range(40)]), torch.stack([image(90), image(91)])

    def generators() -> list[np.random.Generator]:
        return [np.random.default_rng(seed) for seed in range(40)]

    found = with_target_looks(sources, targets, 0.5, 0.2, generators())
    changed = (found != sources).flatten(1).any(dim=1)
    assert 10 < int(changed.sum()) < 30
    assert torch.equal(found, with_target_looks(sources, targets, 0.5, 0.2, generators()))
    assert torch.equal(sources, with_target_looks(sources, targets, 0.0, 0.2, generators()))
    assert (with_target_looks(sources, targets, 1.0, 0.2, generators()) != sources).flatten(1).any(dim=1).all()
