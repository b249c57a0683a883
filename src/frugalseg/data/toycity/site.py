"""The building site of a block: where its things go in the world, how they are lit, which numbers they get."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import key_hash
from frugalseg.data.toycity.assets import Assets
from frugalseg.data.toycity.bend import Bend
from frugalseg.data.toycity.camera import Matrices, plane
from frugalseg.data.toycity.classes import ROAD
from frugalseg.data.toycity.light import Light, normals
from frugalseg.data.toycity.look import Layout
from frugalseg.data.toycity.raster import Patch
from frugalseg.data.toycity.section import Section
from frugalseg.data.toycity.texture import Texture

BLOCK_M = 60.0
SIDE_STREET_M = 11.0  # its road and two pavements
FACING = np.array([0.0, 0.0, -1.0])  # normal of what faces the traffic
UP = np.array([0.0, 1.0, 0.0])
BEHIND, STREET = 0, 1  # layers: houses and what they may hide; everything between them
FAR_M = 150.0  # nothing that stands or moves is drawn farther away
SMALL_FAR_M = 55.0  # the same for what would be thinner than a pixel there: poles, signs, people

Shadow = tuple[float, NDArray[np.float64]]  # share of the light it takes, outline N x 2 in world x, z


@dataclass(frozen=True, eq=False)
class Item:
    """One thing to draw: far items first, within a layer; `sort_m` is the position along the street of its near end."""

    layer: int
    sort_m: float
    patches: tuple[Patch, ...]
    planes_N33: Matrices
    reach_m: float = FAR_M  # drawn up to that distance


@dataclass(eq=False)
class Block:
    """One block's content, filled by `build_block`."""

    number: int
    items: list[Item] = field(default_factory=list)
    decals: list[Item] = field(default_factory=list)  # on the ground, in the order of drawing
    shadows: list[Shadow] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Site:
    """Where a block is built: the street it belongs to."""

    assets: Assets
    layout: Layout
    section: Section
    zebra: Texture
    bend: Bend
    light: Light

    def at(self, lateral: float, z: float) -> tuple[float, float]:
        """Return world (x, z) of a place along and across the street."""
        return self.bend.x(z) + lateral, z

    def heading(self, z: float) -> float:
        """Return the street's direction at `z` in radians."""
        return math.atan(self.bend.slope(z))


class Builder:
    """Fills one block. Every part gets a number that stays the same for the whole sequence."""

    def __init__(self, number: int, site: Site, rng: np.random.Generator) -> None:
        self.block = Block(number)
        self.site = site
        self.rng = rng
        self.start = number * BLOCK_M
        self.crossing = bool(rng.random() < site.layout.crossing_chance)
        self.end = self.start + BLOCK_M - (SIDE_STREET_M if self.crossing else 0)
        self._uid = key_hash(f"block {number}") >> 2

    def add(
        self,
        layer: int,
        sort_m: float,
        parts: list[tuple[int, Texture]],
        planes_N33: Matrices,
        glassy: bool = False,
        facing: bool = False,
        reach_m: float = FAR_M,
    ) -> None:
        """Add one thing; `facing` ones are lit as if they faced the traffic and are seen from both sides."""
        normals_N3 = np.broadcast_to(FACING, (len(parts), 3)) if facing else normals(planes_N33)
        patches = []
        for (class_id, texture), normal in zip(parts, normals_N3, strict=True):
            self._uid += 1
            patches.append(Patch(self._uid, class_id, texture, self.site.light.gain(normal), glassy, facing))
        self.block.items.append(Item(layer, sort_m, tuple(patches), planes_N33, reach_m))

    def decal(self, texture: Texture, planes_N33: Matrices) -> None:
        """Add a patch of road."""
        self._uid += 1
        patch = Patch(self._uid, ROAD, texture, self.site.light.gain(UP))
        self.block.decals.append(Item(STREET, 0.0, (patch,), planes_N33))

    def wall(self, side: int, near: float, far: float, lateral: float, top: float, bottom: float = 0.0) -> Matrices:
        """Return the plane of a wall along the street, seen from its middle."""
        first, last = (far, near) if side > 0 else (near, far)
        (x0, z0), (x1, z1) = self.site.at(side * lateral, first), self.site.at(side * lateral, last)
        return plane((x0, top, z0), (x1 - x0, 0, z1 - z0), (0, bottom - top, 0))

    def shadow(self, corners: list[tuple[float, float]], height: float, base: float = 0.0) -> None:
        """Add the shadow of an upright prism over `corners` (lateral, z)."""
        footprint = np.array([self.site.at(*corner) for corner in corners])
        strength = self.site.light.weather.shadow
        self.block.shadows.append((strength, self.site.light.shadow(footprint, height, base)))
