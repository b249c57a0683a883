"""A generated miniature of a user's data, in order or with one of the slips that new users make.

Loaded by the fixture `slips`. Frames are smooth random fields with noise, so that no two look alike by accident.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass

SIZE_HW = (48, 64)
COLORS = {"sky": (120, 160, 220), "building": (110, 90, 80), "road": (70, 70, 75), "sign": (220, 60, 40)}
CLASSES = ClassSet("tiny", tuple(SemanticClass(n, color, (i,)) for i, (n, color) in enumerate(COLORS.items())))
SETS = {"sim": "sim_lyon", "street": "street_basel", "checked": "street_bern"}  # folder: drive
TRAIN_IDS = "road sidewalk building wall fence pole light sign vegetation terrain sky person rider car truck bus train "
TRAIN_IDS += "motorcycle bicycle"


def draw(drive: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return image (H x W x 3) and label (H x W) of one frame."""
    rng = generator(0, drive, index)
    height, width = SIZE_HW
    label = np.full(SIZE_HW, 1, np.uint8)
    label[: rng.integers(10, 18)] = 0
    label[rng.integers(28, 38) :] = 2
    row, column = rng.integers(18, 24), rng.integers(4, 50)
    label[row : row + 6, column : column + 5] = 3
    label[-2:, :9] = IGNORE
    field = cv2.resize(rng.normal(0, 60, (4, 5, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    colors = np.vstack([np.array(list(COLORS.values()), float), np.zeros((252, 3))])
    image = colors[label] + field + rng.normal(0, 6, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8), label


def write_set(folder: Path, drive: str, count: int, labels: bool = True, first: int = 0) -> None:
    """Write images/, labels/ and classes.toml."""
    for index in range(first, first + count):
        for kind, array in zip(("images", "labels"), draw(drive, index), strict=True):
            if kind == "images" or labels:
                (folder / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / kind / f"{drive}_{index:03d}.png")
    (folder / "classes.toml").write_text(CLASSES.to_toml())


def write_world(root: Path, count: int = 4) -> None:
    """Write a labelled simulator, an unlabelled street and a labelled piece of street below `root`."""
    for name, drive in SETS.items():
        write_set(root / name, drive, count, labels=name != "street")


def relabel(folder: Path, change: Callable[[np.ndarray], np.ndarray], only: int | None = None) -> None:
    """Write the labels of a set anew (all, or the first `only`)."""
    for path in sorted((folder / "labels").iterdir())[:only]:
        Image.fromarray(change(np.array(Image.open(path)))).save(path)


def wrong_folder(root: Path) -> None:
    relabelled = root / "street_with_labels"
    write_set(relabelled, "street_basel", 4)
    shutil.rmtree(root / "street")
    (root / "street").mkdir()
    relabelled.rename(root / "street" / "basel")


def swapped(root: Path) -> None:
    (root / "sim" / "images").rename(root / "sim" / "away")
    (root / "sim" / "labels").rename(root / "sim" / "images")
    (root / "sim" / "away").rename(root / "sim" / "labels")


def off_by_one(root: Path) -> None:
    relabel(root / "sim", lambda label: np.where(label == IGNORE, IGNORE, label + 1).astype(np.uint8))


def rgb_labels(root: Path) -> None:
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(CLASSES)] = CLASSES.colors
    relabel(root / "sim", lambda label: colors[label])


def label_ids_for_train_ids(root: Path) -> None:
    names = TRAIN_IDS.split()
    classes = ClassSet("city", tuple(SemanticClass(name, (9 * i, 9, 9), (i,)) for i, name in enumerate(names)))
    for name in SETS:
        (root / name / "classes.toml").write_text(classes.to_toml())
    raw = np.full(256, IGNORE, np.uint8)
    raw[:4] = 23, 11, 7, 20  # Cityscapes' labelIds of sky, building, road and traffic sign
    relabel(root / "sim", lambda label: raw[label])
    trained = np.full(256, IGNORE, np.uint8)
    trained[:4] = 10, 2, 0, 7
    relabel(root / "checked", lambda label: trained[label])


def missing_255(root: Path) -> None:
    listed = ClassSet("tiny", CLASSES.classes, ignored_ids=(99,))
    (root / "sim" / "classes.toml").write_text(listed.to_toml())


def other_size(root: Path) -> None:
    relabel(root / "sim", lambda label: label[::2, ::2].copy(), only=1)


def exif_rotation(root: Path) -> None:
    path = sorted((root / "sim" / "images").iterdir())[0]
    image, exif = Image.open(path).convert("RGB"), Image.Exif()
    exif[274] = 6
    image.save(path.with_suffix(".jpg"), quality=95, exif=exif)
    path.unlink()


SLIPS = {
    "wrong folder": wrong_folder,
    "swapped folders": swapped,
    "ids off by one": off_by_one,
    "colours instead of ids": rgb_labels,
    "labelIds instead of trainIds": label_ids_for_train_ids,
    "255 is not listed": missing_255,
    "label of another size": other_size,
    "EXIF rotation": exif_rotation,
}
