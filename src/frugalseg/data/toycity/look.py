"""What makes up a look of the toy city: camera, lens, weather, layout and colours. Pairs are (lowest, highest)."""

from dataclasses import dataclass

from frugalseg.data.toycity.texture import Colour

Range = tuple[float, float]


@dataclass(frozen=True)
class Optics:
    """The camera: drawn once a sequence, except `bounce_deg`, which shakes every frame."""

    view_deg: Range  # horizontal field of view
    height_m: Range
    pitch_deg: Range  # up is positive
    yaw_deg: Range
    bounce_deg: float
    speed_mps: Range
    frames_per_s: float


@dataclass(frozen=True)
class Finish:
    """What lens and sensor do to the picture."""

    saturation: float
    contrast: float
    warmth: Range  # white balance: red up and blue down by this share
    exposure: Range
    blur_px: Range  # at 180 rows
    noise: Range  # standard deviation, of 255
    vignette: float  # how much darker the corners are


@dataclass(frozen=True)
class Weather:
    """Light and air. Colours are gains on the surfaces' own colours, or 0-255 where they are seen directly."""

    name: str
    sun_elevation_deg: Range
    sun_azimuth_deg: Range  # from straight ahead to the right; drawn with either sign
    sun: Colour
    ambient: Colour
    shadow: float  # how much of the light a shadow takes, 0-1
    haze_per_m: Range
    haze: Colour
    sky_top: Colour
    sky_low: Colour
    clouds: float
    wet: float = 0.0


@dataclass(frozen=True)
class Layout:
    """How the street is laid out, in metres; shares and chances are 0-1."""

    drive_on: int  # 1: right-hand traffic, -1: left-hand
    lanes: tuple[int, ...]  # each way
    lane_m: Range
    parking_m: tuple[float, ...]  # width of the strip of parked cars on each side; streets take turns
    pavement_m: Range
    setback_m: Range
    floors: tuple[int, int]
    park_chance: float  # of a lot: trees instead of a building
    fence_chance: float  # of a lot
    kerb_rail_chance: float  # of a block and side: railings at the kerb
    crossing_chance: float  # of a block
    tree_gap_m: Range
    tree_chance: float
    lamp_gap_m: float
    sign_gap_m: float
    bend: float  # largest slope of the street's centre line
    car_gap_m: Range
    car_chance: float
    parked_chance: float
    person_gap_m: Range
    person_chance: float
    cyclist_gap_m: float
    cyclist_chance: float


@dataclass(frozen=True)
class Palette:
    """The things' own colours."""

    facades: tuple[str, ...]  # styles, see facades.py
    walls: tuple[Colour, ...]
    roofs: tuple[Colour, ...]  # empty: flat roofs
    foliage: tuple[Colour, ...]
    crowns: tuple[str, ...]  # shapes, see plants.py
    cars: tuple[Colour, ...]
    bodies: tuple[str, ...]  # shapes, see cars.py
    clothes: tuple[Colour, ...]
    fences: tuple[str, ...]  # styles, see furniture.py
    signs: tuple[str, ...]  # styles, see furniture.py
    poles: tuple[Colour, ...]
    asphalt: Colour
    paving: Colour
    centre_line: Colour
    relief: float  # strength of all surface texture


@dataclass(frozen=True)
class Look:
    """One look of the toy city."""

    name: str
    optics: Optics
    finish: Finish
    weathers: tuple[Weather, ...]
    layout: Layout
    palette: Palette
