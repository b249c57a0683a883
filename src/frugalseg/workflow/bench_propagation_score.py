"""One method of `bench propagation` on one scored part of a video: every case of the protocol walked and counted.

One labelled frame: centres every `spacing` frames, `reach` frames on both sides of each, labels carried there step by
step. Two: the target is a centre, the labelled frames are k before and k after it. All lie in the scored part.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.codec import write_label_png
from frugalseg.core.errors import DataError
from frugalseg.core.table import write_records
from frugalseg.data.halves import Half
from frugalseg.data.pixels import read_frame
from frugalseg.data.sequences import Run
from frugalseg.evaluation.by_distance import Case, by_anchors, centres, one_anchor, two_anchors
from frugalseg.evaluation.carried import CarriedCase, CarriedCounts
from frugalseg.propagation.chain import Anchor, Reached
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.spread import ORIGINS, Spreader
from frugalseg.workflow.propagate_plan import LabelSource

SHOWN, SHOWN_TABLE = "shown", "shown.parquet"  # in a unit's folder: labels kept for the page, and which they are
STRIP, WORST = "strip", "worst"
WORST_KEPT = 3
Label = NDArray[np.uint8]
Kept = TypeVar("Kept")
Labeller = Callable[[Picture, list[Reached], Reached | None], tuple[Label, Label]]  # class ids and origins


@dataclass(frozen=True)
class ShownCase:
    """A label kept for the page, in shown/NUMBER-label.png and -origin.png: why, of which case, its own mIoU."""

    number: int
    kind: str
    target: str
    sources: str
    anchors: int
    k: int
    miou: float


@dataclass(frozen=True)
class Protocol:
    """How far labels are carried, how far centres are apart, how many neighbouring targets make a block."""

    reach: int
    spacing: int
    block_frames: int

    @property
    def strip(self) -> tuple[int, ...]:
        """Distances that the page shows one after the other."""
        wanted = (1, round(self.reach / 3), round(self.reach / 2), self.reach)
        return tuple(sorted({max(1, k) for k in wanted}))


class Stretch:
    """A scored stretch with the pictures and labels around the place of work in memory."""

    def __init__(self, run: Run, source: LabelSource, kept: int) -> None:
        self.frames, self._source, self._kept = run.frames, source, kept
        self._pictures: OrderedDict[int, Picture] = OrderedDict()
        self._labels: OrderedDict[int, Label] = OrderedDict()

    def labelled(self, *places: int) -> bool:
        """Tell whether all these frames have a label."""
        return all(self._source.has(self.frames[place]) for place in places)

    def picture(self, place: int) -> Picture:
        """Return a frame's picture."""
        frame = self.frames[place]
        return _recent(self._pictures, place, self._kept, lambda: Picture(frame.key, read_frame(frame)))

    def label(self, place: int) -> Label:
        """Return a frame's label."""
        return _recent(self._labels, place, self._kept, lambda: self._source.read(self.frames[place]))


@dataclass(frozen=True, eq=False)
class _Made:
    case: CarriedCase
    label_HW: Label
    origin_HW: Label
    miou: float


class Scorer:
    """Walks the cases of one part and counts what a method makes of them."""

    def __init__(self, spreader: Spreader, labeller: Labeller, source: LabelSource, protocol: Protocol) -> None:
        self._spreader, self._labeller, self._source, self._protocol = spreader, labeller, source, protocol

    def run(self, half: Half, part: int, classes: int, folder: Path) -> CarriedCounts:
        """Count all cases of a part; what the page shows of them is written to `folder`.

        Raises:
            DataError: no case has its labels.
        """
        counts, keeper = CarriedCounts(classes, len(ORIGINS)), _Keeper(with_strip=part == 0)
        for number, run in enumerate(half.scored):
            try:
                places = centres(len(run.frames), self._protocol.reach, self._protocol.spacing)
            except DataError:  # too short for any case
                continue
            stretch = Stretch(run, self._source, 3 * self._protocol.reach + 2)
            wanted = {(places[len(places) // 2] + k, 1, k) for k in self._protocol.strip}
            for made, case in self._cases(stretch, f"part {part}, stretch {number}", counts):
                keeper.see(made, (case.target, len(case.anchors), case.k) in wanted)
        if not counts.cases:
            frames = [len(run.frames) for run in half.scored]
            raise DataError(
                f"part {part} of the video has stretches of {frames} frames, and none has a labelled frame with "
                f"another one {self._protocol.reach} frames or less away and as many frames on both sides. Score fewer "
                "frames away (--set reach=N), cut it into fewer parts, or give more labels."
            )
        keeper.save(folder)
        return counts

    def _cases(self, stretch: Stretch, name: str, counts: CarriedCounts) -> Iterator[tuple[_Made, Case]]:
        for case, reached, before in self._reached(stretch):
            keys = [stretch.frames[place].key for place in case.anchors]
            block = f"{name}, block {case.target // self._protocol.block_frames:04}"
            named = CarriedCase(stretch.frames[case.target].key, " ".join(keys), len(keys), case.k, block)
            label_HW, origin_HW = self._labeller(stretch.picture(case.target), reached, before)
            miou = counts.add(named, stretch.label(case.target), label_HW, origin_HW)
            yield _Made(named, label_HW, origin_HW, miou), case

    def _reached(self, stretch: Stretch) -> Iterator[tuple[Case, list[Reached], Reached | None]]:
        """Yield each case whose labels there are, with what its labelled frames give, and the one from before."""
        count, reach, spacing = len(stretch.frames), self._protocol.reach, self._protocol.spacing
        for place, side, cases in by_anchors(one_anchor(count, reach, spacing)):
            if not stretch.labelled(place):
                continue
            walk = self._spreader.walk(Anchor(stretch.picture(place), stretch.label(place)))
            for case in cases:
                walk.advance(stretch.picture(case.target))
                if stretch.labelled(case.target):
                    yield case, [walk.here], walk.here if side > 0 else None
        for case in two_anchors(count, reach, spacing):
            if stretch.labelled(case.target, *case.anchors):
                sides = [self._walked(stretch, place, case.target) for place in case.anchors]
                yield case, sides, sides[0]

    def _walked(self, stretch: Stretch, start: int, end: int) -> Reached:
        walk, side = self._spreader.walk(Anchor(stretch.picture(start), stretch.label(start))), 1 if end > start else -1
        for place in range(start + side, end + side, side):
            walk.advance(stretch.picture(place))
        return walk.here


class _Keeper:
    """The labels that the page shows: those of the strip, and the worst ones, of blocks that differ."""

    def __init__(self, with_strip: bool) -> None:
        self._with_strip = with_strip
        self._strip: dict[int, _Made] = {}
        self._worst: dict[str, _Made] = {}  # by block

    def see(self, made: _Made, in_strip: bool) -> None:
        """Keep a label, or not; of several stretches the first one's strip."""
        if self._with_strip and in_strip:
            self._strip.setdefault(made.case.k, made)
        if np.isnan(made.miou):
            return
        known = self._worst.get(made.case.block)
        if known is None or made.miou < known.miou:
            self._worst[made.case.block] = made
            if len(self._worst) > WORST_KEPT:
                del self._worst[max(self._worst, key=lambda block: self._worst[block].miou)]

    def save(self, folder: Path) -> None:
        """Write the pictures and which they are."""
        (folder / SHOWN).mkdir(exist_ok=True)
        kept = [(STRIP, self._strip[k]) for k in sorted(self._strip)]
        kept += [(WORST, made) for made in sorted(self._worst.values(), key=lambda made: made.miou)]
        rows = []
        for number, (kind, made) in enumerate(kept):
            case = made.case
            rows.append(ShownCase(number, kind, case.target, case.sources, case.anchors, case.k, made.miou))
            for what, map_HW in (("label", made.label_HW), ("origin", made.origin_HW)):
                write_label_png(folder / SHOWN / f"{number}-{what}.png", map_HW)
        write_records(folder / SHOWN_TABLE, rows, ShownCase)


def _recent(kept: OrderedDict[int, Kept], place: int, most: int, make: Callable[[], Kept]) -> Kept:
    """Return what is kept of a place, or make it; the one that was wanted longest ago gives way."""
    if place not in kept:
        kept[place] = make()
        if len(kept) > most:
            kept.popitem(last=False)
    kept.move_to_end(place)
    return kept[place]
