"""What lies beyond the street: the sky, distant hills and a skyline, as pictures that travel with the camera."""

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.data.toycity.camera import Matrices, plane
from frugalseg.data.toycity.light import Light
from frugalseg.data.toycity.look import Palette
from frugalseg.data.toycity.texture import Picture, Texture, box, canvas, fractal_noise, mix, pick, scaled

_SIZE_HW = (256, 512)
_WIDE, _TOP, _BOTTOM = 1.8, 1.25, -0.12  # the sky's picture reaches that far at distance 1
SKY_M, SKYLINE_M, HILLS_M = 4000.0, 430.0, 380.0


def make_sky(rng: np.random.Generator, light: Light) -> Texture:
    """Paint the sky: a gradient, clouds in perspective, and the glow around the sun if it stands ahead."""
    weather = light.weather
    height, width = _SIZE_HW
    y = np.linspace(_TOP, _BOTTOM, height, dtype=np.float32)[:, None]
    x = np.linspace(-_WIDE, _WIDE, width, dtype=np.float32)[None, :]
    rise = np.clip(y, 0, None)
    low, top = np.array(weather.sky_low, np.float32), np.array(weather.sky_top, np.float32)
    weight = (1 - np.exp(-3.0 * rise / np.sqrt(1 + x * x)))[..., None]
    sky = low + (top - low) * weight
    cover = _clouds(rng, x, y)
    threshold = 0.75 - 1.3 * weather.clouds
    opacity = np.clip((cover - threshold) * 1.1, 0, 0.9)[..., None] * np.clip(rise * 9, 0, 1)[..., None]
    tone = np.clip(0.97 + 0.06 * cover - 0.10 * weather.clouds * (cover > threshold + 0.5), 0.7, 1.05)[..., None]
    white = np.array(mix(weather.haze, (255, 255, 255), 0.6), np.float32)
    sky += (white * tone - sky) * opacity
    if light.to_sun[2] > 0.2:
        across, up = light.to_sun[0] / light.to_sun[2], light.to_sun[1] / light.to_sun[2]
        away = np.hypot(x - across, y - up)
        glow = (0.75 * np.exp(-away / 0.16) + 0.4 * np.exp(-away / 0.6)) * max(weather.sun)
        sky += (np.array([255, 246, 222], np.float32) - sky) * np.clip(glow, 0, 1)[..., None]
    picture = canvas(_SIZE_HW, (0, 0, 0))
    picture[..., :3] = np.clip(sky, 0, 255).astype(np.uint8)
    return Texture(picture)


def _clouds(rng: np.random.Generator, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = fractal_noise(rng, (256, 256), 64, octaves=5)
    away = 1 / np.clip(y + 0.10, 0.04, None)
    map_x = (x * away * 34 + 4096).astype(np.float32)
    map_y = np.broadcast_to(away * 40 + 4096, map_x.shape).astype(np.float32)
    return np.asarray(cv2.remap(noise, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)


def make_hills(rng: np.random.Generator, palette: Palette) -> Texture:
    """Paint a line of distant trees."""
    size_HW = (48, 1024)
    leaf = scaled(pick(rng, palette.foliage, 6), 0.85)
    picture = canvas(size_HW, leaf)
    edge = 20 + 11 * fractal_noise(rng, (1, size_HW[1]), 256)[0] + 4 * fractal_noise(rng, (1, size_HW[1]), 16)[0]
    picture[np.arange(size_HW[0])[:, None] < edge[None, :], 3] = 0
    return Texture(picture)


def make_skyline(rng: np.random.Generator, palette: Palette) -> Texture:
    """Paint the outlines of distant houses."""
    size_HW = (64, 1024)
    picture: Picture = canvas(size_HW, (150, 150, 150), 0)
    x = 0
    while x < size_HW[1]:
        wide = int(rng.integers(10, 46))
        high = int(rng.integers(10, 26 if rng.random() < 0.8 else 60))
        wall = pick(rng, palette.walls, 10)
        picture[size_HW[0] - high :, x : x + wide, 3] = 255
        box(picture, x, size_HW[0] - high, x + wide, size_HW[0], scaled(wall, 0.85))
        for row in range(size_HW[0] - high + 2, size_HW[0], 4):
            for column in range(x + 2, x + wide - 2, 4):
                box(picture, column, row, column + 2, row + 2, scaled(wall, 0.6))
        x += wide + (int(rng.integers(0, 60)) if rng.random() < 0.35 else 0)
    return Texture(picture)


def distant_planes(position: NDArray[np.float64]) -> Matrices:
    """Return the planes of sky, skyline and hills as seen from `position`."""
    x, y, z = (float(value) for value in position)
    return np.stack(
        [
            plane(
                (x - _WIDE * SKY_M, y + _TOP * SKY_M, z + SKY_M),
                (2 * _WIDE * SKY_M, 0, 0),
                (0, (_BOTTOM - _TOP) * SKY_M, 0),
            ),
            plane((x - 800, 34, z + SKYLINE_M), (1600, 0, 0), (0, -35, 0)),
            plane((x - 700, 17, z + HILLS_M), (1400, 0, 0), (0, -18, 0)),
        ]
    )
