"""What the report shows besides scores: a gallery of telling frames, and what `check` found in the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.evaluation.frame_scores import FrameScore, Groups
from frugalseg.evaluation.wording import whole


@dataclass(frozen=True, eq=False)
class GalleryFrame:
    """One frame of the gallery; all maps are of the image's size.

    Raises:
        DataError: a map of another size.
    """

    score: FrameScore
    image: NDArray[Any]
    prediction: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None = None
    entropy_01: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        for name in ("prediction", "truth", "entropy_01"):
            map_HW = getattr(self, name)
            if map_HW is not None and map_HW.shape != self.image.shape[:2]:
                raise DataError(
                    f"frame {self.score.key}: {name} is {map_HW.shape}, its image is {self.image.shape[:2]} "
                    "(height, width). Evaluate again."
                )


@dataclass(frozen=True, eq=False)
class Gallery:
    """The frames of `groups` that could be found again, by key, and the scores of all frames of the model."""

    model: str
    groups: Groups
    frames: Mapping[str, GalleryFrame]
    scores: tuple[FrameScore, ...]


@dataclass(frozen=True)
class CheckedDomain:
    """What `check` found in one domain; `light` is mean and standard deviation by name, 0–1 is the full scale."""

    name: str
    frames: int | None = None
    labelled: int | None = None
    refused: int | None = None
    quarantined: int | None = None
    light: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class DataCheck:
    """What `check` found: each domain, problems that must be mended, remarks; `stage` is where it stands.

    `gap` says how the domains differ in look.
    """

    stage: str
    domains: tuple[CheckedDomain, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    gap: str = ""


def check_words(check: DataCheck) -> str:
    """Say in one sentence what `check` found."""
    frames = sum(domain.frames or 0 for domain in check.domains)
    lost = sum((domain.refused or 0) + (domain.quarantined or 0) for domain in check.domains)
    found = f"The check looked at {whole(frames)} frames" if frames else "The check looked at the data"
    set_aside = f", set {whole(lost)} aside" if lost else ""
    many = len(check.problems)
    problems = "found no problem" if not many else f"found {whole(many)} problem{'s' if many > 1 else ''}"
    return f"{found}{set_aside} and {problems} ({check.stage})."
