"""Pixels to calibrate confidence on: labelled frames whose label is made as if they had none.

Two ways, both without any extra label. Another labelled frame's label is carried to the frame, as for any frame between
them. Or its own label goes l frames away and comes back, on flows of their own: what comes back has gone 2 l steps and
is wrong in the ways that a label carried as far is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.propagation.chain import Reached, nearest
from frugalseg.propagation.confidence import Examples, pixel_features
from frugalseg.propagation.fuse import fuse
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.spread import SpreadConfig, Spreader, Tools

Label = NDArray[np.uint8]
PIXELS = 4000  # of a frame and way


def examples(
    pictures: Sequence[Picture],
    labels: Mapping[int, Label],
    number: int,
    tools: Tools,
    config: SpreadConfig,
    seed: int = 0,
) -> Iterator[Examples]:
    """Yield pixels of one labelled frame.

    Args:
        pictures: Consecutive frames of one track around it.
        labels: The labels among them, by place.
        number: Its place.
        tools: What labels are made with.
        config: How, how far, and from how many labelled frames.
        seed: Of the cycles' lengths and sides.
    """
    truth_HW, picture, spreader = labels[number], pictures[number], Spreader(tools, config)
    others = [_from_other(pictures, labels, number, side, spreader, config.reach) for side in (-1, 1)]
    sides = [there for there in others if there is not None]
    ways = [(sides[: config.anchors], False)] if sides else []
    rng = generator(seed, "calibrate", picture.key)
    for side in (-1, 1):
        room = number if side < 0 else len(pictures) - 1 - number
        if most := min(room, max(1, config.reach // 2)):
            length = int(rng.integers(1, most + 1))
            back = _there_and_back(pictures, truth_HW, number, side, length, spreader, tools.classes)
            other = sides[:1] if config.anchors == 2 else []
            ways.append(([back, *other], True))
    for count, (reached, returned) in enumerate(ways):
        label_HW, _, warps = spreader.label(picture, reached, reached[0])
        features_FHW = pixel_features(label_HW, warps, nearest(reached), returned)
        yield Examples.of(f"{picture.key} {count}", features_FHW, label_HW, truth_HW, PIXELS)


def _from_other(
    pictures: Sequence[Picture], labels: Mapping[int, Label], number: int, side: int, spreader: Spreader, reach: int
) -> Reached | None:
    """Return the label of the nearest labelled frame to one side, carried here; None if none is within reach."""
    places = [place for place in labels if 0 < (place - number) * side <= reach]
    if not places:
        return None
    other = min(places, key=lambda place: abs(place - number))
    return spreader.bring(pictures, labels[other], other, number)


def _there_and_back(
    pictures: Sequence[Picture],
    label_HW: Label,
    number: int,
    side: int,
    length: int,
    spreader: Spreader,
    classes: int,
) -> Reached:
    """Return the frame's own label after `length` steps away and back."""
    away = number + side * length
    there = spreader.bring(pictures, label_HW, number, away)
    carried_HW = fuse([there.warp()], classes).label_HW
    back = spreader.bring(pictures, carried_HW, away, number)
    return replace(back, steps=2 * length)
