"""All pictures of one look and seed, drawn once a process and used by all its sequences."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from frugalseg.core.chance import generator
from frugalseg.data.toycity.cars import Car, make_car
from frugalseg.data.toycity.facades import House, make_house
from frugalseg.data.toycity.furniture import Furniture, make_fence, make_lamp, make_light, make_sign
from frugalseg.data.toycity.look import Look
from frugalseg.data.toycity.people import Figure, make_cyclist, make_walker
from frugalseg.data.toycity.plants import Plant, make_hedge, make_thicket, make_tree
from frugalseg.data.toycity.section import Section, asphalt, make_section, zebra
from frugalseg.data.toycity.sky import make_hills, make_skyline
from frugalseg.data.toycity.texture import Texture

_HOUSES, _TREES, _CARS, _WALKERS, _CYCLISTS, _SECTIONS = 14, 7, 12, 14, 5, 4


@dataclass(frozen=True, eq=False)
class Assets:
    """What a street can be furnished with. `zebras` belong to `sections` one by one."""

    houses: tuple[House, ...]
    trees: tuple[Plant, ...]
    thickets: tuple[Texture, ...]
    hedge: Texture
    cars: tuple[Car, ...]
    walkers: tuple[Figure, ...]
    crossers: tuple[Figure, ...]
    cyclists: tuple[Figure, ...]
    lamps: tuple[Furniture, Furniture]  # on the left, on the right
    signs: tuple[Furniture, ...]
    lights: tuple[Furniture, ...]
    fences: tuple[tuple[Texture, float], ...]
    sections: tuple[Section, ...]
    zebras: tuple[Texture, ...]
    asphalt: Texture
    hills: Texture
    skyline: Texture


@lru_cache(maxsize=4)
def make_assets(look: Look, seed: int) -> Assets:
    """Draw everything for `look`; the same seed gives the same pictures."""

    def rng(kind: str, number: int = 0) -> np.random.Generator:
        return generator(seed, "toycity", look.name, kind, number)

    palette = look.palette
    sections = tuple(make_section(rng("section", number), look, number) for number in range(_SECTIONS))
    return Assets(
        houses=tuple(make_house(rng("house", number), palette, look.layout.floors) for number in range(_HOUSES)),
        trees=tuple(make_tree(rng("tree", number), palette) for number in range(_TREES)),
        thickets=tuple(make_thicket(rng("thicket", number), palette) for number in range(2)),
        hedge=make_hedge(rng("hedge"), palette),
        cars=tuple(make_car(rng("car", number), palette) for number in range(_CARS)),
        walkers=tuple(make_walker(rng("walker", number), palette, sideways=False) for number in range(_WALKERS)),
        crossers=tuple(make_walker(rng("crosser", number), palette, sideways=True) for number in range(_WALKERS // 2)),
        cyclists=tuple(make_cyclist(rng("cyclist", number), palette) for number in range(_CYCLISTS)),
        lamps=(make_lamp(rng("lamp"), palette, 1), make_lamp(rng("lamp"), palette, -1)),
        signs=tuple(make_sign(rng("sign", number), palette) for number in range(6)),
        lights=tuple(make_light(rng("light", number), palette) for number in range(3)),
        fences=tuple(make_fence(rng("fence", number), style) for number, style in enumerate(palette.fences)),
        sections=sections,
        zebras=tuple(Texture(zebra(rng("zebra", n), look, s.half_road_m)) for n, s in enumerate(sections)),
        asphalt=Texture(asphalt(rng("asphalt"), look, (160, 320))),
        hills=make_hills(rng("hills"), palette),
        skyline=make_skyline(rng("skyline"), palette),
    )
