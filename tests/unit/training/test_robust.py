"""Losses that bear wrong labels: naive loops, hand-worked numbers, limits, invariances, finite gradients."""

import math

import pytest
import torch

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ConfigError, UnknownNameError
from frugalseg.training.losses import cross_entropy
from frugalseg.training.robust import (
    annotator_confusion,
    forward_cross_entropy,
    generalized_cross_entropy,
    label_loss,
)

WEIGHTS = torch.tensor([0.5, 2.0, 10.0, 1.0], dtype=torch.float64)
COUNTS = ((8.0, 1.0, 1.0, 0.0), (0.0, 5.0, 0.0, 0.0), (3.0, 3.0, 30.0, 4.0), (1.0, 1.0, 1.0, 1.0))
T = annotator_confusion(4, 0.0, COUNTS)
LOSSES = {
    "gce .3": lambda z, y, w=None: generalized_cross_entropy(z, y, w, q=0.3),
    "gce 1": lambda z, y, w=None: generalized_cross_entropy(z, y, w, q=1.0),
    "forward": lambda z, y, w=None: forward_cross_entropy(z, y, w, confusion_CC=T),
}


def random_case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, 3, 5, generator=rng, dtype=torch.float64) * 3
    labels = torch.randint(0, 4, (2, 3, 5), generator=rng)
    labels[torch.rand(labels.shape, generator=rng) < 0.3] = IGNORE
    return logits, labels


def naive_mean(logits, labels, weights, loss_of) -> float:
    """Average `loss_of(probabilities, label)` over labelled pixels, one after the other."""
    total = mass = 0.0
    for n in range(labels.shape[0]):
        for row in range(labels.shape[1]):
            for column in range(labels.shape[2]):
                label = int(labels[n, row, column])
                if label != IGNORE:
                    scores = [math.exp(value) for value in logits[n, :, row, column].tolist()]
                    total += weights[label] * loss_of([score / sum(scores) for score in scores], label)
                    mass += weights[label]
    return total / mass


@pytest.mark.parametrize("q", [0.01, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_generalized_cross_entropy_equals_a_naive_loop(q, weights) -> None:
    logits, labels = random_case()
    each = [1.0] * 4 if weights is None else weights.tolist()
    expected = naive_mean(logits, labels, each, lambda p, y: (1 - p[y] ** q) / q)
    assert float(generalized_cross_entropy(logits, labels, weights, q=q)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_forward_correction_equals_a_naive_loop(weights) -> None:
    logits, labels = random_case()
    each = [1.0] * 4 if weights is None else weights.tolist()

    def loss(p, y) -> float:
        return -math.log(sum(p[truth] * COUNTS[truth][y] / sum(COUNTS[truth]) for truth in range(4)))

    expected = naive_mean(logits, labels, each, loss)
    got = forward_cross_entropy(logits, labels, weights, confusion_CC=T)
    assert float(got) == pytest.approx(expected, rel=1e-10)


def test_numbers_by_hand() -> None:
    logits = torch.tensor([[[[0.0]], [[math.log(3.0)]]]])  # p = 1/4, 3/4
    wrong = torch.tensor([[[0]]])
    assert float(generalized_cross_entropy(logits, wrong, q=1.0)) == pytest.approx(0.75)
    assert float(generalized_cross_entropy(logits, wrong, q=0.5)) == pytest.approx(1.0)  # (1 - 1/2) / (1/2)
    confusion = annotator_confusion(2, 0.2)
    assert confusion.tolist() == [[0.8, pytest.approx(0.2)], [pytest.approx(0.2), 0.8]]
    assert float(forward_cross_entropy(logits, wrong, confusion_CC=confusion)) == pytest.approx(-math.log(0.35))


def test_both_become_cross_entropy_where_nobody_errs() -> None:
    logits, labels = random_case()
    plain = float(cross_entropy(logits, labels, WEIGHTS))
    assert float(generalized_cross_entropy(logits, labels, WEIGHTS, q=1e-7)) == pytest.approx(plain, rel=1e-5)
    perfect = annotator_confusion(4, 0.0)
    assert float(forward_cross_entropy(logits, labels, WEIGHTS, confusion_CC=perfect)) == pytest.approx(plain)


def test_a_label_that_the_network_is_sure_is_wrong_pulls_less_than_in_cross_entropy() -> None:
    labels = torch.tensor([[[0]]])

    def pull(loss) -> float:
        logits = torch.tensor([[[[0.0]], [[6.0]]]], requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(logits, labels), logits)
        return float(gradient.abs().max())

    assert pull(cross_entropy) > 0.99
    assert pull(lambda z, y: generalized_cross_entropy(z, y, q=0.7)) < 0.05
    assert pull(lambda z, y: forward_cross_entropy(z, y, confusion_CC=annotator_confusion(2, 0.05))) < 0.1


def test_the_gradient_of_generalized_cross_entropy_is_cross_entropys_times_p_to_the_q() -> None:
    logits = torch.randn(1, 4, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    label = torch.tensor([[[2]]])
    (ours,) = torch.autograd.grad(generalized_cross_entropy(logits, label, q=0.6), logits)
    (plain,) = torch.autograd.grad(cross_entropy(logits, label), logits)
    torch.testing.assert_close(ours, plain * logits.detach().softmax(dim=1)[:, 2] ** 0.6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_formula(name) -> None:
    logits, labels = random_case()
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, labels, WEIGHTS), logits.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_certain_and_undecided_networks_have_finite_gradients(name, scale) -> None:
    logits = torch.zeros(1, 4, 1, 4)
    logits[:, 2], logits[:, 3] = scale, -scale
    logits.requires_grad_()
    loss = LOSSES[name](logits, torch.arange(4)[None, None])
    loss.backward()
    assert math.isfinite(float(loss.detach())) and bool(torch.isfinite(logits.grad).all())


@pytest.mark.parametrize("name", LOSSES)
def test_all_ignored_is_zero_with_a_zero_gradient(name) -> None:
    logits = torch.randn(1, 4, 2, 2, requires_grad=True)
    loss = LOSSES[name](logits, torch.full((1, 2, 2), IGNORE), WEIGHTS.float())
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_and_the_order_of_pixels_make_no_difference(name) -> None:
    logits, labels = random_case()
    twice, nothing = torch.cat([logits, logits]), torch.cat([labels, torch.full_like(labels, IGNORE)])
    expected = LOSSES[name](logits, labels, WEIGHTS)
    torch.testing.assert_close(LOSSES[name](twice, nothing, WEIGHTS), expected)
    torch.testing.assert_close(LOSSES[name](logits.flip(-1), labels.flip(-1), WEIGHTS), expected)


def test_forward_correction_does_not_depend_on_the_order_of_classes() -> None:
    logits, labels = random_case()
    order = torch.tensor([2, 0, 3, 1])
    place = torch.cat([order.argsort(), torch.full((252,), IGNORE)])  # IGNORE stays IGNORE
    permuted = forward_cross_entropy(logits[:, order], place[labels], WEIGHTS[order], confusion_CC=T[order][:, order])
    torch.testing.assert_close(permuted, forward_cross_entropy(logits, labels, WEIGHTS, confusion_CC=T))


def test_a_confusion_is_made_of_shares() -> None:
    torch.testing.assert_close(T.sum(dim=1), torch.ones(4, dtype=torch.float64))
    assert T[0].tolist() == [0.8, 0.1, 0.1, 0.0]
    assert annotator_confusion(1, 0.0).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (((1.0, 0.0),), "1 rows of 2 entries; expected 2 x 2"),
        (((1.0, 0.0), (0.0, 1.0, 2.0)), "entries 2, 3|rows of 2, 3 entries"),
        (((1.0, -1.0), (0.0, 1.0)), "from 0 on"),
        (((0.0, 1.0), (0.0, 1.0)), "above 0 on the diagonal"),
    ],
)
def test_a_confusion_that_does_not_fit_is_refused(counts, message) -> None:
    with pytest.raises(ConfigError, match=message):
        annotator_confusion(2, 0.1, counts)


def test_losses_by_name() -> None:
    logits, labels = random_case()
    assert torch.equal(label_loss("ce", 0.7, T)(logits, labels, WEIGHTS), cross_entropy(logits, labels, WEIGHTS))
    for name, expected in (("gce", LOSSES["gce .3"]), ("forward", LOSSES["forward"])):
        assert torch.equal(label_loss(name, 0.3, T)(logits, labels, WEIGHTS), expected(logits, labels, WEIGHTS))
    with pytest.raises(UnknownNameError, match="no loss named 'gc'. Did you mean 'gce'"):
        label_loss("gc", 0.7, T)
