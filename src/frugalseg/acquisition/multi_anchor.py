"""multi_anchor, diverse_images: the frames furthest from what the source shows (MADA, Ning et al., ICCV 2021).

K-means on the source's image vectors gives K anchors (equations 2 and 3); a target image is as far from the source as
from its nearest anchor (equation 5); the furthest are asked. (Algorithm 1 says "smallest"; the paper's text, its public
code and its successor take the furthest.)

Differs: distances are averaged over the classes that image and anchor share, for absent classes are no zeros
(`paper_zeros` for the letter). `target_weight` adds the distance to the nearest anchor of the target itself, as MADA's
successor does. The furthest images are often neighbours of one drive that say the same thing, or odd ones;
`gap_frames` and `apart` keep the choices from each other, and `choice = "cover_classes"` asks for those that stand for
most others, class by class. diverse_images is multi_anchor with both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from frugalseg.acquisition.images import SOURCE, VECTORS, ImageView, Opinion, by_score, stacked
from frugalseg.core.anchors import Anchors, ImageVectors, Start, as_anchors, distances, fit_anchors, nearest
from frugalseg.core.chance import key_hash, seed_for
from frugalseg.core.config import Config
from frugalseg.core.errors import DataError

Choice = Literal["furthest", "cover", "cover_classes"]
PAIRED = 1000  # images among which the spread of distances is measured
LIMITS = (1.0, 0.5, 0.25, 0.125, 0.0)  # shares of the wanted spacing that are tried in turn


def _gap(default: int) -> Any:
    meaning = "chosen frames of one drive have so many frames between them; 0 = may be neighbours"
    return Field(default, ge=0, description=meaning)


def _choice(default: str) -> Any:
    meaning = (
        "furthest: the images furthest from the source's anchors; cover: those that bring all images nearest to an "
        "anchor or a labelled image; cover_classes: the same for each class by itself, all classes alike"
    )
    return Field(default, description=meaning)


def _apart(default: float) -> Any:
    meaning = "chosen images are no pair among this share of all pairs, the closest; 0 = may be alike"
    return Field(default, ge=0, le=1, description=meaning)


class MultiAnchorConfig(Config):
    """Settings of multi_anchor; the defaults are the paper's."""

    strategy: ClassVar[str] = "multi_anchor"

    anchors: int = Field(10, ge=1, description="K, anchors of the source")
    iterations: int = Field(20, ge=1, description="rounds of K-means at most")
    start: Start = Field("k-means++", description="first anchors: spread out by k-means++, or drawn uniformly")
    paper_zeros: bool = Field(
        False, description="absent classes as zeros, as the paper has it; otherwise they take no part"
    )
    right_only: bool = Field(
        False, description="source features only where the network predicts the ground truth, as in the public code"
    )
    target_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the distance to the target's own anchors; 0 = the source's only, 1 = both alike",
    )
    choice: Choice = _choice("furthest")
    gap_frames: int = _gap(0)
    apart: float = _apart(0.0)

    @model_validator(mode="after")
    def _the_targets_anchors_have_a_say(self) -> "MultiAnchorConfig":
        if self.target_weight and self.choice == "cover_classes":
            raise ValueError("target_weight has no part in choice = cover_classes. Leave it out, or set choice=cover.")
        return self


class DiverseImagesConfig(MultiAnchorConfig):
    """Settings of diverse_images: multi_anchor's, with other defaults."""

    strategy: ClassVar[str] = "diverse_images"

    choice: Choice = _choice("cover_classes")
    gap_frames: int = _gap(10)


class MultiAnchor:
    """The images furthest from the source's anchors, apart from each other if wanted; the distance is the score."""

    chance: ClassVar[bool] = True  # the first anchors
    needs: ClassVar[frozenset[str]] = frozenset({VECTORS, SOURCE})

    def __init__(self, config: MultiAnchorConfig) -> None:
        self.config, self.name = config, config.strategy

    def judge(self, views: Sequence[ImageView], total: int, seed: int, source: ImageVectors | None) -> Opinion:
        """Fit the anchors and measure every image's distance.

        Raises:
            DataError: no source vectors, or none with a class.
        """
        if source is None:
            raise DataError(f"{self.name}: it compares with the source, whose image vectors are missing.")
        target = stacked(views)
        if self.config.paper_zeros:
            source, target = source.zeros_for_absent, target.zeros_for_absent
        anchors = self._fit(source, seed_for(seed, "source"))
        apart_N, anchor_N = nearest(target, anchors)
        score_N = finite(apart_N)
        if self.config.target_weight:
            own_N, _ = nearest(target, self._fit(target, seed_for(seed, "target")))
            score_N = score_N + self.config.target_weight * finite(own_N)
        order = by_score(views, score_N)
        if self.config.choice != "furthest":
            by_class = self.config.choice == "cover_classes"
            aspects = each_class(target, anchors) if by_class else [_Aspect.of(target, score_N)]
            order = covering(views, order, total, target, aspects, self.config.gap_frames, self.config.apart)
        elif self.config.gap_frames or self.config.apart:
            order = spaced(views, order, total, target, self.config.gap_frames, self.config.apart)
        return Opinion(score_N, order, anchor_N, anchors, target, source)

    def _fit(self, images: ImageVectors, seed: int) -> Anchors:
        config = self.config
        return fit_anchors(images, config.anchors, config.iterations, seed, config.start)


def finite(apart_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances where what shares no class with any anchor counts as far as the furthest that does."""
    known_N = np.isfinite(apart_N)
    return np.where(known_N, apart_N, apart_N[known_N].max(initial=0.0))


def spaced(
    views: Sequence[ImageView],
    order: Sequence[int],
    total: int,
    images: ImageVectors,
    gap_frames: int,
    apart: float,
) -> list[int]:
    """Return the first `total` of `order` that keep apart from each other and from the images asked earlier.

    Too near is at most `gap_frames` places away in the same drive, or closer than all but the share `apart` of pairs.
    When all that are left are too near, half of both is enough, and so on; so a longer list begins with a shorter one.
    """
    crowd = _Crowd(views, images)
    for number, view in enumerate(views):
        if view.asked:
            crowd.join(number)
    limit, found, waiting = pair_limit(images, apart), list[int](), list(order)
    for share in LIMITS:
        passed = []
        for number in waiting:
            if len(found) == total:
                return found
            if crowd.near(np.array([number]), share * gap_frames, share * limit)[0]:
                passed.append(number)
            else:
                found.append(number)
                crowd.join(number)
        waiting = passed
    return found


@dataclass(frozen=True, eq=False)
class _Aspect:
    """What chosen images should show: the cost of M images for want of it, and their distances to N that have it."""

    cost_M: NDArray[np.float32]
    apart_MN: NDArray[np.float32]  # infinite where an image has it not

    @classmethod
    def of(cls, images: ImageVectors, cost_N: NDArray[np.float64]) -> "_Aspect":
        """Return images as what they show; of at most PAIRED of them that show anything."""
        some_N = _some(images, np.asarray(images.present_NC.any(axis=1)))
        apart_MN = distances(images.where(some_N), as_anchors(images))
        return cls(cost_N[some_N].astype(np.float32), apart_MN.astype(np.float32))

    def join(self, number: int) -> None:
        """Let an image be chosen."""
        np.minimum(self.cost_M, self.apart_MN[:, number], out=self.cost_M)

    def saved(self, numbers_N: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how much each of some images would lower the mean cost."""
        saved_MN = np.maximum(self.cost_M[:, None] - self.apart_MN[:, numbers_N], 0)
        return np.asarray(saved_MN.mean(axis=0, dtype=np.float64))


def each_class(images: ImageVectors, anchors: Anchors) -> list[_Aspect]:
    """Return an aspect for each class: an image stands for another's fence by its own fence, and only if it has one.

    All classes count alike, in how many images they may be; one that no anchor has costs as much as any image's does.
    """
    classes = range(images.present_NC.shape[1])
    cost_CN = np.stack([nearest(images.only(number), anchors.only(number))[0] for number in classes])
    cost_CN[~np.isfinite(cost_CN)] = cost_CN[np.isfinite(cost_CN)].max(initial=0.0)
    return [
        _Aspect.of(images.only(number), cost_CN[number]) for number in classes if images.present_NC[:, number].any()
    ]


def covering(
    views: Sequence[ImageView],
    order: Sequence[int],
    total: int,
    images: ImageVectors,
    aspects: Sequence[_Aspect],
    gap_frames: int,
    apart: float,
) -> list[int]:
    """Return the first `total` of the images that bring all images nearest to an anchor or to a labelled image.

    Greedy facility location: what an image costs is its distance to the nearest anchor or labelled image, and the image
    is next that lowers the mean cost most, summed over the aspects; of equals the first in `order`. Greedy choices save
    at least 1 - 1/e of what as many images can save (Nemhauser, Wolsey & Fisher, 1978). The mean is over at most PAIRED
    images. `gap_frames` and `apart` as in `spaced`; a longer list begins with a shorter one.
    """
    crowd = _Crowd(views, images)
    limit, found, waiting = pair_limit(images, apart), list[int](), np.array(order, np.int64)

    def choose(number: int) -> None:
        crowd.join(number)
        for aspect in aspects:
            aspect.join(number)

    for number, view in enumerate(views):
        if view.asked:
            choose(number)
    for share in LIMITS:
        while len(found) < total:
            free_N = waiting[~crowd.near(waiting, share * gap_frames, share * limit)]
            if not len(free_N):
                break
            best = int(free_N[np.sum([aspect.saved(free_N) for aspect in aspects], axis=0).argmax()])
            found.append(best)
            choose(best)
            waiting = waiting[waiting != best]
    return found


def _some(images: ImageVectors, of_N: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Tell at most PAIRED images, whatever their order; only those of `of_N`."""
    chosen_N = np.zeros(len(images), np.bool_)
    candidates = range(len(images)) if of_N is None else np.flatnonzero(of_N).tolist()
    chosen_N[sorted(candidates, key=lambda number: key_hash(images.keys[number]))[:PAIRED]] = True
    return chosen_N


def pair_limit(images: ImageVectors, share: float) -> float:
    """Return the distance that a share of all pairs of images stays below; of at most PAIRED images."""
    if not share:
        return 0.0
    some = images.where(_some(images))
    apart_NN = distances(some, as_anchors(some))
    pairs = apart_NN[np.triu_indices(len(some), 1)]
    pairs = pairs[np.isfinite(pairs)]
    return float(np.quantile(pairs, share)) if len(pairs) else 0.0


class _Crowd:
    """The chosen images, and how far every image is from the nearest of them, in features and in its drive."""

    def __init__(self, views: Sequence[ImageView], images: ImageVectors) -> None:
        self._images = images
        self._places_N, self._drives_N = places(views)
        self._apart_N = np.full(len(views), np.inf)
        self._between_N = np.full(len(views), np.inf)

    def join(self, number: int) -> None:
        """Choose an image."""
        one = as_anchors(self._images, [number])
        self._apart_N = np.minimum(self._apart_N, distances(self._images, one)[:, 0])
        between_N = np.abs(self._places_N - self._places_N[number]) - 1.0
        other_N = self._drives_N != self._drives_N[number]
        self._between_N = np.minimum(self._between_N, np.where(other_N, np.inf, between_N))

    def near(self, numbers_M: NDArray[np.int64], gap_frames: float, limit: float) -> NDArray[np.bool_]:
        """Tell of images whether fewer frames lie between one and a chosen one, or it is closer in features."""
        near_M: NDArray[np.bool_] = (self._between_N[numbers_M] < gap_frames) | (self._apart_N[numbers_M] < limit)
        return near_M


def places(views: Sequence[ImageView]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each view's place among those of its drive, by index and then key, and the drive's number.

    A frame of no drive has no neighbours: it is a drive of its own.
    """
    names = [(view.sequence, "" if view.sequence else view.key) for view in views]
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    drives_N = np.array([numbers[name] for name in names], np.int64)
    place_N = np.zeros(len(views), np.int64)
    for drive in range(len(numbers)):
        members = sorted(np.flatnonzero(drives_N == drive).tolist(), key=lambda n: (views[n].index, views[n].key))
        place_N[members] = np.arange(len(members))
    return place_N, drives_N
