"""What a drawing remembers besides its colours: which surface each pixel shows, and how each surface is seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OVERSAMPLING = 2  # drawing pixels a frame's pixel, each way
GROUND = 0  # id and uid of the ground; ids of all else follow in the order of drawing
_TO_PIXELS = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])  # drawing pixel → frame's pixel, centres whole


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Ids by drawing pixel; by id: uid (the same in all frames), class, whether it lies on the ground, homography."""

    ids: NDArray[np.uint16]
    uids: NDArray[np.int64]
    classes: NDArray[np.uint8]
    flat: NDArray[np.bool_]
    homographies_N33: NDArray[np.float64]  # plane → drawing pixel; the third component is the depth in metres
    ground: NDArray[np.uint8]  # the ground's class at each drawing pixel

    def labels(self) -> NDArray[np.uint8]:
        """Return the class at each drawing pixel."""
        return np.where(self.ids == GROUND, self.ground, self.classes[self.ids])

    def pixel_homographies(self) -> NDArray[np.float64]:
        """Return N x 3 x 3, plane → the frame's pixel."""
        return np.asarray(_TO_PIXELS @ self.homographies_N33)

    def horizon_row(self) -> float:
        """Return the frame's row, in the middle column, at which the ground is infinitely far."""
        nearness = np.linalg.inv(self.pixel_homographies()[GROUND])[2]
        return float(-(nearness[0] * (self.ids.shape[1] / OVERSAMPLING - 1) / 2 + nearness[2]) / nearness[1])
