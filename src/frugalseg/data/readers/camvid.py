"""camvid: CamVid (Brostow et al., ECCV 2008) as published, or as in the SegNet tutorial.

    PATH/701_StillsRaw_full/0001TP_006690.png
    PATH/LabeledApproved_full/0001TP_006690_L.png     in the colours of 32 classes

    PATH/train/0001TP_006690.png, PATH/trainannot/0001TP_006690.png   (likewise val, test; ids 0-10, 11 is no class)

    camvid:PATH?classes=11|32&drives=0006R0,0016E5&split=train&labels=none

* classes: the 11 classes of SegNet (default), or all 31 (the published layout only; the 32nd is "void").
* drives: only frames of these drives, e.g. the day drives 0006R0, 0016E5, Seq05VD, or dusk, 0001TP.
* split: in the SegNet layout a folder (default `train`; several with commas between); in the published layout from a
  text list PATH/SPLIT.txt with one name a line.
* labels: `none` leaves the labels away.

Sequence: the drive, index: the frame's number in its video.
"""

import re
from pathlib import Path

from frugalseg.core.errors import ReaderError
from frugalseg.core.records import Manifest
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import IMAGE_SUFFIXES, list_files
from frugalseg.data.pairing import COMMON, Found, build, list_labels
from frugalseg.data.spec_options import choice, folder_of, split_list, splits

OPTIONS = ("classes", "drives", "split", "labels", *COMMON)
STILLS, APPROVED, ANNOTATED = "701_StillsRaw_full", "LabeledApproved_full", "annot"
TREE = (
    f"  PATH/{STILLS}/0001TP_006690.png\n  PATH/{APPROVED}/0001TP_006690_L.png\n"
    "or, as in the SegNet tutorial,\n  PATH/train/0001TP_006690.png\n  PATH/trainannot/0001TP_006690.png"
)
_NAME = re.compile(r"(.+)_f?([0-9]{1,15})")


def read(spec: Spec) -> Manifest:
    """Return the manifest of either layout.

    Raises:
        ReaderError: another layout, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    root, found = Path(spec.path), Found(TREE)
    choice(spec, "labels", ("labels", "none"), "labels")
    number = choice(spec, "classes", ("11", "32"), "11")
    segnet = (root / "train").is_dir() and (root / f"train{ANNOTATED}").is_dir()
    if segnet:
        if number != "11":
            raise ReaderError(
                f"SPEC {spec}: this layout (train/, trainannot/) has 11 classes only. Leave classes= out."
            )
        for split in splits(spec, root, "train", {}):
            images, labels = list_files(root / split, IMAGE_SUFFIXES), list_labels(spec, root / f"{split}{ANNOTATED}")
            found.add(images, labels, split, placed=_placed)
    else:
        folder_of(spec, STILLS, TREE)
        images, labels = list_files(root / STILLS, IMAGE_SUFFIXES), list_labels(spec, root / APPROVED, "_L")
        found.add(images, labels, spec.options.get("split", ""), placed=_placed)
    found.only(spec, "drives", lambda pair: pair.sequence)
    if segnet:
        return build(spec, found, class_sets.load("camvid11_segnet"))
    return build(split_list(spec, root), found, class_sets.load(f"camvid{number}"), "colors")


def _placed(key: str) -> tuple[str, int]:
    match = _NAME.fullmatch(key)
    return (match[1], int(match[2])) if match else (key, 0)
