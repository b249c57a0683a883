"""Feature distance: keeps what a trunk knew of things before it saw the source (DAFormer, Hoyer et al., CVPR 2022).

Axis legend: N images, F feature channels, T thing classes, H x W pixels, h x w the trunk's deepest grid.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.errors import TrainingError
from frugalseg.models.network import Network, padded_size


class FeatureDistance:
    """Compares a student's deepest encoder features with those of the frozen pretrained encoder.

    Args:
        network: The student, whose encoder is listened to.
        pretrained: The same network with its pretrained encoder, or None where there is none.
        things: Names of the classes it is compared on.
        share: Least share of a feature cell's pixels that one of these classes must have.

    Raises:
        TrainingError: a name that is no class, or no pretrained encoder.
    """

    def __init__(self, network: Network, pretrained: Network | None, things: Sequence[str], share: float) -> None:
        self._things = thing_ids(network.classes, things)
        if pretrained is None:
            raise TrainingError(
                "The feature distance compares with a pretrained trunk, and this project has none.\n"
                "Give the project its weights, or leave `things` empty: the method then does without."
            )
        device = next(network.parameters()).device
        self._frozen = copy.deepcopy(pretrained.encoder).eval().requires_grad_(False).to(device)
        self._network, self._share = network, share
        self._seen: list[tuple[tuple[Any, ...], Any]] = []

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Within the body, remember what the student's encoder is given and what it answers."""
        self._seen.clear()
        handle = self._network.encoder.register_forward_hook(self._remember)
        try:
            yield
        finally:
            handle.remove()

    def loss(self, labels_NHW: Tensor) -> Tensor:
        """Return the mean distance for the batch that was listened to, whose labels these are."""
        inputs, answer = self._seen[0]  # a network of several scales asks its encoder several times
        self._seen.clear()
        with torch.no_grad():
            frozen = deepest(self._frozen(*inputs))
        stride_hw = padded_size(labels_NHW.shape[-2:], self._network.stride, self._network.least_px)
        cells_Nhw = thing_cells(labels_NHW, self._things, stride_hw, frozen.shape[-2:], self._share)
        return masked_distance(deepest(answer), frozen, cells_Nhw)

    def _remember(self, module: nn.Module, inputs: tuple[Any, ...], answer: Any) -> None:
        self._seen.append((inputs, answer))


def thing_ids(classes: ClassSet, things: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of the named classes.

    Raises:
        TrainingError: a name that is no class.
    """
    unknown = [name for name in things if name not in classes.names]
    if unknown:
        raise TrainingError(
            f"`things` names what is no class: {', '.join(unknown)}. The classes are {', '.join(classes.names)}."
        )
    return tuple(classes.names.index(name) for name in things)


def deepest(answer: Any) -> Tensor:
    """Return an encoder's last (coarsest) feature map.

    Raises:
        TrainingError: it gives none.
    """
    features = answer[-1] if isinstance(answer, list | tuple) else answer
    if not isinstance(features, Tensor) or features.ndim != 4:
        raise TrainingError("This network's encoder gives no feature map to compare. Leave `things` empty.")
    return features.float()


def thing_cells(
    labels_NHW: Tensor, things: Sequence[int], padded_HW: Sequence[int], grid_hw: Sequence[int], share: float
) -> Tensor:
    """Return which cells of the coarse grid belong to a thing: one class has at least `share` of the cell's pixels.

    The grid lies on the padded image; padding belongs to no class. Where the grid does not divide the image, cells are
    the ranges of pixels that cover it evenly.
    """
    height, width = labels_NHW.shape[-2:]
    padding = (0, padded_HW[1] - width, 0, padded_HW[0] - height)
    padded_NHW = functional.pad(labels_NHW, padding, value=IGNORE)
    one_hot_NTHW = torch.stack([(padded_NHW == thing).float() for thing in things], dim=1)
    return functional.adaptive_avg_pool2d(one_hot_NTHW, (grid_hw[0], grid_hw[1])).amax(dim=1) >= share


def masked_distance(one_NFhw: Tensor, other_NFhw: Tensor, cells_Nhw: Tensor) -> Tensor:
    """Return the mean Euclidean distance of the feature vectors at the given cells; 0 where there are none."""
    apart = (one_NFhw - other_NFhw).permute(0, 2, 3, 1)[cells_Nhw]
    if not len(apart):
        return one_NFhw.new_zeros(())
    distances: Tensor = torch.linalg.vector_norm(apart, dim=1)
    return distances.mean()
