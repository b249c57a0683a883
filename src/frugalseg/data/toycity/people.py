"""Walkers and cyclists: flat figures that face the camera; a walker's two legs swing as planes of their own."""

import math
from dataclasses import dataclass

import numpy as np

from frugalseg.data.toycity.camera import Matrices, plane
from frugalseg.data.toycity.look import Palette
from frugalseg.data.toycity.texture import Colour, Picture, Texture, box, canvas, ellipse, mix, pick, polygon, scaled

_SKINS: tuple[Colour, ...] = ((226, 184, 156), (198, 150, 118), (140, 96, 70), (94, 66, 52))
_HAIRS: tuple[Colour, ...] = ((44, 34, 28), (86, 58, 38), (150, 118, 76), (120, 118, 116), (28, 26, 28))
_STRIDE_M = 1.4  # one full step cycle
_HIP = 0.5  # height of the hips, as a share of the whole


@dataclass(frozen=True, eq=False)
class Figure:
    """A walker's pictures (upper body, one leg) or a cyclist's (all of it; `leg` is None), and the height."""

    body: Texture
    leg: Texture | None
    height_m: float
    width_m: float
    sideways: bool

    def planes(self, way_m: float) -> Matrices:
        """Return the planes, back leg first, of the figure after it has walked `way_m`; it stands at the origin."""
        half, tall = self.width_m / 2, self.height_m
        if self.leg is None:
            return np.stack([plane((-half, tall, 0), (2 * half, 0, 0), (0, -tall, 0))])
        hip, thick = tall * _HIP, 0.2
        swing = math.sin(2 * math.pi * way_m / _STRIDE_M)
        planes = []
        for side in (-1, 1):
            if self.sideways:
                left, lean, reach = -thick / 2, 0.30 * side * swing, hip * (1 - 0.06 * abs(swing))
            else:
                left, lean, reach = side * 0.1 - thick / 2, 0.0, hip * (1 - 0.09 * max(0.0, side * swing))
            planes.append(plane((left, hip + 0.04, 0), (thick, 0, 0), (lean, -reach - 0.04, 0)))
        body = plane((-half, tall, 0), (2 * half, 0, 0), (0, -(tall - hip + 0.08), 0))
        return np.stack([*planes, body])


def make_walker(rng: np.random.Generator, palette: Palette, sideways: bool) -> Figure:
    """Draw a walker seen from the side, or from the front or back."""
    height, width = 112, 72
    skin, hair = pick(rng, _SKINS, 8), pick(rng, _HAIRS, 8)
    coat = pick(rng, palette.clothes, 12)
    trousers = scaled(pick(rng, palette.clothes, 12), 0.7)
    away = bool(rng.random() < 0.5)
    picture = canvas((height, width), coat, 0)
    long_coat = height - 2 if rng.random() < 0.4 else height - 16
    shoulder = 13.0 if sideways else 21.0
    polygon(picture, [(36 - 14, 92), (36 + 14, 92), (36 + 14, height), (36 - 14, height)], trousers)
    torso = [
        (36 - shoulder, 40),
        (36 - 8, 32),
        (36 + 8, 32),
        (36 + shoulder, 40),
        (36 + 17, long_coat),
        (36 - 17, long_coat),
    ]
    polygon(picture, torso, coat)
    polygon(picture, [(36 + 3, 33), (36 + shoulder, 40), (36 + 17, long_coat), (36 + 5, long_coat)], scaled(coat, 0.78))
    _arms(picture, sideways, coat, skin)
    _head(picture, rng, skin, hair, away)
    if rng.random() < 0.4:
        bag = pick(rng, palette.clothes, 20)
        ellipse(picture, (36 - shoulder - 2, 88), (9, 12), scaled(bag, 0.9))
    leg = canvas((64, 16), trousers)
    box(leg, 9, 0, 16, 64, scaled(trousers, 0.75))
    box(leg, 0, 56, 16, 64, (38, 34, 32))
    return Figure(Texture(picture), Texture(leg), float(rng.uniform(1.6, 1.9)), 0.66, sideways)


def _arms(picture: Picture, sideways: bool, coat: Colour, skin: Colour) -> None:
    for side in (-1, 1):
        if sideways and side < 0:
            continue
        x = 36 + side * (2 if sideways else 22)
        tone = 0.7 if sideways or side > 0 else 1.05
        polygon(picture, [(x - 5, 40), (x + 5, 40), (x + 5 + side * 2, 82), (x - 5 + side * 2, 82)], scaled(coat, tone))
        ellipse(picture, (x + side * 2, 86), (5, 5), skin)


def _head(picture: Picture, rng: np.random.Generator, skin: Colour, hair: Colour, away: bool) -> None:
    box_top = 3
    polygon(picture, [(31, 26), (41, 26), (42, 36), (30, 36)], scaled(skin, 0.8))
    ellipse(picture, (36, box_top + 14), (10.5, 13.5), skin)
    if away:
        ellipse(picture, (36, box_top + 13), (11, 13), hair)
    else:
        ellipse(picture, (36, box_top + 7), (11, 8), hair)
    if rng.random() < 0.25:
        hat = pick(rng, [(60, 50, 46), (150, 44, 44), (44, 66, 110), (200, 180, 120)], 15)
        ellipse(picture, (36, box_top + 6), (12, 7), hat)


def make_cyclist(rng: np.random.Generator, palette: Palette) -> Figure:
    """Draw a cyclist seen from the front or back."""
    picture = canvas((160, 80), (40, 40, 44), 0)
    skin, hair = pick(rng, _SKINS, 8), pick(rng, _HAIRS, 8)
    jacket = pick(rng, [*palette.clothes, (214, 220, 60), (232, 120, 40)], 12)
    trousers = scaled(pick(rng, palette.clothes, 10), 0.65)
    frame = pick(rng, [(180, 40, 40), (40, 70, 150), (60, 60, 64), (200, 200, 200)], 12)
    ellipse(picture, (40, 128), (6.5, 31), (34, 34, 36))
    ellipse(picture, (40, 128), (2.5, 24), (128, 128, 130))
    polygon(picture, [(37, 84), (43, 84), (44, 120), (36, 120)], frame)
    polygon(picture, [(14, 72), (66, 72), (66, 77), (14, 77)], (50, 50, 54))
    for side, foot in ((-1, 132.0), (1, 116.0)):
        x = 40 + side * 12
        polygon(picture, [(x - 7, 78), (x + 7, 78), (x + 5, foot), (x - 5, foot)], scaled(trousers, 0.9 - 0.12 * side))
        box(picture, x - 5, foot - 4, x + 6, foot + 3, (40, 36, 34))
        polygon(
            picture,
            [(40 + side * 16, 34), (40 + side * 22, 40), (68 * (side > 0) + 12 * (side < 0), 74), (40 + side * 15, 62)],
            jacket,
        )
    polygon(picture, [(22, 36), (34, 28), (46, 28), (58, 36), (56, 82), (24, 82)], jacket)
    polygon(picture, [(43, 29), (58, 36), (56, 82), (44, 82)], scaled(jacket, 0.78))
    ellipse(picture, (40, 15), (10, 12), mix(skin, hair, 0.25))
    helmet = pick(rng, [(230, 230, 226), (200, 50, 46), (40, 44, 50), (66, 120, 190)], 12)
    ellipse(picture, (40, 10), (11.5, 8.5), helmet)
    return Figure(Texture(picture), None, 1.78, 0.89, sideways=False)
