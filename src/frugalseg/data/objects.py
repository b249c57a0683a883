"""The single objects of a frame, where a data set tells them apart."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, UNKNOWN, ClassSet
from frugalseg.core.codec import read_label
from frugalseg.core.errors import LabelShapeError, MissingPairError
from frugalseg.core.records import Frame
from frugalseg.data.masks import askable

FIRST_NUMBER = {256: 1}  # KITTI's objects count from 1, and 0 says that there is none; others count from 0


@dataclass(frozen=True, eq=False)
class Objects:
    """Number of the object at each pixel, H x W (0: none), and each object's class id of the project."""

    numbers_HW: NDArray[np.int64]
    class_of: dict[int, int]


class ObjectReader:
    """Reads a frame's objects; those of classes that the project does not have are none."""

    def __init__(self, dataset: ClassSet, project: ClassSet) -> None:
        self._lookup = dataset.map_to(project).raw_lookup()

    def read(self, frame: Frame) -> Objects:
        """Return the objects of a frame that has a file of them; none under the ego mask.

        Cityscapes: a value up to 1000 is an id, one above it is id x 1000 + number. KITTI: id x 256 + number.

        Raises:
            MissingPairError: the frame has no such file.
            LabelShapeError: it has another size than the image.
            ImageFileError: it is damaged.
        """
        if frame.instances is None or frame.instance_base is None:
            raise MissingPairError(f"{frame.image}: there is no file of single objects for this image.")
        values_HW = read_label(Path(frame.instances)).astype(np.int64)
        if values_HW.shape != (frame.height, frame.width):
            raise LabelShapeError(
                f"{frame.instances}: {values_HW.shape} but its image {frame.image} is {(frame.height, frame.width)} "
                "(height, width). Check the pairing."
            )
        base = frame.instance_base
        first = FIRST_NUMBER.get(base, 0)
        there_HW = (values_HW > base) & (values_HW % base >= first)
        if (usable_HW := askable(frame)) is not None:
            there_HW &= usable_HW
        numbers_HW = np.where(there_HW, values_HW, 0)
        classes = {value: int(self._lookup[value // base]) for value in np.unique(numbers_HW).tolist() if value}
        return Objects(numbers_HW, {value: c for value, c in classes.items() if c not in (IGNORE, UNKNOWN)})
