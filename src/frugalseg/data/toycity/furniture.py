"""Poles, signs, traffic lights and fences."""

from dataclasses import dataclass

import numpy as np

from frugalseg.core.choose import choose
from frugalseg.data.toycity.camera import Matrices, plane
from frugalseg.data.toycity.classes import POLE, SIGN
from frugalseg.data.toycity.look import Palette
from frugalseg.data.toycity.texture import (
    Colour,
    Picture,
    Texture,
    box,
    canvas,
    ellipse,
    fractal_noise,
    grain,
    pick,
    polygon,
    scaled,
)

_WHITE: Colour = (240, 240, 236)
_RED: Colour = (200, 30, 34)


@dataclass(frozen=True, eq=False)
class Furniture:
    """A thing made of flat parts that stands at the origin and faces the traffic; `parts` in the order of drawing."""

    parts: tuple[tuple[int, Texture], ...]  # class id, picture
    planes_N33: Matrices
    height_m: float


def _upright(x: float, bottom: float, width: float, height: float) -> Matrices:
    return plane((x - width / 2, bottom + height, 0), (width, 0, 0), (0, -height, 0))


def pole_texture(colour: Colour) -> Texture:
    """Return a round pole's shading."""
    picture = canvas((16, 8), colour)
    for column, tone in enumerate((0.75, 1.05, 1.25, 1.15, 1.0, 0.85, 0.7, 0.6)):
        box(picture, column, 0, column + 1, 16, scaled(colour, tone))
    return Texture(picture)


def make_lamp(rng: np.random.Generator, palette: Palette, towards_road: int) -> Furniture:
    """A street lamp whose arm reaches over the road (`towards_road` is -1 or 1)."""
    colour = pick(rng, palette.poles, 8)
    tall, reach = float(rng.uniform(6.2, 7.8)), 1.8 * towards_road
    texture = pole_texture(colour)
    head = Texture(canvas((4, 8), scaled(colour, 1.2)))
    arm = plane((min(0.0, reach), tall, 0), (abs(reach), 0, 0), (0, -0.18, 0))
    return Furniture(
        ((POLE, texture), (POLE, texture), (POLE, head)),
        np.stack([arm, _upright(0, 0, 0.24, tall), _upright(reach, tall - 0.24, 0.7, 0.2)]),
        tall,
    )


def make_sign(rng: np.random.Generator, palette: Palette) -> Furniture:
    """A traffic sign on a pole."""
    style = str(rng.choice(palette.signs))
    plate = choose("sign style", style, SIGNS)(rng)
    size = 1.05 if plate.shape[0] == plate.shape[1] else 0.85
    wide = size * plate.shape[1] / plate.shape[0]
    bottom = float(rng.uniform(1.9, 2.3))
    return Furniture(
        ((POLE, pole_texture(pick(rng, palette.poles, 8))), (SIGN, Texture(plate))),
        np.stack([_upright(0, 0, 0.16, bottom + size), _upright(0, bottom, wide, size)]),
        bottom + size,
    )


def make_light(rng: np.random.Generator, palette: Palette) -> Furniture:
    """A traffic light on a pole."""
    picture = canvas((72, 32), (30, 32, 32))
    lit = int(rng.integers(3))
    for number, colour in enumerate(((236, 50, 40), (244, 176, 40), (60, 220, 110))):
        ellipse(picture, (16, 14 + 22 * number), (9, 9), colour if number == lit else scaled(colour, 0.28))
    return Furniture(
        ((POLE, pole_texture(pick(rng, palette.poles, 8))), (SIGN, Texture(picture))),
        np.stack([_upright(0, 0, 0.18, 2.5), _upright(0, 2.3, 0.5, 1.12)]),
        3.4,
    )


def _plate(size_HW: tuple[int, int] = (64, 64)) -> Picture:
    return canvas(size_HW, _WHITE, 0)


def _ring(rng: np.random.Generator) -> Picture:
    picture = _plate()
    ellipse(picture, (31.5, 31.5), (31, 31), _RED)
    ellipse(picture, (31.5, 31.5), (22, 22), _WHITE)
    for x in (20, 34):
        box(picture, x, 22, x + 9, 43, (36, 36, 38))
    return picture


def _triangle(rng: np.random.Generator) -> Picture:
    picture = _plate()
    polygon(picture, [(32, 2), (63, 60), (1, 60)], _RED)
    polygon(picture, [(32, 17), (51, 53), (13, 53)], _WHITE)
    box(picture, 29, 28, 35, 48, (36, 36, 38))
    return picture


def _disc(rng: np.random.Generator) -> Picture:
    picture = _plate()
    ellipse(picture, (31.5, 31.5), (31, 31), _WHITE)
    ellipse(picture, (31.5, 31.5), (28, 28), (30, 78, 160))
    polygon(picture, [(20, 16), (48, 44), (48, 26), (54, 26), (54, 54), (26, 54), (26, 48), (44, 48), (16, 20)], _WHITE)
    return picture


def _board(rng: np.random.Generator) -> Picture:
    picture = canvas((48, 64), pick(rng, [(32, 84, 146), (236, 234, 226), (36, 96, 66)], 8))
    ink = (236, 236, 232) if picture[0, 0, :3].mean() < 150 else (40, 40, 44)
    for row in (10, 22, 34):
        box(picture, 8, row, 8 + int(rng.integers(26, 48)), row + 6, ink)
    return picture


def _diamond(rng: np.random.Generator) -> Picture:
    picture = _plate()
    polygon(picture, [(32, 1), (63, 32), (32, 63), (1, 32)], (30, 30, 30))
    polygon(picture, [(32, 5), (59, 32), (32, 59), (5, 32)], (250, 204, 30))
    polygon(picture, [(29, 46), (29, 28), (22, 28), (32, 16), (42, 28), (35, 28), (35, 46)], (30, 30, 30))
    return picture


def _octagon(rng: np.random.Generator) -> Picture:
    picture = _plate()
    for size, colour in ((31, _WHITE), (28, (222, 24, 30))):
        inner = size * 0.414
        corners = [(inner, size), (size, inner), (size, -inner), (inner, -size)]
        points = corners + [(-x, -y) for x, y in corners]
        polygon(picture, [(31.5 + x, 31.5 + y) for x, y in points], colour)
    for x in (12, 23, 34, 45):
        box(picture, x, 25, x + 7, 39, _WHITE)
    return picture


def _green(rng: np.random.Generator) -> Picture:
    picture = canvas((48, 80), (20, 132, 74))
    box(picture, 4, 4, 76, 7, _WHITE)
    box(picture, 4, 41, 76, 44, _WHITE)
    box(picture, 12, 14, 62, 20, _WHITE)
    box(picture, 12, 27, 50, 33, _WHITE)
    return picture


SIGNS = {
    "ring": _ring,
    "triangle": _triangle,
    "disc": _disc,
    "plate": _board,
    "diamond": _diamond,
    "octagon": _octagon,
    "green": _green,
}


def make_fence(rng: np.random.Generator, style: str) -> tuple[Texture, float]:
    """Draw one 2.4 m section of a fence; return it and its height in metres."""
    return choose("fence style", style, FENCES)(rng)


def _railing(rng: np.random.Generator) -> tuple[Texture, float]:
    metal = pick(rng, [(44, 48, 50), (96, 100, 100), (52, 66, 60)], 8)
    picture = canvas((48, 96), metal, 90)
    for x in range(2, 96, 8):
        picture[:, x : x + 3, 3] = 255
        box(picture, x + 2, 0, x + 3, 48, scaled(metal, 1.5))
    for y in (2, 42):
        picture[y : y + 4, :, 3] = 255
    return Texture(picture), 1.3


def _planks(rng: np.random.Generator) -> tuple[Texture, float]:
    wood = pick(rng, [(112, 90, 68), (92, 78, 66), (128, 112, 92)], 10)
    picture = canvas((64, 96), wood)
    tones = rng.normal(0, 9, 12).astype(np.float32).repeat(8)
    tones[::8] -= 40
    grain(picture, np.broadcast_to(tones, (64, 96)) + 6 * fractal_noise(rng, (64, 96), 16), 1.0)
    box(picture, 0, 0, 96, 3, scaled(wood, 1.2))
    return Texture(picture), 1.5


def _pickets(rng: np.random.Generator) -> tuple[Texture, float]:
    picture = canvas((48, 96), (238, 236, 230), 40)
    for x in range(0, 96, 12):
        picture[:, x : x + 8, 3] = 255
        box(picture, x + 7, 0, x + 8, 48, (176, 176, 176))
    picture[10:16, :, 3] = picture[34:40, :, 3] = 255
    return Texture(picture), 1.1


def _panel(rng: np.random.Generator) -> tuple[Texture, float]:
    wood = pick(rng, [(202, 138, 74), (176, 118, 66)], 8)
    picture = canvas((48, 96), wood)
    for y in range(0, 48, 12):
        box(picture, 0, y, 96, y + 2, scaled(wood, 0.7))
    box(picture, 0, 0, 5, 48, scaled(wood, 0.8))
    return Texture(picture), 1.3


FENCES = {"railing": _railing, "planks": _planks, "pickets": _pickets, "panel": _panel}
