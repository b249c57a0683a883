"""apolloscape: ApolloScape's scene parsing (Wang et al., TPAMI 2019), every frame labelled, as one road unpacks.

    PATH/ColorImage/Record001/Camera 5/170908_061502408_Camera_5.jpg
    PATH/Label/Record001/Camera 5/170908_061502408_Camera_5_bin.png            raw ids (0-168, 255)

    apolloscape:PATH?cameras=5,6&records=Record001,Record002&partition=21&split=NAME&labels=none

* cameras: only these (default: all). The two look ahead side by side.
* records: only these recordings.
* partition: cut each recording into parts of so many frames (an odd number; papers: 21) of which only the one in the
  middle keeps its label; the others are for labels to be carried to. What is left over at the end is left out. Give the
  same without `partition` as validation, and the carried labels are scored.
* split: what to call it, or where PATH/SPLIT.txt lists one frame's name a line, only those.
* labels: `none` leaves the labels away.

PATH may also be the folder above, with roads (road01_ins …) in it. Sequence: recording and camera (with `partition` and
the part's number), index: the place in the recording, time: from the file's name (day_HHMMSSmmm).
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from frugalseg.core.errors import ReaderError
from frugalseg.core.records import Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, list_files
from frugalseg.data.pairing import COMMON, Found, Pair, build, list_labels
from frugalseg.data.spec_options import choice, folder_of, split_list

OPTIONS = ("cameras", "records", "partition", "split", "labels", *COMMON)
TREE = (
    "  PATH/ColorImage/Record001/Camera 5/170908_061502408_Camera_5.jpg\n"
    "  PATH/Label/Record001/Camera 5/170908_061502408_Camera_5_bin.png"
)
_TIME = re.compile(r"[0-9]+_([0-9]{2})([0-9]{2})([0-9]{5})_.*")


def read(spec: Spec) -> Manifest:
    """Return the manifest of one or several roads.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    choice(spec, "labels", ("labels", "none"), "labels")
    root, found = Path(spec.path), Found(TREE)
    roads = [road.parent for road in sorted(root.glob("*/ColorImage"))] if not (root / "ColorImage").is_dir() else []
    for road in roads or [folder_of(spec, "ColorImage", TREE)]:
        images = list_files(road / "ColorImage", IMAGE_SUFFIXES)
        labels = list_labels(spec, road / "Label", "_bin", others=True)
        prefix = f"{road.name}/" if roads else ""
        found.add(images, labels, spec.options.get("split", ""), prefix, placed=lambda key: (key.rpartition("/")[0], 0))
    found.only(spec, "cameras", lambda pair: pair.image.parent.name.removeprefix("Camera "))
    found.only(spec, "records", lambda pair: pair.image.parent.parent.name)
    found.pairs = list(_in_time(found.pairs))
    if (size := spec.positive("partition")) is not None:
        if size % 2 == 0:
            raise ReaderError(f"SPEC {spec}: partition must be odd, so that one frame is in the middle, got {size}.")
        found.pairs = list(_parts(found.pairs, size))
    listed = split_list(spec, root) if (root / f"{spec.options.get('split', '')}.txt").is_file() else spec
    return build(listed, found, class_sets.load("apolloscape22"))


def _in_time(pairs: list[Pair]) -> Iterator[Pair]:
    """Number the frames of each recording in order of time, and give them their seconds after its first."""
    first: dict[str, float] = {}
    places: dict[str, int] = {}
    for pair in sorted(pairs, key=lambda pair: (pair.sequence, pair.image.name)):
        match = _TIME.fullmatch(pair.image.name)
        clock_s = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]) / 1000 if match else None
        places[pair.sequence] = places.get(pair.sequence, -1) + 1
        time_s = clock_s - first.setdefault(pair.sequence, clock_s) if clock_s is not None else None
        yield replace(pair, index=places[pair.sequence], time_s=time_s)


def _parts(pairs: list[Pair], size: int) -> Iterator[Pair]:
    whole: dict[str, int] = {}
    for pair in pairs:
        whole[pair.sequence] = (pair.index + 1) // size * size
    for pair in pairs:
        if pair.index < whole[pair.sequence]:
            label = pair.label if pair.index % size == size // 2 else None
            yield replace(pair, sequence=f"{pair.sequence}/part{pair.index // size:04}", label=label)
