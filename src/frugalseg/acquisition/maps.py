"""What several selectors weigh: distance to predicted edges, past doubts, and which frames look alike."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import key_hash
from frugalseg.core.records import Verdict

LATTICE_HW = (16, 32)  # where a frame is looked at to tell whether another looks alike; 512 bytes a frame
REACH = 3  # radii; further away a Gaussian of height 1 is below 0.012
LEAST = np.float32(1e-6)  # trust in a draw: nothing is out of it altogether


def edge_distance(prediction_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return each pixel's Chebyshev distance to the nearest pixel of another class; height + width where there is none.

    1 on both sides of an edge. It is the distance to the nearest pixel that touches another class (of its 8 neighbours)
    plus 1, for the last step towards another class is taken from one's own.
    """
    height, width = prediction_HW.shape
    inside_HW = np.ones((height, width), np.uint8)
    for down, across in ((1, 0), (0, 1), (1, 1), (1, -1)):
        here = slice(0, height - down), slice(max(-across, 0), width - max(across, 0))
        there = slice(down, height), slice(max(across, 0), width - max(-across, 0))
        same = prediction_HW[here] == prediction_HW[there]
        inside_HW[here] &= same
        inside_HW[there] &= same
    distance_HW: NDArray[np.float32] = cv2.distanceTransform(inside_HW, cv2.DIST_C, 3) + np.float32(1)
    return np.minimum(distance_HW, np.float32(height + width))


def trust(view: FrameView, radius_px: float) -> NDArray[np.float32] | None:
    """Return what past answers leave of a score: Π 1 - exp(-d² / 2r²) over the ambiguous ones; None without any.

    0 where an answer was "ambiguous", .39 one radius from it, .86 two, 1 from three radii on. `radius_px` 0 is none.
    """
    doubts = [asked.point for asked in view.asked if asked.verdict is Verdict.AMBIGUOUS]
    if not doubts or radius_px <= 0:
        return None
    trust_HW = np.ones(view.size_HW, np.float32)
    reach = int(REACH * radius_px)
    for point in doubts:
        rows = slice(max(point.row - reach, 0), point.row + reach + 1)
        columns = slice(max(point.column - reach, 0), point.column + reach + 1)
        down, across = np.ogrid[rows.start : min(rows.stop, view.size_HW[0]), columns.start : view.size_HW[1]]
        across = across[:, : reach + 1 + point.column - columns.start]
        square = (down - point.row) ** 2 + (across - point.column) ** 2
        trust_HW[rows, columns] *= -np.expm1(square / np.float32(-2 * radius_px**2))
    return trust_HW


def trusted(score_HW: NDArray[np.float32], view: FrameView, radius_px: float) -> NDArray[np.float32]:
    """Return the scores, lower around past ambiguous answers."""
    trust_HW = trust(view, radius_px)
    return score_HW if trust_HW is None else score_HW * trust_HW


def favoured(draw_HW: NDArray[np.float32], view: FrameView, radius_px: float) -> NDArray[np.float32]:
    """Return uniform draws of which the highest are asked, so that a pixel's chance is in proportion to its trust.

    u becomes u^(1/trust) (Efraimidis & Spirakis, 2006): half as much trust, half as likely the highest.
    """
    trust_HW = trust(view, radius_px)
    if trust_HW is None:
        return draw_HW
    return (draw_HW ** (1 / np.maximum(trust_HW, LEAST))).astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class Glance:
    """What is kept of a frame to tell whether another looks like it."""

    key: str
    sequence: str
    asked_before: bool
    classes: NDArray[np.uint8]  # predicted at the centres of a lattice

    @classmethod
    def at(cls, view: FrameView) -> "Glance":
        """Look at a frame."""
        rows, columns = (
            ((np.arange(count) + 0.5) * length / count).astype(np.int64)
            for count, length in zip(LATTICE_HW, view.size_HW, strict=True)
        )
        return cls(view.key, view.sequence, bool(view.asked), view.prediction_HW[np.ix_(rows, columns)].ravel())


def twins(glances: list[Glance], tolerance: float) -> dict[str, int]:
    """Return by key how many frames of the same drive that come before look alike: differ at most in `tolerance`.

    That is the share of the lattice where another class is predicted. Frames that were asked about before come first,
    otherwise it is the key's hash that decides, so that not always the first of a drive is the one without twins. All
    frames before count, for all of them may be asked about; see `unlike` for those that take the place of others.
    """
    found: dict[str, int] = {}
    for drive in _drives(glances):
        seen = np.stack([glance.classes for glance in drive])
        for number, glance in enumerate(drive):
            found[glance.key] = int(_alike(seen[:number], glance, tolerance).sum())
    return found


def unlike(glances: list[Glance], tolerance: float) -> list[str]:
    """Return the keys of frames none of which looks like another, and one of which each other frame looks like.

    A frame, in the order of `twins`, is kept unless it looks like one that is kept: where A looks like B and B like C
    but A not like C, then A and C are kept.
    """
    found: list[str] = []
    for drive in _drives(glances):
        kept = np.empty_like(drive[0].classes, shape=(len(drive), drive[0].classes.size))
        count = 0
        for glance in drive:
            if not _alike(kept[:count], glance, tolerance).any():
                kept[count] = glance.classes
                count += 1
                found.append(glance.key)
    return found


def _drives(glances: list[Glance]) -> list[list[Glance]]:
    """Return the frames of each drive, those that were asked about before first, then by hash."""
    ordered = sorted(glances, key=lambda glance: (not glance.asked_before, key_hash(glance.key), glance.key))
    drives: dict[str, list[Glance]] = {}
    for glance in ordered:
        drives.setdefault(glance.sequence, []).append(glance)
    return list(drives.values())


def _alike(seen: NDArray[np.uint8], glance: Glance, tolerance: float) -> NDArray[np.bool_]:
    """Return which lattices (frames x pixels) look like the glance's."""
    differ: NDArray[np.int64] = np.count_nonzero(seen != glance.classes, axis=1)
    alike: NDArray[np.bool_] = differ <= tolerance * seen.shape[1]
    return alike
