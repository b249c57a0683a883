"""The line the street follows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bend:
    """The street's middle as a graph over z: two sine waves. A place along the street is z, across it x - across(z)."""

    slopes: tuple[float, float]
    lengths_m: tuple[float, float]
    phases: tuple[float, float]

    def across(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return x of the street's middle at each z."""
        waves = [
            np.float32(slope * length) * np.sin((z / np.float32(length)) + np.float32(phase))
            for slope, length, phase in zip(self.slopes, self.lengths_m, self.phases, strict=True)
        ]
        return np.asarray(waves[0] + waves[1])

    def x(self, z: float) -> float:
        """Return x of the street's middle at `z`."""
        pairs = zip(self.slopes, self.lengths_m, self.phases, strict=True)
        return float(sum(slope * length * np.sin(z / length + phase) for slope, length, phase in pairs))

    def slope(self, z: float) -> float:
        """Return dx/dz at `z`."""
        pairs = zip(self.slopes, self.lengths_m, self.phases, strict=True)
        return float(sum(slope * np.cos(z / length + phase) for slope, length, phase in pairs))


def make_bend(rng: np.random.Generator, largest_slope: float) -> Bend:
    """Draw a winding street."""
    share = float(rng.uniform(0.2, 1.0))
    phases = tuple(float(phase) for phase in rng.uniform(0, 2 * np.pi, 2))
    return Bend((largest_slope * share * 0.7, largest_slope * share * 0.3), (70.0, 31.0), (phases[0], phases[1]))
