import math

import pytest
import torch
from torch.nn import functional

from frugalseg.core.classes import IGNORE
from frugalseg.core.records import Provenance
from frugalseg.models.network import Outputs
from frugalseg.training.losses import (
    cross_entropy,
    entropy_NCHW,
    entropy_NHW,
    human_only,
    machine_only,
    outputs_cross_entropy,
    spread_only,
)


def random_case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, 3, 5, generator=rng, dtype=torch.float64) * 3
    labels = torch.randint(0, 4, (2, 3, 5), generator=rng)
    labels[torch.rand(labels.shape, generator=rng) < 0.3] = IGNORE
    return logits, labels


def naive_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, weights: list[float]) -> float:
    total = mass = 0.0
    for n in range(labels.shape[0]):
        for row in range(labels.shape[1]):
            for column in range(labels.shape[2]):
                label = int(labels[n, row, column])
                if label == IGNORE:
                    continue
                scores = [math.exp(value) for value in logits[n, :, row, column].tolist()]
                total -= weights[label] * math.log(scores[label] / sum(scores))
                mass += weights[label]
    return total / mass


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[[[0.0]], [[math.log(3.0)]]]])  # p = 1/4, 3/4
    assert float(cross_entropy(logits, torch.tensor([[[0]]]))) == pytest.approx(math.log(4))
    assert float(cross_entropy(logits, torch.tensor([[[1]]]))) == pytest.approx(math.log(4 / 3))


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0, 1.0], [0.5, 2.0, 10.0, 1.0]])
def test_cross_entropy_equals_a_naive_loop(weights: list[float]) -> None:
    logits, labels = random_case()
    got = cross_entropy(logits, labels, torch.tensor(weights, dtype=torch.float64))
    assert float(got) == pytest.approx(naive_cross_entropy(logits, labels, weights), rel=1e-12)
    torch_own = functional.cross_entropy(
        logits, labels, torch.tensor(weights, dtype=torch.float64), ignore_index=IGNORE
    )
    assert float(got) == pytest.approx(float(torch_own), rel=1e-12)


def test_cross_entropy_without_weights_is_the_plain_mean() -> None:
    logits, labels = random_case()
    assert float(cross_entropy(logits, labels)) == pytest.approx(naive_cross_entropy(logits, labels, [1.0] * 4))


def test_all_ignored_is_zero_with_a_zero_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 2, 2), IGNORE), torch.tensor([1.0, 2.0, 3.0]))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros_like(logits))


def test_ignored_pixels_have_no_gradient_and_do_not_dilute() -> None:
    logits, labels = random_case()
    logits.requires_grad_()
    cross_entropy(logits, labels).backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=1) > 0
    assert torch.equal(touched, labels != IGNORE)
    twice = torch.cat([labels, torch.full_like(labels, IGNORE)])
    doubled = torch.cat([logits.detach(), logits.detach()])
    assert torch.equal(cross_entropy(doubled, twice), cross_entropy(logits.detach(), labels))


def test_cross_entropy_gradient() -> None:
    logits, labels = random_case()
    weights = torch.tensor([0.5, 2.0, 10.0, 1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: cross_entropy(z, labels, weights), logits.requires_grad_())


def test_cross_entropy_does_not_depend_on_the_order_of_classes() -> None:
    logits, labels = random_case()
    weights = torch.tensor([0.5, 2.0, 10.0, 1.0], dtype=torch.float64)
    order = torch.tensor([2, 0, 3, 1])
    place = torch.cat([order.argsort(), torch.full((252,), IGNORE)])  # IGNORE stays IGNORE
    permuted = cross_entropy(logits[:, order], place[labels], weights[order])
    assert float(permuted) == pytest.approx(float(cross_entropy(logits, labels, weights)), rel=1e-12)


def test_entropy_by_hand() -> None:
    logits = torch.tensor([[[[0.0]], [[math.log(3.0)]]]])
    by_hand = (0.25 * math.log(4) + 0.75 * math.log(4 / 3)) / math.log(2)
    assert float(entropy_NHW(logits)) == pytest.approx(by_hand)


def test_entropy_equals_a_naive_loop() -> None:
    logits, _ = random_case()
    probabilities = logits.softmax(dim=1)
    naive = sum(-probabilities[:, c] * probabilities[:, c].log() for c in range(4)) / math.log(4)
    torch.testing.assert_close(entropy_NHW(logits), naive)
    torch.testing.assert_close(
        entropy_NCHW(logits)[:, 1], -probabilities[:, 1] * probabilities[:, 1].log() / math.log(4)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_entropy_is_1_for_equal_classes_and_0_for_a_certain_one(dtype: torch.dtype) -> None:
    logits = torch.zeros(1, 19, 2, 2, dtype=dtype)
    logits[:, 3, 0] = 1000.0
    got = entropy_NHW(logits).float()
    assert torch.equal(got[0, 0], torch.zeros(2))
    torch.testing.assert_close(got[0, 1], torch.ones(2), atol=0.02, rtol=0)


def test_entropy_stays_in_range_with_finite_gradients() -> None:
    logits = (torch.randn(1, 19, 32, 32, generator=torch.Generator().manual_seed(0)) * 100).requires_grad_()
    entropy = entropy_NHW(logits)
    entropy.sum().backward()
    assert float(entropy.detach().min()) >= 0 and float(entropy.detach().max()) <= 1 + 1e-6
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all())


def test_entropy_gradient_is_that_of_the_formula() -> None:
    logits = random_case()[0].requires_grad_()
    assert torch.autograd.gradcheck(entropy_NCHW, logits)
    weights = torch.rand(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (got,) = torch.autograd.grad((weights * entropy_NCHW(logits)).sum(), logits)
    probabilities = logits.softmax(dim=1)
    naive = -(weights * probabilities * probabilities.log()).sum() / math.log(4)
    torch.testing.assert_close(got, torch.autograd.grad(naive, logits)[0])


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_entropy_has_no_gradient_where_classes_are_equal_or_one_is_certain(scale: float) -> None:
    logits = torch.zeros(1, 5, 2, 2)
    logits[:, 2], logits[:, 4] = scale, -scale
    logits.requires_grad_()
    entropy_NHW(logits).sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-6, rtol=0)


def test_two_outputs_have_two_cross_entropies() -> None:
    logits, labels = random_case()
    auxiliary = random_case(seed=5)[0]
    both = outputs_cross_entropy(Outputs(logits, auxiliary), labels, None, 0.1)
    assert float(both) == pytest.approx(float(cross_entropy(logits, labels) + 0.1 * cross_entropy(auxiliary, labels)))
    assert torch.equal(outputs_cross_entropy(Outputs(logits), labels, None, 0.1), cross_entropy(logits, labels))


def test_entropy_does_not_depend_on_the_order_of_classes_or_pixels() -> None:
    logits, _ = random_case()
    torch.testing.assert_close(entropy_NHW(logits[:, [2, 0, 3, 1]]), entropy_NHW(logits))
    torch.testing.assert_close(entropy_NHW(logits.flip(-1)), entropy_NHW(logits).flip(-1))


def test_labels_of_people_the_machine_and_other_frames_share_out_all_labels() -> None:
    provenance = torch.tensor([[list(Provenance)]], dtype=torch.uint8)
    labels = torch.arange(7)[None, None] % 4
    labels[provenance == Provenance.UNKNOWN] = IGNORE
    human, machine, spread = (only(labels, provenance) for only in (human_only, machine_only, spread_only))
    nothing = [IGNORE] * 4
    assert human.tolist() == [[[IGNORE, 1, 2, 3, *nothing[:3]]]]
    assert machine.tolist() == [[[*nothing, 0, IGNORE, IGNORE]]]
    assert spread.tolist() == [[[*nothing, IGNORE, 1, 2]]]
