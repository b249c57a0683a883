from types import ModuleType

import numpy as np
import pytest
import torch

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.training.feature_distance import FeatureDistance, deepest, masked_distance, thing_cells


def test_cells_equal_a_naive_count() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 12))
    labels[0, :4, :4], labels[1, 4:, 8:], labels[0, 4:, :3] = 1, 2, IGNORE
    labels[0, 0, 0] = 0  # 15 of 16 pixels
    cells = thing_cells(labels, (1, 2), (8, 12), (2, 3), 0.75)
    for n, row, column in np.ndindex(2, 2, 3):
        part = labels[n, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        share = max(float((part == thing).float().mean()) for thing in (1, 2))
        assert bool(cells[n, row, column]) == (share >= 0.75)
    assert cells[0, 0, 0] and cells[1, 1, 2]
    assert not thing_cells(labels, (0,), (8, 12), (2, 3), 0.75)[1, 1, 2]


def test_two_things_that_share_a_cell_do_not_count_together() -> None:
    labels = torch.tensor([[[1, 1], [2, 2]]])
    assert not thing_cells(labels, (1, 2), (2, 2), (1, 1), 0.75).any()
    assert thing_cells(labels, (1, 2), (2, 2), (1, 1), 0.5).all()


def test_padding_belongs_to_no_thing() -> None:
    labels = torch.ones(1, 4, 6, dtype=torch.int64)
    assert thing_cells(labels, (1,), (4, 8), (1, 2), 0.75).tolist() == [[[True, False]]]  # 2 of 4 columns are image


def test_the_distance_by_hand() -> None:
    one = torch.zeros(1, 2, 2, 2, requires_grad=True)
    other = torch.tensor([[[[3.0, 0.0], [0.0, 6.0]], [[4.0, 1.0], [0.0, 8.0]]]])
    cells = torch.tensor([[[True, False], [False, True]]])
    loss = masked_distance(one, other, cells)
    assert float(loss.detach()) == pytest.approx((5 + 10) / 2)
    (gradient,) = torch.autograd.grad(loss, one)
    assert gradient[0, :, 0, 0].tolist() == pytest.approx([-0.3, -0.4]) and (gradient[0, :, 0, 1] == 0).all()


def test_limits_of_the_distance() -> None:
    features = torch.randn(1, 3, 2, 2, requires_grad=True)
    everywhere = torch.ones(1, 2, 2, dtype=torch.bool)
    same = masked_distance(features, features.detach().clone(), everywhere)
    (gradient,) = torch.autograd.grad(same, features)
    assert float(same.detach()) == 0 and torch.isfinite(gradient).all()  # the root's slope at 0 is not infinite here
    assert float(masked_distance(features, features.detach(), ~everywhere).detach()) == 0


def test_it_compares_with_the_pretrained_encoder_and_never_changes_it(tiny_city: ModuleType) -> None:
    student, pretrained = tiny_city.network(), tiny_city.network(seed=3)
    before = tiny_city.weights(pretrained)
    distance = FeatureDistance(student, pretrained, ("road",), 0.75)
    images, labels = torch.rand(2, 3, 16, 24), torch.full((2, 16, 24), tiny_city.ROAD)
    labels[1] = tiny_city.SKY
    with distance.listen():
        student.train()(images)
    loss = distance.loss(labels)
    loss.backward()
    expected = [
        net.encoder(net._normalize(images))[:1] for net in (tiny_city.network().train(), pretrained.eval())
    ]  # the first image only: the second shows no road
    apart = torch.linalg.vector_norm(expected[0] - expected[1], dim=1).mean()
    assert float(loss.detach()) == pytest.approx(float(apart.detach()), rel=1e-5)
    assert tiny_city.same_weights(before, tiny_city.weights(pretrained))
    assert all(parameter.grad is None for parameter in pretrained.parameters())
    assert any(parameter.grad is not None for parameter in student.encoder.parameters())
    assert not student.encoder._forward_hooks  # nothing is left on the network


def test_it_says_what_it_needs(tiny_city: ModuleType) -> None:
    network = tiny_city.network()
    with pytest.raises(TrainingError, match="no class: lorry, bus. The classes are sky, building, road, sign"):
        FeatureDistance(network, network, ("lorry", "sign", "bus"), 0.75)
    with pytest.raises(TrainingError, match="pretrained trunk, and this project has none"):
        FeatureDistance(network, None, ("sign",), 0.75)


def test_the_deepest_of_several_maps_is_taken() -> None:
    maps = [torch.zeros(1, 3, 8, 8), torch.zeros(1, 6, 2, 2)]
    assert deepest(maps) is maps[1] and deepest(maps[0]) is maps[0]
    with pytest.raises(TrainingError, match="no feature map"):
        deepest([torch.zeros(1, 3)])
