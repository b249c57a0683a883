"""Pictures that are painted onto planes, their reduced versions, and the noise they are made of."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # H x W x 4, RGB and opacity
Colour = tuple[float, float, float]  # RGB, 0-255

OPAQUE = 255.0
MAX_LEVEL = 7


class Texture:
    """An RGBA picture with versions reduced by 2^x across and 2^y down, made when first asked for.

    Across and down are reduced on their own because a street's facades are seen at a slant: 10 pixels wide, 100 high.
    """

    def __init__(self, picture: Picture) -> None:
        self.picture = np.ascontiguousarray(picture)
        self.solid = bool((picture[..., 3] == OPAQUE).all())
        self.mean: tuple[float, ...] = tuple(float(value) for value in self.picture.mean(axis=(0, 1)))
        self._levels: dict[tuple[int, int], Picture] = {(0, 0): self.picture}
        self._opacities: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def reduced(self, across: int, down: int) -> Picture:
        """Return the picture, 2^across times narrower and 2^down times lower."""
        level = (across, down)
        if level not in self._levels:
            height, width = self.picture.shape[:2]
            size = (max(1, width >> across), max(1, height >> down))
            self._levels[level] = np.asarray(cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        return self._levels[level]

    def opacity(self, across: int, down: int) -> NDArray[np.uint8]:
        """Return the opacity of the reduced picture."""
        level = (across, down)
        if level not in self._opacities:
            self._opacities[level] = np.ascontiguousarray(self.reduced(across, down)[..., 3])
        return self._opacities[level]


def fractal_noise(
    rng: np.random.Generator, size_HW: tuple[int, int], cell_px: int, octaves: int = 3
) -> NDArray[np.float32]:
    """Return H x W noise that tiles both ways, mean about 0, mostly within -1 … 1; its largest detail is `cell_px`."""
    height, width = size_HW
    total = np.zeros(size_HW, np.float32)
    for octave in range(octaves):
        cell = max(1, cell_px >> octave)
        grid = rng.uniform(-1, 1, (max(1, height // cell), max(1, width // cell))).astype(np.float32)
        padded = np.pad(grid, 2, mode="wrap")
        scale_y, scale_x = height / grid.shape[0], width / grid.shape[1]
        large = cv2.resize(
            padded, (round(padded.shape[1] * scale_x), round(padded.shape[0] * scale_y)), interpolation=cv2.INTER_CUBIC
        )
        top, left = round(2 * scale_y), round(2 * scale_x)
        total += large[top : top + height, left : left + width] * np.float32(0.6**octave)
    return total


def canvas(size_HW: tuple[int, int], colour: Colour, opacity: float = OPAQUE) -> Picture:
    """Return a picture of one colour."""
    picture = np.empty((*size_HW, 4), np.uint8)
    picture[:] = (*colour, opacity)
    return picture


def box(picture: Picture, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
    """Fill a rectangle; edges are rounded to whole pixels and cut at the picture's rim."""
    rows = slice(max(0, round(top)), max(0, round(bottom)))
    columns = slice(max(0, round(left)), max(0, round(right)))
    picture[rows, columns, :3] = np.clip(colour, 0, 255)


def polygon(picture: Picture, points: Sequence[tuple[float, float]], colour: Colour, opacity: float = OPAQUE) -> None:
    """Fill a polygon (x, y in pixels) with smooth edges."""
    corners = np.round(np.array(points) * 16).astype(np.int32)
    cv2.fillPoly(picture, [corners], (*colour, opacity), lineType=cv2.LINE_AA, shift=4)


def ellipse(
    picture: Picture, centre: tuple[float, float], axes: tuple[float, float], colour: Colour, angle: float = 0.0
) -> None:
    """Fill an opaque ellipse with smooth edges; `axes` are half lengths in pixels."""
    cv2.ellipse(
        picture,
        (round(centre[0] * 16), round(centre[1] * 16)),
        (max(1, round(axes[0] * 16)), max(1, round(axes[1] * 16))),
        angle,
        0,
        360,
        (*colour, OPAQUE),
        -1,
        cv2.LINE_AA,
        4,
    )


def grain(picture: Picture, noise: NDArray[np.float32], amount: float) -> None:
    """Make a picture lighter and darker by `amount` (of 255) times `noise` (H x W)."""
    varied = picture[..., :3].astype(np.float32) + (amount * noise)[..., None]
    picture[..., :3] = np.clip(varied, 0, 255).astype(np.uint8)


def shade(picture: Picture, gain: NDArray[np.float32]) -> None:
    """Multiply a picture by `gain` (broadcast to H x W)."""
    shaded = picture[..., :3].astype(np.float32) * np.broadcast_to(gain, picture.shape[:2])[..., None]
    picture[..., :3] = np.clip(shaded, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1024)
def _brightening(gain: Colour) -> Picture:
    steps = np.arange(256)[None, :, None] * np.array((*gain, 1.0))
    return np.asarray(np.minimum(np.round(steps), 255), np.uint8)


def brightened(picture: Picture, gain: Colour) -> Picture:
    """Return the picture with its colours multiplied by `gain`, at most white."""
    return np.asarray(cv2.LUT(picture, _brightening(gain)), np.uint8)


def mix(first: Colour, second: Colour, weight: float) -> Colour:
    """Return the colour `weight` of the way from `first` to `second`."""
    return tuple(a + weight * (b - a) for a, b in zip(first, second, strict=True))  # type: ignore[return-value]


def scaled(colour: Colour, gain: float) -> Colour:
    """Return `colour` times `gain`, at most white."""
    return tuple(min(255.0, channel * gain) for channel in colour)  # type: ignore[return-value]


def pick(rng: np.random.Generator, colours: Sequence[Colour], spread: float = 0.0) -> Colour:
    """Return one of `colours`, each channel varied by up to `spread`."""
    colour = colours[int(rng.integers(len(colours)))]
    shifts = rng.uniform(-spread, spread, 3)
    return tuple(float(np.clip(c + s, 0, 255)) for c, s in zip(colour, shifts, strict=True))  # type: ignore[return-value]
