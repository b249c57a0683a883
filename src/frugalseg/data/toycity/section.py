"""A street's surface: one long tiling picture of road, kerbs and pavements, and a junction's asphalt and zebra."""

from dataclasses import dataclass

import cv2
import numpy as np

from frugalseg.data.toycity.look import Look
from frugalseg.data.toycity.texture import Colour, Picture, Texture, box, canvas, ellipse, fractal_noise, grain, scaled

TEXELS_PER_M = 20
PERIOD_M = 48.0
_YARD_M = 3.0


@dataclass(frozen=True, eq=False)
class Section:
    """A street's cross-section: widths in metres and its picture (columns across, rows along, the far end on top)."""

    half_road_m: float
    pavement_m: float
    lane_m: float
    lanes: int
    parking_m: float
    texture: Texture

    @property
    def half_street_m(self) -> float:
        """From the middle of the road to the rear edge of the pavement."""
        return self.half_road_m + self.pavement_m

    @property
    def half_picture_m(self) -> float:
        """From the middle to the rim of the picture."""
        return self.half_street_m + _YARD_M


def make_section(rng: np.random.Generator, look: Look, number: int) -> Section:
    """Draw street surface number `number`."""
    layout, palette = look.layout, look.palette
    lanes, lane_m = int(rng.choice(layout.lanes)), float(rng.uniform(*layout.lane_m))
    parking = layout.parking_m[number % len(layout.parking_m)]
    half_road, pavement = lanes * lane_m + parking, float(rng.uniform(*layout.pavement_m))
    half = half_road + pavement + _YARD_M
    size_HW = (round(PERIOD_M * TEXELS_PER_M), round(2 * half * TEXELS_PER_M))
    picture = asphalt(rng, look, size_HW)
    rim = (half - half_road) * TEXELS_PER_M
    for left, right in ((0.0, rim), (size_HW[1] - rim, float(size_HW[1]))):
        _pave(picture, rng, look, round(left), round(right))
    for kerb, inner in ((rim, 1), (size_HW[1] - rim, -1)):
        box(
            picture,
            min(kerb, kerb - inner * 5),
            0,
            max(kerb, kerb - inner * 5),
            size_HW[0],
            scaled(palette.paving, 1.16),
        )
        box(
            picture,
            min(kerb, kerb + inner * 4),
            0,
            max(kerb, kerb + inner * 4),
            size_HW[0],
            scaled(palette.asphalt, 0.62),
        )
    _mark(picture, look, lanes, lane_m, rim, parking > 0)
    return Section(half_road, pavement, lane_m, lanes, parking, Texture(picture))


def asphalt(rng: np.random.Generator, look: Look, size_HW: tuple[int, int]) -> Picture:
    """Draw road surface: grain, stains, wheel tracks, and on worn roads patches, cracks and manholes."""
    palette = look.palette
    picture = canvas(size_HW, palette.asphalt)
    relief = palette.relief
    grain(picture, fractal_noise(rng, size_HW, 4, 2) + 0.8 * fractal_noise(rng, size_HW, 96), 7 * relief + 1)
    if relief > 0.5:
        for _ in range(size_HW[0] * size_HW[1] // 70_000):
            x, y = int(rng.integers(size_HW[1])), int(rng.integers(size_HW[0] - 90))
            wide, high = int(rng.integers(20, 60)), int(rng.integers(30, 90))
            patch = picture[y : y + high, x : x + wide, :3]
            patch[:] = np.clip(patch * rng.uniform(0.72, 0.9), 0, 255).astype(np.uint8)
        for _ in range(size_HW[0] * size_HW[1] // 50_000):
            start = rng.uniform((0, 0), (size_HW[1], size_HW[0]))
            steps = np.cumsum(rng.normal((0, 7), (5, 3), (12, 2)), axis=0) + start
            cv2.polylines(
                picture, [np.round(steps).astype(np.int32)], False, (*scaled(palette.asphalt, 0.62), 255.0), 1
            )
        for _ in range(size_HW[0] * size_HW[1] // 200_000):
            centre = (float(rng.uniform(20, size_HW[1] - 20)), float(rng.uniform(20, size_HW[0] - 20)))
            ellipse(picture, centre, (7, 7), scaled(palette.asphalt, 0.55))
            ellipse(picture, centre, (5, 5), scaled(palette.asphalt, 0.75))
    return picture


def _pave(picture: Picture, rng: np.random.Generator, look: Look, left: int, right: int) -> None:
    size_HW = (picture.shape[0], right - left)
    relief = look.palette.relief
    slab = canvas(size_HW, look.palette.paving)
    rows, columns = size_HW[0] // 12, size_HW[1] // 15 + 1
    tones = rng.normal(0, 7 * relief, (rows, columns)).astype(np.float32).repeat(12, 0).repeat(15, 1)[:, : size_HW[1]]
    tones[::12] -= 22 * relief
    tones[:, ::15] -= 22 * relief
    grain(slab, tones + 8 * relief * fractal_noise(rng, size_HW, 48), 1.0)
    picture[:, left:right] = slab


def _mark(picture: Picture, look: Look, lanes: int, lane_m: float, rim: float, parking: bool) -> None:
    """Paint the lines: centre, lanes, edges."""
    height, width = picture.shape[:2]
    middle, lane = width / 2, lane_m * TEXELS_PER_M
    white: Colour = (232, 232, 228)
    line = look.palette.centre_line
    if lanes > 1:
        for offset in (-4.0, 4.0):
            box(picture, middle + offset - 2, 0, middle + offset + 1, height, line)
    else:
        for top in range(0, height, 120):
            box(picture, middle - 1.5, top, middle + 1.5, top + 60, line)
    for number in range(1, lanes):
        for side in (-1, 1):
            for top in range(0, height, 192):
                box(
                    picture,
                    middle + side * number * lane - 1.5,
                    top,
                    middle + side * number * lane + 1.5,
                    top + 64,
                    white,
                )
    if parking:
        for side in (-1, 1):
            for top in range(0, height, 112):
                box(picture, middle + side * lane * lanes - 1, top, middle + side * lane * lanes + 1, top + 40, white)
    else:
        for x in (rim + 8, width - rim - 8):
            box(picture, x - 1.5, 0, x + 1.5, height, white)


def zebra(rng: np.random.Generator, look: Look, half_road_m: float) -> Picture:
    """Draw a crossing's stripes on asphalt."""
    picture = asphalt(rng, look, (60, round(2 * half_road_m * TEXELS_PER_M)))
    for left in range(8, picture.shape[1] - 8, 20):
        box(picture, left, 0, left + 10, 60, (226, 226, 222))
    return picture
