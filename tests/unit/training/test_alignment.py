"""Equations 8 and 9 of MADA against loops written from the paper, by hand, and at their limits."""

import math

import pytest
import torch

from frugalseg.core.anchors import Anchors, ImageVectors, distances
from frugalseg.training.alignment import EPSILON, follow, soft_alignment, squared_distances
from frugalseg.training.image_vectors import Means


def some(seed: int, count: int, classes: int = 4, features: int = 3, absent: float = 0.4) -> Means:
    rng = torch.Generator().manual_seed(seed)
    present = torch.rand(count, classes, generator=rng) >= absent
    vectors = torch.randn(count, classes, features, generator=rng).masked_fill(~present[..., None], 0.0)
    return Means(vectors, present)


def copied(means: Means) -> Means:
    return Means(*(part.clone() for part in means))


def naive_distance(image: Means, anchor: Means) -> float:
    """The mean square over all numbers that both have; none in common: infinite."""
    squares = [
        float((image.vectors[c, f] - anchor.vectors[c, f]) ** 2)
        for c in range(image.vectors.shape[0])
        for f in range(image.vectors.shape[1])
        if image.present[c] and anchor.present[c]
    ]
    return sum(squares) / len(squares) if squares else math.inf


def row(means: Means, number: int) -> Means:
    return Means(means.vectors[number], means.present[number])


def naive_alignment(images: Means, anchors: Means) -> float:
    """Equation 9 for each image: V / Σ_v 1 / ‖F - A_v‖², over the anchors that can be compared; the mean of images."""
    losses = []
    for number in range(len(images.vectors)):
        apart = [naive_distance(row(images, number), row(anchors, v)) for v in range(len(anchors.vectors))]
        known = [one for one in apart if math.isfinite(one)]
        if known:
            losses.append(len(known) / sum(1 / (one + EPSILON) for one in known))
    return sum(losses) / len(losses) if losses else 0.0


def naive_follow(anchors: Means, images: Means, alpha: float) -> Means:
    """Equation 8, one image after the other, class by class."""
    anchors = copied(anchors)
    for number in range(len(images.vectors)):
        image = row(images, number)
        apart = [naive_distance(image, row(anchors, v)) for v in range(len(anchors.vectors))]
        if not math.isfinite(min(apart)):
            continue
        nearest = apart.index(min(apart))
        for c in range(images.vectors.shape[1]):
            if image.present[c] and anchors.present[nearest, c]:
                before = anchors.vectors[nearest, c].clone()
                anchors.vectors[nearest, c] = alpha * before + (1 - alpha) * image.vectors[c]
    return anchors


@pytest.mark.parametrize("seed", range(6))
def test_equations_equal_naive_loops(seed: int) -> None:
    images, anchors = some(seed, 5), some(seed + 100, 7)
    assert float(soft_alignment(images, anchors)) == pytest.approx(naive_alignment(images, anchors), rel=1e-5)
    expected = naive_follow(anchors, images, 0.9)
    follow(anchors, images, 0.9)
    torch.testing.assert_close(anchors.vectors, expected.vectors)
    assert torch.equal(anchors.present, expected.present)


def test_numbers_by_hand() -> None:
    """One class, one feature: an image at 0, anchors at 1 and 2: 2 / (1/1 + 1/4) = 1.6; the nearer one moves."""
    image = Means(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool))
    anchors = Means(torch.tensor([[[2.0]], [[1.0]]]), torch.ones(2, 1, dtype=torch.bool))
    assert float(soft_alignment(image, anchors)) == pytest.approx(1.6, rel=1e-5)
    follow(anchors, image, 0.75)
    assert anchors.vectors.flatten().tolist() == [2.0, 0.75]
    follow(anchors, image, 1.0)
    assert anchors.vectors.flatten().tolist() == [2.0, 0.75]


def test_distances_are_those_of_selection_over_the_number_of_features() -> None:
    images, anchors = some(1, 6), some(2, 4)
    apart, comparable = squared_distances(images, anchors)
    named = ImageVectors(tuple("abcdef"), images.vectors.numpy(), images.present.numpy())
    expected = distances(named, Anchors(anchors.vectors.numpy(), anchors.present.numpy(), torch.ones(4).long().numpy()))
    torch.testing.assert_close(apart[comparable].double(), torch.from_numpy(expected)[comparable] / 3)
    assert torch.equal(comparable, torch.from_numpy(expected).isfinite())


def gradient(images: Means, anchors: Means) -> torch.Tensor:
    vectors = images.vectors.clone().requires_grad_()
    (found,) = torch.autograd.grad(soft_alignment(Means(vectors, images.present), anchors), vectors)
    return found


def test_at_an_anchor_the_loss_is_nearly_zero_and_its_gradient_finite() -> None:
    anchors = some(0, 5, absent=0.0)
    images = Means(anchors.vectors[:2].clone(), anchors.present[:2])
    assert 0 < float(soft_alignment(images, anchors)) <= 5 * EPSILON
    assert float(gradient(images, anchors).abs().max()) < 1e-9, "it has arrived"
    near = Means(images.vectors + 1e-4, images.present)
    assert bool(gradient(near, anchors).isfinite().all()) and float(gradient(near, anchors).abs().sum()) > 0


def test_without_a_class_in_common_there_is_nothing_to_align() -> None:
    images, anchors = some(0, 3), some(1, 4)
    images.present[:, 2:], anchors.present[:, :2] = False, False
    before = anchors.vectors.clone()
    assert float(soft_alignment(images, anchors)) == 0 and not gradient(images, anchors).any()
    follow(anchors, images, 0.5)
    assert torch.equal(anchors.vectors, before)


def test_absent_classes_are_neither_pulled_nor_written_into_an_anchor() -> None:
    images, anchors = some(3, 4, absent=0.0), some(4, 3, absent=0.0)
    images.present[:, 1] = False
    images.vectors[:, 1] = 0.0
    assert not gradient(images, anchors)[:, 1].any()
    before = anchors.vectors.clone()
    for _ in range(200):
        follow(anchors, images, 0.9)
    assert torch.equal(anchors.vectors[:, 1], before[:, 1]), "a rare class does not fade"
    assert not torch.equal(anchors.vectors[:, 0], before[:, 0])


def test_every_image_of_a_batch_counts_and_their_order_does_not() -> None:
    images, anchors = some(5, 4), some(6, 3)
    turned = Means(*(part.flip(0) for part in images))
    torch.testing.assert_close(soft_alignment(turned, anchors), soft_alignment(images, anchors))
    apart = Means(torch.tensor([[[0.0]], [[10.0]]]), torch.ones(2, 1, dtype=torch.bool))
    moved = Means(torch.tensor([[[1.0]], [[9.0]]]), torch.ones(2, 1, dtype=torch.bool))
    follow(moved, apart, 0.5)
    assert moved.vectors.flatten().tolist() == [0.5, 9.5]


def test_of_equally_near_anchors_the_first_moves() -> None:
    image = Means(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool))
    anchors = Means(torch.tensor([[[1.0]], [[-1.0]]]), torch.ones(2, 1, dtype=torch.bool))
    follow(anchors, image, 0.0)
    assert anchors.vectors.flatten().tolist() == [0.0, -1.0]


def test_descent_draws_an_image_to_its_nearest_anchor() -> None:
    """The harmonic mean pulls most to what is near: unlike the mean of distances, whose least is between anchors."""
    anchors = Means(torch.tensor([[[0.0]], [[10.0]]]), torch.ones(2, 1, dtype=torch.bool))
    place = torch.tensor([[[3.0]]], requires_grad=True)
    for _ in range(200):
        (down,) = torch.autograd.grad(soft_alignment(Means(place, torch.ones(1, 1, dtype=torch.bool)), anchors), place)
        place = (place - 0.05 * down).detach().requires_grad_()
    assert abs(float(place.detach())) < 0.05
