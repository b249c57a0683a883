"""kitti: KITTI's semantic segmentation (Abu Alhaija et al., IJCV 2018), with the frames around each labelled one.

    PATH/training/image_2/000000_10.png           200 labelled frames, and 200 of testing/ without labels
    PATH/training/semantic/000000_10.png          Cityscapes' labelIds
    PATH/training/instance/000000_10.png          16 bits: labelId x 256 + the object's number, 0 where it is none
    PATH/training/image_2/000000_00.png … _20     data_scene_flow_multiview.zip, in the same place

    kitti:PATH?split=training|testing&around=N&multiview=FOLDER&labels=none

* split: `training` (default) or `testing`, which has no labels.
* around: also up to N (1-10) frames before and after each labelled one. Without it only `_10`, even where there are
  others.
* multiview: where the multi-view extension lies, if not in PATH: a folder with training/image_2/.
* labels: `none` leaves the labels away.

Sequence: the scene, index: the last number (10 is the labelled one), at 10 frames a second. Scenes that follow each
other are often of one drive: `frugalseg bench folds` keeps them together.
"""

from pathlib import Path

from frugalseg.core.records import Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, Listing, list_files
from frugalseg.data.pairing import COMMON, Found, build, list_labels
from frugalseg.data.spec_options import choice, folder_of

OPTIONS = ("split", "around", "multiview", "labels", *COMMON)
TREE = (
    "  PATH/training/image_2/000000_10.png\n  PATH/training/semantic/000000_10.png\n"
    "  PATH/training/instance/000000_10.png   (may be missing)"
)
RATE_HZ, ANCHOR, MOST = 10.0, "_10", 10
INSTANCE_BASE = 256


def read(spec: Spec) -> Manifest:
    """Return the manifest of one split.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    split = choice(spec, "split", ("training", "testing"), "training")
    choice(spec, "labels", ("labels", "none"), "labels")
    root = folder_of(spec, f"{split}/image_2", TREE) / split
    images = list_files(root / "image_2", IMAGE_SUFFIXES)
    if "multiview" in spec.options:
        beside = folder_of(spec, f"{split}/image_2", TREE, Path(spec.options["multiview"])) / split / "image_2"
        more = list_files(beside, IMAGE_SUFFIXES)
        images = Listing(images.folder, more.files | images.files, images.refused + more.refused)
    found = Found(TREE)
    labels, objects = list_labels(spec, root / "semantic"), list_labels(spec, root / "instance")
    found.add(images, labels, split, rate_hz=RATE_HZ, instances=objects)
    found.near_labels(spec, "around", MOST, {key for key in images.files if key.endswith(ANCHOR)})
    return build(spec, found, class_sets.load("kitti19"), instance_base=INSTANCE_BASE)
