"""aada: frames unlike the source of which the network is unsure (Su et al., WACV 2020; MADA, equation 14).

E_AADA = E_ent E_adv: the mean entropy (equation 12) times the odds against the source (equation 13).
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from frugalseg.acquisition.images import LIKENESS, ImageView, Opinion, odds_against_source
from frugalseg.core.anchors import ImageVectors
from frugalseg.core.config import Config


class AadaConfig(Config):
    """aada has no settings."""


class Aada:
    """The highest product of mean entropy and odds against the source; it is the score."""

    name = "aada"
    chance: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset({LIKENESS})

    def __init__(self, config: AadaConfig) -> None:
        self.config = config

    def judge(self, views: Sequence[ImageView], total: int, seed: int, source: ImageVectors | None) -> Opinion:
        """Return E_AADA of each frame."""
        return Opinion(np.array([view.entropy_01 * odds_against_source(view) for view in views]))
