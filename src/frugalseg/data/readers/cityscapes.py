"""cityscapes: Cityscapes (Cordts et al., CVPR 2016) as its archives unpack.

    PATH/leftImg8bit/SPLIT/CITY/CITY_000000_000019_leftImg8bit.png
    PATH/gtFine/SPLIT/CITY/CITY_000000_000019_gtFine_labelIds.png        (or _gtFine_labelTrainIds.png)

    PATH/gtFine/SPLIT/CITY/CITY_000000_000019_gtFine_instanceIds.png     objects, for iIoU (may be missing)
    PATH/leftImg8bit_sequence/SPLIT/CITY/CITY_000000_000000_leftImg8bit.png …      the video, for `around`

    cityscapes:PATH?split=train&labels=labelIds|trainIds|none&gt=gtFine|gtCoarse&cities=aachen,bochum&around=N

* split: `train`, `val`, `test`, `train_extra`, several with commas between, or `trainval`; default `train`.
* labels: which of the label files; default `labelIds`. Ids 0-33 become the 19 classes that are evaluated, the rest is
  ignored. `trainIds` are the files that cityscapesScripts' createTrainIdLabelImgs writes.
* gt: `gtCoarse` takes the coarse polygons in place of the fine ones.
* cities: only these.
* around: also up to N (1-10) frames before and after each annotated one, from leftImg8bit_sequence.

The test split has no usable labels (its public labelIds files know only the camera's own car and the like): its frames
have none. Without a gtFine folder no frame has. Sequence: `CITY_000000`, index: the last number, at 17 frames a
second.
"""

from pathlib import Path

from frugalseg.core.errors import ReaderError
from frugalseg.core.records import Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, Listing, list_files
from frugalseg.data.pairing import COMMON, Found, build, list_labels
from frugalseg.data.spec_options import choice, folder_of, splits

OPTIONS = ("split", "labels", "gt", "cities", "around", *COMMON)
TREE = (
    "  PATH/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png\n"
    "  PATH/gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
)
FILES = {"labelIds": "labelIds", "trainIds": "labelTrainIds"}
CLASSES = {"labelIds": "cityscapes19", "trainIds": "cityscapes19_train_ids", "none": "cityscapes19"}
TOGETHER = {"trainval": ("train", "val")}
UNLABELLED = ("test",)
RATE_HZ, MOST = 17.0, 10
INSTANCE_BASE = 1000


def read(spec: Spec) -> Manifest:
    """Return the manifest of one or several splits.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    labels = choice(spec, "labels", CLASSES, "labelIds")
    gt = choice(spec, "gt", ("gtFine", "gtCoarse"), "gtFine")
    stills = "leftImg8bit_sequence" if "around" in spec.options else "leftImg8bit"
    at_images = folder_of(spec, stills, TREE) / stills
    at_labels = at_images.with_name(gt)
    if "labels" in spec.options and labels != "none" and not at_labels.is_dir():
        raise ReaderError(
            f"SPEC {spec}: there is no {at_labels}. Unpack it there, or write labels=none. Expected:\n{TREE}"
        )
    found, annotated = Found(TREE), set[str]()
    for split in splits(spec, at_images, "train", TOGETHER):
        images = list_files(at_images / split, IMAGE_SUFFIXES, "_leftImg8bit")
        masks = objects = Listing(at_labels)
        if labels != "none" and split not in UNLABELLED:
            masks = list_labels(spec, at_labels / split, f"_{gt}_{FILES[labels]}", others=True)
            objects = list_labels(spec, at_labels / split, f"_{gt}_instanceIds", others=True)
        # A file's name begins with its city: the folder is no part of the key.
        found.add(images, masks, split, flat=True, rate_hz=RATE_HZ, instances=objects)
        if "around" in spec.options:
            annotated |= _annotated(spec, at_images.with_name("leftImg8bit") / split, set(masks.files))
    if "around" in spec.options:
        found.near_labels(spec, "around", MOST, annotated)
    found.only(spec, "cities", lambda pair: pair.image.parent.name)
    return build(spec, found, class_sets.load(CLASSES[labels]), instance_base=INSTANCE_BASE)


def _annotated(spec: Spec, stills: Path, labelled: set[str]) -> set[str]:
    """Return the keys of the annotated frames: those of leftImg8bit, or where it is not there, those with a label."""
    keys = set(list_files(stills, IMAGE_SUFFIXES, "_leftImg8bit").files) if stills.is_dir() else labelled
    if not keys:
        raise ReaderError(f"SPEC {spec}: around= needs to know the annotated frames: {stills} or their labels.")
    return {key.rpartition("/")[2] for key in keys}
