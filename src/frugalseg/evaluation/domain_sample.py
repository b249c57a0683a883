"""What a network says of a domain's frames, one short row a frame: the material of the drift score.

A sample holds the `limit` frames with the smallest hash of their key (a bottom-k sketch, Cohen and Kaplan, PODC 2007).
So it is a random sample that depends on no order and no worker, memory is bounded, and merging the samples of two parts
gives the sample of the whole.

Legend: F frames, D features, C classes, L = len(LIGHT).
"""

import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.arrays import check_npz
from frugalseg.core.chance import key_hash
from frugalseg.core.errors import ArtifactError, DataError

LIGHT = ("brightness", "contrast", "red", "green", "blue")  # means over the frame, and the luma's standard deviation
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_ARRAYS = ("features", "entropy", "shares", "light")


@dataclass(frozen=True, eq=False)
class FrameSummary:
    """One frame: pooled features (D), mean entropy 0–1, share of each predicted class (C), light (L, fractions 0–1).

    Raises:
        DataError: a value is not finite.
    """

    key: str
    sequence: str
    features: NDArray[np.float32]
    entropy: float
    shares: NDArray[np.float32]
    light: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not all(np.isfinite(getattr(self, name)).all() for name in _ARRAYS):
            raise DataError(
                f"frame {self.key!r}: what the network says of it is not finite; retrain or check the model."
            )


def light_of(image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return LIGHT of an image: the first three bands are red, green and blue, fewer count as grey."""
    rgb = image_HWC[..., :3] if image_HWC.shape[2] >= 3 else image_HWC[..., [0, 0, 0]]
    luma_HW = rgb @ (LUMA / 255).astype(np.float32)
    means = rgb.mean(axis=(0, 1), dtype=np.float64) / 255
    return np.array([luma_HW.mean(dtype=np.float64), luma_HW.std(dtype=np.float64), *means], np.float32)


def sampled(keys: Iterable[str], limit: int) -> tuple[str, ...]:
    """Return the keys that a sample of `limit` frames keeps, sorted."""
    return tuple(sorted(sorted(keys, key=_rank)[:limit]))


class DomainSample:
    """Up to `limit` frames of one domain; adding a frame again changes nothing."""

    def __init__(self, limit: int, frames: Iterable[FrameSummary] = ()) -> None:
        self.limit = limit
        self._by_key: dict[str, FrameSummary] = {}
        for frame in frames:
            self.add(frame)

    def add(self, frame: FrameSummary) -> None:
        """Take a frame, if it is among the `limit` smallest hashes so far.

        Raises:
            DataError: it has another number of features or classes than the frames before.
        """
        for known in self._by_key.values():
            if known.features.shape != frame.features.shape or known.shares.shape != frame.shares.shape:
                raise DataError(
                    f"frame {frame.key!r}: {frame.features.size} features and {frame.shares.size} classes, others have "
                    f"{known.features.size} and {known.shares.size}. Summaries of two networks cannot be mixed."
                )
            break
        self._by_key[frame.key] = frame
        if len(self._by_key) > self.limit:
            del self._by_key[max(self._by_key, key=_rank)]

    def merge(self, other: "DomainSample") -> "DomainSample":
        """Return the sample of both parts together."""
        return DomainSample(min(self.limit, other.limit), [*self._by_key.values(), *other._by_key.values()])

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def keys(self) -> tuple[str, ...]:
        """Frame keys, sorted; the order of all arrays."""
        return tuple(sorted(self._by_key))

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequence of each frame."""
        return tuple(self._by_key[key].sequence for key in self.keys)

    def stack(self, name: str) -> NDArray[np.float64]:
        """Return `features` (F x D), `entropy` (F), `shares` (F x C) or `light` (F x L)."""
        return np.array([getattr(self._by_key[key], name) for key in self.keys], np.float64)

    def save(self, path: Path) -> None:
        """Write an .npz (names as JSON text); equal content gives equal bytes."""
        names = json.dumps([self.keys, self.sequences]).encode()
        arrays: dict[str, Any] = {name: self.stack(name).astype(np.float32) for name in _ARRAYS}
        arrays["entropy"] = self.stack("entropy")
        with open(path, "wb") as file:
            np.savez_compressed(file, names=np.frombuffer(names, np.uint8), limit=np.int64(self.limit), **arrays)

    @classmethod
    def load(cls, path: Path) -> "DomainSample":
        """Read what `save` wrote; nothing in the file is ever unpickled.

        Raises:
            ArtifactError: the file is missing, damaged or something else.
        """
        try:
            check_npz(path)
            with np.load(path, allow_pickle=False) as data:
                keys, sequences = json.loads(data["names"].tobytes())
                limit, (features, entropy, shares, light) = int(data["limit"]), (data[name] for name in _ARRAYS)
            rows = zip(keys, sequences, features, map(float, entropy), shares, light, strict=True)
            return cls(limit, (FrameSummary(*row) for row in rows))
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, DataError) as error:
            raise ArtifactError(
                f"{path}: cannot read this sample of frames: {error}.\nRun the evaluation again."
            ) from error


def _rank(key: str) -> Any:
    return key_hash(key), key
