"""Paired transforms: image, label and provenance move together, and every draw is a pure function of the generator.

Shape legend: C channels, H x W of the frame, h x w of the network's input.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torchvision.transforms.v2 import functional as tv

from frugalseg.core.classes import IGNORE
from frugalseg.core.config import Config
from frugalseg.core.records import Provenance

# Label and provenance of a frame, H x W; of labels spread through video also how sure each pixel is, in 255ths.
Labels = tuple[NDArray[np.uint8], ...]
CARRIED = (Provenance.PROPAGATED_POINT, Provenance.HUMAN_POINT)  # by their coordinates; where both fall, the person's


class AugmentConfig(Config):
    """How a training frame is varied. `zoom` 1.0 is the largest window of the input's shape that fits the frame.

    Below 1.0 the window is larger than the frame and what lies outside is IGNORE.
    """

    zoom_min: float = Field(0.5, gt=0, description="smallest zoom into a frame; below 1 shows IGNORE around it")
    zoom_max: float = Field(2.0, gt=0, description="largest zoom into a frame")
    target_zoom_min: float = Field(
        1.0, gt=0, description="target frames are zoomed at least this much: black borders would spoil their statistics"
    )
    flip_ratio: float = Field(0.5, ge=0, le=1, description="how often a frame is mirrored")
    color_jitter: float = Field(0.5, ge=0, lt=1, description="brightness, contrast, saturation: factor within 1 ± this")
    hue_jitter: float = Field(0.08, ge=0, le=0.5, description="hue: turns of the colour wheel, ± this")
    blur_ratio: float = Field(0.2, ge=0, le=1, description="how often a frame is blurred")

    def for_target(self) -> Self:
        """Return how target frames are varied."""
        return self.model_copy(update={"zoom_min": min(max(self.zoom_min, self.target_zoom_min), self.zoom_max)})

    @model_validator(mode="after")
    def _zooms_in_order(self) -> "AugmentConfig":
        if self.zoom_min > self.zoom_max:
            raise ValueError(f"zoom_min = {self.zoom_min} is above zoom_max = {self.zoom_max}; expected at most that.")
        return self


@dataclass(frozen=True)
class Window:
    """The part of a frame that becomes the network's input, in pixels of the frame; it may reach outside of it."""

    top: int
    left: int
    height: int
    width: int


def draw_window(
    frame_HW: tuple[int, int],
    input_hw: tuple[int, int],
    zoom: float,
    rng: np.random.Generator,
    centre: tuple[int, int] | None = None,
) -> Window:
    """Draw a window of the input's aspect ratio: uniformly inside the frame, or as near around `centre` as it fits."""
    scale = min(frame_HW[0] / input_hw[0], frame_HW[1] / input_hw[1]) / zoom
    size = [max(1, round(length * scale)) for length in input_hw]
    corner = []
    for axis in (0, 1):
        low, high = sorted((0, frame_HW[axis] - size[axis]))
        drawn = int(rng.integers(low, high + 1))
        corner.append(drawn if centre is None else int(np.clip(centre[axis] - size[axis] // 2, low, high)))
    return Window(corner[0], corner[1], size[0], size[1])


def draw_view(
    frame_HW: tuple[int, int],
    input_hw: tuple[int, int],
    config: AugmentConfig,
    rng: np.random.Generator,
    centre: tuple[int, int] | None = None,
) -> Window:
    """Draw a zoom and a window: what `augment` does first with a fresh generator."""
    zoom = float(np.exp(rng.uniform(np.log(config.zoom_min), np.log(config.zoom_max))))
    return draw_window(frame_HW, input_hw, zoom, rng, centre)


def cut(
    image_CHW: torch.Tensor, window: Window, input_hw: tuple[int, int], fill: int, *, nearest: bool
) -> torch.Tensor:
    """Cut `window` out of a uint8 tensor and resize it to `input_hw`; outside the frame stands `fill`."""
    height, width = image_CHW.shape[-2:]
    pads = (
        max(0, -window.left),
        max(0, -window.top),
        max(0, window.left + window.width - width),
        max(0, window.top + window.height - height),
    )
    if any(pads):
        image_CHW = tv.pad(image_CHW, list(pads), fill=fill)
    top, left = window.top + pads[1], window.left + pads[0]
    part = image_CHW[..., top : top + window.height, left : left + window.width]
    mode = tv.InterpolationMode.NEAREST_EXACT if nearest else tv.InterpolationMode.BILINEAR
    resized: torch.Tensor = tv.resize(part, list(input_hw), interpolation=mode, antialias=not nearest)
    return resized


def augment(
    image_HWC: NDArray[np.uint8],
    labels: Labels | None,
    input_hw: tuple[int, int],
    config: AugmentConfig,
    rng: np.random.Generator,
    centre: tuple[int, int] | None = None,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Return one varied input: image (C x h x w float32 in [0, 1]) and the maps of its labels (h x w uint8 each).

    Label maps are sampled to the nearest pixel, never mixed; single pixels that people answered are carried over by
    their coordinates, so that none is lost when the frame shrinks.

    Args:
        image_HWC: The frame, uint8.
        labels: Its label maps, H x W uint8, or None.
        input_hw: Height and width of the network's input.
        config: How much to vary.
        rng: A generator made for this one sample; the same state gives the same result.
        centre: (row, column) the window should show, or None for anywhere.
    """
    window = draw_view((image_HWC.shape[0], image_HWC.shape[1]), input_hw, config, rng, centre)
    image_chw = cut(torch.from_numpy(image_HWC).permute(2, 0, 1), window, input_hw, 0, nearest=False)
    maps = cut_labels(labels, window, input_hw) if labels else ()
    if rng.random() < config.flip_ratio:
        image_chw, maps = image_chw.flip(-1), tuple(map_hw.flip(-1) for map_hw in maps)
    image_chw = image_chw.float() / 255
    return (vary_colors(image_chw, config, rng) if image_chw.shape[0] == 3 else image_chw), maps


def cut_labels(labels: Labels, window: Window, input_hw: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    """Return each map inside `window` at `input_hw`, every point of the window among them, answered or followed there.

    Where several points fall on one pixel of the input, the last in reading order is kept, people's own before others.
    """
    fills = (IGNORE, int(Provenance.UNKNOWN), 0)
    maps = tuple(
        cut(torch.from_numpy(map_HW)[None], window, input_hw, fill, nearest=True)[0].clone()
        for map_HW, fill in zip(labels, fills, strict=False)
    )
    for kind in CARRIED:
        rows, columns = np.nonzero(labels[1] == kind)
        new_rows = (2 * (rows - window.top) + 1) * input_hw[0] // (2 * window.height)  # where the pixel's centre falls
        new_columns = (2 * (columns - window.left) + 1) * input_hw[1] // (2 * window.width)
        inside = (new_rows >= 0) & (new_rows < input_hw[0]) & (new_columns >= 0) & (new_columns < input_hw[1])
        place = new_rows[inside], new_columns[inside]
        for map_hw, map_HW in zip(maps, labels, strict=True):
            map_hw.numpy()[place] = map_HW[rows[inside], columns[inside]]  # numpy: repeated places take the last value
    return maps


def vary_colors(image_3hw: torch.Tensor, config: AugmentConfig, rng: np.random.Generator) -> torch.Tensor:
    """Return the image with other brightness, contrast, saturation, hue and sharpness."""
    brightness, contrast, saturation = 1 + config.color_jitter * rng.uniform(-1, 1, 3)
    hue = config.hue_jitter * rng.uniform(-1, 1)
    if config.color_jitter:
        image_3hw = tv.adjust_brightness(image_3hw, brightness)
        image_3hw = tv.adjust_contrast(image_3hw, contrast)
        image_3hw = tv.adjust_saturation(image_3hw, saturation)
    if config.hue_jitter:
        image_3hw = shift_hue(image_3hw, hue)
    blur, sigma = rng.random(), float(rng.uniform(0.3, 1.5))
    if blur < config.blur_ratio:
        image_3hw = tv.gaussian_blur(image_3hw, [5, 5], [sigma, sigma])
    return image_3hw


def shift_hue(image_3hw: torch.Tensor, turns: float) -> torch.Tensor:
    """Return the RGB image in [0, 1] with its hue moved by so many turns of the colour wheel.

    The same as torchvision's adjust_hue to 1e-5; OpenCV needs a third of the time, and colours were a tenth of a
    training step.
    """
    hsv_hw3 = cv2.cvtColor(np.ascontiguousarray(image_3hw.permute(1, 2, 0).numpy()), cv2.COLOR_RGB2HSV)
    hsv_hw3[..., 0] = (hsv_hw3[..., 0] + 360 * turns) % 360
    return torch.from_numpy(cv2.cvtColor(hsv_hw3, cv2.COLOR_HSV2RGB)).permute(2, 0, 1).contiguous().clamp(0, 1)
