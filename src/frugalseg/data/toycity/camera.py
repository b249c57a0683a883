"""The pin-hole camera and the planes it sees.

World axes: x right, y up, z along the street (metres). Camera axes: x right, y down, z forward.
A plane is a 3x3 matrix [U V O]: its point (u, v) lies at O + u U + v V. Seen by a camera it is a homography, so one
matrix a plane gives texture coordinates, depth and, with the matrix of the frame before, exact optical flow.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrices = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Camera:
    """A pin-hole camera: where it stands, how it is turned (world to camera), its focal length and image size."""

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    focal_px: float
    size_HW: tuple[int, int]

    @property
    def projection(self) -> NDArray[np.float64]:
        """3x3: direction from the camera in world axes → homogeneous pixel (column, row)."""
        height, width = self.size_HW
        intrinsics = np.array(
            [[self.focal_px, 0, (width - 1) / 2], [0, self.focal_px, (height - 1) / 2], [0, 0, 1.0]],
        )
        return np.asarray(intrinsics @ self.rotation)

    def see(self, planes_N33: Matrices) -> Matrices:
        """Return N x 3 x 3 homographies, (u, v, 1) → homogeneous pixel; the third component is the depth in metres."""
        relative_N33 = planes_N33.copy()
        relative_N33[:, :, 2] -= self.position
        return np.asarray(self.projection @ relative_N33)


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Return world-to-camera axes for a camera turned right by `yaw`, up by `pitch`, clockwise by `roll` (radians)."""
    sin_y, cos_y = math.sin(yaw), math.cos(yaw)
    sin_p, cos_p = math.sin(pitch), math.cos(pitch)
    sin_r, cos_r = math.sin(roll), math.cos(roll)
    level = np.array([[cos_y, 0, -sin_y], [0, -1, 0], [sin_y, 0, cos_y]])
    pitched = np.array([[1, 0, 0], [0, cos_p, sin_p], [0, -sin_p, cos_p]])
    rolled = np.array([[cos_r, sin_r, 0], [-sin_r, cos_r, 0], [0, 0, 1]])
    return np.asarray(rolled @ pitched @ level)


def plane(
    origin: tuple[float, float, float], u: tuple[float, float, float], v: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return [U V O] for a patch with its top left corner at `origin`, `u` to its right and `v` down."""
    return np.array([u, v, origin], np.float64).T


def turned(planes_N33: Matrices, x: float, z: float, yaw: float) -> Matrices:
    """Return the planes of a thing that stands at (x, 0, z), turned right by `yaw`."""
    sin_y, cos_y = math.sin(yaw), math.cos(yaw)
    world_N33 = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]]) @ planes_N33
    world_N33[:, 0, 2] += x
    world_N33[:, 2, 2] += z
    return np.asarray(world_N33)
