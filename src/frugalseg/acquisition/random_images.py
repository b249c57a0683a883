"""random_images: whole frames drawn uniformly, the control of every other choice of images (MADA, table 4)."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from frugalseg.acquisition.images import ImageView, Opinion
from frugalseg.core.anchors import ImageVectors
from frugalseg.core.chance import seed_for
from frugalseg.core.config import Config


class RandomImagesConfig(Config):
    """random_images has no settings."""


class RandomImages:
    """Uniform frames: the score is a hash of seed and key, between 0 and 1."""

    name = "random_images"
    chance: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: RandomImagesConfig) -> None:
        self.config = config

    def judge(self, views: Sequence[ImageView], total: int, seed: int, source: ImageVectors | None) -> Opinion:
        """Draw a number for each frame."""
        return Opinion(np.array([seed_for(seed, self.name, "draw", view.key) / 2.0**63 for view in views]))
