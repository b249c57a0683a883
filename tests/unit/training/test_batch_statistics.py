import pytest
import torch
from torch import nn

from frugalseg.training.batch_statistics import DomainStatistics, batch_norms, recompute


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def images(mean: float, seed: int, number: int = 4) -> torch.Tensor:
    return torch.randn(number, 1, 5, 6, generator=torch.Generator().manual_seed(seed)) + mean


def buffers(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.named_buffers()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_each_domain_gets_what_it_would_have_got_alone() -> None:
    network, only_source, only_target = small(), small(), small()
    statistics = DomainStatistics(network, ("source", "target"), home="target")
    for step in range(3):
        source, target = images(-2.0, step), images(5.0, 100 + step)
        with statistics.use("source"):
            network(source)
        with statistics.use("target"):
            network(target)
        only_source(source)
        only_target(target)
    assert same(buffers(network), buffers(only_target))
    with statistics.use("source"):
        assert same(buffers(network), buffers(only_source))
    assert same(buffers(network), buffers(only_target))


def test_evaluation_reads_the_statistics_of_the_domain() -> None:
    network = small()
    statistics = DomainStatistics(network, ("source", "target"), home="target")
    with statistics.use("source"):
        network(images(10.0, 0))
    network.eval()
    image = images(0.0, 1)
    at_home = network(image)
    with statistics.use("source"):
        abroad = network(image)
    assert not torch.allclose(at_home, abroad)


def test_an_error_in_the_body_brings_the_home_statistics_back() -> None:
    network = small()
    before = buffers(network)
    statistics = DomainStatistics(network, ("source", "target"), home="target")
    with pytest.raises(RuntimeError, match="boom"), statistics.use("source"):
        network(images(3.0, 0))
        raise RuntimeError("boom")
    assert same(buffers(network), before)


def test_gradients_flow_through_both_domains() -> None:
    network = small()
    statistics = DomainStatistics(network, ("source", "target"), home="target")
    with statistics.use("source"):
        loss = network(images(1.0, 0)).square().mean()
    loss = loss + network(images(2.0, 1)).square().mean()
    loss.backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_state_survives_a_restart_and_is_no_alias() -> None:
    network = small()
    statistics = DomainStatistics(network, ("source", "target"), home="target")
    with statistics.use("source"):
        network(images(4.0, 0))
    saved = {
        domain: [{k: v.clone() for k, v in layer.items()} for layer in own]
        for domain, own in statistics.state().items()
    }
    with statistics.use("source"):
        network(images(-9.0, 1))
    fresh = small()
    restored = DomainStatistics(fresh, ("source", "target"), home="target")
    restored.load_state(saved)
    with restored.use("source"):
        assert torch.equal(fresh[1].running_mean, saved["source"][0]["running_mean"])
        assert int(fresh[1].num_batches_tracked) == 1


def test_layers_without_running_statistics_are_left_out() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False), nn.GroupNorm(1, 2))
    assert batch_norms(network) == [network[0]]


def test_recompute_equals_the_average_over_batches_computed_directly() -> None:
    network = small()
    network(images(50.0, 9))  # old statistics that must not be remembered
    weights = {name: value.clone() for name, value in network.named_parameters()}
    batches = [images(3.0, seed) for seed in range(4)]
    recompute(network, batches)
    hidden = [network[0](batch) for batch in batches]
    mean = torch.stack([value.mean(dim=(0, 2, 3)) for value in hidden]).mean(dim=0)
    variance = torch.stack([value.var(dim=(0, 2, 3)) for value in hidden]).mean(dim=0)  # unbiased, as BatchNorm's own
    torch.testing.assert_close(network[1].running_mean, mean.detach())
    torch.testing.assert_close(network[1].running_var, variance.detach())
    assert all(torch.equal(weights[name], value) for name, value in network.named_parameters())


def test_recompute_does_not_depend_on_what_was_there_before() -> None:
    one, other = small(), small()
    other(images(50.0, 9))
    batches = [images(3.0, seed) for seed in range(2)]
    recompute(one, batches)
    recompute(other, batches)
    assert same(buffers(one), buffers(other))


@pytest.mark.parametrize("training", [True, False])
def test_recompute_leaves_modes_and_momentum_as_they_were(training: bool) -> None:
    network = small().train(training)
    network[4].eval()
    network[1].momentum = 0.3
    recompute(network, [images(0.0, 0)])
    assert network.training is training and network[1].training is training and network[4].training is False
    assert (network[1].momentum, network[4].momentum) == (0.3, 0.1)
    with pytest.raises(RuntimeError, match="boom"):
        recompute(network, (_raise() for _ in range(1)))
    assert (network[1].momentum, network[1].training) == (0.3, training)


def test_recompute_keeps_dropout_off() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(1)).train()
    recompute(network, [torch.ones(2, 1, 4, 4)])
    assert float(network[1].running_mean) == 1.0


def _raise() -> torch.Tensor:
    raise RuntimeError("boom")
