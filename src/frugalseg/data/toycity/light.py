"""One sequence's light and air: which way the sun stands, how bright each face is, where shadows fall."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.data.toycity.look import Weather
from frugalseg.data.toycity.texture import Colour

_WRAP = 0.2  # light that reaches faces just turned away from the sun


@dataclass(frozen=True, eq=False)
class Light:
    """The weather of one sequence with its chances drawn; `to_sun` is a unit vector in world axes."""

    weather: Weather
    to_sun: NDArray[np.float64]
    haze_per_m: float

    def gain(self, normal: NDArray[np.float64]) -> Colour:
        """Return what a face with that unit normal does to its own colour, RGB, 1 = unchanged."""
        lit = max(0.0, (float(normal @ self.to_sun) + _WRAP) / (1 + _WRAP))
        open_sky = 0.86 + 0.14 * float(normal[1])
        return tuple(
            round(open_sky * ambient + lit * sun, 3)
            for ambient, sun in zip(self.weather.ambient, self.weather.sun, strict=True)
        )  # type: ignore[return-value]

    def shadow(self, footprint_N2: NDArray[np.float64], height_m: float, base_m: float = 0.0) -> NDArray[np.float64]:
        """Return the outline (x, z) of the shadow of an upright prism that stands on `footprint_N2`."""
        across = -self.to_sun[[0, 2]] / self.to_sun[1]
        both = np.concatenate([footprint_N2 + across * base_m, footprint_N2 + across * height_m]).astype(np.float32)
        return np.asarray(cv2.convexHull(both)[:, 0], np.float64)


def make_light(rng: np.random.Generator, weather: Weather) -> Light:
    """Draw the sun's place and the density of the haze."""
    elevation = math.radians(rng.uniform(*weather.sun_elevation_deg))
    azimuth = math.radians(rng.uniform(*weather.sun_azimuth_deg)) * (1 if rng.random() < 0.5 else -1)
    flat = math.cos(elevation)
    to_sun = np.array([flat * math.sin(azimuth), math.sin(elevation), flat * math.cos(azimuth)])
    return Light(weather, to_sun, float(rng.uniform(*weather.haze_per_m)))


def normals(planes_N33: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return N x 3 unit normals on the sides from which the planes' pictures are seen the right way round."""
    across = np.cross(planes_N33[:, :, 0], planes_N33[:, :, 1])
    return np.asarray(across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12))
