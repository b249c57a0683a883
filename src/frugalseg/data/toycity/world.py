"""One sequence of the toy city: its street, weather, traffic and the camera's path. All follows from the seed."""

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from frugalseg.core.chance import generator, seed_for
from frugalseg.data.toycity.assets import Assets, make_assets
from frugalseg.data.toycity.bend import make_bend
from frugalseg.data.toycity.blocks import build_block
from frugalseg.data.toycity.camera import Camera, rotation
from frugalseg.data.toycity.classes import BUILDING, SKY, TREE
from frugalseg.data.toycity.light import make_light
from frugalseg.data.toycity.look import Look
from frugalseg.data.toycity.raster import Patch
from frugalseg.data.toycity.site import BLOCK_M, FACING, FAR_M, SMALL_FAR_M, Block, Item, Shadow, Site
from frugalseg.data.toycity.sky import make_sky
from frugalseg.data.toycity.surfaces import Surfaces
from frugalseg.data.toycity.texture import Texture
from frugalseg.data.toycity.traffic import Traffic, make_crossers, make_streams

_BEHIND_M = 12.0


@dataclass(frozen=True)
class Drive:
    """How the camera travels: where it starts, how fast, in which place of the road, how it is mounted (radians)."""

    start_m: float
    speed_mps: float
    lateral_m: float
    height_m: float
    yaw: float
    pitch: float
    focal_share: float  # focal length as a share of the picture's width


@dataclass(eq=False)
class World:
    """One sequence. `blocks` fills as the camera comes near."""

    look: Look
    seed: int
    assets: Assets
    site: Site
    sky: Texture
    drive: Drive
    traffic: Traffic
    finish: dict[str, float]
    blocks: dict[int, Block] = field(default_factory=dict)
    drawn: dict[tuple[int, int, int], Surfaces] = field(default_factory=dict)  # by (index, height, width); the last two

    @cached_property
    def distant(self) -> tuple[Patch, Patch, Patch]:
        """Sky, skyline and hills."""
        gain = self.site.light.gain(FACING)
        return (
            Patch(1, SKY, self.sky, two_sided=True),
            Patch(2, BUILDING, self.assets.skyline, gain, two_sided=True),
            Patch(3, TREE, self.assets.hills, gain, two_sided=True),
        )

    def time_s(self, index: int) -> float:
        """Return the moment at which frame `index` is taken."""
        return index / self.look.optics.frames_per_s

    def camera(self, index: int, size_HW: tuple[int, int]) -> Camera:
        """Return the camera of frame `index`; the picture is drawn at `size_HW`."""
        drive, time_s = self.drive, self.time_s(index)
        z = drive.start_m + drive.speed_mps * time_s
        sway = 0.12 * math.sin(0.9 * time_s + self.seed % 7)
        x, _ = self.site.at(drive.lateral_m + sway, z)
        shake = generator(self.seed, "bounce", index).normal(0, math.radians(self.look.optics.bounce_deg), 3)
        heading, ahead = self.site.heading(z), self.site.heading(z + 15)
        yaw = heading + 0.4 * (ahead - heading) + drive.yaw + 0.4 * shake[0]
        turn = rotation(yaw, drive.pitch + shake[1], shake[2])
        return Camera(np.array([x, drive.height_m, z]), turn, drive.focal_share * size_HW[1], size_HW)

    def block(self, number: int) -> Block:
        """Return a block, built at its first use."""
        if number not in self.blocks:
            self.blocks[number] = build_block(number, self.site, generator(self.seed, "block", number))
        return self.blocks[number]

    def visible(self, index: int) -> tuple[list[Item], list[Item], list[Shadow]]:
        """Return what stands on the ground in the order of drawing, what is painted on it, and the shadows."""
        time_s = self.time_s(index)
        here = self.drive.start_m + self.drive.speed_mps * time_s
        near, far = here - _BEHIND_M, here + FAR_M
        items: list[Item] = []
        decals: list[Item] = []
        shadows: list[Shadow] = []
        for number in range(math.floor(near / BLOCK_M), math.floor(far / BLOCK_M) + 1):
            block = self.block(number)
            items += [item for item in block.items if item.sort_m < here + item.reach_m]
            decals += block.decals
            if number * BLOCK_M < here + 70:
                shadows += block.shadows
            if block.decals and number * BLOCK_M < here + SMALL_FAR_M:
                for item, cast in make_crossers(self.site, self.seed, number, time_s):
                    items.append(item)
                    shadows += cast
        for item, cast in self.traffic.at(time_s, self.drive.start_m, here + 1.0, here + SMALL_FAR_M):
            items.append(item)
            shadows += cast
        items.sort(key=lambda item: (item.layer, -item.sort_m))
        return items, decals, shadows


@lru_cache(maxsize=4)
def make_world(look: Look, seed: int, sequence: int) -> World:
    """Build sequence number `sequence` of `look`."""
    rng = generator(seed, "toycity", look.name, "sequence", sequence)
    own_seed = seed_for(seed, "toycity", look.name, sequence)
    assets = make_assets(look, seed)
    weather = look.weathers[(sequence + seed) % len(look.weathers)]  # in turn, so that a few sequences show all
    light, bend = make_light(rng, weather), make_bend(rng, look.layout.bend)
    number = int(rng.integers(len(assets.sections)))
    section = assets.sections[number]
    site = Site(assets, look.layout, section, assets.zebras[number], bend, light)
    lane = int(rng.integers(section.lanes))
    drive = _make_drive(look, rng, look.layout.drive_on * (lane + 0.5) * section.lane_m)
    streams = make_streams(site, rng, lane, drive.speed_mps)
    finish = {
        name: float(rng.uniform(*getattr(look.finish, name))) for name in ("warmth", "exposure", "blur_px", "noise")
    }
    return World(look, own_seed, assets, site, make_sky(rng, light), drive, Traffic(site, own_seed, streams), finish)


def _make_drive(look: Look, rng: np.random.Generator, lateral_m: float) -> Drive:
    optics = look.optics
    return Drive(
        start_m=float(rng.uniform(0, 6 * BLOCK_M)),
        speed_mps=float(rng.uniform(*optics.speed_mps)),
        lateral_m=lateral_m,
        height_m=float(rng.uniform(*optics.height_m)),
        yaw=math.radians(rng.uniform(*optics.yaw_deg)),
        pitch=math.radians(rng.uniform(*optics.pitch_deg)),
        focal_share=0.5 / math.tan(math.radians(rng.uniform(*optics.view_deg)) / 2),
    )
