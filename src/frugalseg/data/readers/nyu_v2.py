"""nyu_v2: NYU Depth V2 (Silberman et al., ECCV 2012): labelled frames, and the video around them.

    PATH/frames/SCENE/r-1294886360.208451-2996770081.png            colour frames of the raw recording (or .jpg)
    PATH/labels/SCENE/r-1294886360.208451-2996770081.png            ids 1-40, 0 is no class
    PATH/train.txt, PATH/test.txt                                   one labelled frame a line (795 and 654)

    nyu_v2:PATH?split=train|test&around=N&rate=2&labels=none

* split: only the labelled frames that the list names, and with `around` their neighbours.
* around: also up to N (1-10) frames before and after each labelled one, at `rate`. Without it only labelled ones.
* rate: frames a second that are taken (default 2): those nearest to each tick, none where the recording has none within
  half a tick.
* labels: `none` leaves the labels away.

The official labelled set is one MATLAB file of version 7.3 (HDF5), nyu_depth_v2_labeled.mat, and the raw recording is
.ppm files; neither is read here. The page on readers has the script that writes this layout from both: `images`,
`labels` (894 ids, merged to 40) and `rawRgbFilenames` are what it reads. Sequence: the scene, index: the place in it;
with `around` the sequence is one labelled frame's, index: ticks from it, and a frame near two belongs to the nearer.
Time: from the file's name.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from frugalseg.core.errors import ReaderError
from frugalseg.core.records import Manifest, Refused
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, LABEL_SUFFIXES, list_files
from frugalseg.data.pairing import COMMON, Found, Pair, build, list_labels
from frugalseg.data.spec_options import choice, folder_of, number, split_list

OPTIONS = ("split", "around", "rate", "labels", *COMMON)
TREE = "  PATH/frames/SCENE/r-1294886360.208451-2996770081.png\n  PATH/labels/SCENE/r-1294886360.208451-2996770081.png"
MOST, RATE_HZ = 10, 2.0
_NAME = re.compile(r"r-([0-9]{1,12}\.[0-9]{1,9})-[0-9]+")


def read(spec: Spec) -> Manifest:
    """Return the manifest of the labelled frames, and of those around them.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    choice(spec, "labels", ("labels", "none"), "labels")
    root, found = folder_of(spec, "frames", TREE), Found(TREE)
    images = list_files(root / "frames", IMAGE_SUFFIXES)
    found.add(images, list_labels(spec, root / "labels"), spec.options.get("split", ""), placed=_scene)
    found.pairs = list(_timed(found))
    anchors = _anchors(spec, root, found)
    count, rate_hz = spec.positive("around") or 0, number(spec, "rate", above_zero=True) or RATE_HZ
    if count > MOST:
        raise ReaderError(f"SPEC {spec}: around must be a number from 1 to {MOST}, got {count}.")
    scenes: dict[str, list[Pair]] = {}
    for pair in found.pairs:
        scenes.setdefault(pair.sequence, []).append(pair)
    found.pairs = []
    for pairs in scenes.values():
        marked = [pair for pair in pairs if pair.key in anchors]
        found.pairs += _near(pairs, marked, count, 1 / rate_hz) if count else marked
    plain = Spec(spec.reader, spec.path, {name: value for name, value in spec.options.items() if name != "split"})
    return build(plain, found, class_sets.load("nyu40"))


def _scene(key: str) -> tuple[str, int]:
    return key.rpartition("/")[0], 0


def _timed(found: Found) -> Iterator[Pair]:
    """Yield the frames in order of time, numbered in their scene, their times after its first; others are refused."""
    first: dict[str, tuple[float, int]] = {}
    for pair in sorted(found.pairs, key=lambda pair: (pair.sequence, pair.image.name)):
        match = _NAME.fullmatch(pair.image.stem)
        if match is None:
            found.refused.append(Refused(str(pair.image), "the name is none of a colour frame, r-SECONDS-TICKS."))
            continue
        begin_s, count = first.get(pair.sequence, (float(match[1]), 0))
        first[pair.sequence] = (begin_s, count + 1)
        yield replace(pair, index=count, time_s=round(float(match[1]) - begin_s, 6))


def _anchors(spec: Spec, root: Path, found: Found) -> set[str]:
    """Return the keys of the labelled frames: those in the list of `split`, else those with a label file."""
    if "split" not in spec.options:
        return set(list_files(root / "labels", LABEL_SUFFIXES).files) if (root / "labels").is_dir() else set()
    path = Path(split_list(Spec(spec.reader, spec.path, {"split": spec.options["split"]}), root).options["list"])
    called = {pair.image.stem: pair.key for pair in found.pairs} | {pair.key: pair.key for pair in found.pairs}
    names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    found.refused += [
        Refused(name, f"listed in {path}, but there is no such image.") for name in names if name not in called
    ]
    return {called[name] for name in names if name in called}


def _near(pairs: list[Pair], anchors: list[Pair], count: int, tick_s: float) -> Iterator[Pair]:
    """Yield each anchor of a scene with the frames nearest to the ticks before and after it, each frame once."""
    times = [pair.time_s or 0.0 for pair in pairs]
    best: dict[str, tuple[float, Pair]] = {}
    for anchor in anchors:
        for tick in range(-count, count + 1):
            wanted_s = (anchor.time_s or 0.0) + tick * tick_s
            at = bisect_left(times, wanted_s)
            nearest = min(range(max(0, at - 1), min(len(pairs), at + 1)), key=lambda i: abs(times[i] - wanted_s))
            off_s, away_s = abs(times[nearest] - wanted_s), abs(times[nearest] - (anchor.time_s or 0.0))
            pair = replace(pairs[nearest], sequence=f"{anchor.sequence}/{anchor.image.stem}", index=tick)
            if off_s <= tick_s / 2 and (pair.key not in best or away_s < best[pair.key][0]):
                best[pair.key] = (away_s, pair)
    yield from (pair for _, pair in best.values())
