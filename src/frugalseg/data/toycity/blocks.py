"""What stands still, block by block along the street: houses, parks, fences, trees, poles, parked cars, crossings."""

import math

import numpy as np

from frugalseg.data.toycity.camera import plane, turned
from frugalseg.data.toycity.cars import Car
from frugalseg.data.toycity.classes import BUILDING, CAR, FENCE, TREE
from frugalseg.data.toycity.facades import House
from frugalseg.data.toycity.furniture import Furniture
from frugalseg.data.toycity.site import BEHIND, SIDE_STREET_M, SMALL_FAR_M, STREET, Block, Builder, Site

_SIDE_ROAD_M = 6.5
_FENCE_M = 2.4
_DEPTH_M = 9.0  # of a house


def build_block(number: int, site: Site, rng: np.random.Generator) -> Block:
    """Furnish block `number` of a street."""
    builder = Builder(number, site, rng)
    if builder.crossing:
        _crossing(builder)
    for side in (-1, 1):
        _lots(builder, side)
        _furniture(builder, side)
        if site.section.parking_m:
            _parked(builder, side)
    return builder.block


def _lots(builder: Builder, side: int) -> None:
    layout, rng = builder.site.layout, builder.rng
    rear = builder.site.section.half_street_m
    z = builder.start
    while z < builder.end - 4:
        setback = float(rng.uniform(*layout.setback_m))
        setback = setback if setback > 1.2 else 0.0
        if rng.random() < layout.park_chance:
            length = min(float(rng.uniform(10, 20)), builder.end - z)
            _park(builder, side, z, z + length, rear + 4.0)
            setback = 4.0
        else:
            house = builder.site.assets.houses[int(rng.integers(len(builder.site.assets.houses)))]
            length = min(house.width_m, builder.end - z)
            _house(builder, side, z, z + length, rear + setback, house)
        if setback and rng.random() < layout.fence_chance:
            _fence(builder, side, z, z + length, rear + 0.1)
        z += length + (float(rng.uniform(0, 2.5)) if rng.random() < 0.15 else 0.0)


def _house(builder: Builder, side: int, near: float, far: float, lateral: float, house: House) -> None:
    high, x = house.height_m, builder.site.at(side * lateral, near)[0]
    left = x if side > 0 else x - _DEPTH_M
    planes = [plane((left, high, near), (_DEPTH_M, 0, 0), (0, -high, 0))]
    parts = [(BUILDING, house.side)]
    if house.roof is not None:
        rise, half = 2.8, _DEPTH_M / 2
        eaves = builder.wall(side, near, far, lateral, high)
        planes.append(plane((left, high + rise, near), (_DEPTH_M, 0, 0), (0, -rise, 0)))
        slope = eaves.copy()
        slope[:, 2] += (side * half, rise, 0)
        slope[:, 1] = (-side * half, -rise, 0)
        chimney = builder.rng.uniform(0.2, 0.8) * (far - near) + near
        planes += [slope, plane((left + half - 0.5, high + rise + 1.0, chimney), (1.0, 0, 0), (0, -1.6, 0))]
        parts += [(BUILDING, house.gable), (BUILDING, house.roof), (BUILDING, house.side)]
    planes.append(builder.wall(side, near, far, lateral, high))
    parts.append((BUILDING, house.front))
    builder.add(BEHIND, near, parts, np.stack(planes))
    lots = [(side * lateral, near), (side * lateral, far), (side * (lateral + _DEPTH_M), far)]
    builder.shadow([*lots, (side * (lateral + _DEPTH_M), near)], high)


def _park(builder: Builder, side: int, near: float, far: float, lateral: float) -> None:
    rng = builder.rng
    thicket = builder.site.assets.thickets[int(rng.integers(len(builder.site.assets.thickets)))]
    high = float(rng.uniform(3.5, 6.5))
    x = builder.site.at(side * lateral, near)[0]
    end = plane((x if side > 0 else x - 8, high, near), (8, 0, 0), (0, -high, 0))
    planes = np.stack([end, builder.wall(side, near, far, lateral, high)])
    builder.add(BEHIND, near, [(TREE, thicket)] * 2, planes)
    builder.shadow([(side * lateral, near), (side * lateral, far), (side * (lateral + 6), far)], high)
    for _ in range(int(rng.integers(1, 4))):
        _tree(builder, side * (lateral - float(rng.uniform(0.8, 2.5))), float(rng.uniform(near + 1, far)))


def _tree(builder: Builder, lateral: float, z: float) -> None:
    tree = builder.site.assets.trees[int(builder.rng.integers(len(builder.site.assets.trees)))]
    x, half, high = builder.site.at(lateral, z)[0], tree.width_m / 2, tree.height_m
    builder.add(
        STREET,
        z,
        [(TREE, tree.texture)],
        plane((x - half, high, z), (2 * half, 0, 0), (0, -high, 0))[None],
        facing=True,
    )
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    crown = [(lateral + 0.8 * half * math.cos(a), z + 0.8 * half * math.sin(a)) for a in angles]
    builder.shadow(crown, high * 0.92, high * 0.4)
    builder.shadow([(lateral - 0.15, z), (lateral + 0.15, z)], high * 0.5)


def _fence(builder: Builder, side: int, near: float, far: float, lateral: float) -> None:
    rng, assets = builder.rng, builder.site.assets
    hedge = rng.random() < 0.2
    texture, high = (assets.hedge, 1.3) if hedge else assets.fences[int(rng.integers(len(assets.fences)))]
    count = max(1, round((far - near) / _FENCE_M))
    for number in range(count):
        begin = near + number * (far - near) / count
        wall = builder.wall(side, begin, begin + (far - near) / count, lateral, high)
        builder.add(STREET, begin, [(TREE if hedge else FENCE, texture)], wall[None], not texture.solid)


def _furniture(builder: Builder, side: int) -> None:
    site, rng, layout = builder.site, builder.rng, builder.site.layout
    kerb = site.section.half_road_m
    for z in np.arange(builder.start + (side + 1) * layout.lamp_gap_m / 4, builder.end, layout.lamp_gap_m):
        _stand(builder, site.assets.lamps[(side + 1) // 2], side * (kerb + 0.45), float(z))
    z = builder.start + float(rng.uniform(2, layout.sign_gap_m))
    while z < builder.end:
        sign = site.assets.signs[int(rng.integers(len(site.assets.signs)))]
        _stand(builder, sign, side * (kerb + 0.6), z)
        z += layout.sign_gap_m * float(rng.uniform(0.6, 1.4))
    if builder.crossing and rng.random() < 0.8:
        _stand(builder, site.assets.lights[int(rng.integers(3))], side * (kerb + 0.5), builder.end - 1.5)
    z = builder.start + float(rng.uniform(1, layout.tree_gap_m[1]))
    while z < builder.end - 2:
        if rng.random() < layout.tree_chance:
            _tree(builder, side * (kerb + 0.9), z)
        z += float(rng.uniform(*layout.tree_gap_m))
    if rng.random() < layout.kerb_rail_chance:
        length = float(rng.uniform(10, 20))
        _fence(builder, side, builder.end - length - 3, builder.end - 3, kerb + 0.3)


def _stand(builder: Builder, thing: Furniture, lateral: float, z: float) -> None:
    planes_N33 = turned(thing.planes_N33, *builder.site.at(lateral, z), 0.0)
    builder.add(STREET, z, list(thing.parts), planes_N33, facing=True, reach_m=SMALL_FAR_M)
    builder.shadow([(lateral - 0.09, z), (lateral + 0.09, z)], thing.height_m)


def _parked(builder: Builder, side: int) -> None:
    site, rng = builder.site, builder.rng
    lateral = side * (site.section.half_road_m - site.section.parking_m / 2)
    z = builder.start + 6.0
    while z < builder.end - 6:
        car = site.assets.cars[int(rng.integers(len(site.assets.cars)))]
        if rng.random() < site.layout.parked_chance:
            _park_car(builder, car, lateral, z, 0.0 if side == site.layout.drive_on else math.pi, STREET)
        z += 5.6 + float(rng.uniform(0, 1.0))


def _park_car(builder: Builder, car: Car, lateral: float, z: float, turn: float, layer: int) -> None:
    planes_N33 = turned(car.planes_N33, *builder.site.at(lateral, z), builder.site.heading(z) + turn)
    builder.add(layer, z - car.length_m / 2, [(CAR, texture) for texture in car.faces], planes_N33)
    along, across = (car.length_m, car.width_m) if abs(math.cos(turn)) > 0.5 else (car.width_m, car.length_m)
    base = [(lateral + a * across / 2, z + b * along / 2) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    builder.shadow(base, car.height_m * 0.9)
    builder.block.shadows.append((0.6, np.array([builder.site.at(*corner) for corner in base])))


def _crossing(builder: Builder) -> None:
    """A side street: road across, a zebra before it, and cars that wait in it."""
    site, rng = builder.site, builder.rng
    rim = (SIDE_STREET_M - _SIDE_ROAD_M) / 2
    near, far = builder.end + rim, builder.end + SIDE_STREET_M - rim
    x, half, reach = site.bend.x((near + far) / 2), site.section.half_road_m + 3.0, 60.0
    for left, wide in ((x - half - reach, reach), (x + half, reach), (x - half, 2 * half)):
        builder.decal(site.assets.asphalt, plane((left, 0, far), (wide, 0, 0), (0, 0, near - far))[None])
    kerb = site.section.half_road_m - 0.3
    x = site.bend.x(builder.end - 1)
    builder.decal(site.zebra, plane((x - kerb, 0, builder.end + 1.0), (2 * kerb, 0, 0), (0, 0, -3.0))[None])
    for side in (-1, 1):
        if rng.random() < 0.6:
            car = site.assets.cars[int(rng.integers(len(site.assets.cars)))]
            lateral = side * (site.section.half_street_m + float(rng.uniform(2.0, 5.0)))
            z = (near + far) / 2 + side * site.layout.drive_on * 1.5
            _park_car(builder, car, lateral, z, -side * math.pi / 2, BEHIND)
