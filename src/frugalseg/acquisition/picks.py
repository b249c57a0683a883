"""The best pixels of a frame by a score: the highest, or the highest that keep apart."""

import numpy as np
from numpy.typing import NDArray

from frugalseg.acquisition.grid import CANDIDATE, NO_CELL, Candidates
from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import pixel_hash

SCORE_SPAN = 4.0  # no score spans more
CHUNK = 4096  # pixels that are sorted at once, at least


def best(
    view: FrameView, score_HW: NDArray[np.float32], count: int, last_HW: NDArray[np.bool_] | None = None
) -> Candidates:
    """Return the `count` askable pixels of highest score, the highest first, ties by hash of (key, pixel).

    Pixels where `last_HW` is True come after all others.
    """
    flat = view.candidates()
    score = score_HW.ravel()[flat]
    wanted = score if last_HW is None else score - np.float32(SCORE_SPAN) * last_HW.ravel()[flat]
    if 0 < count < len(flat):
        kept = wanted >= np.partition(wanted, len(flat) - count)[len(flat) - count]
        flat, score, wanted = flat[kept], score[kept], wanted[kept]
    order = np.lexsort((pixel_hash(view.key, flat), -wanted))[:count]
    candidates: Candidates = np.zeros(len(order), CANDIDATE)
    candidates["row"], candidates["column"] = np.divmod(flat[order], view.size_HW[1])
    candidates["cell"], candidates["score"] = NO_CELL, score[order]
    return candidates


def pick_apart(view: FrameView, score_HW: NDArray[np.floating], count: int, apart_px: int) -> Candidates:
    """Return up to `count` askable pixels, picked greedily: the highest score, then the highest further away, ….

    A pick blocks the pixels at most `apart_px` rows and columns from it, and so do the pixels asked before. When all
    are blocked the distance is halved. Ties are broken by the hash of (key, pixel). Of the pixels only those are sorted
    that the picks may come from, some thousands at a time.
    """
    taken_HW = np.zeros(view.size_HW, np.bool_) if view.askable_HW is None else ~view.askable_HW
    width = view.size_HW[1]
    picks: list[int] = []
    before = [(asked.point.row, asked.point.column) for asked in view.asked]
    while len(picks) < count and not taken_HW.all():
        blocked_HW = taken_HW.copy()
        for row, column in [*before, *(divmod(at, width) for at in picks)]:
            blocked_HW[_around(row, column, apart_px)] = True
        new = _greedy(view.key, score_HW, blocked_HW, count - len(picks), apart_px)
        picks += new
        taken_HW.ravel()[new] = True
        apart_px //= 2
    candidates: Candidates = np.zeros(len(picks), CANDIDATE)
    candidates["row"], candidates["column"] = np.divmod(np.array(picks, np.int64), view.size_HW[1])
    candidates["cell"], candidates["score"] = NO_CELL, score_HW.ravel()[np.array(picks, np.int64)]
    return candidates


def _greedy(
    key: str, score_HW: NDArray[np.floating], blocked_HW: NDArray[np.bool_], count: int, apart_px: int
) -> list[int]:
    """Return up to `count` free pixels by descending score, each blocking its surroundings in `blocked_HW`."""
    width = blocked_HW.shape[1]
    blocked, score = blocked_HW.ravel(), score_HW.ravel()  # views
    flat = np.flatnonzero(~blocked)
    picks: list[int] = []
    chunk = max(CHUNK, 4 * count)
    while len(flat) and len(picks) < count:
        flat, rest = _foremost(key, score, flat, chunk)
        for at in flat[np.lexsort((pixel_hash(key, flat), -score[flat]))].tolist():
            if not blocked[at]:
                picks.append(at)
                blocked_HW[_around(at // width, at % width, apart_px)] = True
                if len(picks) == count:
                    break
        flat = rest[~blocked[rest]]
        chunk *= 2
    return picks


def _foremost(
    key: str, score: NDArray[np.floating], flat: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split pixels into those that come first by (score, hash), `count` or few more, and the rest; both unsorted."""
    if len(flat) <= count:
        return flat, flat[:0]
    values = score[flat]
    lowest = np.partition(values, len(flat) - count)[len(flat) - count]
    first, tied = values > lowest, np.flatnonzero(values == lowest)
    if len(tied) > count:  # as where a frame is predicted as one class
        hashes = pixel_hash(key, flat[tied])
        tied = tied[hashes <= np.partition(hashes, count - 1)[count - 1]]
    first[tied] = True
    return flat[first], flat[~first]


def _around(row: int, column: int, apart_px: int) -> tuple[slice, slice]:
    return (
        slice(max(row - apart_px, 0), row + apart_px + 1),
        slice(max(column - apart_px, 0), column + apart_px + 1),
    )
