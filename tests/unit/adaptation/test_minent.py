import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from frugalseg.adaptation.minent import MinEnt, MinEntConfig, class_ratio_loss, mean_entropy
from frugalseg.core.errors import TrainingError
from frugalseg.data.batches import DomainBatch
from frugalseg.training.domain_data import DomainData
from frugalseg.training.losses import cross_entropy


@pytest.fixture
def make(tiny_city: ModuleType, tmp_path: Path) -> Any:
    data = tiny_city.domain_data(tmp_path, human=False, count=2)

    def build(body: str = "Body", **settings: Any) -> MinEnt:
        config = MinEntConfig(**{**tiny_city.SETTINGS, **settings})
        return MinEnt(tiny_city.network(body=getattr(tiny_city, body)), config, tiny_city.fabric(), data)

    return build


def random_logits(seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, 3, 5, generator=rng, dtype=torch.float64) * 3


def naive_entropies(logits: torch.Tensor) -> list[list[float]]:
    """Equation 2, pixel by pixel: one list of normalised entropies an image."""
    images = []
    for image in logits:
        values = []
        for pixel in image.flatten(1).T.tolist():
            mass = sum(math.exp(score) for score in pixel)
            shares = [math.exp(score) / mass for score in pixel]
            values.append(-sum(share * math.log(share) for share in shares) / math.log(len(pixel)))
        images.append(values)
    return images


def naive_class_ratio(logits: torch.Tensor, prior: list[float], relaxation: float) -> float:
    """Equation 8, class by class, and its mean over images."""
    total = 0.0
    for image in logits:
        probability = image.softmax(dim=0).flatten(1)
        for c, wanted in enumerate(prior):
            total += max(0.0, relaxation * wanted - sum(probability[c].tolist()) / probability.shape[1])
    return total / len(logits)


@pytest.mark.parametrize("share", [1.0, 0.4, 0.3, 1e-9])
def test_entropy_loss_equals_a_naive_loop(share: float) -> None:
    logits = random_logits()
    hardest = [sorted(values, reverse=True)[: max(1, round(share * 15))] for values in naive_entropies(logits)]
    expected = np.mean([np.mean(values) for values in hardest])
    assert float(mean_entropy(logits, share)) == pytest.approx(float(expected), rel=1e-9)


def test_entropy_loss_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 0.0]], [[0.0, math.log(3.0)]]]])  # p = 1/2, 1/2 and 1/4, 3/4
    second = (0.25 * math.log(4) + 0.75 * math.log(4 / 3)) / math.log(2)
    assert float(mean_entropy(logits)) == pytest.approx((1 + second) / 2)
    assert float(mean_entropy(logits, 0.5)) == pytest.approx(1.0)


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize(("scale", "expected"), [(0.0, 1.0), (1e4, 0.0)])
def test_entropy_loss_at_its_limits(scale: float, expected: float, share: float) -> None:
    logits = torch.zeros(2, 19, 4, 4)
    logits[:, 3], logits[:, 7] = scale, -scale
    loss = mean_entropy(logits.requires_grad_(), share)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-6)
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all())


@pytest.mark.parametrize("relaxation", [0.0, 0.5, 1.0])
def test_class_ratio_loss_equals_a_naive_loop(relaxation: float) -> None:
    logits, prior = random_logits(1), [0.6, 0.3, 0.09, 0.01]
    got = class_ratio_loss(logits, torch.tensor(prior, dtype=torch.float64), relaxation)
    assert float(got) == pytest.approx(naive_class_ratio(logits, prior, relaxation), abs=1e-9)


def test_class_ratio_loss_by_hand() -> None:
    logits = torch.zeros(1, 2, 1, 2)  # both classes on half of the image
    prior = torch.tensor([0.8, 0.2])
    assert float(class_ratio_loss(logits, prior, 1.0)) == pytest.approx(0.3)  # class 0 is 0.3 short
    assert float(class_ratio_loss(logits, prior, 0.5)) == 0  # 0.4 and 0.1 are there


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_class_ratio_loss_has_finite_gradients(scale: float) -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[:, 0] = scale
    logits.requires_grad_()
    class_ratio_loss(logits, torch.tensor([0.2, 0.7, 0.1]), 1.0).backward()
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all())


def test_the_order_of_classes_and_pixels_does_not_matter() -> None:
    logits, prior = random_logits(), torch.tensor([0.6, 0.3, 0.09, 0.01], dtype=torch.float64)
    order = torch.tensor([2, 0, 3, 1])
    for loss in (
        lambda z, p: mean_entropy(z, 0.4),
        lambda z, p: mean_entropy(z),
        lambda z, p: class_ratio_loss(z, p, 1),
    ):
        torch.testing.assert_close(loss(logits[:, order], prior[order]), loss(logits, prior))
        torch.testing.assert_close(loss(logits.flip(-1), prior), loss(logits, prior))


def random_batch() -> DomainBatch:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(2, 2, 3, 16, 24, generator=rng)
    return DomainBatch(0, images[0], torch.randint(0, 4, (2, 16, 24), generator=rng), images[1])


@pytest.mark.parametrize("body", ["Body", "TwoOutputs"])
def test_a_step_goes_down_equation_4(make: Any, body: str) -> None:
    settings = {"entropy_weight": 0.5, "aux_entropy_weight": 0.2, "aux_seg_weight": 0.1, "prior_weight": 0.3}
    method, twin, batch = make(body, **settings), make(body, **settings), random_batch()
    totals: list[torch.Tensor] = []
    method._learner.add, method._learner.step = totals.append, lambda: None
    torch.manual_seed(0)
    losses = method.step(batch)
    torch.manual_seed(0)
    source = twin._learner.forward(batch.source_images, "source")
    target = twin._learner.forward(batch.target_images, "target")
    prior = twin._prior_C.tolist()
    assert sum(prior) == pytest.approx(1) and max(prior) == prior[1]  # building is most of the simulator's labels
    expected = 0.3 * naive_class_ratio(target.logits.detach(), prior, 0.5)
    for level, (labelled, entropy) in enumerate([(1.0, 0.5), (0.1, 0.2)][: 1 + (body == "TwoOutputs")]):
        labels_loss = cross_entropy(source[level], batch.source_labels, twin._learner.class_weights)
        expected += labelled * float(labels_loss.detach()) + entropy * np.mean(naive_entropies(target[level]))
    assert float(sum(totals).detach()) == pytest.approx(float(expected), rel=1e-5)
    assert losses.keys() == {"source", "entropy", "prior"} | ({"aux_entropy"} if body == "TwoOutputs" else set())


def test_it_grows_certain_and_the_prior_keeps_a_class_alive() -> None:
    def descended(prior_weight: float) -> torch.Tensor:
        logits = torch.zeros(1, 3, 4, 4)
        logits[:, 0], logits[:, 2] = 0.5, -0.5
        for _ in range(200):
            logits = logits.detach().requires_grad_()
            prior = class_ratio_loss(logits, torch.tensor([0.4, 0.4, 0.2]), 0.5)
            (mean_entropy(logits) + prior_weight * prior).backward()
            assert logits.grad is not None
            logits = logits - 20 * logits.grad
        return logits.detach()

    lost, kept = descended(0.0), descended(5.0)
    assert float(mean_entropy(lost)) < 0.05 and float(lost.softmax(dim=1)[:, 2].mean()) < 0.01
    assert float(kept.softmax(dim=1)[:, 2].mean()) > 0.08  # half of its share in the source, 0.2


def test_defaults_are_the_papers() -> None:
    config = MinEntConfig()
    assert (config.entropy_weight, config.aux_entropy_weight, config.aux_seg_weight) == (1e-3, 2e-4, 0.1)
    assert config.prior_weight == 0 and config.hardest_share == 1


def test_it_says_what_it_needs(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path, human=False, count=1)
    for given, message in (
        (DomainData(None, data.target), "minent learns from a labelled source"),
        (DomainData(data.source, None, data.pixels_C), "minent learns from target images"),
    ):
        with pytest.raises(TrainingError, match=message):
            MinEnt(tiny_city.network(), MinEntConfig(), tiny_city.fabric(), given)
