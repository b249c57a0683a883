"""Points that people answered, followed through video, so that one answer counts for many frames. Ours.

A point goes along the flow of neighbouring frames, both ways in time, and is lost where it leaves the view, where the
picture around it is no longer that around the answered point (something hides it, or the flow has lost it), at the ends
of a track (`spread`'s), and after `reach` frames. Of points that fall on one pixel the surest stays; where they name
different classes none does.

The picture tells wrong points from right ones; whether the way to the next frame and back leads to the same place does
not (benchmarks/propagation_points.py), and is not asked.

Memory is that of `reach` frames: a frame waits until the points of later ones have come back to it. Legend: H x W
pixels, N points, 2 = (column, row).
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.cuts import scene_cut
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.spread import AFTER, BEFORE, NOTHING, Break, Shot, SpreadConfig, broken
from frugalseg.propagation.warp import WINDOW_PX

Places = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Points:
    """Points of one answered frame where they are now: place (column, row), class, and the picture around the answer.

    `error_N` is the RGB distance between the picture around them here and there, `steps` how many frames lie between.
    """

    places_N2: NDArray[np.float32]
    classes_N: NDArray[np.uint8]
    around_NWW3: NDArray[np.float32]
    error_N: NDArray[np.float32]
    steps: int = 0

    @classmethod
    def answered(cls, picture: Picture, label_HW: NDArray[np.uint8]) -> "Points":
        """Return a frame's answered pixels."""
        rows_N, columns_N = np.nonzero(label_HW != IGNORE)
        places_N2 = np.stack([columns_N, rows_N], axis=1).astype(np.float32)
        around_NWW3 = surroundings(picture, places_N2)
        return cls(places_N2, label_HW[rows_N, columns_N], around_NWW3, np.zeros(len(rows_N), np.float32))

    def step(self, flow: Flow, picture: Picture, most_error: float) -> "Points":
        """Return those that are found again in a neighbouring frame; `flow` is on this frame's grid, to that one."""
        moved_N2, in_view_N = _go(self.places_N2, flow)
        difference_NWW3 = surroundings(picture, moved_N2) - self.around_NWW3
        error_N = np.sqrt((difference_NWW3**2).sum(axis=3)).mean(axis=(1, 2))
        kept_N = in_view_N & (error_N <= most_error)
        around_NWW3 = self.around_NWW3[kept_N]
        return Points(moved_N2[kept_N], self.classes_N[kept_N], around_NWW3, error_N[kept_N], self.steps + 1)


@dataclass(frozen=True, eq=False)
class Followed:
    """What came to a frame: class ids, origins (`spread`'s) and how sure (0–1; no probability), H x W each."""

    key: str
    label_HW: NDArray[np.uint8]
    origin_HW: NDArray[np.uint8]
    confidence_HW: NDArray[np.float32]


@dataclass(eq=False)
class _Waiting:
    """A frame of the window: its answered points, its flow to the frame before, what has come to it so far."""

    picture: Picture
    answered: Points | None
    to_before: Flow | None = None
    landed: list[tuple[int, Points]] = field(default_factory=list)


class PointSpreader:
    """Follows the points of one stream; `run` may be called for one stream after another."""

    def __init__(self, neighbours: Neighbours, config: SpreadConfig) -> None:
        self._neighbours, self._config = neighbours, config

    def run(self, shots: Iterable[Shot]) -> Iterator[Followed | Break]:
        """Yield what came to each frame that any point came to, and each break of the track.

        A shot's label holds its answered pixels, IGNORE elsewhere.
        """
        window: deque[_Waiting] = deque()
        ahead: list[Points] = []  # on their way to later frames
        last: Shot | None = None
        for shot in shots:
            reason = broken(last, shot)
            here = self._arrive(shot, window) if shot.picture is not None else None
            if here is not None and here.to_before is not None and not reason:
                reason = scene_cut(window[-1].picture, here.picture, here.to_before, self._config.cut_share)
            if reason:
                yield from self._emit(window)
                yield Break(shot.key, reason)
                ahead = []
            last = shot
            if here is None:
                continue
            ahead = self._forward(here, ahead, window)
            window.append(here)
            self._back(window)
            if here.answered is not None:
                ahead.append(here.answered)
            if len(window) > self._config.reach:
                yield from self._emit(window, 1)
        yield from self._emit(window)

    def _arrive(self, shot: Shot, window: deque[_Waiting]) -> _Waiting:
        assert shot.picture is not None
        answered = None if shot.label_HW is None else Points.answered(shot.picture, shot.label_HW)
        here = _Waiting(shot.picture, answered)
        if window and window[-1].picture.size_HW == shot.picture.size_HW:
            here.to_before = self._neighbours.flow(shot.picture, window[-1].picture)
        return here

    def _forward(self, here: _Waiting, ahead: list[Points], window: deque[_Waiting]) -> list[Points]:
        """Bring the points of earlier frames here; return those that may go on."""
        if not ahead:
            return []
        flow = self._neighbours.flow(window[-1].picture, here.picture)
        come = [points.step(flow, here.picture, self._config.point_error) for points in ahead]
        here.landed += [(BEFORE, points) for points in come]
        return [points for points in come if len(points.classes_N) and points.steps < self._config.reach]

    def _back(self, window: deque[_Waiting]) -> None:
        """Bring the last frame's points to the frames before it."""
        points, frames = window[-1].answered, list(window)
        for later, earlier in zip(reversed(frames[1:]), reversed(frames[:-1]), strict=True):
            if points is None or not len(points.classes_N) or points.steps == self._config.reach:
                return
            assert later.to_before is not None
            points = points.step(later.to_before, earlier.picture, self._config.point_error)
            earlier.landed.append((AFTER, points))

    def _emit(self, window: deque[_Waiting], count: int | None = None) -> Iterator[Followed]:
        for _ in range(len(window) if count is None else count):
            frame = window.popleft()
            if any(len(points.classes_N) for _, points in frame.landed):
                yield lay(frame.picture, frame.landed, self._config.error_scale)


def lay(picture: Picture, landed: Iterable[tuple[int, Points]], error_scale: float) -> Followed:
    """Return points on their pixels: the surest of each pixel, exp(-error / scale); none where classes differ."""
    label_HW = np.full(picture.size_HW, IGNORE, np.uint8)
    origin_HW, confidence_HW = np.full(picture.size_HW, NOTHING, np.uint8), np.zeros(picture.size_HW, np.float32)
    disputed_HW = np.zeros(picture.size_HW, np.bool_)
    for side, points in landed:
        columns_N, rows_N = np.rint(points.places_N2).astype(np.intp).T
        sure_N = np.exp(-points.error_N / error_scale)
        for row, column, class_id, sure in zip(rows_N, columns_N, points.classes_N, sure_N, strict=True):
            disputed_HW[row, column] |= label_HW[row, column] not in (IGNORE, class_id)
            if sure > confidence_HW[row, column]:
                label_HW[row, column], origin_HW[row, column], confidence_HW[row, column] = class_id, side, sure
    label_HW[disputed_HW], origin_HW[disputed_HW], confidence_HW[disputed_HW] = IGNORE, NOTHING, 0.0
    return Followed(picture.key, label_HW, origin_HW, confidence_HW)


def surroundings(picture: Picture, places_N2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the square of WINDOW_PX pixels around each place, N x W x W x 3, read between pixels."""
    off_W = np.arange(WINDOW_PX, dtype=np.float32) - WINDOW_PX // 2
    columns_NWW = places_N2[:, 0, None, None] + off_W[None, None, :]
    rows_NWW = places_N2[:, 1, None, None] + off_W[None, :, None]
    return between(picture.rgb_HWC, *np.broadcast_arrays(columns_NWW, rows_NWW))


def between(values_HWC: NDArray[np.generic], columns: Places, rows: Places) -> Places:
    """Return values at places, bilinear, the outermost repeated: the places' shape and C."""
    height, width = values_HWC.shape[:2]
    left, top = np.floor(columns), np.floor(rows)
    result = np.zeros((*columns.shape, values_HWC.shape[2]), np.float32)
    for below in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - right - (columns - left)) * np.abs(1 - below - (rows - top))
            row, column = (top + below).astype(np.intp), (left + right).astype(np.intp)
            result += weight[..., None] * values_HWC[row.clip(0, height - 1), column.clip(0, width - 1)]
    return result


def _go(places_N2: NDArray[np.float32], flow: Flow) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return where a flow leads from places, and whether it knows the way and stays in view."""
    height, width = flow.size_HW
    columns_N, rows_N = np.rint(places_N2).astype(np.intp).T
    known_N = flow.valid_HW[rows_N.clip(0, height - 1), columns_N.clip(0, width - 1)]
    moved_N2 = places_N2 + between(flow.px_HW2, places_N2[:, 0], places_N2[:, 1])
    limits = np.array([width - 0.5, height - 0.5], np.float32)
    return moved_N2, known_N & ((moved_N2 >= -0.5) & (moved_N2 < limits)).all(axis=1)
