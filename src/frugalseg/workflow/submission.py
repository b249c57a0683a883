"""Predictions as a benchmark's server takes them: its raw ids, files named for it."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.choose import choose
from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.errors import ConfigError
from frugalseg.data import class_sets


@dataclass(frozen=True)
class Submission:
    """What a server expects: ids of a class set, and names made from the images' (`pattern` on the stem)."""

    classes: str
    pattern: str
    name: str
    expected: str

    def file_name(self, stem: str) -> str | None:
        """Return what the prediction of an image is called, without suffix, or None for one that is not scored."""
        match = re.fullmatch(self.pattern, stem)
        return match.expand(self.name) if match else None

    def raw_ids(self, classes: ClassSet) -> NDArray[np.uint8]:
        """Return 256 entries, class id of a model → the id that the server knows.

        Raises:
            ConfigError: the model predicts classes that the server does not know.
        """
        theirs = class_sets.load(self.classes)
        mapped = classes.map_to(theirs)
        if mapped.dropped:
            raise ConfigError(
                f"this model predicts {', '.join(mapped.dropped)}, which {self.classes} does not have, so that their "
                f"pixels have no id to be submitted under.\nTrain with --classes {self.classes}, or add aliases to the "
                "model's classes."
            )
        firsts = np.array([entry.raw_ids[0] for entry in theirs.classes], np.uint8)
        table = np.zeros(256, np.uint8)
        table[: len(classes)] = firsts[mapped.table[: len(classes)]]
        table[IGNORE] = 0  # unlabelled
        return table


SUBMISSIONS = {
    "cityscapes": Submission(
        classes="cityscapes19",
        pattern=r"(.+_[0-9]{6}_[0-9]{6})_leftImg8bit",
        name=r"\1_pred_labelIds",
        expected="berlin_000000_000019_leftImg8bit.png",
    ),
    "kitti": Submission("kitti19", r"([0-9]{6}_10)", r"\1", "000000_10.png"),
}


def submission(name: str) -> Submission:
    """Return what the server called `name` expects.

    Raises:
        UnknownNameError: with the nearest name.
    """
    return choose("submission", name, SUBMISSIONS)
