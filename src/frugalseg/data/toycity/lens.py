"""From what is there to what the camera records: haze, wet road, white balance, blur, vignette, noise."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.data.toycity.look import Look, Weather
from frugalseg.data.toycity.world import World

Image = NDArray[np.float32]
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def add_haze(image_HW3: Image, nearness_HW: Image, weather: Weather, haze_per_m: float) -> Image:
    """Blend every surface into the haze by its distance; `nearness_HW` is 1 / depth in metres, 0 for the sky."""
    depth = 1 / np.maximum(nearness_HW, 1e-4)
    kept = np.exp(depth * np.float32(-haze_per_m))
    kept[nearness_HW <= 1e-3] = 1  # the sky's picture has its haze
    haze = np.array(weather.haze, np.float32)
    return np.asarray(haze + (image_HW3 - haze) * kept[..., None], np.float32)


def add_mirror(image_HW3: Image, ground_HW: NDArray[np.bool_], horizon_row: float, strength: float) -> Image:
    """Mirror what stands above the horizon in a wet road, blurred down the picture, stronger at a flat angle."""
    height = len(image_HW3)
    rows = np.arange(height, dtype=np.float32)
    source = np.clip(2 * horizon_row - rows - 0.04 * height, 0, height - 1).astype(int)
    mirrored = cv2.blur(image_HW3[source], (3, max(3, height // 14)))
    below = np.clip((rows - horizon_row) / height, 0, 1)
    weight = np.float32(strength) * np.exp(-3.0 * below).astype(np.float32)[:, None] * ground_HW
    return np.asarray(image_HW3 + (mirrored - image_HW3) * weight[..., None], np.float32)


def record(image_HW3: Image, world: World, index: int) -> NDArray[np.uint8]:
    """Return the picture as the look's camera records it."""
    finish, chances = world.look.finish, world.finish
    scale = len(image_HW3) / 180
    if chances["blur_px"] * scale > 0.2:
        image_HW3 = np.asarray(cv2.GaussianBlur(image_HW3, (0, 0), chances["blur_px"] * scale), np.float32)
    image_HW3 = np.asarray(cv2.transform(image_HW3, _colour_matrix(world.look, chances)), np.float32)
    if finish.contrast != 1.0:
        image_HW3 = (image_HW3 - 128) * np.float32(finish.contrast) + 128
    if finish.vignette:
        image_HW3 = image_HW3 * _vignette(image_HW3.shape[:2], finish.vignette)
    if chances["noise"]:
        rng = generator(world.seed, "noise", index)
        noise = rng.standard_normal(image_HW3.shape, np.float32)
        image_HW3 = image_HW3 + noise * np.float32(chances["noise"])
    return np.asarray(np.clip(image_HW3 + 0.5, 0, 255), np.uint8)


def _colour_matrix(look: Look, chances: dict[str, float]) -> NDArray[np.float32]:
    saturation = np.float32(look.finish.saturation)
    matrix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * _GREY[None, :]
    balance = np.array([1 + chances["warmth"], 1, 1 - chances["warmth"]], np.float32) * chances["exposure"]
    return np.asarray(matrix * balance[:, None], np.float32)


@lru_cache(maxsize=4)
def _vignette(size_HW: tuple[int, int], strength: float) -> Image:
    y = np.linspace(-1, 1, size_HW[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size_HW[1], dtype=np.float32)[None, :]
    return np.asarray((1 - strength * ((x * x + y * y) / 2) ** 1.5)[..., None], np.float32)
