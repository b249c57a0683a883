import math
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from frugalseg.models.network import Outputs
from frugalseg.training.adversarial import KINDS, AdversarialConfig, Adversary, Discriminator, count_outputs
from frugalseg.training.learner import Learner, NonFiniteLoss
from frugalseg.training.losses import entropy_NCHW


def softmax(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(dim=1)


MAPS = {"softmax": softmax, "self_information": entropy_NCHW}


@pytest.fixture
def make(tiny_city: ModuleType) -> Any:
    def build(outputs: int = 1, maps: str = "self_information", **settings: Any) -> Adversary:
        network = tiny_city.network(body=(tiny_city.Body, tiny_city.TwoOutputs)[outputs - 1])
        config = AdversarialConfig(**{**tiny_city.SETTINGS, "discriminator_width": 4, **settings})
        return Adversary(network, config, tiny_city.fabric(config.precision), MAPS[maps])

    return build


def outputs(seed: int, levels: int = 1, scale: float = 3.0, dtype: torch.dtype = torch.float32) -> Outputs:
    rng = torch.Generator().manual_seed(seed)
    both = [(torch.randn(2, 4, 16, 24, generator=rng) * scale).to(dtype).requires_grad_() for _ in range(levels)]
    return Outputs(both[0], both[1] if levels == 2 else None)


def levels(said: Outputs) -> list[torch.Tensor]:
    return [logits for logits in (said.logits, said.aux_logits) if logits is not None]


def gradients(module: nn.Module) -> list[torch.Tensor | None]:
    return [None if weight.grad is None else weight.grad.clone() for weight in module.parameters()]


def copies(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def same(one: list[Any], other: list[Any]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a is b if a is None or b is None else torch.equal(a, b) for a, b in pairs)


def judged(adversary: Adversary, source: Outputs, target: Outputs) -> tuple[torch.Tensor, dict[str, float]]:
    """Return what the target's side of a step gives after the source's."""
    adversary.judge_source(source)
    return adversary.judge(target)


@pytest.mark.parametrize(
    ("kind", "side", "between"),
    [  # AdaptSegNet, section 4.2; MADA, section 4.2: "ReLU ... the fourth one is followed by a leaky ReLU"
        ("adaptsegnet", 4, [nn.LeakyReLU] * 4),
        ("mada", 3, [nn.ReLU, nn.ReLU, nn.ReLU, nn.LeakyReLU]),
    ],
)
def test_a_discriminator_is_its_papers(kind: str, side: int, between: list[type]) -> None:
    discriminator = Discriminator(19, kind=kind)
    convolutions = [layer for layer in discriminator.layers if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512, 1]
    assert all(layer.kernel_size == (side, side) and layer.stride == (2, 2) for layer in convolutions)
    others = [layer for layer in discriminator.layers if not isinstance(layer, nn.Conv2d)]
    assert [type(layer) for layer in others] == between and others[-1].negative_slope == 0.2
    weights = side**2 * (19 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) + 64 + 128 + 256 + 512 + 1
    assert sum(weight.numel() for weight in discriminator.parameters()) == weights


@pytest.mark.parametrize(
    ("size", "grid"),
    [((64, 96), (2, 3)), ((32, 32), (1, 1)), ((16, 24), (1, 1)), ((1, 1), (1, 1)), ((8, 100), (1, 12))],
)
@pytest.mark.parametrize("kind", KINDS)
def test_maps_of_any_size_can_be_judged(size: tuple[int, int], grid: tuple[int, int], kind: str) -> None:
    torch.manual_seed(0)  # of 400 seeds one leaves so narrow a network no live unit on a single pixel
    maps = torch.rand(2, 3, *size, requires_grad=True)
    answer = Discriminator(3, 4, kind)(maps)
    answer.sum().backward()
    if kind == "mada":  # 3x3 convolutions round an odd side up, 4x4 ones down
        grid = tuple(math.ceil(max(1.0, 32 / min(size)) * length / 32) for length in size)
    assert answer.shape == (2, 1, *grid)
    assert maps.grad is not None and bool(maps.grad.abs().sum() > 0)


def naive_game(adversary: Adversary, source: Outputs, target: Outputs, maps: str) -> tuple[list[Any], list[Any], float]:
    """Equations 5-7 of ADVENT (2 and 4 of AdaptSegNet) as they stand: three passes, pixel by pixel from probabilities.

    Returns the gradients by the target's logits, by the discriminators' weights, and the network's loss.
    """

    def seen(logits: torch.Tensor) -> torch.Tensor:
        probability = logits.softmax(dim=1)
        return probability if maps == "softmax" else -probability * probability.log() / math.log(logits.shape[1])

    def loss(answer: torch.Tensor, is_source: bool) -> torch.Tensor:
        probability = answer.sigmoid()
        return -(probability if is_source else 1 - probability).log().mean()

    by_logits, by_weights, total = [], [], 0.0
    for discriminator, weight, of_source, of_target in zip(
        adversary.discriminators, (1e-3, 2e-4), levels(source), levels(target), strict=False
    ):
        fooling = weight * loss(discriminator(seen(of_target)), True)
        by_logits += torch.autograd.grad(fooling, [of_target])
        telling = loss(discriminator(seen(of_source)), True) / 2 + loss(discriminator(seen(of_target)), False) / 2
        by_weights += torch.autograd.grad(telling, list(discriminator.parameters()))
        total += float(fooling.detach())
    return by_logits, by_weights, total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("maps", MAPS)
def test_both_sides_equal_a_naive_game(make: Any, maps: str, count: int, kind: str) -> None:
    adversary = make(count, maps, discriminator=kind)
    adversary.discriminators.double()
    source, target = (outputs(seed, count, dtype=torch.float64) for seed in (0, 1))
    by_logits, by_weights, expected = naive_game(adversary, source, target, maps)
    adversary.discriminators.float()  # the product answers in float32; its weights are what they were
    source, target = (outputs(seed, count) for seed in (0, 1))
    loss, losses = judged(adversary, *(Outputs(*said[:2]) for said in (source, target)))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
    for got, wanted in zip(levels(target), by_logits, strict=True):
        torch.testing.assert_close(got.grad, wanted.float(), atol=1e-10, rtol=1e-3)
    for weight, wanted in zip(adversary.discriminators.parameters(), by_weights, strict=True):
        torch.testing.assert_close(weight.grad, wanted.float(), atol=1e-6, rtol=1e-4)
    assert len(losses) == 2 * count


@pytest.mark.parametrize("bias", [0.0, 2.0, -1.0])
def test_numbers_by_hand(make: Any, bias: float) -> None:
    """A discriminator that always answers `bias`: -log sigmoid(b) and -log sigmoid(-b), and nothing to learn from."""
    adversary = make(2, adv_weight=0.5, aux_adv_weight=0.25)
    for weight in adversary.discriminators.parameters():
        nn.init.zeros_(weight)
    for discriminator in adversary.discriminators:
        nn.init.constant_(discriminator.layers[-1].bias, bias)
    target = outputs(1, 2)
    loss, losses = judged(adversary, outputs(0, 2), target)
    loss.backward()
    fooling, unmasked = math.log1p(math.exp(-bias)), math.log1p(math.exp(bias))
    assert losses["fooling"] == losses["aux_fooling"] == pytest.approx(fooling)
    assert losses["discriminator"] == losses["aux_discriminator"] == pytest.approx((fooling + unmasked) / 2)
    assert float(loss.detach()) == pytest.approx(0.75 * fooling)
    assert target.logits.grad is not None and not target.logits.grad.any()


@pytest.mark.parametrize("maps", MAPS)
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_certain_and_uniform_maps_have_finite_gradients(make: Any, maps: str, scale: float) -> None:
    adversary = make(1, maps)
    source, target = outputs(0, scale=scale), outputs(1, scale=scale)
    loss, losses = judged(adversary, source, target)
    loss.backward()
    assert math.isfinite(float(loss.detach())) and all(math.isfinite(value) for value in losses.values())
    everything = [target.logits.grad, *gradients(adversary.discriminators)]
    assert all(bool(torch.isfinite(gradient).all()) for gradient in everything)


def test_the_order_of_images_and_of_classes_does_not_matter(make: Any) -> None:
    adversary, source, target = make(), outputs(0), outputs(1)
    loss, losses = judged(adversary, source, target)
    turned, _ = judged(adversary, Outputs(source.logits.flip(0)), Outputs(target.logits.flip(0)))
    torch.testing.assert_close(turned, loss)
    order = torch.tensor([2, 0, 3, 1])
    first = adversary.discriminators[0].layers[0]
    with torch.no_grad():
        first.weight.copy_(first.weight[:, order].clone())
    permuted, _ = judged(adversary, Outputs(source.logits[:, order]), Outputs(target.logits[:, order]))
    torch.testing.assert_close(permuted, loss)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("count", [1, 2])
def test_each_side_steps_by_its_own_loss_only(make: Any, tiny_city: ModuleType, count: int, precision: str) -> None:
    network = tiny_city.network(body=(tiny_city.Body, tiny_city.TwoOutputs)[count - 1])
    adversary = make(count, precision=precision)
    learner = Learner(network, adversary._config, tiny_city.fabric(precision), None)
    images = torch.rand(2, 2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    source, target = learner.forward(images[0], "source"), learner.forward(images[1], "target")
    sides = copies(network), copies(adversary.discriminators)
    loss, _ = judged(adversary, source, target)
    assert all(weight.grad is None for weight in network.parameters())  # looking moves nothing
    assert same(copies(adversary.discriminators), sides[1])
    kept = gradients(adversary.discriminators)
    learner.minimize(loss)
    assert same(gradients(adversary.discriminators), kept)  # fooling leaves no gradient with the one to be fooled
    assert same(copies(adversary.discriminators), sides[1]) and not same(copies(network), sides[0])
    before = copies(network), gradients(network)
    adversary.learn()
    assert same(copies(network), before[0]) and same(gradients(network), before[1])
    assert not same(copies(adversary.discriminators), sides[1])


def test_fooling_reaches_the_network_through_the_target_only(make: Any) -> None:
    source, target = outputs(0), outputs(1)
    loss, _ = judged(make(), source, target)
    (2 * loss).backward()  # a scaled loss scales its gradient
    assert source.logits.grad is None
    again, reference = outputs(1), make()
    judged(reference, outputs(0), again)[0].backward()
    torch.testing.assert_close(target.logits.grad, 2 * again.logits.grad)


def test_either_side_gets_better_at_its_task(make: Any) -> None:
    adversary = make(discriminator_lr=1e-2, discriminator_width=8)
    source, target = outputs(0, scale=8.0), outputs(1, scale=0.5)
    told = []
    for _ in range(15):
        told.append(judged(adversary, source, target)[1]["discriminator"])
        adversary.learn()
    assert told[-1] < 0.5 * told[0] and told[0] == pytest.approx(math.log(2), abs=0.05)
    logits = target.logits.detach().requires_grad_()
    fooled = []
    for _ in range(15):
        loss, losses = judged(adversary, source, Outputs(logits))
        fooled.append(losses["fooling"])
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = (logits - 5 * gradient.sign() / 10).detach().requires_grad_()
    assert fooled[-1] < 0.5 * fooled[0]


@pytest.mark.parametrize("spoil", ["weight", "gradient"])
def test_where_a_discriminator_overflows_neither_side_steps(make: Any, tiny_city: ModuleType, spoil: str) -> None:
    adversary, network = make(), tiny_city.network()
    learner = Learner(network, adversary._config, tiny_city.fabric(), None)
    first, last = adversary.discriminators[0].layers[0], adversary.discriminators[0].layers[-1]
    with torch.no_grad():
        if spoil == "weight":
            first.weight.fill_(float("inf"))
        else:  # ordinary answers and an ordinary gradient for the network, but one of 1e30 for the last layer
            first.weight.mul_(1e30)
            last.weight.mul_(1e-30)
    images = torch.rand(2, 3, 16, 24)
    weights = [weight.detach().clone() for weight in network.parameters()]
    loss, losses = judged(adversary, learner.forward(images, "source"), learner.forward(images, "target"))
    assert all(math.isfinite(value) for value in losses.values()) is (spoil == "gradient")
    with pytest.raises(NonFiniteLoss, match="the loss is nan") as error:
        learner.minimize(loss)
    assert error.value.harmless and same(list(network.parameters()), weights)


def test_a_phase_begins_with_fresh_discriminators_of_its_own(make: Any) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    adversary, other = make(2), make(2)
    first = copies(adversary.discriminators)
    assert same(first, copies(other.discriminators))
    assert not torch.equal(first[0], first[len(first) // 2])  # the two levels' discriminators are no twins
    judged(adversary, outputs(0, 2), outputs(1, 2))
    adversary.learn()
    adversary.begin()
    assert same(first, copies(adversary.discriminators)) and adversary.optimizer.state_dict()["state"] == {}
    adversary.begin(1)
    assert not torch.equal(first[0], copies(adversary.discriminators)[0])
    assert not torch.equal(first[0], copies(make(2, seed=1).discriminators)[0])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_rates_follow_the_schedule(make: Any) -> None:
    adversary = make(discriminator_lr=2e-4)
    for factor in (0.5, 1.0):  # of the starting value, not of the last one
        adversary.set_rate(factor)
        (group,) = adversary.optimizer.param_groups
        assert group["lr"] == pytest.approx(2e-4 * factor) and group["betas"] == (0.9, 0.99)


def test_outputs_are_counted_without_a_trace(tiny_city: ModuleType) -> None:
    for count, body in enumerate((tiny_city.Body, tiny_city.TwoOutputs), 1):
        network = tiny_city.network(body=body).train()
        before = tiny_city.weights(network)
        assert count_outputs(network) == count
        assert network.training and tiny_city.same_weights(before, network.state_dict())


def test_ranks_share_one_gradient(make: Any) -> None:
    class OtherRankSawNothing:
        """What `all_reduce` gives where the other of two ranks has a gradient of zero."""

        world_size = 2

        def __getattr__(self, name: str) -> Any:
            return getattr(fabric, name)

        def all_reduce(self, tensor: torch.Tensor, reduce_op: str) -> torch.Tensor:
            assert reduce_op == "mean"
            return tensor / 2

    alone, together = make(), make()
    fabric = together._fabric
    together._fabric = OtherRankSawNothing()
    for adversary in (alone, together):
        judged(adversary, outputs(0), outputs(1))
    for one, shared in zip(gradients(alone.discriminators), gradients(together.discriminators), strict=True):
        torch.testing.assert_close(shared, one / 2)


def test_the_closed_form_is_binary_cross_entropy(make: Any) -> None:
    adversary, target = make(), outputs(1)
    _, losses = judged(adversary, outputs(0), target)
    answer = adversary.discriminators[0](entropy_NCHW(target.logits.detach()))
    reference = functional.binary_cross_entropy(answer.sigmoid(), torch.ones_like(answer))
    assert losses["fooling"] == pytest.approx(float(reference.detach()), rel=1e-5)
