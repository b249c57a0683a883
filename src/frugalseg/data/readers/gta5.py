"""gta5: GTA5, "Playing for Data" (Richter et al., ECCV 2016), its ten archives unpacked into one folder.

    PATH/images/00001.png … 24966.png
    PATH/labels/00001.png …            palette images whose indices are Cityscapes' labelIds

    gta5:PATH?split=train&labels=none&list=FILE

* split: `train`, `val` or `test`, from a text list PATH/SPLIT.txt with one number a line. The authors publish their
  split as a Matlab file, which this reader does not open; without `split` all images are taken.
* labels: `none` leaves the labels away.

Ids become Cityscapes' 19 classes; 34, the licence plate, is ignored. Some labels of the original are
known to be of another size than their image: training names them, and `exclude=KEY,KEY` leaves such frames out. Index:
the number; no sequences.
"""

from frugalseg.core.records import Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, list_files
from frugalseg.data.pairing import COMMON, Found, build, index_only, list_labels
from frugalseg.data.spec_options import choice, folder_of, split_list

OPTIONS = ("split", "labels", *COMMON)
TREE = "  PATH/images/00001.png\n  PATH/labels/00001.png"


def read(spec: Spec) -> Manifest:
    """Return the manifest of all images, or of those that a list names.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    choice(spec, "labels", ("labels", "none"), "labels")
    root = folder_of(spec, "images", TREE)
    found = Found(TREE)
    images, labels = list_files(root / "images", IMAGE_SUFFIXES), list_labels(spec, root / "labels")
    found.add(images, labels, spec.options.get("split", ""), placed=index_only)
    return build(split_list(spec, root), found, class_sets.load("gta5"))
