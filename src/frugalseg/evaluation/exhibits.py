"""What the report shows besides scores: telling frames, what `check` found, what adaptation found out on its way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import DataError
from frugalseg.evaluation.frame_scores import FrameScore, Groups
from frugalseg.evaluation.vector_map import VectorMap
from frugalseg.evaluation.wording import whole

RANKED = 5  # frames shown at either end of a ranking


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


@dataclass(frozen=True, eq=False)
class Ranking:
    """Target frames from the surest to the least sure; the first `easy` of them lent their predictions as labels.

    `images` holds some of them by key: those at the ends that can still be read.

    Raises:
        DataError: no frame on one of the sides, or frames out of order.
    """

    stage: str
    keys: tuple[str, ...]
    entropy_01_N: NDArray[np.float64]
    easy: int
    images: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = self.entropy_01_N
        in_order = values.shape == (len(self.keys),) and bool(np.all(values[:-1] <= values[1:]))
        if not in_order or not 0 < self.easy < len(self.keys):
            raise DataError(
                f"{self.stage}: a ranking of {len(self.keys)} frames, {self.easy} of them easy, with {values.size} "
                "entropies that must rise; expected frames on both sides. Adapt again."
            )

    @property
    def cut_01(self) -> float:
        """The entropy half-way between the last easy frame and the first hard one."""
        return float(self.entropy_01_N[self.easy - 1 : self.easy + 1].mean())

    @property
    def ends(self) -> tuple[range, range]:
        """Places of the easiest and of the hardest frames, from the ends inwards: at most RANKED each, none twice."""
        many = len(self.keys)
        count = min(RANKED, self.easy, many - self.easy)
        return range(count), range(many - 1, many - 1 - count, -1)


@dataclass(frozen=True, eq=False)
class SpatialPriors:
    """q: how a class's pixels are spread over the frame, C x rows x columns, each class summing to 1 (absent: to 0).

    Raises:
        DataError: no such maps for these classes.
    """

    stage: str
    prior_Chw: NDArray[np.float32]
    classes: ClassSet

    def __post_init__(self) -> None:
        prior = self.prior_Chw
        if prior.ndim != 3 or len(prior) != len(self.classes) or not prior[0].size:
            raise DataError(
                f"{self.stage}: spatial priors of shape {prior.shape}; expected {len(self.classes)} classes x rows x "
                "columns. The project's classes have changed since: adapt again."
            )
        if not np.isfinite(prior).all() or prior.min() < 0:
            raise DataError(f"{self.stage}: spatial priors that are negative or no numbers. Adapt again.")


@dataclass(frozen=True)
class ChosenImage:
    """One chosen frame: its score, its rank among all frames (from 1), and the anchor it lies nearest to, if any."""

    key: str
    score: float
    rank: int
    anchor: int | None = None


@dataclass(frozen=True, eq=False)
class ChosenImages:
    """What a selection of whole images chose, the highest score first; `scores_N` are those of all frames.

    `images` holds the pictures that can still be read, by key; `map` is there where anchors were fitted.
    """

    stage: str
    strategy: str
    chosen: tuple[ChosenImage, ...]
    scores_N: NDArray[np.float64]
    images: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    map: VectorMap | None = None


def check_words(check: DataCheck) -> str:
    """Say in one sentence what `check` found."""
    frames = sum(domain.frames or 0 for domain in check.domains)
    lost = sum((domain.refused or 0) + (domain.quarantined or 0) for domain in check.domains)
    found = f"The check looked at {whole(frames)} frames" if frames else "The check looked at the data"
    set_aside = f", set {whole(lost)} aside" if lost else ""
    many = len(check.problems)
    problems = "found no problem" if not many else f"found {whole(many)} problem{'s' if many > 1 else ''}"
    return f"{found}{set_aside} and {problems} ({check.stage})."
