"""Draws the ground into a frame: the street's surface in perspective, and the shadows that fall on it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.data.toycity.bend import Bend
from frugalseg.data.toycity.camera import Camera
from frugalseg.data.toycity.classes import PAVEMENT, ROAD
from frugalseg.data.toycity.raster import NEAR_M
from frugalseg.data.toycity.section import PERIOD_M, TEXELS_PER_M, Section
from frugalseg.data.toycity.texture import MAX_LEVEL, Colour, Picture, brightened

_FARTHEST_M = 600.0
ABOVE = 255  # where there is no ground


def draw_ground(
    camera: Camera, section: Section, bend: Bend, gain: Colour, image: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """Draw the street's surface into `image` below the horizon; return the class at each pixel or ABOVE."""
    height, width = camera.size_HW
    rows = np.arange(height, dtype=np.float64)
    to_world = np.linalg.inv(camera.projection)
    columns = np.arange(width, dtype=np.float32)
    middle = to_world @ np.stack([np.full(height, (width - 1) / 2), rows, np.ones(height)])
    edge = to_world @ np.stack([np.where(to_world[1, 0] > 0, width - 1.0, 0.0) + 0 * rows, rows, np.ones(height)])
    classes = np.full((height, width), ABOVE, np.uint8)
    first = int(np.searchsorted(-np.maximum(middle[1], edge[1]), camera.position[1] / _FARTHEST_M))
    if first >= height:
        return classes
    down = -(to_world[1, 0] * columns[None, :] + (to_world[1, 1] * rows + to_world[1, 2])[first:, None]).astype(
        np.float32
    )
    away = np.float32(camera.position[1]) / down
    x = (to_world[0, 0] * columns[None, :] + (to_world[0, 1] * rows + to_world[0, 2])[first:, None]).astype(
        np.float32
    ) * away
    z = (to_world[2, 0] * columns[None, :] + (to_world[2, 1] * rows + to_world[2, 2])[first:, None]).astype(
        np.float32
    ) * away
    lateral = x + np.float32(camera.position[0]) - bend.across(z + np.float32(camera.position[2]))
    classes[first:] = np.where(np.abs(lateral) < section.half_road_m, ROAD, PAVEMENT)
    if image is not None:
        start = camera.position[2] % PERIOD_M
        _texture_rows(section, lateral, z + np.float32(start), z[:, width // 2], camera, gain, image[first:])
    return classes


def _texture_rows(
    section: Section,
    lateral: NDArray[np.float32],
    along: NDArray[np.float32],
    away_m: NDArray[np.float32],
    camera: Camera,
    gain: Colour,
    target: NDArray[np.uint8],
) -> None:
    """Sample the picture in bands of rows, each from the version whose texels are as large as its pixels."""
    across_px = TEXELS_PER_M * away_m / camera.focal_px
    along_px = across_px * away_m / camera.position[1]
    levels = np.stack([np.log2(np.maximum(across_px, 1)), np.log2(np.maximum(along_px, 1)) + 0.2], axis=1)
    levels = np.clip(np.floor(levels + 0.35), 0, (MAX_LEVEL - 2, MAX_LEVEL)).astype(int)
    starts = [0, *(np.flatnonzero((levels[1:] != levels[:-1]).any(axis=1)) + 1).tolist(), len(levels)]
    for begin, end in zip(starts[:-1], starts[1:], strict=True):
        picture = section.texture.reduced(*levels[begin].tolist())
        per_m_x = picture.shape[1] / (2 * section.half_picture_m)
        per_m_z = picture.shape[0] / PERIOD_M
        map_x = np.clip((lateral[begin:end] + section.half_picture_m) * per_m_x - 0.5, 0, picture.shape[1] - 1)
        map_y = -along[begin:end] * per_m_z - 0.5
        band = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        target[begin:end] = brightened(np.asarray(band, np.uint8), gain)


def darken(
    camera: Camera, shadows: list[tuple[float, NDArray[np.float64]]], ground: NDArray[np.bool_], image: Picture
) -> None:
    """Darken the ground below each shadow: (share of the light it takes, outline N x 2 in world x, z)."""
    taken = np.zeros(camera.size_HW, np.uint8)
    projection = camera.projection
    for strength, outline_N2 in sorted(shadows, key=lambda shadow: shadow[0]):
        points = np.stack([outline_N2[:, 0], np.zeros(len(outline_N2)), outline_N2[:, 1]], axis=1) - camera.position
        seen = _clip_near(points @ projection.T)
        if len(seen) >= 3:
            pixels = np.clip(seen[:, :2] / seen[:, 2:], -16_000, 16_000)
            cv2.fillConvexPoly(taken, np.round(pixels * 16).astype(np.int32), round(255 * strength), cv2.LINE_AA, 4)
    taken = np.asarray(cv2.blur(taken, (5, 5)), np.uint8)
    taken[~ground] = 0
    first = int(np.argmax(taken.any(axis=1)))
    kept = cv2.merge([255 - taken[first:]] * 3 + [np.full_like(taken[first:], 255)])
    image[first:] = cv2.multiply(image[first:], kept, scale=1 / 255)


def _clip_near(points_N3: NDArray[np.float64]) -> NDArray[np.float64]:
    result = []
    for here, there in zip(points_N3, np.roll(points_N3, -1, axis=0), strict=True):
        if here[2] >= NEAR_M:
            result.append(here)
        if (here[2] >= NEAR_M) != (there[2] >= NEAR_M):
            result.append(here + (NEAR_M - here[2]) / (there[2] - here[2]) * (there - here))
    return np.array(result).reshape(-1, 3)
