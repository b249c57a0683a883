import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from frugalseg.adaptation.advent import Advent, AdventConfig
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.data.batches import DomainBatch
from frugalseg.training.domain_data import DomainData


@pytest.fixture
def make(tiny_city: ModuleType, tmp_path: Path) -> Any:
    data = tiny_city.domain_data(tmp_path, human=False, count=2)

    def build(body: str = "Body", **settings: Any) -> Advent:
        config = AdventConfig(**{**tiny_city.SETTINGS, "discriminator_width": 4, **settings})
        return Advent(tiny_city.network(body=getattr(tiny_city, body)), config, tiny_city.fabric(), data)

    return build


def random_batch() -> DomainBatch:
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (2, 16, 24), generator=rng)
    labels[torch.rand(labels.shape, generator=rng) < 0.3] = IGNORE
    images = torch.rand(2, 2, 3, 16, 24, generator=rng)
    return DomainBatch(0, images[0], labels, images[1])


def entropy_maps(logits: torch.Tensor) -> torch.Tensor:
    probability = logits.softmax(dim=1)
    return -probability * probability.log() / math.log(logits.shape[1])


def labels_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Equation 1 with class weights, as a mean over labelled pixels."""
    known = labels != IGNORE
    probability = logits.softmax(dim=1).movedim(1, -1)[known].gather(1, labels[known][:, None])[:, 0]
    return -(weights[labels[known]] * probability.log()).sum() / weights[labels[known]].sum()


def network_loss(method: Any, batch: DomainBatch) -> tuple[torch.Tensor, dict[str, float]]:
    """Return what the network's side of a step goes down."""
    totals: list[torch.Tensor] = []
    method._learner.add, method._learner.step = totals.append, lambda: None
    torch.manual_seed(0)
    losses = method.step(batch)
    return sum(totals), losses


@pytest.mark.parametrize("body", ["Body", "TwoOutputs"])
def test_the_networks_side_is_equation_7(make: Any, body: str) -> None:
    weights = {"aux_seg_weight": 0.3, "adv_weight": 0.7, "aux_adv_weight": 0.2}
    method, twin, batch = make(body, **weights), make(body, **weights), random_batch()
    total, losses = network_loss(method, batch)
    total.backward()
    torch.manual_seed(0)
    source = twin._learner.forward(batch.source_images, "source")
    target = twin._learner.forward(batch.target_images, "target")
    expected = torch.zeros(())
    for level, (labelled, adversarial) in enumerate([(1.0, 0.7), (0.3, 0.2)][: 1 + (body == "TwoOutputs")]):
        answer = twin._adversary.discriminators[level](entropy_maps(target[level]))
        fooling = -answer.sigmoid().log().mean()  # equation 6: the target's maps taken for the source's
        label_loss = labels_loss(source[level], batch.source_labels, twin._learner.class_weights)
        expected = expected + labelled * label_loss + adversarial * fooling
    expected.backward()
    assert float(total.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    for got, wanted in zip(method._learner.network.parameters(), twin._learner.network.parameters(), strict=True):
        torch.testing.assert_close(got.grad, wanted.grad, rtol=1e-4, atol=1e-7)
    assert losses.keys() >= {"source", "fooling", "discriminator"}


def test_the_discriminators_side_is_equation_5(make: Any) -> None:
    method, twin, batch = make(discriminator_lr=1e-3), make(discriminator_lr=1e-3), random_batch()
    torch.manual_seed(0)
    losses = method.step(batch)
    torch.manual_seed(0)
    with torch.no_grad():
        source = entropy_maps(twin._learner.forward(batch.source_images, "source").logits)
        target = entropy_maps(twin._learner.forward(batch.target_images, "target").logits)
    (discriminator,) = twin._adversary.discriminators
    of_source, of_target = discriminator(source).sigmoid(), discriminator(target).sigmoid()
    expected = -(of_source.log().mean() + (1 - of_target).log().mean()) / 2
    assert losses["discriminator"] == pytest.approx(float(expected.detach()), rel=1e-5)
    expected.backward()
    torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.9, 0.99)).step()
    for got, wanted in zip(method._adversary.discriminators[0].parameters(), discriminator.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=2e-5)


def test_without_a_say_of_the_discriminator_it_is_source_training(make: Any) -> None:
    total, losses = network_loss(make(adv_weight=0.0), random_batch())
    assert float(total.detach()) == pytest.approx(losses["source"], rel=1e-6)


def test_defaults_are_the_papers() -> None:
    config = AdventConfig()
    assert (config.adv_weight, config.aux_adv_weight, config.aux_seg_weight) == (1e-3, 2e-4, 0.1)
    assert (config.discriminator_lr, config.discriminator_width) == (1e-4, 64)


def test_rates_of_both_sides_follow_the_schedule(make: Any) -> None:
    method = make(lr=0.01, discriminator_lr=1e-3)
    method.set_rate(0.25)
    assert method._learner.optimizer.param_groups[0]["lr"] == pytest.approx(0.0025)
    assert method._adversary.optimizer.param_groups[0]["lr"] == pytest.approx(0.00025)


def test_it_says_what_it_needs(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path, human=False, count=1)
    for given, message in (
        (DomainData(None, data.target), "advent learns from a labelled source"),
        (DomainData(data.source, None, data.pixels_C), "advent learns from target images"),
    ):
        with pytest.raises(TrainingError, match=message):
            Advent(tiny_city.network(), AdventConfig(), tiny_city.fabric(), given)
