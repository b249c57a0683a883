"""bdd100k: BDD100K's semantic segmentation (Yu et al., CVPR 2020), in the layout of today or the older one.

    PATH/images/10k/SPLIT/0004a4c0-d4dff0ad.jpg
    PATH/labels/sem_seg/masks/SPLIT/0004a4c0-d4dff0ad.png                ids 0-18, 255 is no class

    PATH/seg/images/SPLIT/0004a4c0-d4dff0ad.jpg                          (the older one)
    PATH/seg/labels/SPLIT/0004a4c0-d4dff0ad_train_id.png

    bdd100k:PATH?split=train&labels=none

* split: `train`, `val`, `test`, or several with commas between; default `train`. The test split has no labels.
* labels: `none` leaves the labels away.

PATH may also be the folder above, with bdd100k/ in it. Each image is of another video, so a frame is its own sequence.
"""

from pathlib import Path

from frugalseg.core.records import Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, list_files
from frugalseg.data.pairing import COMMON, Found, build, list_labels
from frugalseg.data.spec_options import choice, folder_of, splits

OPTIONS = ("split", "labels", *COMMON)
TREE = (
    "  PATH/images/10k/train/0004a4c0-d4dff0ad.jpg\n  PATH/labels/sem_seg/masks/train/0004a4c0-d4dff0ad.png\n"
    "or, older,\n  PATH/seg/images/train/0004a4c0-d4dff0ad.jpg\n  PATH/seg/labels/train/0004a4c0-d4dff0ad_train_id.png"
)
TODAY = ("images/10k", "labels/sem_seg/masks", "")  # images, labels, what a label's name ends in
OLDER = ("seg/images", "seg/labels", "_train_id")


def read(spec: Spec) -> Manifest:
    """Return the manifest of one or several splits.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    choice(spec, "labels", ("labels", "none"), "labels")
    below = Path(spec.path) / "bdd100k"
    root = below if below.is_dir() else Path(spec.path)
    at_images, at_labels, ending = OLDER if (root / OLDER[0]).is_dir() else TODAY
    folder_of(spec, at_images, TREE, root)
    found = Found(TREE)
    for split in splits(spec, root / at_images, "train", {}):
        images = list_files(root / at_images / split, IMAGE_SUFFIXES)
        labels = list_labels(spec, root / at_labels / split, ending, others=bool(ending))
        found.add(images, labels, split, placed=_alone)
    return build(spec, found, class_sets.load("cityscapes19_train_ids"))


def _alone(key: str) -> tuple[str, int]:
    return key, 0
