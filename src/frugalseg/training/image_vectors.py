"""Image vectors: the mean feature of each class in an image (MADA, Ning et al., ICCV 2021, equations 1 and 4).

Read literally the equations keep a whole map for each class; the mean of a class is what the public code computes and
what works. The means of all classes come from one segment sum, written as a product with the pixels' one-hot labels:
the features are read once, the result does not depend on the order of additions between runs (unlike atomic adds on a
GPU), and the gradient flows through.

Axis legend: N images, C classes, F feature channels, P feature pixels, H x W the labels' pixels, h x w the feature
layer's own grid.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ModelError
from frugalseg.models.network import Network, Outputs, padded_size

LEAST_PX = 10  # feature pixels; a class with fewer is absent (MADA's public code)


class Means(NamedTuple):
    """The mean feature of each class, N x C x F float32, and which classes are present (N x C); 0 where absent."""

    vectors: Tensor
    present: Tensor

    @property
    def zeros_for_absent(self) -> "Means":
        """The same with every class present, absent ones as zeros (MADA's public code)."""
        return Means(self.vectors, torch.ones_like(self.present))


def image_vectors(
    network: Network, outputs: Outputs, labels_NHW: Tensor, least_px: int = LEAST_PX, right_only: bool = False
) -> Means:
    """Return the class means of what `network` said of a batch of images.

    The labels cover the images at any size: the ground truth (equation 1), or the network's own classes (equation 4).
    With `right_only` they count only where the network predicts them (the public code's source labels).

    Raises:
        ModelError: the network gives no features.
    """
    features_NFhw = feature_layer(network, outputs)
    view_HW, grid_hw = outputs.logits.shape[-2:], features_NFhw.shape[-2:]
    padded_HW = padded_size(view_HW, network.stride, network.least_px)
    labels_Nhw = labels_on_grid(labels_NHW, view_HW, padded_HW, grid_hw)
    if right_only:
        predicted_Nhw = labels_on_grid(outputs.logits.argmax(dim=1), view_HW, padded_HW, grid_hw)
        labels_Nhw = agreeing(labels_Nhw, predicted_Nhw)
    return class_means(features_NFhw, labels_Nhw, len(network.classes), least_px)


def feature_layer(network: Network, outputs: Outputs) -> Tensor:
    """Return what a network's last 1x1 convolution saw, N x F x h x w.

    Raises:
        ModelError: the network gives no features.
    """
    if outputs.features is None:
        raise ModelError(
            f"{network.name} gives no features, of which image vectors are made. Name its feature layer: "
            "its body returns (logits, features)."
        )
    return outputs.features


def class_means(features_NFhw: Tensor, labels_Nhw: Tensor, classes: int, least_px: int = LEAST_PX) -> Means:
    """Return the mean feature of each class over its pixels; classes with fewer than `least_px` are absent."""
    with torch.autocast(features_NFhw.device.type, enabled=False):
        features_NFP = features_NFhw.float().flatten(2)
        segments_NP = labels_Nhw.flatten(1).long().clamp(max=classes)  # IGNORE goes to a segment of its own
        one_hot_NSP = features_NFP.new_zeros((len(segments_NP), classes + 1, segments_NP.shape[1]))
        one_hot_NCP = one_hot_NSP.scatter_(1, segments_NP[:, None], 1.0)[:, :classes]
        sums_NCF = one_hot_NCP @ features_NFP.transpose(1, 2)
        pixels_NC = one_hot_NCP.sum(dim=2)
        present_NC = pixels_NC >= max(least_px, 1)
        means_NCF = sums_NCF / pixels_NC.clamp(min=1)[..., None]
        return Means(means_NCF.masked_fill(~present_NC[..., None], 0.0), present_NC)


def labels_on_grid(
    labels_NHW: Tensor, view_HW: Sequence[int], padded_HW: Sequence[int], grid_hw: Sequence[int]
) -> Tensor:
    """Return the labels at the centres of the feature grid's cells, N x h x w; padding is IGNORE.

    The network looked at the frame at the size `view_HW`, padded at the bottom and right to `padded_HW`, over which the
    grid lies; the labels cover the frame at any size.
    """
    rows, columns = (
        _centres(cells, padded, view, length, labels_NHW.device)
        for cells, padded, view, length in zip(grid_hw, padded_HW, view_HW, labels_NHW.shape[-2:], strict=True)
    )
    found_Nhw = labels_NHW[:, rows.clamp(max=labels_NHW.shape[1] - 1)][:, :, columns.clamp(max=labels_NHW.shape[2] - 1)]
    outside_hw = (rows >= labels_NHW.shape[1])[:, None] | (columns >= labels_NHW.shape[2])
    return found_Nhw.masked_fill(outside_hw, IGNORE)


def agreeing(truth_NHW: Tensor, predicted_NHW: Tensor) -> Tensor:
    """Return the ground truth where the network predicts it, IGNORE elsewhere."""
    return truth_NHW.masked_fill(truth_NHW != predicted_NHW, IGNORE)


def _centres(cells: int, padded: int, view: int, length: int, device: torch.device) -> Tensor:
    """Return the label row (or column) at each cell's centre; `length` and more lie in the padding. Exact: integers."""
    odd = 2 * torch.arange(cells, device=device) + 1
    return (odd * padded * length) // (2 * cells * view)
