"""Small pictures of frames and their labels, for contact sheets; made in worker processes, as the files may be bad."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import UNKNOWN, ClassSet
from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame
from frugalseg.data.label_kinds import read_raw
from frugalseg.data.masks import askable
from frugalseg.data.pixels import read_pixels, to_uint8

SIDE = 400  # the longer one, of a small picture
NOBODY = 254  # in a small label: an id that no class has


@dataclass(frozen=True, eq=False)
class Glimpse:
    """A frame in small: H x W x 3 RGB, and class ids H x W of the same size (IGNORE, NOBODY) where it has a label.

    `usable` is False where the ego mask is zero; None where there is no mask that fits.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8] | None = None
    usable: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Glimpser:
    """Makes small pictures of the frames of several data sets; `classes` are those of each set's labels."""

    classes: Mapping[str, ClassSet]
    project: ClassSet

    def __call__(self, item: tuple[str, Frame]) -> Glimpse | None:
        """Return a frame of a set in small, or None if its image cannot be read; so is a label, if it can be."""
        name, frame = item
        try:
            image_HWC = to_uint8(read_pixels(frame, verify=False))
        except (DataError, OSError, MemoryError):
            return None
        factor = min(1.0, SIDE / max(image_HWC.shape[:2]))
        size = (max(1, round(image_HWC.shape[1] * factor)), max(1, round(image_HWC.shape[0] * factor)))
        image = np.asarray(cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA), np.uint8)
        try:
            return Glimpse(image, self._label(name, frame, size), _usable(frame, size))
        except (DataError, OSError, MemoryError):
            return Glimpse(image)

    def _label(self, name: str, frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        if frame.label is None:
            return None
        lookup = self.classes[name].map_to(self.project).raw_lookup()
        table = np.where(lookup == UNKNOWN, NOBODY, lookup).astype(np.uint8)
        ids_HW = table[read_raw(frame, self.classes[name])]
        return np.asarray(cv2.resize(ids_HW, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _usable(frame: Frame, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    usable_HW = askable(frame)
    if usable_HW is None or usable_HW.all():
        return None
    return cv2.resize(usable_HW.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
