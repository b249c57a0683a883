"""RAFT (Teed & Deng, ECCV 2020), torchvision's networks, with weights from a local file."""

import numpy as np
import torch
from torch import nn

from frugalseg.core.errors import ConfigError
from frugalseg.core.files import file_hash
from frugalseg.models.network import pad_to_multiple
from frugalseg.models.weights import check_state, read_weights
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.motion import Picture, check_sizes
from frugalseg.propagation.networks import RaftConfig

STRIDE, LEAST_PX = 8, 128  # of what the networks take


class Raft:
    """RAFT as a motion source.

    Raises:
        ConfigError: no weights are named.
        ModelError: the weights file is missing, damaged, or another network's.
    """

    def __init__(self, config: RaftConfig, device: torch.device | str = "cpu") -> None:
        if config.raft_weights is None:
            raise ConfigError(
                "raft: weights are needed and were not given. Set raft_weights=FILE (torchvision's raft_large or "
                "raft_small), or use dis, which needs none."
            )
        self._config, self._device = config, torch.device(device)
        network = build(config.raft_size)
        state = read_weights(config.raft_weights)
        check_state(state, network.state_dict(), str(config.raft_weights))
        network.load_state_dict(state)
        self._network = network.eval().to(self._device)
        self._hash = file_hash(config.raft_weights)

    @property
    def identity(self) -> str:
        """Network, refinement steps and the hash of the weights."""
        return f"raft {self._config.raft_size} {self._config.raft_updates} updates {self._hash}"

    @torch.no_grad()
    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        """Return the flow target → source; `start` is not used.

        Raises:
            DataError: the pictures differ in size.
        """
        check_sizes(target, source)
        images = [
            torch.from_numpy(np.ascontiguousarray(picture.rgb_HWC)).to(self._device).permute(2, 0, 1)[None].float()
            for picture in (target, source)
        ]
        padded = [pad_to_multiple(image / 127.5 - 1, STRIDE, LEAST_PX) for image in images]
        flow_12HW = self._network(*padded, num_flow_updates=self._config.raft_updates)[-1]
        height, width = target.size_HW
        return Flow.of(flow_12HW[0, :, :height, :width].permute(1, 2, 0).cpu().numpy())


def build(size: str) -> nn.Module:
    """Return torchvision's raft_large or raft_small, without weights."""
    from torchvision.models import optical_flow

    made = optical_flow.raft_large if size == "large" else optical_flow.raft_small
    network = made(weights=None)
    assert isinstance(network, nn.Module)
    return network
