"""Cars: a lower body and a cabin that narrows towards the roof, each face a drawn picture.

Car axes: x right, y up, z forward; the origin is on the ground below the middle. Length unit: metre.
"""

from dataclasses import dataclass

import numpy as np

from frugalseg.core.choose import choose
from frugalseg.data.toycity.camera import Matrices, plane
from frugalseg.data.toycity.look import Palette
from frugalseg.data.toycity.texture import Colour, Picture, Texture, box, canvas, ellipse, mix, pick, polygon, scaled

_TEXELS_PER_M = 36
_GLASS: Colour = (34, 42, 52)
_TYRE: Colour = (24, 24, 26)
_CLEARANCE_M = 0.22
_ROOF_WIDTH = 0.82  # of the width at the belt line


@dataclass(frozen=True)
class Body:
    """A car's outline from the side: heights of belt line, bonnet and roof; where the cabin's corners are along z."""

    length: float
    width: float
    belt: float
    bonnet: float
    roof: float
    rear_belt: float
    rear_roof: float
    front_roof: float
    front_belt: float


BODIES = {
    "hatch": Body(3.9, 1.74, 0.93, 0.76, 1.50, -1.90, -1.50, 0.30, 1.05),
    "saloon": Body(4.6, 1.80, 0.91, 0.74, 1.43, -1.60, -0.95, 0.40, 1.20),
    "estate": Body(4.5, 1.78, 0.93, 0.76, 1.48, -2.22, -1.85, 0.35, 1.15),
    "van": Body(4.9, 1.96, 1.16, 0.96, 2.10, -2.42, -2.36, 1.05, 1.85),
}


@dataclass(frozen=True, eq=False)
class Car:
    """A car's faces in the order of drawing."""

    faces: tuple[Texture, ...]
    planes_N33: Matrices
    length_m: float
    width_m: float
    height_m: float


def make_car(rng: np.random.Generator, palette: Palette) -> Car:
    """Draw one car of a random body and colour of `palette`."""
    shape = str(rng.choice(palette.bodies))
    body = choose("car body", shape, BODIES)
    paint = pick(rng, palette.cars, 10)
    panelled = shape == "van" and rng.random() < 0.7
    faces = [*_lower(body, paint), *_tops(body, paint), *_cabin(body, paint, panelled)]
    textures, planes = zip(*((Texture(picture), matrix) for picture, matrix in faces), strict=True)
    return Car(textures, np.stack(planes), body.length, body.width, body.roof)


def _sheet(width_m: float, height_m: float, colour: Colour, opacity: float = 255.0) -> Picture:
    size_HW = (max(4, round(height_m * _TEXELS_PER_M)), max(4, round(width_m * _TEXELS_PER_M)))
    return canvas(size_HW, colour, opacity)


def _lower(body: Body, paint: Colour) -> list[tuple[Picture, Matrices]]:
    half, end = body.width / 2, body.length / 2
    side = _side(body, paint)
    return [
        (_end(body, paint, front=False), plane((-half, body.belt, -end), (body.width, 0, 0), (0, -body.belt, 0))),
        (_end(body, paint, front=True), plane((half, body.bonnet, end), (-body.width, 0, 0), (0, -body.bonnet, 0))),
        (side, plane((half, body.belt, -end), (0, 0, body.length), (0, -body.belt, 0))),
        (side[:, ::-1], plane((-half, body.belt, end), (0, 0, -body.length), (0, -body.belt, 0))),
    ]


def _end(body: Body, paint: Colour, front: bool) -> Picture:
    """Front or back: lights, grille or plate, bumper, tyres below."""
    high = body.bonnet if front else body.belt
    picture = _sheet(body.width, high, paint)
    height, width = picture.shape[:2]
    bumper, ground = height - 0.48 * _TEXELS_PER_M, height - _CLEARANCE_M * _TEXELS_PER_M
    box(picture, 0, bumper, width, ground, scaled(paint, 0.72))
    box(picture, 0, bumper - 1, width, bumper, scaled(paint, 0.5))
    box(picture, 0, ground, width, height, (18, 18, 20))
    box(picture, 0, ground, 8, height, _TYRE)
    box(picture, width - 8, ground, width, height, _TYRE)
    lamp = (246, 244, 226) if front else (206, 34, 30)
    for left in (1, width - 13):
        box(picture, left, bumper - 13, left + 12, bumper - 4, lamp)
    if front:
        box(picture, 16, bumper - 11, width - 16, bumper - 3, (30, 30, 34))
    plate: Colour = (238, 236, 228) if front else (240, 206, 70)
    box(picture, width / 2 - 9, bumper + 2, width / 2 + 9, bumper + 7, plate)
    box(picture, 0, 0, width, 2, scaled(paint, 1.25))
    return picture


def _side(body: Body, paint: Colour) -> Picture:
    """The right side below the belt line: front is to the right; the ground shows between the wheels."""
    picture = _sheet(body.length, body.belt, paint, 0)
    height, width = picture.shape[:2]
    sill = height - _CLEARANCE_M * _TEXELS_PER_M
    cabin_end = (body.front_belt + body.length / 2) * _TEXELS_PER_M
    nose = height - body.bonnet * _TEXELS_PER_M
    polygon(picture, [(0, 0), (cabin_end, 0), (width, nose), (width, sill), (0, sill)], paint)
    solid = picture[..., 3].copy()
    box(picture, 0, 0, width, 2, scaled(paint, 1.3))
    box(picture, 0, sill - 6, width, sill, scaled(paint, 0.6))
    box(picture, 0, height * 0.42, width, height * 0.42 + 1, scaled(paint, 0.8))
    for share in (0.47, 0.66):
        box(picture, width * share, 3, width * share + 1, sill - 6, scaled(paint, 0.6))
    picture[..., 3] = solid
    radius = 0.33 * _TEXELS_PER_M
    for share in (0.18, 0.81):
        centre = (width * share, height - radius)
        ellipse(picture, (centre[0], centre[1] - 1), (radius + 3, radius + 3), (20, 20, 22))
        ellipse(picture, centre, (radius, radius), _TYRE)
        ellipse(picture, centre, (radius * 0.58, radius * 0.58), (150, 152, 156))
        ellipse(picture, centre, (radius * 0.2, radius * 0.2), (70, 72, 76))
    return picture


def _tops(body: Body, paint: Colour) -> list[tuple[Picture, Matrices]]:
    """Bonnet and boot lid."""
    half, end = body.width / 2, body.length / 2
    bonnet = _sheet(body.width, end - body.front_belt, scaled(paint, 1.05))
    box(bonnet, bonnet.shape[1] * 0.3, 0, bonnet.shape[1] * 0.36, bonnet.shape[0], scaled(paint, 1.2))
    boot = _sheet(body.width, max(0.1, end + body.rear_belt), scaled(paint, 1.05))
    return [
        (
            bonnet,
            plane((-half, body.bonnet, end), (body.width, 0, 0), (0, body.belt - body.bonnet, body.front_belt - end)),
        ),
        (
            boot,
            plane((-half, body.belt, body.rear_belt), (body.width, 0, 0), (0, 0, min(-0.01, -end - body.rear_belt))),
        ),
    ]


def _cabin(body: Body, paint: Colour, panelled: bool) -> list[tuple[Picture, Matrices]]:
    """Wind-screen, rear window, the sides' windows and the roof."""
    belt = body.width / 2 * 0.98
    roof = belt * _ROOF_WIDTH
    drop = body.belt - body.roof
    span = body.front_belt - body.rear_belt
    side = _windows(body, paint, panelled)
    top = _sheet(2 * roof, body.front_roof - body.rear_roof, scaled(paint, 1.08))
    return [
        (
            _screen(body, paint, False),
            plane((belt, body.roof, body.front_roof), (-2 * belt, 0, 0), (0, drop, body.front_belt - body.front_roof)),
        ),
        (
            _screen(body, paint, panelled),
            plane((-belt, body.roof, body.rear_roof), (2 * belt, 0, 0), (0, drop, body.rear_belt - body.rear_roof)),
        ),
        (side, plane((roof, body.roof, body.rear_belt), (0, 0, span), (belt - roof, drop, 0))),
        (side[:, ::-1], plane((-roof, body.roof, body.front_belt), (0, 0, -span), (roof - belt, drop, 0))),
        (top, plane((-roof, body.roof, body.front_roof), (2 * roof, 0, 0), (0, 0, body.rear_roof - body.front_roof))),
    ]


def _screen(body: Body, paint: Colour, panelled: bool) -> Picture:
    picture = _sheet(body.width, body.roof - body.belt, paint, 0)
    height, width = picture.shape[:2]
    inset = width * (1 - _ROOF_WIDTH) / 2
    polygon(picture, [(inset, -1), (width - inset, -1), (width, height), (0, height)], paint)
    if panelled:
        box(picture, width / 2 - 1, 0, width / 2 + 1, height, scaled(paint, 0.5))
        return picture
    solid = picture[..., 3].copy()
    glass = [(inset + 3, 3), (width - inset - 3, 3), (width - 5, height - 2), (5, height - 2)]
    polygon(picture, glass, _GLASS)
    polygon(
        picture,
        [glass[0], glass[1], (width - inset - 8, height * 0.45), (inset, height * 0.3)],
        mix(_GLASS, (170, 190, 206), 0.45),
    )
    picture[..., 3] = solid
    return picture


def _windows(body: Body, paint: Colour, panelled: bool) -> Picture:
    """The cabin's right side; front is to the right."""
    span = body.front_belt - body.rear_belt
    picture = _sheet(span, body.roof - body.belt, paint, 0)
    height, width = picture.shape[:2]
    back = (body.rear_roof - body.rear_belt) / span * width
    front = (body.front_roof - body.rear_belt) / span * width
    polygon(picture, [(back, -1), (front, -1), (width, height), (0, height)], paint)
    solid = picture[..., 3].copy()
    start = (front * 0.68, front * 0.6) if panelled else (back + 3, 6.0)
    polygon(picture, [(start[0], 4), (front - 2, 4), (width - 8, height - 1), (start[1], height - 1)], _GLASS)
    polygon(
        picture,
        [(start[0], 4), (front - 2, 4), (front, height * 0.35), (start[0], height * 0.35)],
        mix(_GLASS, (170, 190, 206), 0.4),
    )
    if not panelled:
        for share in (0.36, 0.64):
            box(picture, width * share - 1.5, 0, width * share + 1.5, height, scaled(paint, 0.7))
    picture[..., 3] = solid
    return picture
