"""A data set in numbers: what the facts of its frames add up to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import ClassSet
from frugalseg.core.records import Manifest
from frugalseg.data.duplicates import Fingerprints
from frugalseg.data.facts import FrameFacts

LIGHT = ("brightness", "contrast", "saturation", "warmth")  # of an image, in 0–1 (warmth -1–1)


@dataclass(frozen=True, eq=False)
class Summary:
    """Numbers of one set. `light` is N x 4 (LIGHT) and `fingerprints` N of the frames at `seen` (positions).

    Not seen are images that could not be read, or that are label maps. `sizes` counts frames by (height, width).
    `pixels_C` and `frames_C` are pixels of each class of the project and the frames that have any. `dropped` and
    `missing` are what `ClassMap` calls so. `turned` are positions of frames whose image is turned by EXIF and whose
    label is not.
    """

    name: str
    frames: int
    refused: int
    labelled: int
    sizes: Counter[tuple[int, int]]
    seen: NDArray[np.intp]
    light: NDArray[np.float32]
    fingerprints: Fingerprints
    pixels_C: NDArray[np.int64]
    frames_C: NDArray[np.int64]
    dropped: tuple[str, ...]
    missing: tuple[str, ...]
    turned: tuple[int, ...]
    usable_ratio: float
    masked: int

    def to_dict(self, classes: ClassSet) -> dict[str, Any]:
        """Return the numbers as `check.json` holds them."""
        rows = zip(classes.names, self.pixels_C.tolist(), self.frames_C.tolist(), strict=True)
        return {
            "frames": self.frames,
            "refused": self.refused,
            "labelled": self.labelled,
            "sizes": {f"{height}x{width}": count for (height, width), count in self.sizes.most_common()},
            "light": mean_sd(self.light),
            "classes": {name: {"pixels": pixels, "frames": frames} for name, pixels, frames in rows},
            "dropped": list(self.dropped),
            "missing": list(self.missing),
            "usable_ratio": round(self.usable_ratio, 4),
        }


def summarise(name: str, manifest: Manifest, facts: Sequence[FrameFacts], project: ClassSet) -> Summary:
    """Add up the facts of all frames of the set that the project calls `name`."""
    looks = [(place, fact.image) for place, fact in enumerate(facts) if fact.image and not fact.image.like_label]
    light = [(look.brightness_01, look.contrast_01, look.saturation_01, look.warmth) for _, look in looks]
    counted = [fact.label.class_pixels for fact in facts if fact.label is not None and not fact.label.colors]
    by_frame = np.array(counted, np.int64).reshape(len(counted), len(project))
    overlap = manifest.classes.map_to(project)
    labelled = sum(frame.label is not None for frame in manifest)
    masked = sum(frame.mask is not None for frame in manifest)
    return Summary(
        name=name,
        frames=len(manifest),
        refused=len(manifest.refused),
        labelled=labelled,
        sizes=Counter((look.height, look.width) for _, look in looks),
        seen=np.array([position for position, _ in looks], np.intp),
        light=np.array(light, np.float32).reshape(len(looks), len(LIGHT)),
        fingerprints=Fingerprints.of([look.hash64 for _, look in looks], [look.thumb for _, look in looks]),
        pixels_C=by_frame.sum(axis=0),
        frames_C=(by_frame > 0).sum(axis=0),
        dropped=overlap.dropped if labelled else (),
        missing=overlap.missing if labelled else (),
        turned=tuple(place for place, fact in enumerate(facts) if _only_image_turned(fact)),
        usable_ratio=float(np.mean([fact.usable_ratio for fact in facts])) if facts else 1.0,
        masked=masked,
    )


def mean_sd(light_N4: NDArray[np.float32]) -> dict[str, float]:
    """Return mean and standard deviation over frames of each of LIGHT, by name; nothing for no frame."""
    if not len(light_N4):
        return {}
    means, deviations = light_N4.mean(axis=0, dtype=np.float64), light_N4.std(axis=0, dtype=np.float64)
    found = dict(zip(LIGHT, means.tolist(), strict=True))
    found |= {f"{name}_sd": value for name, value in zip(LIGHT, deviations.tolist(), strict=True)}
    return {name: round(value, 4) for name, value in found.items()}


def _only_image_turned(fact: FrameFacts) -> bool:
    if fact.image is None or fact.label is None or fact.image_turn == 1 or fact.label_turn != 1:
        return False
    return (fact.image.height, fact.image.width) == (fact.label.height, fact.label.width)
