"""carla: recordings of the CARLA simulator's RGB and semantic cameras, one or several of them in one folder.

    PATH/CameraRGB/000123.png, PATH/CameraSeg/000123.png          (the Lyft-Udacity challenge, and its mirrors:
    PATH/dataA/CameraRGB/…, PATH/dataA/CameraSeg/…                 any number of recordings, three levels deep)
    PATH/rgb/000123.png, PATH/semantic/000123.png                 (as most recording scripts save)

    carla:PATH?version=0.9.15&labels=FOLDER|none&images=FOLDER&label_kind=red|ids|colors&split=NAME

* version: the CARLA version that recorded the labels; needed where there are labels, since 0.9.14 renumbered the tags
  and nothing in the files tells (before: 7 is road, 9 vegetation; since: 1 is road, 11 sky). The challenge is of 0.8.
* images, labels: names of the two folders, where they are none of the usual ones.
* split: what to call it.
* label_kind: tags in the red channel as CARLA saves them raw (default), in one channel, or in the colours of its
  CityScapesPalette converter.

CARLA publishes no data set and so no layout; this follows the folder names that public recordings use. The camera's own
car is labelled as a vehicle in many: leave it out with `mask=FILE`.
"""

import re
from pathlib import Path

from frugalseg.core.errors import ReaderError
from frugalseg.core.records import LABEL_KINDS, Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, Listing, list_files
from frugalseg.data.pairing import COMMON, Found, Pair, build, list_labels
from frugalseg.data.spec_options import choice, folder_of

OPTIONS = ("version", "images", "labels", "label_kind", "split", *COMMON)
TREE = "  PATH/CameraRGB/000123.png\n  PATH/CameraSeg/000123.png\nor the same in folders below, one a recording"
IMAGES = ("camerargb", "rgb", "images")
LABELS = ("cameraseg", "camerasemseg", "semantic", "semantic_segmentation", "semseg", "seg", "segmentation", "labels")
DEPTH = 3  # of recordings below PATH
RENUMBERED = (0, 9, 14)
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}")


def read(spec: Spec) -> Manifest:
    """Return the manifest of all recordings.

    Raises:
        ReaderError: no recording, labels without a version, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    root = Path(spec.path)
    kind = choice(spec, "label_kind", LABEL_KINDS, "red")
    image_names = (spec.options["images"].lower(),) if "images" in spec.options else IMAGES
    label_names = (spec.options["labels"].lower(),) if "labels" in spec.options else LABELS
    recordings = _recordings(root, image_names, DEPTH) if root.is_dir() else []
    if not recordings:
        folder_of(spec, spec.options.get("images", "CameraRGB"), TREE)
    found = Found(TREE)
    for at_images in recordings:
        at_labels = _named(at_images.parent, label_names)
        labels = list_labels(spec, at_labels) if at_labels else Listing(at_images)
        images, below = list_files(at_images, IMAGE_SUFFIXES), at_images.parent.relative_to(root).as_posix()
        found.add(images, labels, spec.options.get("split", ""), "" if below == "." else f"{below}/")
    return build(spec, found, class_sets.load(_tags(spec, found.pairs)), kind)


def _recordings(folder: Path, names: tuple[str, ...], depth: int) -> list[Path]:
    """Return the image folders in and below a folder, links to folders not followed."""
    if own := _named(folder, names):
        return [own]
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()) if depth else []
    return [found for path in below if not path.name.startswith(".") for found in _recordings(path, names, depth - 1)]


def _named(folder: Path, names: tuple[str, ...]) -> Path | None:
    there = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    return next((there[name] for name in names if name in there), None)


def _tags(spec: Spec, pairs: list[Pair]) -> str:
    version = spec.options.get("version")
    if version is None:
        if any(pair.label for pair in pairs):
            raise ReaderError(
                f"SPEC {spec}: which CARLA recorded these labels? Add version=0.9.15 (or yours): 0.9.14 renumbered the "
                "tags, and nothing in the files tells. Or write labels=none."
            )
        return "carla"
    if not _VERSION.fullmatch(version):
        raise ReaderError(f"SPEC {spec}: version must be CARLA's, e.g. 0.9.15, got {version!r}.")
    numbers = tuple(int(part) for part in version.split("."))
    return "carla" if numbers >= RENUMBERED else "carla_old"
