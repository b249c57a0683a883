"""entropy_images: the frames of which the network is least sure (MADA, Ning et al., ICCV 2021, equation 12).

Differs: the equation sums over the pixels of a frame; the mean lets frames of different sizes compare.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from frugalseg.acquisition.images import ImageView, Opinion
from frugalseg.core.anchors import ImageVectors
from frugalseg.core.config import Config


class EntropyImagesConfig(Config):
    """entropy_images has no settings."""


class EntropyImages:
    """The highest mean entropy; that is the score."""

    name = "entropy_images"
    chance: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: EntropyImagesConfig) -> None:
        self.config = config

    def judge(self, views: Sequence[ImageView], total: int, seed: int, source: ImageVectors | None) -> Opinion:
        """Return each frame's mean entropy."""
        return Opinion(np.array([view.entropy_01 for view in views]))
