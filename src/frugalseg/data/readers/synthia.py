"""synthia: SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016) as its archive unpacks.

    PATH/RGB/0000000.png …
    PATH/GT/LABELS/0000000.png …     16 bits, three channels: the class in red, the instance in green

    synthia:PATH?classes=16|13|22&split=train&labels=none

* classes: the 16 classes shared with Cityscapes (default), the 13 of mIoU* (without wall, fence and pole), or all 22.
* split: from a text list PATH/SPLIT.txt with one number a line; the authors publish none.
* labels: `none` leaves the labels away.

PATH may also be the folder above, with RAND_CITYSCAPES/ in it. Index: the number; no sequences, as each image is of
another place.
"""

from pathlib import Path

from frugalseg.core.records import Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, list_files
from frugalseg.data.pairing import COMMON, Found, build, index_only, list_labels
from frugalseg.data.spec_options import choice, folder_of, split_list

OPTIONS = ("classes", "split", "labels", *COMMON)
TREE = "  PATH/RGB/0000000.png\n  PATH/GT/LABELS/0000000.png"
CLASSES = {"16": "synthia16", "13": "synthia13", "22": "synthia"}


def read(spec: Spec) -> Manifest:
    """Return the manifest of all images, or of those that a list names.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    choice(spec, "labels", ("labels", "none"), "labels")
    classes = CLASSES[choice(spec, "classes", CLASSES, "16")]
    below = Path(spec.path) / "RAND_CITYSCAPES"
    root = folder_of(spec, "RGB", TREE, below if below.is_dir() else None)
    found = Found(TREE)
    images, labels = list_files(root / "RGB", IMAGE_SUFFIXES), list_labels(spec, root / "GT" / "LABELS")
    found.add(images, labels, spec.options.get("split", ""), placed=index_only)
    return build(split_list(spec, root), found, class_sets.load(classes), "red")
