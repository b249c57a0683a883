"""Partial labels on disk: `labels/KEY.png` and `provenance/KEY.png`; `confidence/KEY.png` where some are less sure."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.codec import write_label_png
from frugalseg.core.records import PartialLabel


def write_partial(folder: Path, partial: PartialLabel, confidence_HW: NDArray[np.uint8] | None = None) -> None:
    """Write `labels/<key>.png` and `provenance/<key>.png`, and `confidence/<key>.png` (255ths) if it is given."""
    images = {"labels": partial.label, "provenance": partial.provenance}
    images |= {} if confidence_HW is None else {"confidence": confidence_HW}
    for kind, image in images.items():
        path = folder / kind / f"{partial.key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_png(path, image)
