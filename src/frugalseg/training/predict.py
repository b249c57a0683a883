"""Prediction of whole frames: at the size the network was trained for, in tiles, at several scales, with flips.

Axis legend: C classes, H x W the frame, h x w the network's input.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.nn import functional

from frugalseg.core.config import Config
from frugalseg.core.records import Frame
from frugalseg.models.network import Network, Outputs

QUARTER = 4


class PredictConfig(Config):
    """How a frame is looked at. The defaults are one plain view."""

    scales: tuple[PositiveFloat, ...] = Field(
        (1.0,), min_length=1, description="image scales whose probabilities are averaged (MST: .5 .75 1)"
    )
    flip: bool = Field(False, description="also look at the mirrored image")
    tile: int = Field(
        0, ge=0, description="largest side of a view in pixels; larger views go in overlapping tiles; 0 = whole"
    )


class Predictor:
    """Predicts frames of any size with a network in evaluation mode.

    Args:
        network: The network; it is put into evaluation mode on `device`.
        input_hw: Height and width it was trained at, or None for the frames' own size. Frames keep their aspect ratio
            and get as many pixels as the input has.
        config: Scales, flips and tiles.
        device: Where to compute.
    """

    def __init__(
        self,
        network: Network,
        input_hw: tuple[int, int] | None,
        config: PredictConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._network = network.eval().to(device)
        self._input_hw, self._config, self._device = input_hw, config or PredictConfig(), torch.device(device)

    @torch.no_grad()
    def logits(self, image_HWC: NDArray[np.uint8]) -> Tensor:
        """Return logits of the frame at its own size, C x H x W float32.

        Several views are averaged as probabilities; the result is then their logarithm, whose softmax is that average.
        """
        image_1CHW = self._image(image_HWC)
        sides = (False, True) if self._config.flip else (False,)
        first, *others = [(scale, mirrored) for scale in self._config.scales for mirrored in sides]
        total_CHW = self._view(image_1CHW, *first)
        if not others:
            return total_CHW
        total_CHW = total_CHW.log_softmax(dim=0)
        for scale, mirrored in others:
            total_CHW = total_CHW.logaddexp(self._view(image_1CHW, scale, mirrored).log_softmax(dim=0))
        return total_CHW - math.log(1 + len(others))

    @torch.no_grad()
    def outputs(self, image_HWC: NDArray[np.uint8]) -> Outputs:
        """Return all that the network says of the frame in one plain view of the whole, at the view's size."""
        outputs: Outputs = self._network(self._scaled(self._image(image_HWC), 1.0))
        return outputs

    @torch.no_grad()
    def with_features(self, image_HWC: NDArray[np.uint8]) -> tuple[Tensor, Tensor | None]:
        """Return `logits`, and the features F x h x w of one plain view of the whole frame, None if there are none.

        Their grid covers the frame and no padding, and is no finer than a quarter of the view.
        """
        view_1Chw = self._scaled(self._image(image_HWC), 1.0)
        outputs: Outputs = self._network(view_1Chw)
        if self._config == PredictConfig():
            logits_CHW = functional.interpolate(outputs.logits.float(), image_HWC.shape[:2], mode="bilinear")[0]
        else:
            logits_CHW = self.logits(image_HWC)
        if outputs.features is None:
            return logits_CHW, None
        view_hw = view_1Chw.shape[-2:]
        return logits_CHW, on_frame(outputs.features.float(), view_hw, self._network.covered(view_hw))[0]

    def _image(self, image_HWC: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(image_HWC).to(self._device).permute(2, 0, 1)[None].float() / 255

    def _scaled(self, image_1CHW: Tensor, scale: float) -> Tensor:
        frame_HW = image_1CHW.shape[-2:]
        if self._input_hw:
            scale *= math.sqrt(math.prod(self._input_hw) / math.prod(frame_HW))
        view_hw = [max(1, round(length * scale)) for length in frame_HW]
        return functional.interpolate(image_1CHW, view_hw, mode="bilinear", antialias=True)

    def _view(self, image_1CHW: Tensor, scale: float, mirrored: bool) -> Tensor:
        frame_HW, view = image_1CHW.shape[-2:], self._scaled(image_1CHW, scale)
        view = view.flip(-1) if mirrored else view
        tile = self._config.tile
        if tile and max(view.shape[-2:]) > tile:
            logits_Chw = tiled(lambda part: self._network(part).logits, view, tile)
        else:
            logits_Chw = self._network(view).logits[0]
        logits_Chw = logits_Chw.float()
        logits_Chw = logits_Chw.flip(-1) if mirrored else logits_Chw
        return functional.interpolate(logits_Chw[None], frame_HW, mode="bilinear")[0]

    def frames(
        self, frames: Iterable[Frame], read: Callable[[Frame], NDArray[np.uint8]]
    ) -> Iterator[tuple[Frame, Tensor]]:
        """Yield each frame with its logits, in order; one frame in memory at a time."""
        for frame in frames:
            yield frame, self.logits(read(frame))


def on_frame(features_NFhw: Tensor, view_hw: Sequence[int], covered_hw: Sequence[int]) -> Tensor:
    """Return features on a grid that covers a view, from one that covers the view and what was padded at its ends.

    Between cells they are read bilinearly. No finer than a quarter of the view: cells are averaged first.
    """
    most = [-(-covered // QUARTER) for covered in covered_hw]
    size = [min(cells, limit) for cells, limit in zip(features_NFhw.shape[-2:], most, strict=True)]
    if size != list(features_NFhw.shape[-2:]):
        features_NFhw = functional.adaptive_avg_pool2d(features_NFhw, (size[0], size[1]))
    if tuple(view_hw) == tuple(covered_hw):
        return features_NFhw
    places = []
    for cells, view, covered in zip(size, view_hw, covered_hw, strict=True):
        count = max(1, round(cells * view / covered))
        middle_px = (torch.arange(count, device=features_NFhw.device) + 0.5) * view / count
        places.append(2 * middle_px / covered - 1)
    rows, columns = torch.meshgrid(*places, indexing="ij")
    grid_Nhw2 = torch.stack([columns, rows], dim=-1)[None].expand(len(features_NFhw), -1, -1, -1)
    return functional.grid_sample(features_NFhw, grid_Nhw2, padding_mode="border", align_corners=False)


def tiled(logits_of: Callable[[Tensor], Tensor], view_1Chw: Tensor, tile: int) -> Tensor:
    """Return the logits of a view computed in tiles of at most `tile` x `tile` that overlap by a quarter.

    Where tiles overlap, their logits are averaged with weights that fall off towards a tile's border.
    """
    height, width = view_1Chw.shape[-2:]
    total: Tensor | None = None
    weight_hw = view_1Chw.new_zeros((height, width))
    for top, bottom in tile_spans(height, tile):
        for left, right in tile_spans(width, tile):
            part_Chw = logits_of(view_1Chw[..., top:bottom, left:right])[0].float()
            tent_hw = _tent(bottom - top, part_Chw)[:, None] * _tent(right - left, part_Chw)[None]
            if total is None:
                total = part_Chw.new_zeros((part_Chw.shape[0], height, width))
            total[:, top:bottom, left:right] += part_Chw * tent_hw
            weight_hw[top:bottom, left:right] += tent_hw
    assert total is not None  # a view has at least one pixel, so at least one tile
    return total / weight_hw


def tile_spans(length: int, tile: int) -> list[tuple[int, int]]:
    """Return (start, stop) of equally spaced tiles that cover `length` and overlap by at least a quarter of a tile."""
    if length <= tile:
        return [(0, length)]
    count = math.ceil((length - tile) / (tile * 3 / 4)) + 1
    starts = [round(number * (length - tile) / (count - 1)) for number in range(count)]
    return [(start, start + tile) for start in starts]


def _tent(length: int, like: Tensor) -> Tensor:
    distance = torch.arange(1, length + 1, dtype=like.dtype, device=like.device)
    return torch.minimum(distance, length + 1 - distance)
