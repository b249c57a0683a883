"""Frames of the toy city: image, label and exact optical flow from (look, seed, sequence, index)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.choose import choose
from frugalseg.core.errors import DataError
from frugalseg.data.toycity.lens import add_haze, add_mirror, record
from frugalseg.data.toycity.looks import LOOKS
from frugalseg.data.toycity.scene import draw, draw_surfaces
from frugalseg.data.toycity.surfaces import Surfaces
from frugalseg.data.toycity.world import World, make_world

MIN_SIZE = 16


@dataclass(frozen=True, eq=False)
class ToyFrame:
    """One frame: image (H x W x 3 RGB), label (H x W class ids of CLASSES), flow, and its place in the data set.

    `flow_px` (H x W x 2: columns, rows) points from each pixel to where its surface was one frame before, so
    previous[p + flow] = current[p]. It is NaN where that place was out of view or hidden, None for a first frame.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    flow_px: NDArray[np.float32] | None
    key: str
    sequence: str
    index: int


def render(
    look: str,
    seed: int,
    sequence: int,
    index: int,
    size_HW: tuple[int, int] = (180, 240),
    *,
    flow: bool = True,
    step: int = 1,
) -> ToyFrame:
    """Return one frame; the same arguments give the same bytes.

    Frames of a sequence follow each other like video (15 a second); the flow points to frame `index` - `step`, and the
    first `step` frames have none. Asking for frames in order is fastest, as each needs the surfaces of that earlier
    frame; `flow=False` saves them where the flow is not wanted.

    Raises:
        UnknownNameError: no look of that name.
        DataError: a negative sequence or index, a step below 1, or a side below 16 pixels.
    """
    entry = choose("look", look, LOOKS)
    if min(sequence, index, step - 1) < 0 or min(size_HW) < MIN_SIZE:
        raise DataError(
            f"toycity frame {index} of sequence {sequence} at {size_HW[0]}x{size_HW[1]} (height x width): "
            f"expected numbers from 0, a step from 1 (got {step}) and at least {MIN_SIZE} pixels each way."
        )
    world = make_world(entry, seed, sequence)
    now, drawing = draw(world, index, size_HW)
    label_HW, ids_HW = _reduce(now)
    name = f"{look}{seed}-{sequence:03d}"
    return ToyFrame(
        image=_picture(world, index, now, ids_HW, drawing),
        label=label_HW,
        flow_px=_flow(now, draw_surfaces(world, index - step, size_HW), ids_HW) if flow and index >= step else None,
        key=f"{name}_{index:05d}",
        sequence=name,
        index=index,
    )


def _reduce(surfaces: Surfaces) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return each pixel's most frequent class among its drawing pixels, and the id of a surface of that class."""
    labels = surfaces.labels()
    a, b, c, d = (labels[row::2, column::2] for row in (0, 1) for column in (0, 1))
    winner = np.where((a == b) | (a == c) | (a == d), 0, np.where((b == c) | (b == d), 1, np.where(c == d, 2, 0)))
    quarters = [(slice(row, None, 2), slice(column, None, 2)) for row in (0, 1) for column in (0, 1)]
    label_HW = np.choose(winner, [labels[quarter] for quarter in quarters])
    ids_HW = np.choose(winner, [surfaces.ids[quarter] for quarter in quarters])
    return np.asarray(label_HW, np.uint8), np.asarray(ids_HW, np.uint16)


def _grid(size_HW: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.arange(size_HW[1], dtype=np.float32)[None, :], np.arange(size_HW[0], dtype=np.float32)[:, None]


def _picture(
    world: World, index: int, surfaces: Surfaces, ids_HW: NDArray[np.uint16], drawing: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Average the drawing down and let air and lens act on it."""
    size_HW = ids_HW.shape
    image = np.asarray(cv2.resize(drawing, size_HW[::-1], interpolation=cv2.INTER_AREA)[..., :3], np.float32)
    columns, rows = _grid(size_HW)
    to_plane = np.linalg.inv(surfaces.pixel_homographies())
    near = to_plane[:, 2].astype(np.float32)[ids_HW]
    nearness_HW = near[..., 0] * columns + near[..., 1] * rows + near[..., 2]
    weather = world.site.light.weather
    if weather.wet:
        image = add_mirror(image, surfaces.flat[ids_HW], surfaces.horizon_row(), weather.wet)
    image = add_haze(image, nearness_HW, weather, world.site.light.haze_per_m)
    return record(image, world, index)


def _flow(now: Surfaces, before: Surfaces, ids_HW: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the flow from `now` back to `before`; every surface is a plane, so each has one homography."""
    position = {uid: number for number, uid in enumerate(before.uids.tolist())}
    earlier = np.array([position.get(uid, -1) for uid in now.uids.tolist()])
    moves = before.pixel_homographies()[earlier] @ np.linalg.inv(now.pixel_homographies())
    moves[earlier < 0] = np.nan
    columns, rows = _grid(ids_HW.shape)
    move = moves.reshape(-1, 9).astype(np.float32)[ids_HW]
    x, y, scale = (move[..., 3 * n] * columns + move[..., 3 * n + 1] * rows + move[..., 3 * n + 2] for n in range(3))
    x, y = x / scale, y / scale
    flow = np.stack([x - columns, y - rows], axis=2)
    flow[~_was_visible(before, earlier[ids_HW], x, y)] = np.nan
    return flow


def _was_visible(
    before: Surfaces, earlier_HW: NDArray[np.int64], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Tell where the surface `earlier_HW` was seen at (x, y): one of the four drawing pixels around shows it."""
    height, width = x.shape
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1) & (earlier_HW >= 0)
    left = np.where(inside, x * 2 + 0.5, 0).astype(int)
    top = np.where(inside, y * 2 + 0.5, 0).astype(int)
    seen = np.zeros_like(inside)
    for row in (top, top + 1):
        for column in (left, left + 1):
            seen |= before.ids[row, column] == earlier_HW
    return np.asarray(seen & inside)
