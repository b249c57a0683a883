"""Adversarial alignment of what a network says on two domains: discriminators, and one step for both sides.

A discriminator looks at maps made from the network's logits and learns to answer SOURCE for the source's images and
TARGET for the target's (AdaptSegNet, Tsai et al., CVPR 2018, equation 2; ADVENT, Vu et al., CVPR 2019, equation 5). The
network learns to have its maps of the target taken for the source's (AdaptSegNet, equation 4; ADVENT, equation 6).
Networks with two outputs get a discriminator for each.

Each discriminator sees the target's maps once, where public code shows them twice: the one pass yields the gradient by
the logits, which goes to the network, and the gradient by the discriminator's own weights, which stays there. Both
sides step from the weights they had when they looked, and neither's loss moves the other.

Differs from the papers: sums over pixels are means, as in public code, which the published weights belong to.

Axis legend: N images, C classes, H x W pixels.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from lightning.fabric import Fabric
from pydantic import Field
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.utils import get_total_norm

from frugalseg.core.chance import seed_for
from frugalseg.models.network import Network, Outputs, upsample
from frugalseg.training.settings import TrainConfig

SOURCE, TARGET = 1.0, 0.0  # what a discriminator answers, as a probability (ADVENT, section 3.2)
BETAS = (0.9, 0.99)  # of the discriminators' Adam (AdaptSegNet)
LEAST_PX = 32  # the five convolutions halve a map five times
LEAK = 0.2  # slope of the leaky ReLU below zero, in every kind

Kind = Literal["adaptsegnet", "mada"]


class Layers(NamedTuple):
    """What tells one kind of discriminator from another: the convolutions' side, and which of them leak below zero."""

    kernel_px: int
    leaky: tuple[bool, bool, bool, bool]


KINDS: dict[Kind, Layers] = {
    "adaptsegnet": Layers(4, (True, True, True, True)),  # Tsai et al., section 4.2; ADVENT's too
    "mada": Layers(3, (False, False, False, True)),  # Ning et al., ICCV 2021, section 4.2
}


class AdversarialConfig(TrainConfig):
    """What methods with discriminators share; the defaults are AdaptSegNet's and ADVENT's."""

    aux_seg_weight: float = Field(0.1, ge=0, description="weight of the auxiliary output's cross entropy")
    adv_weight: float = Field(1e-3, ge=0, description="weight of fooling the discriminator of the main output")
    aux_adv_weight: float = Field(2e-4, ge=0, description="weight of fooling the discriminator of the auxiliary output")
    discriminator_lr: float = Field(1e-4, gt=0, description="learning rate of the discriminators (Adam)")
    discriminator: Kind = Field(
        "adaptsegnet", description="kind of discriminator: 4x4 convolutions, all leaky, or MADA's 3x3, the last leaky"
    )
    discriminator_width: int = Field(
        64, ge=1, description="channels of a discriminator's first layer; half as many cost a quarter of the time"
    )


class Discriminator(nn.Module):
    """Five convolutions of stride 2 to `width` x 1, 2, 4, 8 and 1 channels, no normalisation; `kind` says the rest."""

    def __init__(self, classes: int, width: int = 64, kind: Kind = "adaptsegnet") -> None:
        super().__init__()
        self.kind = kind
        side, leaky = KINDS[kind]
        channels = (classes, *(width * factor for factor in (1, 2, 4, 8)))
        layers: list[nn.Module] = []
        for (inside, outside), leaks in zip(pairwise(channels), leaky, strict=True):
            layers.append(nn.Conv2d(inside, outside, side, stride=2, padding=1))
            layers.append(nn.LeakyReLU(LEAK, inplace=True) if leaks else nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, side, stride=2, padding=1))

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        """Return logits of SOURCE on a 32 times coarser grid; maps with a side below 32 pixels are enlarged first."""
        scale = max(1.0, LEAST_PX / min(maps_NCHW.shape[-2:]))
        logits: Tensor = self.layers(upsample(maps_NCHW, [round(side * scale) for side in maps_NCHW.shape[-2:]]))
        return logits


class Adversary:
    """The discriminators of a network's outputs and their optimizer.

    Args:
        network: Whose outputs they look at.
        config: Weights, rates, width.
        fabric: Device, precision, ranks.
        maps: Makes what the discriminators look at, N x C x H x W, from logits of the same shape.
    """

    def __init__(
        self, network: Network, config: AdversarialConfig, fabric: Fabric, maps: Callable[[Tensor], Tensor]
    ) -> None:
        self._config, self._fabric, self._maps = config, fabric, maps
        self._classes = len(network.classes)
        self._weights = (config.adv_weight, config.aux_adv_weight)[: count_outputs(network)]
        self.begin()

    def begin(self, phase: int = 0) -> None:
        """Start a phase: fresh discriminators, whose weights depend on the seed and the phase only."""
        config = self._config
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_for(config.seed, "discriminator", phase))
            fresh = [
                Discriminator(self._classes, config.discriminator_width, config.discriminator) for _ in self._weights
            ]
        self.discriminators = nn.ModuleList(fresh).to(self._fabric.device)
        self.optimizer = torch.optim.Adam(self.discriminators.parameters(), config.discriminator_lr, betas=BETAS)
        self._apart: list[float] = []  # what the source's maps cost each discriminator in this step

    @property
    def main(self) -> Discriminator:
        """The discriminator of the main output."""
        first = self.discriminators[0]
        assert isinstance(first, Discriminator)
        return first

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to `factor` times its starting value."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._config.discriminator_lr * factor

    def judge_source(self, source: Outputs) -> None:
        """Let each discriminator look at the source's maps; the step begins here, before the target's forward pass.

        Nothing of it reaches the network, so the source's outputs may be dropped afterwards: they and the target's are
        never needed together.
        """
        self.optimizer.zero_grad(set_to_none=True)
        self._apart = []
        for discriminator, logits_NCHW in zip(self.discriminators, _levels(source), strict=True):
            with self._precision():
                apart = _taken_for(discriminator(self._maps(logits_NCHW.detach())), SOURCE) / 2
            apart.backward(inputs=list(discriminator.parameters()))  # type: ignore[no-untyped-call]
            self._apart.append(float(apart.detach()))

    def judge(self, target: Outputs) -> tuple[Tensor, dict[str, float]]:
        """Let each discriminator look at the target's maps, once, after `judge_source`.

        Returns the weighted loss of not fooling them, whose gradient reaches the network, and all losses by name. The
        discriminators' own gradients are kept for `learn`; where one of them is no number, the loss returned is none
        either, so that neither side steps.
        """
        total, losses = target.logits.new_zeros(()), {}
        levels = zip(self.discriminators, self._weights, self._apart, _levels(target), strict=True)
        for prefix, (discriminator, weight, apart, logits_NCHW) in zip(("", "aux_"), levels, strict=False):
            seen_NCHW = logits_NCHW.detach().requires_grad_()
            with self._precision():
                answer = discriminator(self._maps(seen_NCHW))
            fooling, unmasked = _taken_for(answer, SOURCE), _taken_for(answer, TARGET) / 2
            (gradient_NCHW,) = torch.autograd.grad(fooling, seen_NCHW, retain_graph=True)
            unmasked.backward(inputs=list(discriminator.parameters()))  # type: ignore[no-untyped-call]
            total = total + weight * _Known.apply(logits_NCHW, gradient_NCHW, fooling.detach())
            losses[f"{prefix}fooling"] = float(fooling.detach())
            losses[f"{prefix}discriminator"] = apart + float(unmasked.detach())
        self._average_over_ranks()
        return total + 0.0 * get_total_norm(self._gradients()), losses  # 0 x NaN and 0 x infinity are NaN

    def learn(self) -> None:
        """Take the discriminators' step from what they saw last."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)  # at once: the next step's forward pass needs the room

    def state(self) -> dict[str, Any]:
        """Return all that resume needs: tensors, numbers, lists and dicts."""
        return {"discriminators": self.discriminators.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.discriminators.load_state_dict(state["discriminators"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _precision(self) -> AbstractContextManager[Any]:
        """The run's arithmetic; in fp16, whose smallest number the gradient by a pixel undercuts, float32."""
        return nullcontext() if self._config.precision == "16-mixed" else self._fabric.autocast()

    def _gradients(self) -> list[Tensor]:
        return [weight.grad for weight in self.discriminators.parameters() if weight.grad is not None]

    def _average_over_ranks(self) -> None:
        if self._fabric.world_size > 1:
            for gradient in self._gradients():
                gradient.copy_(self._fabric.all_reduce(gradient, reduce_op="mean"))  # type: ignore[arg-type]


class _Known(torch.autograd.Function):
    """A loss whose gradient by the logits has been computed already."""

    @staticmethod
    def forward(ctx: Any, logits_NCHW: Tensor, gradient_NCHW: Tensor, loss: Tensor) -> Tensor:
        ctx.save_for_backward(gradient_NCHW)
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient_NCHW,) = ctx.saved_tensors
        return upstream * gradient_NCHW, None, None


def count_outputs(network: Network) -> int:
    """Return 2 for a network with an auxiliary output, else 1."""
    was_training, side = network.training, max(2 * network.stride, network.least_px)
    with torch.no_grad():
        outputs = network.eval()(torch.zeros(1, network.channels, side, side, device=network.mean.device))
    network.train(was_training)
    return len(_levels(outputs))


def _levels(outputs: Outputs) -> tuple[Tensor, ...]:
    return (outputs.logits,) if outputs.aux_logits is None else (outputs.logits, outputs.aux_logits)


def _taken_for(answer_N1hw: Tensor, domain: float) -> Tensor:
    """Return the mean binary cross entropy of a discriminator's answer and one domain."""
    answer_N1hw = answer_N1hw.float()
    return functional.binary_cross_entropy_with_logits(answer_N1hw, torch.full_like(answer_N1hw, domain))
