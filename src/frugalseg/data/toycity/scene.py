"""Draws a frame: everything in view, far to near, at `OVERSAMPLING` times the frame's size."""

import numpy as np
from numpy.typing import NDArray

from frugalseg.data.toycity.camera import Camera, plane
from frugalseg.data.toycity.classes import ROAD
from frugalseg.data.toycity.ground import ABOVE, darken, draw_ground
from frugalseg.data.toycity.raster import Painter, Projected, project
from frugalseg.data.toycity.site import UP, Item
from frugalseg.data.toycity.sky import distant_planes
from frugalseg.data.toycity.surfaces import GROUND, OVERSAMPLING, Surfaces
from frugalseg.data.toycity.world import World

_GROUND_PLANE = plane((0, 0, 0), (1, 0, 0), (0, 0, 1))


def draw(world: World, index: int, size_HW: tuple[int, int]) -> tuple[Surfaces, NDArray[np.uint8]]:
    """Draw frame `index`, to be averaged down to `size_HW`; return its surfaces and the RGBA drawing."""
    painter = Painter((size_HW[0] * OVERSAMPLING, size_HW[1] * OVERSAMPLING), colours=True)
    surfaces = _draw(world, index, painter)
    assert painter.image is not None
    return surfaces, painter.image


def draw_surfaces(world: World, index: int, size_HW: tuple[int, int]) -> Surfaces:
    """Return the surfaces of frame `index` only; free if that frame has just been drawn."""
    key = (index, size_HW[0] * OVERSAMPLING, size_HW[1] * OVERSAMPLING)
    known = world.drawn.get(key)
    return known if known is not None else _draw(world, index, Painter(key[1:], colours=False))


def _draw(world: World, index: int, painter: Painter) -> Surfaces:
    camera = world.camera(index, (painter.ids.shape[0], painter.ids.shape[1]))
    items, decals, shadows = world.visible(index)
    distant = project(camera, list(world.distant), distant_planes(camera.position))
    painter.paint(distant, GROUND + 1)
    gain = world.site.light.gain(UP)
    ground = draw_ground(camera, world.site.section, world.site.bend, gain, painter.image)
    painter.ids[ground != ABOVE] = GROUND
    flat, upright = _project_items(camera, decals), _project_items(camera, items)
    first = GROUND + 1 + len(distant)
    painter.paint(flat, first)
    if painter.image is not None:
        lies_flat = (painter.ids == GROUND) | (painter.ids >= first)
        darken(camera, shadows, lies_flat, painter.image)
    painter.paint(upright, first + len(flat))
    surfaces = _gather(camera, painter.ids, ground, [distant, flat, upright])
    for oldest in list(world.drawn)[:-1]:
        world.drawn.pop(oldest, None)
    world.drawn[(index, *camera.size_HW)] = surfaces
    return surfaces


def _project_items(camera: Camera, items: list[Item]) -> Projected:
    patches = [patch for item in items for patch in item.patches]
    return project(camera, patches, np.concatenate([np.zeros((0, 3, 3)), *(item.planes_N33 for item in items)]))


def _gather(camera: Camera, ids: NDArray[np.uint16], ground: NDArray[np.uint8], groups: list[Projected]) -> Surfaces:
    patches = [patch for group in groups for patch in group.patches]
    first_flat = GROUND + 1 + len(groups[0])
    flat = np.zeros(len(patches) + 1, np.bool_)
    flat[[GROUND, *range(first_flat, first_flat + len(groups[1]))]] = True
    return Surfaces(
        ids=ids,
        uids=np.array([GROUND, *(patch.uid for patch in patches)], np.int64),
        classes=np.array([ROAD, *(patch.class_id for patch in patches)], np.uint8),
        flat=flat,
        homographies_N33=np.concatenate([camera.see(_GROUND_PLANE[None]), *(g.homographies_N33 for g in groups)]),
        ground=ground,
    )
