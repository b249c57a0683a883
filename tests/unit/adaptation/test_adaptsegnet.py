from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn import functional

from frugalseg.adaptation.adaptsegnet import AdaptSegNet, AdaptSegNetConfig
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.data.batches import DomainBatch
from frugalseg.training.domain_data import DomainData


@pytest.fixture
def make(tiny_city: ModuleType, tmp_path: Path) -> Any:
    data = tiny_city.domain_data(tmp_path, human=False, count=2)

    def build(body: str = "Body", **settings: Any) -> AdaptSegNet:
        config = AdaptSegNetConfig(**{**tiny_city.SETTINGS, "discriminator_width": 4, **settings})
        return AdaptSegNet(tiny_city.network(body=getattr(tiny_city, body)), config, tiny_city.fabric(), data)

    return build


def random_batch() -> DomainBatch:
    rng = torch.Generator().manual_seed(3)
    images = torch.rand(2, 2, 3, 16, 24, generator=rng)
    return DomainBatch(0, images[0], torch.randint(0, 4, (2, 16, 24), generator=rng), images[1])


@pytest.mark.parametrize("levels", [1, 2])
def test_a_step_is_equation_6_for_either_side(make: Any, levels: int) -> None:
    """The network's gradient by equations 3 to 5, the discriminators' by equation 2, at every level."""
    settings = {"class_weighting": 0.0, "adv_weight": 0.5, "aux_adv_weight": 0.25, "aux_seg_weight": 0.1}
    body = ("Body", "TwoOutputs")[levels - 1]
    method, twin, batch = make(body, **settings), make(body, **settings), random_batch()
    totals: list[torch.Tensor] = []
    method._learner.add, method._learner.step = totals.append, lambda: None
    method._adversary.learn = lambda: None  # it would drop the gradients
    torch.manual_seed(0)
    method.step(batch)
    sum(totals).backward()
    torch.manual_seed(0)
    source = twin._learner.forward(batch.source_images, "source")
    target = twin._learner.forward(batch.target_images, "target")
    expected, telling = torch.zeros(()), torch.zeros(())
    for level, (labelled, adversarial) in enumerate([(1.0, 0.5), (0.1, 0.25)][:levels]):
        discriminator = twin._adversary.discriminators[level]
        p_source, p_target = source[level].softmax(dim=1), target[level].softmax(dim=1)
        expected = expected - labelled * p_source.gather(1, batch.source_labels[:, None]).log().mean()  # equation 3
        expected = expected - adversarial * discriminator(p_target).sigmoid().log().mean()  # equation 4
        z_1, z_0 = discriminator(p_source.detach()).sigmoid(), discriminator(p_target.detach()).sigmoid()
        telling = telling - (z_1.log().mean() + (1 - z_0).log().mean()) / 2  # equation 2
    by_network = torch.autograd.grad(expected, list(twin._learner.network.parameters()))
    by_discriminators = torch.autograd.grad(telling, list(twin._adversary.discriminators.parameters()))
    assert float(sum(totals).detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    for module, wanted in (
        (method._learner.network, by_network),
        (method._adversary.discriminators, by_discriminators),
    ):
        for weight, gradient in zip(module.parameters(), wanted, strict=True):
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-3, atol=1e-7)


def test_discriminators_look_at_probabilities(make: Any) -> None:
    logits = torch.randn(1, 4, 8, 8)
    assert torch.equal(make()._adversary._maps(logits), functional.softmax(logits, dim=1))


def test_frames_without_any_label_still_teach_the_alignment(make: Any) -> None:
    method, batch = make(), random_batch()
    batch.source_labels.fill_(IGNORE)
    before = [value.clone() for value in method._learner.network.parameters()]
    losses = method.step(batch)
    assert losses["source"] == 0 and losses["fooling"] > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, method._learner.network.parameters(), strict=True))


def test_defaults_are_the_papers() -> None:
    config = AdaptSegNetConfig()
    assert (config.adv_weight, config.aux_adv_weight, config.aux_seg_weight) == (1e-3, 2e-4, 0.1)
    assert (config.discriminator_lr, config.discriminator_width) == (1e-4, 64)


def test_it_says_what_it_needs(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path, human=False, count=1)
    for given, message in (
        (DomainData(None, data.target), "adaptsegnet learns from a labelled source"),
        (DomainData(data.source, None, data.pixels_C), "adaptsegnet learns from target images"),
    ):
        with pytest.raises(TrainingError, match=message):
            AdaptSegNet(tiny_city.network(), AdaptSegNetConfig(), tiny_city.fabric(), given)
