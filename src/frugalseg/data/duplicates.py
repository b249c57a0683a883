"""Frames that look alike: a 64-bit perceptual hash finds candidates, a thumbnail confirms them.

The hash is the DCT hash (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010). Frames
of hardly any contrast have no meaningful hash and are left out. All comparisons of one frame are one vector operation:
10,000 frames take a second, and memory grows with the number of frames, not of pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HASH_BITS = 8  # of 64 may differ
THUMB_RATIO = 0.12  # largest mean difference of thumbnails but for their brightness, in units of the own contrast
UNIFORM = 5.0  # of 255: frames of a smaller standard deviation all look alike


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What frames are recognised by: 64-bit hashes (N uint64) and grey thumbnails (N x pixels uint8)."""

    hashes: NDArray[np.uint64]
    thumbs: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def of(cls, hashes: list[int], thumbs: list[bytes]) -> "Fingerprints":
        """Build from one hash and one thumbnail a frame."""
        pixels = np.frombuffer(b"".join(thumbs), np.uint8)
        return cls(np.array(hashes, np.uint64), pixels.reshape(len(thumbs), -1) if thumbs else pixels.reshape(0, 1))

    @property
    def contrasts(self) -> NDArray[np.float32]:
        """Standard deviation of each thumbnail, 0–255."""
        return np.array([thumb.std(dtype=np.float32) for thumb in self.thumbs], np.float32)


def groups(frames: Fingerprints) -> list[tuple[int, ...]]:
    """Return groups of positions that look like the first of each, in order; a frame is in one group at most."""
    contrasts = frames.contrasts
    free = contrasts > UNIFORM
    found = []
    for position in range(len(frames)):
        if not free[position]:
            continue
        free[position] = False
        alike = _alike(frames, position, frames, np.flatnonzero(free), contrasts)
        if len(alike):
            free[alike] = False
            found.append((position, *alike.tolist()))
    return found


def across(frames: Fingerprints, others: Fingerprints) -> Iterator[tuple[int, int]]:
    """Yield (position in `frames`, position in `others`) for each frame that looks like one of the others."""
    contrasts = frames.contrasts
    everywhere = np.arange(len(others))
    for position in np.flatnonzero(contrasts > UNIFORM).tolist():
        alike = _alike(frames, position, others, everywhere, contrasts)
        if len(alike):
            yield position, int(alike[0])


def _alike(
    frames: Fingerprints, position: int, others: Fingerprints, among: NDArray[np.intp], contrasts: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Return which of the others' positions `among` look like the frame at `position`."""
    distances = np.bitwise_count(others.hashes[among] ^ frames.hashes[position])
    near: NDArray[np.intp] = among[distances <= HASH_BITS]
    if not len(near):
        return near
    theirs, ours = others.thumbs[near].astype(np.float32), frames.thumbs[position].astype(np.float32)
    differences = np.abs(theirs - theirs.mean(axis=1, keepdims=True) - (ours - ours.mean())).mean(axis=1)
    alike: NDArray[np.intp] = near[differences <= THUMB_RATIO * contrasts[position]]
    return alike
