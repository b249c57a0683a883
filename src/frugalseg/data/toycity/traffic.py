"""What moves: streams of cars, walkers and cyclists, each stream at one speed so that nobody runs into anybody."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from frugalseg.core.chance import generator, key_hash
from frugalseg.data.toycity.camera import turned
from frugalseg.data.toycity.cars import Car
from frugalseg.data.toycity.classes import BICYCLIST, CAR, PERSON
from frugalseg.data.toycity.light import normals
from frugalseg.data.toycity.people import Figure
from frugalseg.data.toycity.raster import Patch
from frugalseg.data.toycity.site import BEHIND, BLOCK_M, FACING, SIDE_STREET_M, STREET, Item, Shadow, Site

_EGO_ROOM_M = (-7.0, 9.0)  # slots of the camera's own lane that stay empty, behind and ahead of it
_CONTACT = 0.55  # how dark it is below a car


@dataclass(frozen=True)
class Stream:
    """A row of slots that moves along the street; each slot holds somebody by chance. `side` 1 is on the right."""

    name: str
    class_id: int
    lateral_m: float
    spread_m: float
    speed_mps: float
    gap_m: float
    chance: float
    own_lane: bool = False


def make_streams(site: Site, rng: np.random.Generator, ego_lane: int, ego_speed_mps: float) -> tuple[Stream, ...]:
    """Return the streams of a street: car lanes, cyclists near the kerb, walkers on the pavements."""
    layout, section = site.layout, site.section
    streams = []
    for direction in (1, -1):
        for lane in range(section.lanes):
            own = direction == 1 and lane == ego_lane
            speed = ego_speed_mps if own else direction * ego_speed_mps * float(rng.uniform(0.75, 1.2))
            lateral = direction * layout.drive_on * (lane + 0.5) * section.lane_m
            gap = float(rng.uniform(*layout.car_gap_m))
            streams.append(Stream(f"car {direction} {lane}", CAR, lateral, 0.2, speed, gap, layout.car_chance, own))
        kerb = direction * layout.drive_on * (section.lanes * section.lane_m - 0.25)
        speed = direction * float(rng.uniform(3.5, 5))
        streams.append(
            Stream(f"cyclist {direction}", BICYCLIST, kerb, 0.3, speed, layout.cyclist_gap_m, layout.cyclist_chance)
        )
    for side in (-1, 1):
        for row, direction in enumerate((-1, 1)):
            lateral = side * (section.half_road_m + section.pavement_m * (0.45 + 0.35 * row))
            gap = float(rng.uniform(*layout.person_gap_m))
            speed = direction * float(rng.uniform(1.0, 1.5))
            streams.append(Stream(f"walker {side} {row}", PERSON, lateral, 0.4, speed, gap, layout.person_chance))
    return tuple(streams)


@dataclass(frozen=True, eq=False)
class Traffic:
    """The streams of one sequence."""

    site: Site
    seed: int
    streams: tuple[Stream, ...]

    def at(self, time_s: float, ego_start_m: float, near_m: float, far_m: float) -> Iterator[tuple[Item, list[Shadow]]]:
        """Yield everybody between `near_m` and `far_m` along the street, with their shadows."""
        for stream in self.streams:
            moved = stream.speed_mps * time_s
            first = math.floor((near_m - moved) / stream.gap_m) - 1
            last = math.ceil((far_m - moved) / stream.gap_m) + 1
            for slot in range(first, last):
                rng = generator(self.seed, stream.name, slot)
                start = (slot + float(rng.uniform(0.15, 0.85))) * stream.gap_m
                if rng.random() >= stream.chance or not near_m <= start + moved <= far_m:
                    continue
                if stream.own_lane and _EGO_ROOM_M[0] < start - ego_start_m < _EGO_ROOM_M[1]:
                    continue
                yield self._somebody(stream, slot, start, moved, rng)

    def _somebody(
        self, stream: Stream, slot: int, start_m: float, moved_m: float, rng: np.random.Generator
    ) -> tuple[Item, list[Shadow]]:
        lateral = stream.lateral_m + float(rng.uniform(-1, 1)) * stream.spread_m
        uid = key_hash(f"{stream.name} {slot}") >> 2
        choice, assets = float(rng.random()), self.site.assets
        if stream.class_id == CAR:
            car = assets.cars[int(choice * len(assets.cars))]
            return self._car(car, lateral, start_m + moved_m, 0.0 if stream.speed_mps > 0 else math.pi, uid)
        figures = assets.walkers if stream.class_id == PERSON else assets.cyclists
        figure = figures[int(choice * len(figures))]
        return self._figure(figure, stream.class_id, lateral, start_m + moved_m, moved_m, uid)

    def _car(self, car: Car, lateral: float, z: float, turn: float, uid: int) -> tuple[Item, list[Shadow]]:
        light = self.site.light
        planes_N33 = turned(car.planes_N33, *self.site.at(lateral, z), self.site.heading(z) + turn)
        straight_N3 = normals(turned(car.planes_N33, 0.0, 0.0, turn))
        patches = tuple(
            Patch(uid + part, CAR, texture, light.gain(normal))
            for part, (texture, normal) in enumerate(zip(car.faces, straight_N3, strict=True))
        )
        half_x, half_z = car.width_m / 2, car.length_m / 2
        corners = [(-half_x, -half_z), (-half_x, half_z), (half_x, half_z), (half_x, -half_z)]
        base = np.array([self.site.at(lateral + x, z + along) for x, along in corners])
        shadows = [(light.weather.shadow, light.shadow(base, car.height_m * 0.9)), (_CONTACT, base)]
        return Item(STREET, z - half_z, patches, planes_N33), shadows

    def _figure(
        self, figure: Figure, class_id: int, lateral: float, z: float, way_m: float, uid: int
    ) -> tuple[Item, list[Shadow]]:
        light = self.site.light
        x = self.site.at(lateral, z)[0]
        planes_N33 = turned(figure.planes(way_m), x, z, 0.0)
        pictures = [figure.body] if figure.leg is None else [figure.leg, figure.leg, figure.body]
        gain = light.gain(FACING)
        patches = tuple(
            Patch(uid + part, class_id, picture, gain, two_sided=True) for part, picture in enumerate(pictures)
        )
        layer = BEHIND if abs(lateral) > self.site.section.half_street_m else STREET
        base = np.array([(x - 0.22, z), (x + 0.22, z), (x + 0.22, z + 0.2), (x - 0.22, z + 0.2)])
        shadows = [(light.weather.shadow, light.shadow(base, figure.height_m)), (0.3, base)]
        return Item(layer, z, patches, planes_N33), shadows


def make_crossers(site: Site, seed: int, block: int, time_s: float) -> Iterator[tuple[Item, list[Shadow]]]:
    """Yield the walkers on the zebra of a block with a crossing: two rows, there and back, seen from the side."""
    traffic = Traffic(site, seed, ())
    reach = site.section.half_street_m
    for direction in (-1, 1):
        for slot in range(2):
            rng = generator(seed, "crosser", block, direction, slot)
            if rng.random() >= site.layout.person_chance * 0.7:
                continue
            speed, offset = direction * float(rng.uniform(1.0, 1.4)), float(rng.uniform(0, 2 * reach))
            rounds, place = divmod(offset + speed * time_s + reach, 2 * reach)
            z = (block + 1) * BLOCK_M - SIDE_STREET_M - 0.5 + direction * 0.8
            figure = site.assets.crossers[int(rng.integers(len(site.assets.crossers)))]
            uid = key_hash(f"crosser {block} {direction} {slot} {int(rounds)}") >> 2
            yield traffic._figure(figure, PERSON, place - reach, z, speed * time_s, uid)
