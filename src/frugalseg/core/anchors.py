"""Image vectors of a data set, and anchors among them: K-means that knows which classes an image lacks.

MADA (Ning et al., ICCV 2021), equations 2, 3 and 5. The paper writes an absent class as zeros, so that images without
bicycles lie near each other and an anchor's bicycle fades with every image that has none. Here the squared distance of
two vectors is averaged over the classes that both have, and an anchor's class is the mean over the images that have it.
`ImageVectors.zeros_for_absent` is the paper's letter: all classes count, and every distance is equation 5 divided by C.

Axis legend: N images, K anchors, C classes, F feature channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.core.errors import DataError

Start = Literal["k-means++", "random"]
CHUNK_BYTES = 32 * 2**20  # of double-precision rows at a time; memory stays at the single-precision vectors plus this
MINUTE = 1e-12  # of the squared lengths: what rounding leaves of the distance of equal vectors


@dataclass(frozen=True, eq=False)
class ImageVectors:
    """The class means of a data set's images, in key order: N x C x F float32, and which classes are present (N x C).

    What is absent is 0 in `vectors_NCF`.

    Raises:
        DataError: shapes or lengths do not go together, keys are twice there, or a number is NaN or infinite.
    """

    keys: tuple[str, ...]
    vectors_NCF: NDArray[np.float32]
    present_NC: NDArray[np.bool_]

    def __post_init__(self) -> None:
        vectors_NCF, present_NC = self.vectors_NCF, self.present_NC
        if vectors_NCF.ndim != 3 or vectors_NCF.shape[:2] != present_NC.shape or len(self.keys) != len(vectors_NCF):
            raise DataError(
                f"image vectors: {len(self.keys)} keys, vectors of shape {vectors_NCF.shape} and presence of "
                f"{present_NC.shape}; expected N, N x C x F and N x C."
            )
        order = sorted(range(len(self.keys)), key=self.keys.__getitem__)
        keys = tuple(self.keys[number] for number in order)
        if twice := sorted({one for one, other in zip(keys, keys[1:], strict=False) if one == other}):
            raise DataError(f"image vectors: frame {twice[0]} was seen twice. Give every frame once.")
        if order != list(range(len(order))):
            vectors_NCF, present_NC = vectors_NCF[order], present_NC[order]
        absent_NC = ~present_NC
        for key, vectors_CF, absent_C in zip(keys, vectors_NCF, absent_NC, strict=True):
            if not np.isfinite(vectors_CF).all():
                raise DataError(f"{key}: its feature vector is not a number. Did the network diverge?")
            if vectors_CF[absent_C].any():
                raise DataError(f"{key}: an absent class has a feature. Write what is absent as zeros.")
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "vectors_NCF", vectors_NCF.astype(np.float32, copy=False))
        object.__setattr__(self, "present_NC", present_NC.astype(np.bool_, copy=False))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def zeros_for_absent(self) -> "ImageVectors":
        """The same with every class present, absent ones as zeros (the paper's letter)."""
        return ImageVectors(self.keys, self.vectors_NCF, np.ones_like(self.present_NC))

    @cached_property
    def squares_NC(self) -> NDArray[np.float64]:
        """The squared length of each class's mean."""
        found_NC = np.empty(self.present_NC.shape)
        for part, vectors_nD, _ in _chunks(self):
            vectors_nCF = vectors_nD.reshape(-1, *self.vectors_NCF.shape[1:])
            found_NC[part] = np.einsum("ncf,ncf->nc", vectors_nCF, vectors_nCF)
        return found_NC

    def where(self, chosen_N: NDArray[np.bool_]) -> "ImageVectors":
        """Return the chosen images."""
        if chosen_N.all():
            return self
        keys = tuple(np.array(self.keys, object)[chosen_N])
        return ImageVectors(keys, self.vectors_NCF[chosen_N], self.present_NC[chosen_N])

    def only(self, class_id: int) -> "ImageVectors":
        """Return the images as if they had one class only."""
        one = slice(class_id, class_id + 1)
        return ImageVectors(self.keys, self.vectors_NCF[:, one], self.present_NC[:, one])


@dataclass(frozen=True, eq=False)
class Anchors:
    """Centres of image vectors: K x C x F float32, the classes present in each (K x C), and how many images each has.

    What is absent is 0 in `vectors_KCF`.
    """

    vectors_KCF: NDArray[np.float32]
    present_KC: NDArray[np.bool_]
    members_K: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.vectors_KCF)

    def only(self, class_id: int) -> "Anchors":
        """Return the anchors as if they had one class only."""
        one = slice(class_id, class_id + 1)
        return Anchors(self.vectors_KCF[:, one], self.present_KC[:, one], self.members_K)


def as_anchors(images: ImageVectors, numbers: Sequence[int] | None = None) -> Anchors:
    """Return images (default: all) as anchors of one member each."""
    chosen = slice(None) if numbers is None else list(numbers)
    vectors_KCF = images.vectors_NCF[chosen]
    return Anchors(vectors_KCF, images.present_NC[chosen], np.ones(len(vectors_KCF), np.int64))


def distances(images: ImageVectors, anchors: Anchors) -> NDArray[np.float64]:
    """Return squared distances N x K, each averaged over the classes that image and anchor share; inf without any.

    From |v|² - 2 v·a + |a|² in double precision: absent classes are zeros, so the middle term has the shared ones only.

    Raises:
        DataError: classes or features of the two differ.
    """
    if images.vectors_NCF.shape[1:] != anchors.vectors_KCF.shape[1:]:
        raise DataError(
            f"image vectors of {images.vectors_NCF.shape[1:]} and anchors of {anchors.vectors_KCF.shape[1:]} (classes, "
            "features) do not compare. Take both from one network."
        )
    return _distances(images, anchors.vectors_KCF.astype(np.float64), anchors.present_KC)


def nearest(images: ImageVectors, anchors: Anchors) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each image's distance to its nearest anchor (equation 5), and which that is; the first where several."""
    apart_NK = distances(images, anchors)
    which_N = apart_NK.argmin(axis=1)
    return apart_NK[np.arange(len(images)), which_N], which_N


def fit_anchors(
    images: ImageVectors,
    count: int = 10,
    iterations: int = 20,
    seed: int = 0,
    start: Start = "k-means++",
    initial: Anchors | None = None,
) -> Anchors:
    """Return at most `count` anchors of the images (equations 2 and 3: K-means, Lloyd's algorithm).

    The result depends on the images and the seed, not on their order. Images without any class take no part. There are
    fewer anchors where fewer images differ. An anchor that loses all its images gets the image that is furthest from
    its own anchor, as scikit-learn does. `iterations` is 1 or more; `initial` anchors replace the seed's.

    Raises:
        DataError: no image has a class.
    """
    images = images.where(images.present_NC.sum(axis=1) > 0)
    if not len(images):
        raise DataError("anchors: no image has a class of enough feature pixels. Are the labels empty?")
    if initial is None:
        initial = _initial(images, count, generator(seed, "anchors"), start)
    centres_KCF, present_KC = initial.vectors_KCF.astype(np.float64), initial.present_KC
    owners_N = np.full(len(images), -1)
    for _ in range(iterations):
        apart_NK = _distances(images, centres_KCF, present_KC)
        before_N, owners_N = owners_N, apart_NK.argmin(axis=1)
        _fill_empty(owners_N, apart_NK)
        if np.array_equal(before_N, owners_N):
            break
        centres_KCF, present_KC = _means(images, owners_N, len(centres_KCF))
    members_K = np.bincount(owners_N, minlength=len(centres_KCF))
    return Anchors(centres_KCF.astype(np.float32), present_KC, members_K)


def _chunks(images: ImageVectors) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield rows, their vectors flattened to n x CF and their presence n x C, in double precision, a few at a time."""
    width = int(np.prod(images.vectors_NCF.shape[1:]))
    rows = max(1, CHUNK_BYTES // (8 * max(width, 1)))
    for begin in range(0, len(images), rows):
        part = slice(begin, begin + rows)
        vectors_nD = images.vectors_NCF[part].reshape(-1, width).astype(np.float64)
        yield part, vectors_nD, images.present_NC[part].astype(np.float64)


def _distances(
    images: ImageVectors, centres_KCF: NDArray[np.float64], present_KC: NDArray[np.bool_]
) -> NDArray[np.float64]:
    centres_KD, shared_with_CK = centres_KCF.reshape(len(centres_KCF), -1), present_KC.T.astype(np.float64)
    squares_CK = np.einsum("kcf,kcf->ck", centres_KCF, centres_KCF)
    found_NK = np.empty((len(images), len(centres_KCF)))
    for part, vectors_nD, present_nC in _chunks(images):
        lengths_nK = images.squares_NC[part] @ shared_with_CK + present_nC @ squares_CK
        apart_nK = lengths_nK - 2 * (vectors_nD @ centres_KD.T)
        apart_nK[apart_nK < MINUTE * lengths_nK] = 0
        shared_nK = present_nC @ shared_with_CK
        found_NK[part] = np.divide(apart_nK, shared_nK, out=np.full_like(apart_nK, np.inf), where=shared_nK > 0)
    return found_NK


def _means(
    images: ImageVectors, owners_N: NDArray[np.int64], anchors: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return each class's mean over an anchor's images that have it (equation 3), and which classes there are."""
    classes, features = images.vectors_NCF.shape[1:]
    sums_KD, images_KC = np.zeros((anchors, classes * features)), np.zeros((anchors, classes))
    for part, vectors_nD, present_nC in _chunks(images):
        owned_Kn = (owners_N[part] == np.arange(anchors)[:, None]).astype(np.float64)
        sums_KD += owned_Kn @ vectors_nD
        images_KC += owned_Kn @ present_nC
    centres_KCF = sums_KD.reshape(anchors, classes, features) / np.maximum(images_KC, 1)[..., None]
    return centres_KCF, images_KC > 0


def _fill_empty(owners_N: NDArray[np.int64], apart_NK: NDArray[np.float64]) -> None:
    """Give each anchor without images the image furthest from its own anchor, if that one is not all it has."""
    members_K = np.bincount(owners_N, minlength=apart_NK.shape[1])
    own_N = apart_NK[np.arange(len(owners_N)), owners_N]
    furthest = iter(np.argsort(-own_N, kind="stable").tolist())
    for empty in np.flatnonzero(members_K == 0).tolist():
        for image in furthest:
            if members_K[owners_N[image]] > 1 and own_N[image] > 0:
                members_K[owners_N[image]] -= 1
                members_K[empty] += 1
                owners_N[image] = empty
                break


def _initial(images: ImageVectors, count: int, rng: np.random.Generator, start: Start) -> Anchors:
    """Draw different images as first anchors: by the square of the distance to those drawn before, or uniformly."""
    drawn = [int(rng.integers(len(images)))]
    least_N = np.full(len(images), np.inf)
    while len(drawn) < min(count, len(images)):
        last = as_anchors(images, drawn[-1:])
        least_N = np.minimum(least_N, distances(images, last)[:, 0])
        weights_N = _weights(least_N) if start == "k-means++" else (least_N > 0).astype(np.float64)
        if not weights_N.any():
            break
        sums_N, last_one = weights_N.cumsum(), int(np.flatnonzero(weights_N)[-1])
        found = int(np.searchsorted(sums_N, rng.random() * sums_N[-1], side="right"))
        drawn.append(min(found, last_one))  # the product may round up
    return as_anchors(images, drawn)


def _weights(least_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return finite weights: what shares no class with any anchor counts like the furthest that does."""
    finite_N = np.isfinite(least_N)
    furthest = least_N[finite_N].max(initial=0.0) or 1.0
    return np.where(finite_N, least_N, furthest)
