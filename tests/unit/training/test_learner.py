from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from frugalseg.training.class_weights import median_frequency_weights
from frugalseg.training.learner import Learner, NonFiniteLoss
from frugalseg.training.settings import TrainConfig

PIXELS = np.array([600, 300, 100, 10])


@pytest.fixture
def make(tiny_city: ModuleType) -> Any:
    def build(home: str = "target", pixels: Any = PIXELS, **settings: Any) -> Learner:
        config = TrainConfig(**{**tiny_city.SETTINGS, **settings})
        return Learner(tiny_city.network(), config, tiny_city.fabric(), pixels, home=home)

    return build


def images(seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(seed)) + shift


def step(learner: Learner, seed: int = 0, scale: float = 1.0) -> None:
    torch.manual_seed(seed)
    learner.minimize(learner.forward(images(seed), "target").logits.square().mean() * scale)


def test_class_weights_follow_the_settings(make: Any) -> None:
    expected = torch.from_numpy(median_frequency_weights(PIXELS, 0.5))
    assert torch.equal(make(class_weighting=0.5).class_weights, expected)
    assert make(class_weighting=0.0).class_weights is None
    assert make(pixels=None).class_weights is None


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_rates_of_encoder_and_head_and_a_rounds_factor(make: Any, optimizer: str) -> None:
    learner = make(optimizer=optimizer, lr=0.01, head_lr_factor=5.0)
    learner.begin(lr_factor=0.5)
    learner.set_rate(0.1)
    assert [group["lr"] for group in learner.optimizer.param_groups] == pytest.approx([0.0005, 0.0025])
    learner.set_rate(1.0)  # of the starting value, not of the last one
    assert [group["lr"] for group in learner.optimizer.param_groups] == pytest.approx([0.005, 0.025])


def test_a_phase_begins_with_a_fresh_optimizer_and_in_training_mode(make: Any) -> None:
    learner = make()
    step(learner)
    learner.network.eval()
    learner.begin()
    assert learner.network.training and learner.optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_changes_no_weight(make: Any, tiny_city: ModuleType, bad: float) -> None:
    learner = make(ema=0.9)
    step(learner)
    weights = {name: value.detach().clone() for name, value in learner.network.named_parameters()}
    average = tiny_city.weights(learner.ema.network)
    with pytest.raises(NonFiniteLoss, match="the loss is (nan|inf)") as error:
        step(learner, scale=bad)
    assert error.value.harmless
    assert all(torch.equal(weights[name], value) for name, value in learner.network.named_parameters())
    assert tiny_city.same_weights(average, tiny_city.weights(learner.ema.network))


def test_a_gradient_that_is_no_number_changes_no_weight(make: Any) -> None:
    learner = make()
    weights = {name: value.detach().clone() for name, value in learner.network.named_parameters()}
    logits = learner.forward(images(), "target").logits
    with pytest.raises(NonFiniteLoss, match="gradient"):
        learner.minimize((logits - logits.detach()).sqrt().mean())  # the loss is 0, its gradient infinite
    assert all(torch.equal(weights[name], value) for name, value in learner.network.named_parameters())


def test_spoiled_running_statistics_are_noticed(make: Any) -> None:
    learner = make()
    with pytest.raises(NonFiniteLoss) as error:
        learner.minimize(learner.forward(images() * float("nan"), "source").logits.mean())
    assert not error.value.harmless


def test_domains_are_kept_apart_or_shared(make: Any) -> None:
    for statistics, apart in (("per_domain", True), ("shared", False)):
        learner = make(batch_statistics=statistics)
        before = learner.network.body.encoder[1].running_mean.clone()
        learner.forward(images(shift=9.0), "source")
        assert torch.equal(learner.network.body.encoder[1].running_mean, before) is apart
        learner.forward(images(shift=9.0), "target")
        assert not torch.equal(learner.network.body.encoder[1].running_mean, before)


def test_the_finished_network_is_the_average_where_there_is_one(make: Any) -> None:
    plain, averaged = make(ema=0.0), make(ema=0.9)
    assert plain.finish(lambda: iter(())) is plain.network
    assert averaged.finish(lambda: iter(())) is averaged.ema.network
    assert not plain.network.training


def test_statistics_are_recomputed_at_the_end_only_if_asked(make: Any) -> None:
    asked: list[int] = []

    def target_images() -> Any:
        asked.append(1)
        return iter([images(1), images(2)])

    make().finish(target_images)
    assert asked == []
    network = make(recompute_statistics=4).finish(target_images)
    hidden = [network.body.encoder[0](network._normalize(images(seed))).mean(dim=(0, 2, 3)) for seed in (1, 2)]
    torch.testing.assert_close(network.body.encoder[1].running_mean, torch.stack(hidden).mean(dim=0).detach())
    assert asked == [1] and not network.training


@pytest.mark.parametrize("settings", [{"ema": 0.0}, {"ema": 0.5}, {"optimizer": "sgd"}, {"batch_statistics": "shared"}])
def test_state_is_all_that_resume_needs(
    make: Any, tiny_city: ModuleType, tmp_path: Path, settings: dict[str, Any]
) -> None:
    def four_steps(learner: Learner, first: int) -> None:
        for number in range(first, first + 2):
            learner.forward(images(number + 50, shift=3.0), "source")
            step(learner, number)

    whole, first = make(**settings), make(**settings)
    four_steps(whole, 0)
    four_steps(first, 0)
    torch.save(first.state(), tmp_path / "state.pt")
    second = make(**settings)
    second.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    four_steps(whole, 2)
    four_steps(second, 2)
    for get in (lambda learner: learner.network, lambda learner: learner.best_network()):
        assert tiny_city.same_weights(tiny_city.weights(get(whole)), tiny_city.weights(get(second)))
    for own, other in zip(
        whole.statistics.state().get("source", []), second.statistics.state().get("source", []), strict=True
    ):
        assert tiny_city.same_weights(own, other)
