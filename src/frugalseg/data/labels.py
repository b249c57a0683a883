"""Labels as class ids of the project; what does not fit is refused with the words of `frugalseg check`."""

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, UNKNOWN, ClassSet
from frugalseg.core.errors import LabelShapeError, UnknownIdError
from frugalseg.core.records import Frame
from frugalseg.data import causes
from frugalseg.data.facts import FrameFacts, exif_turns, label_facts
from frugalseg.data.label_kinds import read_raw
from frugalseg.data.masks import askable


class LabelReader:
    """Reads a frame's label as class ids of the project; classes the project does not have become IGNORE."""

    def __init__(self, dataset: ClassSet, project: ClassSet) -> None:
        self._dataset = dataset
        self._lookup = dataset.map_to(project).raw_lookup()

    def read(self, frame: Frame) -> NDArray[np.uint8]:
        """Return class ids, H x W uint8, IGNORE where there is no class or the ego mask says so.

        Raises:
            MissingPairError: the frame has no label.
            LabelShapeError: label and image differ in size.
            UnknownIdError: a raw id or colour that the class set does not list.
            ImageFileError: the file is damaged or no label.
        """
        raw_HW = read_raw(frame, self._dataset)
        if raw_HW.shape != (frame.height, frame.width):
            raise LabelShapeError(_wrong_size(frame, raw_HW))
        ids_HW = self._lookup[raw_HW]
        if (ids_HW == UNKNOWN).any():
            raise UnknownIdError(_unknown_ids(frame, raw_HW, self._dataset))
        usable_HW = askable(frame)
        if usable_HW is not None:
            ids_HW[~usable_HW] = IGNORE
        return ids_HW.astype(np.uint8)


def _wrong_size(frame: Frame, raw_HW: NDArray[np.uint16]) -> str:
    label, size_HW = label_facts(raw_HW), (frame.height, frame.width)
    image_turn, label_turn = exif_turns(frame, size_HW, label)
    facts = FrameFacts(label=label, image_turn=image_turn, label_turn=label_turn)
    return f"{frame.label}: {causes.size_what(frame, size_HW, label)}\n{causes.size_mend(size_HW, label, facts)}"


def _unknown_ids(frame: Frame, raw_HW: NDArray[np.uint16], classes: ClassSet) -> str:
    label = label_facts(raw_HW)
    unknown, present = causes.unknown_ids(label, classes), set(label.raw_ids.tolist())  # of this file: no other is seen
    mend = causes.ids_mend(label, unknown, present, classes, frame.label_kind)
    return f"{frame.label}: {causes.ids_what(unknown, classes)}\n{mend}"
