"""nthu: the NTHU cross-city set (Chen et al., ICCV 2017) of Rio, Rome, Taipei and Tokyo, 13 classes.

    PATH/CITY/Images/Train/pano_00001_0_0.png …            about 3,200 a city, without labels
    PATH/CITY/Images/Test/pano_00002_2_180.png             100 a city
    PATH/CITY/Labels/Test/pano_00002_2_180_eval.png        Cityscapes' labelIds

    nthu:PATH?split=train|test&cities=Rio,Rome&fold=0&part=train|test&labels=labelIds|trainIds|none

* split: `test` (default) are the 100 labelled images a city, `train` the unlabelled ones.
* cities: only these; PATH may also be one city's folder.
* fold, part: the protocol of Chen et al. and CBST (Zou et al., ECCV 2018, section 5.1) with a city's 100 labelled
  images: ten folds, each time 90 images to adapt on (`part=train`, as if unlabelled) and 10 to score (`part=test`).
  The papers do not publish their folds. Ours: a city's images in the order of their names, cut into ten runs of equal
  length, so that views of one place stay together; fold 0 is the first.
* labels: `trainIds` where the files were converted; `none` leaves them away.

Classes are nthu13, whose aliases are CBST's merges: pole, fence and wall are building, truck is car, terrain is
vegetation. Sequence: city and panorama, index: view and heading in one number.
"""

import re
from pathlib import Path

from frugalseg.core.errors import ReaderError
from frugalseg.core.records import Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, Listing, list_files
from frugalseg.data.pairing import COMMON, Found, Pair, build, list_labels
from frugalseg.data.spec_options import choice, folder_of

OPTIONS = ("split", "cities", "fold", "part", "labels", *COMMON)
TREE = (
    "  PATH/Rio/Images/Train/pano_00001_0_0.png\n  PATH/Rio/Images/Test/pano_00002_2_180.png\n"
    "  PATH/Rio/Labels/Test/pano_00002_2_180_eval.png\nand the same for Rome, Taipei, Tokyo"
)
CITIES = ("Rio", "Rome", "Taipei", "Tokyo")
CLASSES = {"labelIds": "nthu13", "trainIds": "nthu13_train_ids", "none": "nthu13"}
FOLDS = 10
HEADINGS = 360
_KEY = re.compile(r"(.+/pano_[0-9]+)_([0-9]{1,9})_([0-9]{1,9})")


def read(spec: Spec) -> Manifest:
    """Return the manifest of one or several cities.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    split = choice(spec, "split", ("train", "test"), "test")
    labels = choice(spec, "labels", CLASSES, "labelIds")
    fold, part = _fold(spec, split)
    found = Found(TREE)
    for city in _cities(spec):
        folder_of(spec, f"Images/{split.title()}", TREE, city)
        images = list_files(city / "Images" / split.title(), IMAGE_SUFFIXES)
        at_labels = city / "Labels" / split.title()
        masks = list_labels(spec, at_labels, "_eval", others=True) if split == "test" else Listing(at_labels)
        found.add(images, masks, split, f"{city.absolute().name}/", placed=_placed)
    if fold is not None:
        found.pairs = _of_fold(found.pairs, int(fold), part)
    found.only(spec, "cities", lambda pair: pair.key.partition("/")[0])
    return build(spec, found, class_sets.load(CLASSES[labels]))


def _cities(spec: Spec) -> list[Path]:
    root = Path(spec.path)
    if (root / "Images").is_dir():
        return [root]
    there = [root / city for city in CITIES if (root / city / "Images").is_dir()]
    if not there:
        folder_of(spec, "Images", TREE)
    return there


def _placed(key: str) -> tuple[str, int]:
    match = _KEY.fullmatch(key)
    return (match[1], int(match[2]) * HEADINGS + int(match[3])) if match else (key, 0)


def _fold(spec: Spec, split: str) -> tuple[str | None, str | None]:
    fold, part = spec.options.get("fold"), spec.options.get("part")
    if fold is None and part is None:
        return None, None
    if (fold or "") not in map(str, range(FOLDS)) or part not in ("train", "test") or split != "test":
        raise ReaderError(
            f"SPEC {spec}: the ten-fold protocol needs fold=0…9 and part=train or part=test, and is of split=test."
        )
    return fold, part


def _of_fold(pairs: list[Pair], fold: int, part: str | None) -> list[Pair]:
    """Return each city's pairs of one fold (`part` test), or all others (train)."""
    by_city: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: pair.key):
        by_city.setdefault(pair.key.partition("/")[0], []).append(pair)
    return [
        pair
        for city in by_city.values()
        for place, pair in enumerate(city)
        if (place * FOLDS // len(city) == fold) == (part == "test")
    ]
