"""People's labels and those spread through video, joined as training reads them."""

from pathlib import Path

import numpy as np

from frugalseg.core.classes import IGNORE
from frugalseg.core.records import Frame, Provenance
from frugalseg.data.batches import PartialLabelFolder
from frugalseg.data.masks import askable
from frugalseg.data.transforms import Labels


class JoinedLabels:
    """People's labels, and those spread through video to pixels that nobody answered; with a confidence for each.

    Both are folders of partial labels; the second may lack frames, and may have no `confidence/KEY.png`: all sure then.
    People's pixels are sure (255). On the camera's own car nothing is spread.
    """

    def __init__(self, human: Path, spread: Path) -> None:
        self._human, self._spread, self._there = (
            PartialLabelFolder(human),
            PartialLabelFolder(spread),
            spread / "labels",
        )

    def __call__(self, frame: Frame) -> Labels:
        """Return label, provenance and confidence of a frame."""
        label, provenance = self._human(frame)
        sure = np.full_like(label, 255)
        if not (self._there / f"{frame.key}.png").is_file():
            return label, provenance, sure
        carried, source, *measured = self._spread(frame)
        usable, how_sure = askable(frame), measured[0] if measured else sure
        free = (provenance == Provenance.UNKNOWN) & (carried != IGNORE) & (True if usable is None else usable)
        return np.where(free, carried, label), np.where(free, source, provenance), np.where(free, how_sure, sure)
