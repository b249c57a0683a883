import torch
from torch import nn

from frugalseg.training.ema import Ema


def network(value: float) -> nn.Module:
    layer = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(layer[0].weight, value)
    layer[1].running_mean.fill_(value)
    layer[1].num_batches_tracked.fill_(int(value))
    return layer


def test_by_hand() -> None:
    ema = Ema(network(99.0), decay=0.75)
    averages = []
    for value in (1.0, 3.0, 5.0, 7.0, 9.0, 11.0):
        ema.update(network(value))
        averages.append(float(ema.network[0].weight))
    # decay 0, 1/2, 2/3, 3/4, then .75 for ever
    assert averages[:4] == [1.0, 2.0, 3.0, 4.0]
    torch.testing.assert_close(torch.tensor(averages[4:]), torch.tensor([5.25, 6.6875]))


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    ema = Ema(network(0.0), decay=0.5)
    ema.update(network(2.0))
    ema.update(network(4.0))
    assert float(ema.network[1].running_mean) == 3.0
    assert int(ema.network[1].num_batches_tracked) == 4


def test_a_constant_network_is_its_own_average() -> None:
    ema, same = Ema(network(2.0), decay=0.9), network(2.0)
    for _ in range(20):
        ema.update(same)
    assert float(ema.network[0].weight) == 2.0


def test_the_average_neither_learns_nor_touches_the_network() -> None:
    student = network(1.0).train()
    ema = Ema(student, decay=0.9)
    ema.update(student)
    assert not ema.network.training and student.training
    assert not any(weight.requires_grad for weight in ema.network.parameters())
    assert all(weight.requires_grad for weight in student.parameters())
    ema.network[0].weight.fill_(7.0)
    assert float(student[0].weight.detach()) == 1.0


def test_resume_goes_on_as_if_nothing_had_happened() -> None:
    whole, first = Ema(network(0.0), decay=0.75), Ema(network(0.0), decay=0.75)
    for value in (1.0, 3.0):
        whole.update(network(value))
        first.update(network(value))
    second = Ema(network(0.0), decay=0.75)
    second.load_state(first.state())
    for ema in (whole, second):
        ema.update(network(8.0))
    assert float(whole.network[0].weight) == float(second.network[0].weight) == 4.0
