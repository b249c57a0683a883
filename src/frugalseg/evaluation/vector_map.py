"""A map of image vectors in two dimensions: source, target, anchors and the chosen frames, by principal components.

Of a large set a sample is shown (by the keys' hashes); every chosen frame and every anchor is. An image's absent
classes lie at the mean of the images that have them, so they pull it nowhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.anchors import Anchors, ImageVectors
from frugalseg.core.arrays import check_npz
from frugalseg.core.chance import key_hash
from frugalseg.core.errors import ArtifactError

SHOWN = 400  # images of either domain on the map


@dataclass(frozen=True, eq=False)
class VectorMap:
    """Places in the plane, N x 2 each; `explained` is the share of the variance that the plane shows.

    `keys` names the target's images; `anchor_T` holds the nearest anchor of each, `chosen_T` whether it is asked about.
    """

    source_S2: NDArray[np.float32]
    target_T2: NDArray[np.float32]
    anchors_K2: NDArray[np.float32]
    keys: tuple[str, ...]
    anchor_T: NDArray[np.int64]
    chosen_T: NDArray[np.bool_]
    explained: float

    def save(self, path: Path) -> None:
        """Write it as .npz."""
        np.savez_compressed(
            path,
            source=self.source_S2,
            target=self.target_T2,
            anchors=self.anchors_K2,
            keys=np.array(self.keys, np.str_),
            anchor=self.anchor_T,
            chosen=self.chosen_T,
            explained=np.float64(self.explained),
        )

    @classmethod
    def load(cls, path: Path) -> "VectorMap":
        """Read what `save` wrote.

        Raises:
            ArtifactError: the file is missing, damaged or something else.
        """
        try:
            check_npz(path)
            with np.load(path, allow_pickle=False) as found:
                return cls(
                    found["source"],
                    found["target"],
                    found["anchors"],
                    tuple(found["keys"].tolist()),
                    found["anchor"],
                    found["chosen"],
                    float(found["explained"]),
                )
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(f"{path}: no map of image vectors: {error}. Select again.") from error


def draw_map(
    source: ImageVectors,
    target: ImageVectors,
    anchors: Anchors,
    anchor_N: NDArray[np.int64],
    chosen: Iterable[str],
) -> VectorMap:
    """Lay out a sample of both domains, the anchors and the chosen frames."""
    asked = set(chosen)
    source, shown_N = source.where(_sample(source, set())), _sample(target, asked)
    shown = target.where(shown_N)
    vectors = np.concatenate([source.vectors_NCF, shown.vectors_NCF, anchors.vectors_KCF])
    present = np.concatenate([source.present_NC, shown.present_NC, anchors.present_KC])
    places_N2, explained = principal_plane(vectors, present)
    ends = (len(source), len(source) + len(shown))
    return VectorMap(
        places_N2[: ends[0]],
        places_N2[ends[0] : ends[1]],
        places_N2[ends[1] :],
        shown.keys,
        anchor_N[shown_N],
        np.array([key in asked for key in shown.keys], np.bool_),
        explained,
    )


def principal_plane(
    vectors_NCF: NDArray[np.float32], present_NC: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], float]:
    """Return the first two principal components of each vector (N x 2), and the share of the variance they hold.

    A class is centred on the mean of the images that have it. The sign of a component is such that its largest entry is
    positive.
    """
    images_C = np.maximum(present_NC.sum(axis=0), 1)
    means_CF = vectors_NCF.sum(axis=0, dtype=np.float64) / images_C[:, None]
    centred_ND = np.where(present_NC[..., None], vectors_NCF - means_CF, 0.0).reshape(len(vectors_NCF), -1)
    values, columns = np.linalg.eigh(centred_ND @ centred_ND.T)  # as many rows as images, fewer than features
    places_N2 = np.zeros((len(vectors_NCF), 2))
    found = min(2, len(values))
    places_N2[:, :found] = columns[:, ::-1][:, :found] * np.sqrt(np.maximum(values[::-1][:found], 0))
    furthest_2 = places_N2[np.abs(places_N2).argmax(axis=0), np.arange(2)]
    places_N2 *= np.where(furthest_2 < 0, -1.0, 1.0)
    total = float(np.maximum(values, 0).sum())
    explained = float(np.maximum(values[::-1][:2], 0).sum()) / total if total > 0 else 1.0
    return places_N2.astype(np.float32), explained


def _sample(images: ImageVectors, always: set[str]) -> NDArray[np.bool_]:
    hashed = set(sorted(images.keys, key=key_hash)[:SHOWN]) | always
    return np.array([key in hashed for key in images.keys], np.bool_)
