"""Labels of one frame from several sources, and some of the pixels of a label."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE
from frugalseg.core.records import PartialLabel, Provenance, Region


def sample_points(
    label_HW: NDArray[np.uint8], grid: tuple[int, int], points: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the label with only `points` of each grid cell's labelled pixels kept, uniformly drawn; all if fewer."""
    down, across = (np.arange(n + 1) * side // n for n, side in zip(grid, label_HW.shape, strict=True))
    kept_HW = np.full_like(label_HW, IGNORE)
    for top, bottom in pairwise(down.tolist()):
        for left, right in pairwise(across.tolist()):
            cell = np.s_[top:bottom, left:right]
            rows, columns = np.nonzero(label_HW[cell] != IGNORE)
            drawn = rng.permutation(len(rows))[:points]
            kept_HW[cell][rows[drawn], columns[drawn]] = label_HW[cell][rows[drawn], columns[drawn]]
    return kept_HW


def compose_label(human: PartialLabel, pseudo_HW: NDArray[np.uint8], cells: tuple[Region, ...]) -> PartialLabel:
    """Return equation 6's label: people's answers, pseudo-labels outside `cells`, IGNORE elsewhere."""
    label = pseudo_HW.copy()
    for cell in cells:
        label[cell.slices] = IGNORE
    provenance = np.where(label == IGNORE, Provenance.UNKNOWN, Provenance.PSEUDO_LABEL).astype(np.uint8)
    answered = human.provenance != Provenance.UNKNOWN
    label[answered] = human.label[answered]
    provenance[answered] = human.provenance[answered]
    return PartialLabel(human.key, label, provenance)
