"""adversarial: the frames that a discriminator tells best from the source's (MADA, Ning et al., ICCV 2021).

Equation 13: E_adv = (1 - f) / f, f being the probability that the frame is the source's. The discriminator is the one
that the network was adapted against; it gives a map of probabilities, which the paper does not reduce: f is its mean.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from frugalseg.acquisition.images import LIKENESS, ImageView, Opinion, odds_against_source
from frugalseg.core.anchors import ImageVectors
from frugalseg.core.config import Config


class AdversarialConfig(Config):
    """adversarial has no settings."""


class Adversarial:
    """The highest odds against the source; they are the score."""

    name = "adversarial"
    chance: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset({LIKENESS})

    def __init__(self, config: AdversarialConfig) -> None:
        self.config = config

    def judge(self, views: Sequence[ImageView], total: int, seed: int, source: ImageVectors | None) -> Opinion:
        """Return E_adv of each frame."""
        return Opinion(np.array([odds_against_source(view) for view in views]))
