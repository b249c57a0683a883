"""What is in a house's front: windows, doors, shops, in six styles, drawn at `TEXELS_PER_M`."""

import numpy as np

from frugalseg.data.toycity.texture import Colour, Picture, box, mix, pick, polygon, scaled

TEXELS_PER_M = 20
STOREY_M = 3.1
_GLASS: Colour = (58, 70, 84)
_SKY_IN_GLASS: Colour = (150, 176, 204)
_TRIM: Colour = (232, 228, 216)


def _glass(picture: Picture, rng: np.random.Generator, left: float, top: float, right: float, bottom: float) -> None:
    """A pane: the room is dark, the upper part mirrors the sky; some have curtains."""
    rows = max(1, round(bottom) - round(top))
    bright = float(rng.uniform(0.1, 0.75))
    for row in range(rows):
        share = bright * max(0.0, 1 - 1.3 * row / rows)
        box(picture, left, round(top) + row, right, round(top) + row + 1, mix(_GLASS, _SKY_IN_GLASS, share))
    if rng.random() < 0.3:
        curtain = mix((208, 200, 186), _GLASS, 0.3)
        box(picture, left, top, left + 0.28 * (right - left), bottom, curtain)
        box(picture, right - 0.28 * (right - left), top, right, bottom, curtain)


def _window(
    picture: Picture, rng: np.random.Generator, centre: float, bottom: float, size_m: tuple[float, float], trim: Colour
) -> None:
    """A framed window with reveal, cross bars and sill."""
    half, high = size_m[0] * TEXELS_PER_M / 2, size_m[1] * TEXELS_PER_M
    left, right, top = centre - half, centre + half, bottom - high
    box(picture, left - 2, top - 2, right + 2, bottom + 1, trim)
    _glass(picture, rng, left, top, right, bottom)
    box(picture, left, top, right, top + 2, scaled(_GLASS, 0.6))
    box(picture, centre - 1, top, centre + 1, bottom, trim)
    box(picture, left, (top + bottom) / 2 - 1, right, (top + bottom) / 2 + 1, trim)
    box(picture, left - 4, bottom + 1, right + 4, bottom + 4, trim)
    box(picture, left - 4, bottom + 4, right + 4, bottom + 6, scaled(trim, 0.45))


def side_windows(picture: Picture, rng: np.random.Generator, storeys: int) -> None:
    """Put a few windows into a side wall."""
    height, width = picture.shape[:2]
    for storey in range(storeys):
        bottom = height - (storey * STOREY_M + 1.0) * TEXELS_PER_M
        for share in (0.3, 0.7):
            if rng.random() < 0.55:
                _window(picture, rng, share * width, bottom, (1.0, 1.3), _TRIM)


def _rows(picture: Picture, columns: int, storeys: int, first: int = 0) -> list[tuple[float, float]]:
    """Return (centre, sill) in pixels of each window of a regular grid, storeys counted from the ground."""
    height, width = picture.shape[:2]
    return [
        ((column + 0.5) * width / columns, height - (storey * STOREY_M + 0.95) * TEXELS_PER_M)
        for storey in range(first, storeys)
        for column in range(columns)
    ]


def _terrace(picture: Picture, rng: np.random.Generator, wall: Colour, columns: int, storeys: int) -> None:
    """Sash windows above a shop or a door."""
    trim = pick(rng, [_TRIM, (214, 206, 190), (90, 84, 80)], 8)
    for centre, sill in _rows(picture, columns, storeys, first=1):
        box(picture, centre - 15, sill - 35, centre + 15, sill - 29, mix(wall, _TRIM, 0.55))
        _window(picture, rng, centre, sill, (1.1, 1.5), trim)
    height, width = picture.shape[:2]
    box(picture, 0, 0, width, 6, mix(wall, _TRIM, 0.5))
    box(picture, 0, 6, width, 9, scaled(wall, 0.55))
    if rng.random() < 0.55:
        _shop(picture, rng)
        return
    for centre, sill in _rows(picture, columns, 1)[1:]:
        _window(picture, rng, centre, sill, (1.2, 1.5), trim)
    door = pick(rng, [(46, 66, 58), (96, 34, 34), (36, 46, 74), (40, 40, 42)], 10)
    box(picture, width / columns / 2 - 13, height - 50, width / columns / 2 + 13, height, trim)
    box(picture, width / columns / 2 - 10, height - 46, width / columns / 2 + 10, height, door)


def _shop(picture: Picture, rng: np.random.Generator) -> None:
    """A shop: stall riser, display windows, fascia with lettering, now and then an awning."""
    height, width = picture.shape[:2]
    paint = pick(rng, [(34, 62, 92), (118, 32, 36), (38, 82, 60), (196, 148, 52), (52, 48, 50), (206, 202, 190)], 14)
    box(picture, 0, height - 62, width, height, scaled(paint, 0.8))
    panes = max(2, round(width / 42))
    for pane in range(panes):
        left, right = (pane + 0.07) * width / panes, (pane + 0.93) * width / panes
        _glass(picture, rng, left, height - 46, right, height - 10)
        for _ in range(5):
            x, y = rng.uniform(left, right - 5), rng.uniform(height - 30, height - 13)
            box(
                picture,
                x,
                y,
                x + rng.uniform(2, 6),
                height - 10,
                pick(rng, [(214, 190, 130), (150, 62, 52), (98, 120, 140)], 30),
            )
    box(picture, 0, height - 62, width, height - 48, paint)
    ink = (240, 236, 220) if sum(paint) < 420 else (40, 36, 36)
    x = width * 0.2
    while x < width * 0.75:
        step = float(rng.uniform(3, 7))
        box(picture, x, height - 58 + rng.integers(0, 2), x + step - 1.5, height - 52, ink)
        x += step
    if rng.random() < 0.35:
        stripe = pick(rng, [(150, 42, 40), (44, 84, 66), (190, 170, 120)], 10)
        for left in range(0, width, 12):
            box(picture, left, height - 49, left + 6, height - 41, stripe)
            box(picture, left + 6, height - 49, left + 12, height - 41, (226, 220, 206))


def _concrete(picture: Picture, rng: np.random.Generator, wall: Colour, columns: int, storeys: int) -> None:
    """Sixties: continuous windows between exposed slabs."""
    height, width = picture.shape[:2]
    for storey in range(storeys):
        sill = height - (storey * STOREY_M + 1.0) * TEXELS_PER_M
        panes = columns * 2
        for pane in range(panes):
            _glass(picture, rng, pane * width / panes + 1.5, sill - 28, (pane + 1) * width / panes - 1.5, sill)
        box(picture, 0, sill + 1, width, sill + 3, scaled(wall, 0.5))
        box(picture, 0, sill - 32, width, sill - 28, scaled(wall, 1.15))
    for column in range(0, columns + 1, 2):
        box(picture, column * width / columns - 4, 0, column * width / columns + 4, height, scaled(wall, 0.9))


def _tower(picture: Picture, rng: np.random.Generator, wall: Colour, columns: int, storeys: int) -> None:
    """A clean curtain wall: glass panes in a grid."""
    height, width = picture.shape[:2]
    panes = columns * 2
    glass: Colour = pick(rng, [(86, 146, 196), (96, 168, 178), (74, 118, 178)], 6)
    for storey in range(storeys):
        bottom = height - storey * STOREY_M * TEXELS_PER_M - 8
        for pane in range(panes):
            tone = mix(glass, (206, 230, 246), float(rng.uniform(0, 0.35)))
            left, right = pane * width / panes + 2, (pane + 1) * width / panes - 2
            box(picture, left, bottom - 50, right, bottom, tone)
            polygon(
                picture,
                [(left, bottom - 50), ((left + right) / 2, bottom - 50), (left, bottom - 20)],
                scaled(tone, 1.12),
            )


def _block(picture: Picture, rng: np.random.Generator, wall: Colour, columns: int, storeys: int) -> None:
    """Flat colour with plain square windows."""
    height, width = picture.shape[:2]
    for centre, sill in _rows(picture, columns, storeys):
        box(picture, centre - 15, sill - 33, centre + 15, sill + 2, (240, 240, 240))
        box(
            picture,
            centre - 13,
            sill - 31,
            centre + 13,
            sill,
            mix((70, 110, 160), (150, 190, 230), float(rng.uniform(0, 0.6))),
        )
    box(picture, 0, 0, width, 8, scaled(wall, 0.8))


def _bands(picture: Picture, rng: np.random.Generator, wall: Colour, columns: int, storeys: int) -> None:
    """Ribbon windows and coloured parapets."""
    height, width = picture.shape[:2]
    accent = mix(wall, (250, 250, 250), 0.5)
    for storey in range(storeys):
        sill = height - (storey * STOREY_M + 1.0) * TEXELS_PER_M
        box(picture, 0, sill - 30, width, sill, (64, 100, 146))
        box(picture, 0, sill - 30, width, sill - 20, (112, 156, 204))
        box(picture, 0, sill, width, sill + 6, accent)
        for column in range(columns):
            box(picture, column * width / columns - 1, sill - 30, column * width / columns + 1, sill, accent)


STYLES = {
    "brick": _terrace,
    "stucco": _terrace,
    "concrete": _concrete,
    "tower": _tower,
    "block": _block,
    "bands": _bands,
}
