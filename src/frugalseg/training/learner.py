"""What methods are composed of: a network, its optimizer, its statistics per domain and its moving average."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import get_total_norm

from frugalseg.models.network import Network, Outputs
from frugalseg.training.batch_statistics import DomainStatistics, recompute
from frugalseg.training.class_weights import median_frequency_weights
from frugalseg.training.ema import Ema
from frugalseg.training.settings import TrainConfig

Domain = Literal["source", "target", "mixed"]


class NonFiniteLoss(ArithmeticError):
    """A loss or its gradient was NaN or infinite; no weight was changed. The loop decides what follows.

    `harmless` says whether everything the network holds is still finite (a forward pass can spoil running statistics).
    """

    def __init__(self, message: str, harmless: bool) -> None:
        super().__init__(message)
        self.harmless = harmless


class Learner:
    """One network that learns. Batches of the two domains pass through it with statistics of their own.

    Args:
        network: Learned in place.
        config: Rates, decay, statistics.
        fabric: Device, precision, ranks.
        pixels_C: Labelled source pixels of each class, for the class weights; None for no weights.
        home: The domain whose statistics the finished network carries.
        domains: Those with statistics of their own where the settings keep them apart.
    """

    def __init__(
        self,
        network: Network,
        config: TrainConfig,
        fabric: Fabric,
        pixels_C: NDArray[np.int64] | None,
        home: Domain = "target",
        domains: tuple[Domain, ...] = ("source", "target"),
    ) -> None:
        self.network, self._config, self._fabric = network.to(fabric.device), config, fabric
        self.class_weights = None if pixels_C is None else self.weights_for(pixels_C)
        apart = config.batch_statistics == "per_domain"
        self.statistics = DomainStatistics(network, domains if apart else (), home)
        self.ema = Ema(network, config.ema) if config.ema else None
        self.begin()

    def begin(self, lr_factor: float = 1.0) -> None:
        """Start a phase: a fresh optimizer whose rates are the configured ones times `lr_factor`."""
        config = self._config
        groups = self.network.parameter_groups(config.lr * lr_factor, config.head_lr_factor)
        if config.optimizer == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=config.weight_decay)
        else:
            optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._module, self.optimizer = self._fabric.setup(self.network, optimizer)
        self.network.train()

    def weights_for(self, pixels_C: NDArray[np.int64]) -> Tensor | None:
        """Return the class weights of labels with these pixel counts, or None where the settings want no weights."""
        if not self._config.class_weighting:
            return None
        weights_C = median_frequency_weights(pixels_C, self._config.class_weighting)
        return torch.from_numpy(weights_C).to(self._fabric.device)

    def set_rate(self, factor: float) -> None:
        """Set the learning rates to `factor` times their starting values."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def forward(self, images_NCHW: Tensor, domain: Domain) -> Outputs:
        """Return the outputs for a batch of one domain, read and tracked with that domain's statistics."""
        if self._config.batch_statistics == "shared":
            return Outputs(*self._module(images_NCHW))
        with self.statistics.use(domain):
            return Outputs(*self._module(images_NCHW))

    def add(self, loss: Tensor) -> None:
        """Add a loss to what the next `step` goes down; the graph it came from is freed.

        Terms added one by one, each before the next one's forward pass, hold one graph in memory at a time.

        Raises:
            NonFiniteLoss: the loss is NaN or infinite; weights and optimizer are as before, the terms are dropped.
        """
        if not bool(torch.isfinite(loss)):
            self.optimizer.zero_grad(set_to_none=True)
            raise NonFiniteLoss(f"the loss is {float(loss.detach())}", self._finite())
        self._fabric.backward(loss)

    def step(self) -> None:
        """Take one optimizer step down the terms added since the last.

        Raises:
            NonFiniteLoss: a gradient is NaN or infinite; weights and optimizer are as before.
        """
        if self._config.precision != "16-mixed":  # there the gradient scaler looks, and lowers its scale
            gradients = [weight.grad for weight in self.network.parameters() if weight.grad is not None]
            if not bool(torch.isfinite(get_total_norm(gradients))):
                self.optimizer.zero_grad(set_to_none=True)
                raise NonFiniteLoss("a gradient is NaN or infinite", self._finite())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)  # at once: the next step's forward pass needs the room
        if self.ema:
            self.ema.update(self.network)

    def minimize(self, loss: Tensor) -> None:
        """Take one optimizer step down `loss`; raises what `add` and `step` raise."""
        self.add(loss)
        self.step()

    @torch.no_grad()
    def ask(self, images_NBHW: Tensor) -> Tensor:
        """Return a teacher's logits of a batch: what the network to predict with says, in evaluation mode."""
        teacher = self.best_network()
        learning = teacher.training  # where the student itself teaches
        with self._fabric.autocast():
            logits_NCHW: Tensor = teacher.eval()(images_NBHW).logits
        teacher.train(learning)
        return logits_NCHW

    def best_network(self) -> Network:
        """Return the network to predict with: the moving average where there is one."""
        return self.ema.network if self.ema else self.network

    def finish(self, target_images: Callable[[], Iterator[Tensor]], average: bool = True) -> Network:
        """Return the finished network, its statistics recomputed on target images if the settings say so.

        It is the moving average where there is one, unless `average` is False.
        """
        network = self.best_network() if average else self.network
        if self._config.recompute_statistics:
            recompute(network, _on_device(target_images(), self._fabric.device))
        return network.eval()

    def state(self) -> dict[str, Any]:
        """Return all that resume needs: tensors, numbers, lists and dicts."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "statistics": self.statistics.state(),
            "ema": self.ema.state() if self.ema else None,
            "precision": self._fabric.strategy.precision.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.statistics.load_state(state["statistics"])
        if self.ema:
            self.ema.load_state(state["ema"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])

    def _finite(self) -> bool:
        held = [self.network.state_dict(), *(layer for own in self.statistics.state().values() for layer in own)]
        return all(bool(torch.isfinite(value).all()) for values in held for value in values.values())


def _on_device(images: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    for image in images:
        yield image.to(device)
