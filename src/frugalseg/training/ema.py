"""An exponential moving average of a network's weights and running statistics."""

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import nn

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


class Ema(Generic[AnyNetwork]):
    """Keeps `average = decay * average + (1 - decay) * network`; the decay rises from 0 (Tarvainen & Valpola 2017).

    Integer buffers (such as the number of batches seen) are copied.
    """

    def __init__(self, network: AnyNetwork, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: AnyNetwork) -> None:
        """Move the average towards `network`."""
        self.updates += 1
        decay = min(self.decay, 1 - 1 / self.updates)  # early on, the average of all weights so far
        for average, value in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        return {"updates": self.updates, "network": self.network.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.updates = state["updates"]
        self.network.load_state_dict(state["network"])
