"""BatchNorm statistics across two domains: shared, kept apart, or recomputed on the target.

Source and target images have other colours and contrasts, so their activations have other means and variances;
statistics mixed of both fit neither (AdaBN, Li et al. 2017; DSBN, Chang et al. 2019). On simulated → real driving
scenes keeping them apart is worth 2–5 mIoU to self-training.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """Return the BatchNorm layers that keep running statistics, in a fixed order."""
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]


class DomainStatistics:
    """Running statistics of their own for each domain; weights and biases stay shared.

    The network itself carries those of the `home` domain: outside of `use` it is an ordinary network of that domain.
    """

    def __init__(self, network: nn.Module, domains: Iterable[str], home: str) -> None:
        self._layers = batch_norms(network)
        self._home = home
        self._own: dict[str, list[dict[str, Tensor]]] = {
            domain: [_buffers(layer, copy=True) for layer in self._layers] for domain in domains if domain != home
        }

    @contextmanager
    def use(self, domain: str) -> Iterator[None]:
        """Run the body with the statistics of `domain` in place, both read and updated."""
        if domain == self._home:
            yield
            return
        kept = [_buffers(layer) for layer in self._layers]
        _install(self._layers, self._own[domain])
        try:
            yield
        finally:
            _install(self._layers, kept)

    def state(self) -> dict[str, list[dict[str, Tensor]]]:
        """Return all that resume needs beside the network's own state."""
        return self._own

    def load_state(self, state: dict[str, list[dict[str, Tensor]]]) -> None:
        """Continue from what `state` returned."""
        for domain, layers in self._own.items():
            for own, saved in zip(layers, state[domain], strict=True):
                for name in BUFFERS:
                    own[name].copy_(saved[name])


def _buffers(layer: _BatchNorm, copy: bool = False) -> dict[str, Tensor]:
    buffers = {name: getattr(layer, name) for name in BUFFERS}
    return {name: value.clone() for name, value in buffers.items()} if copy else buffers


def _install(layers: list[_BatchNorm], buffers: list[dict[str, Tensor]]) -> None:
    for layer, own in zip(layers, buffers, strict=True):
        for name in BUFFERS:
            setattr(layer, name, own[name])


@torch.no_grad()
def recompute(network: nn.Module, batches_NCHW: Iterable[Tensor]) -> None:
    """Replace the running statistics by the plain average over the given batches (AdaBN, Li et al. 2017).

    Other parts of the network keep their mode: only BatchNorm layers count, nothing is learned.
    """
    layers = batch_norms(network)
    modes = {layer: (layer.momentum, layer.training) for layer in layers}
    was_training = network.training
    network.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative average, each batch counting the same
        layer.train()
    try:
        for images_NCHW in batches_NCHW:
            network(images_NCHW)
    finally:
        network.train(was_training)
        for layer, (momentum, training) in modes.items():
            layer.momentum = momentum
            layer.train(training)
