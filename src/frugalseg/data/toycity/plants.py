"""Trees, hedges and the dense green that closes a park's side of the street."""

from dataclasses import dataclass

import cv2
import numpy as np

from frugalseg.core.choose import choose
from frugalseg.data.toycity.look import Palette
from frugalseg.data.toycity.texture import Colour, Picture, Texture, canvas, fractal_noise, grain, pick, polygon, scaled

_SIZE_HW = (192, 144)
_BARK: Colour = (82, 66, 54)


@dataclass(frozen=True, eq=False)
class Plant:
    """A tree's picture and size; the picture's lower edge stands on the ground."""

    texture: Texture
    width_m: float
    height_m: float


def make_tree(rng: np.random.Generator, palette: Palette) -> Plant:
    """Draw one tree of a random shape and green of `palette`."""
    shape = str(rng.choice(palette.crowns))
    leaf = pick(rng, palette.foliage, 10)
    picture = canvas(_SIZE_HW, scaled(leaf, 0.6), 0)
    width_m, height_m = choose("tree shape", shape, SHAPES)(picture, rng, leaf)
    return Plant(Texture(picture), width_m, height_m)


def make_thicket(rng: np.random.Generator, palette: Palette) -> Texture:
    """Draw a wall of leaves with an uneven upper edge, for parks, hedges and distant hills."""
    leaf = pick(rng, palette.foliage, 8)
    size_HW = (128, 256)
    picture = canvas(size_HW, scaled(leaf, 0.55))
    depth = np.linspace(1.15, 0.6, size_HW[0], dtype=np.float32)[:, None]
    _dab(
        picture, rng, [(float(x), float(y)) for x, y in rng.uniform((0, 0), (256, 128), (1100, 2))], leaf, (2, 6), depth
    )
    edge = 14 + 9 * fractal_noise(rng, (1, size_HW[1]), 64)[0] + 3 * fractal_noise(rng, (1, size_HW[1]), 8)[0]
    picture[np.arange(size_HW[0])[:, None] < edge[None, :], 3] = 0
    return Texture(picture)


def make_hedge(rng: np.random.Generator, palette: Palette) -> Texture:
    """Draw a clipped hedge."""
    leaf = pick(rng, palette.foliage, 8)
    picture = canvas((32, 96), scaled(leaf, 0.75))
    grain(picture, fractal_noise(rng, (32, 96), 8), 26 * max(0.4, palette.relief))
    picture[:4, :, :3] = np.clip(picture[:4, :, :3] * 1.25, 0, 255).astype(np.uint8)
    return Texture(picture)


def _dab(
    picture: Picture,
    rng: np.random.Generator,
    places: list[tuple[float, float]],
    leaf: Colour,
    radius: tuple[float, float],
    light: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> None:
    """Paint clusters of leaves, the lower ones first; `light` is the brightness by row."""
    rows = len(light)
    for x, y in sorted(places, key=lambda place: -place[1]):
        tone = float(light[min(rows - 1, max(0, int(y))), 0]) * float(rng.uniform(0.72, 1.22))
        centre = (round(x * 16), round(y * 16))
        cv2.circle(
            picture, centre, round(rng.uniform(*radius) * 16), (*scaled(leaf, tone), 255.0), -1, cv2.LINE_AA, shift=4
        )


def _trunk(picture: Picture, top: float, half: float) -> None:
    height, width = picture.shape[:2]
    middle = width / 2
    polygon(
        picture,
        [(middle - half * 0.6, top), (middle + half * 0.6, top), (middle + half, height), (middle - half, height)],
        _BARK,
    )
    polygon(
        picture,
        [(middle, top), (middle + half * 0.6, top), (middle + half, height), (middle, height)],
        scaled(_BARK, 0.7),
    )


def _crown(
    picture: Picture, rng: np.random.Generator, leaf: Colour, centre: tuple[float, float], half: tuple[float, float]
) -> None:
    """Fill an ellipse with clusters of leaves, unevenly, so that the outline is ragged and some sky shows through."""
    angle = rng.uniform(0, 2 * np.pi, 420)
    reach = np.sqrt(rng.uniform(0, 1, 420)) * (1 + 0.22 * np.sin(3 * angle + rng.uniform(0, 6)))
    places = [
        (centre[0] + half[0] * float(r * np.cos(a)), centre[1] + half[1] * float(r * np.sin(a)))
        for r, a in zip(reach, angle, strict=True)
    ]
    light = np.clip(np.linspace(1.35, 0.35, picture.shape[0], dtype=np.float32) + 0.1, 0.45, 1.3)[:, None]
    _dab(picture, rng, places, leaf, (2, 6.5), light)


def _broad(picture: Picture, rng: np.random.Generator, leaf: Colour) -> tuple[float, float]:
    _trunk(picture, 90, 6)
    for _ in range(4):
        polygon(picture, [(70, 120), (74, 120), (72 + float(rng.uniform(-45, 45)), 60)], scaled(_BARK, 0.9))
    _crown(picture, rng, leaf, (72, 72), (58, 60))
    return float(rng.uniform(5, 7)), float(rng.uniform(7, 9.5))


def _tall(picture: Picture, rng: np.random.Generator, leaf: Colour) -> tuple[float, float]:
    _trunk(picture, 110, 6)
    _crown(picture, rng, leaf, (72, 84), (46, 76))
    return float(rng.uniform(3.2, 4.4)), float(rng.uniform(7.5, 10.5))


def _ball(picture: Picture, rng: np.random.Generator, leaf: Colour) -> tuple[float, float]:
    _trunk(picture, 90, 7)
    for radius, tone, shift in ((58, 0.72, 0), (52, 0.9, -4), (36, 1.06, -14), (18, 1.22, -22)):
        cv2.circle(picture, (72 + shift // 2, 64 + shift // 2), radius, (*scaled(leaf, tone), 255.0), -1, cv2.LINE_AA)
    return float(rng.uniform(4.2, 5.4)), float(rng.uniform(5.6, 7.2))


def _cone(picture: Picture, rng: np.random.Generator, leaf: Colour) -> tuple[float, float]:
    _trunk(picture, 150, 6)
    for tier in range(4):
        top, bottom, half = 6 + 34 * tier, 72 + 34 * tier, 26 + 12 * tier
        polygon(picture, [(72, top), (72 + half, bottom), (72 - half, bottom)], scaled(leaf, 0.95 - 0.06 * tier))
        polygon(picture, [(72, top), (72 + half, bottom), (72 + half / 4, bottom)], scaled(leaf, 0.72 - 0.05 * tier))
    return float(rng.uniform(3.6, 4.6)), float(rng.uniform(6.5, 9))


SHAPES = {"broad": _broad, "tall": _tall, "ball": _ball, "cone": _cone}
