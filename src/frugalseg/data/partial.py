"""Partial labels on disk: `labels/KEY.png` and `provenance/KEY.png`."""

from pathlib import Path

from frugalseg.core.codec import write_label_png
from frugalseg.core.records import PartialLabel


def write_partial(folder: Path, partial: PartialLabel) -> None:
    """Write `labels/<key>.png` and `provenance/<key>.png`."""
    for kind, image in (("labels", partial.label), ("provenance", partial.provenance)):
        path = folder / kind / f"{partial.key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_png(path, image)
