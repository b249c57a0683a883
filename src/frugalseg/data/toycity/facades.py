"""Houses: walls of brick or plaster, dirt, roofs and gables; what is in the front wall lies in `fronts`."""

from dataclasses import dataclass

import numpy as np

from frugalseg.core.choose import choose
from frugalseg.data.toycity.fronts import STOREY_M, STYLES, TEXELS_PER_M, side_windows
from frugalseg.data.toycity.look import Palette
from frugalseg.data.toycity.texture import (
    Colour,
    Picture,
    Texture,
    canvas,
    fractal_noise,
    grain,
    pick,
    polygon,
    scaled,
    shade,
)


@dataclass(frozen=True, eq=False)
class House:
    """A house's pictures and size; `roof` is None where it is flat."""

    front: Texture
    side: Texture
    roof: Texture | None
    gable: Texture
    width_m: float
    height_m: float


def make_house(rng: np.random.Generator, palette: Palette, floors: tuple[int, int]) -> House:
    """Draw one house of a random style of `palette`."""
    style = str(rng.choice(palette.facades))
    wall = pick(rng, palette.walls, 14)
    storeys = int(rng.integers(floors[0], floors[1] + 1))
    columns = int(rng.integers(3, 6))
    width_m = columns * float(rng.uniform(2.4, 3.2))
    height_m = storeys * STOREY_M + 0.8
    front = _wall(rng, palette, style, wall, width_m, height_m)
    choose("facade style", style, STYLES)(front, rng, wall, columns, storeys)
    side = _wall(rng, palette, style, scaled(wall, 0.94), 9.0, height_m)
    side_windows(side, rng, storeys)
    for picture in (front, side):
        _weather(picture, rng, palette.relief)
    roof = pick(rng, palette.roofs, 10) if palette.roofs and style != "concrete" else None
    return House(
        Texture(front),
        Texture(side),
        None if roof is None else Texture(_tiles(rng, roof, width_m)),
        Texture(_gable(rng, palette, style, scaled(wall, 0.94))),
        width_m,
        height_m,
    )


def _wall(
    rng: np.random.Generator, palette: Palette, style: str, wall: Colour, width_m: float, height_m: float
) -> Picture:
    size_HW = (round(height_m * TEXELS_PER_M), round(width_m * TEXELS_PER_M))
    picture = canvas(size_HW, wall)
    if style == "brick":
        _lay_bricks(picture, rng, wall)
    grain(picture, fractal_noise(rng, size_HW, 24), 9 * palette.relief)
    return picture


def _lay_bricks(picture: Picture, rng: np.random.Generator, wall: Colour) -> None:
    height, width = picture.shape[:2]
    course, brick = 4, 10
    rows, columns = height // course + 1, width // brick + 2
    tones = rng.normal(0, 13, (rows, columns)).astype(np.float32).repeat(course, 0).repeat(brick, 1)
    tones[course::course] += 16  # mortar
    shifted = np.where((np.arange(rows) % 2 == 1).repeat(course)[:, None], np.roll(tones, brick // 2, 1), tones)
    grain(picture, np.ascontiguousarray(shifted[:height, :width]), 1.0)


def _weather(picture: Picture, rng: np.random.Generator, relief: float) -> None:
    """Darken towards the ground and the eaves, and let rain leave streaks."""
    height, width = picture.shape[:2]
    from_ground_m = (height - np.arange(height, dtype=np.float32)) / TEXELS_PER_M
    rise = 1 - 0.28 * np.exp(-from_ground_m / 1.1) - 0.16 * np.exp(-(height / TEXELS_PER_M - from_ground_m) / 0.4)
    streaks = 1 + 0.07 * relief * fractal_noise(rng, (1, width), 12)
    shade(picture, (rise[:, None] * streaks).astype(np.float32))


def _tiles(rng: np.random.Generator, roof: Colour, width_m: float) -> Picture:
    size_HW = (96, round(width_m * TEXELS_PER_M))
    picture = canvas(size_HW, roof)
    tones = rng.normal(0, 9, (24, size_HW[1] // 6 + 1)).astype(np.float32).repeat(4, 0).repeat(6, 1)[:, : size_HW[1]]
    tones[::4] -= 14
    grain(picture, tones + 6 * fractal_noise(rng, size_HW, 32), 1.0)
    return picture


def _gable(rng: np.random.Generator, palette: Palette, style: str, wall: Colour) -> Picture:
    picture = _wall(rng, palette, style, wall, 9.0, 3.0)
    height, width = picture.shape[:2]
    outline = canvas((height, width), (0, 0, 0), 0)
    polygon(outline, [(width / 2, 0), (width, height), (0, height)], (0, 0, 0))
    picture[..., 3] = outline[..., 3]
    return picture
