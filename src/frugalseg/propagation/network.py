"""A trained network of the product as the semantic network g."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frugalseg.core.chance import generator
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.semantic import Guess
from frugalseg.training.predict import Predictor

DEEP = 64  # features kept: those of large networks would take more room than the video
LARGEST = 6e4  # that half precision holds


class NetworkGuess:
    """Predicts whole frames, with the scales, flips and tiles of its predictor (the paper's g looks at several).

    With `deep` a guess brings what the last layer sees.
    """

    def __init__(self, predictor: Predictor, deep: bool = False) -> None:
        self._predictor, self._deep = predictor, deep

    def guess(self, picture: Picture) -> Guess:
        """Return the network's guess."""
        if not self._deep:
            return Guess.of(self._predictor.logits(picture.rgb_HWC).softmax(dim=0).cpu().numpy())
        logits_CHW, features_Fhw = self._predictor.with_features(picture.rgb_HWC)
        deep_Dhw = None
        if features_Fhw is not None:
            deep_Dhw = thinned(features_Fhw).clamp(-LARGEST, LARGEST).cpu().numpy().astype(np.float16)
        return Guess.of(logits_CHW.softmax(dim=0).cpu().numpy(), deep_Dhw)


def thinned(features_Fhw: Tensor) -> Tensor:
    """Return at most 64 features of F: random mixtures, always the same ones, which keep distances on the whole."""
    count = len(features_Fhw)
    if count <= DEEP:
        return features_Fhw
    mixed: NDArray[np.float64] = generator(0, "thinned", count).normal(size=(DEEP, count)) / np.sqrt(count)
    return torch.einsum("df,fhw->dhw", torch.from_numpy(mixed).to(features_Fhw), features_Fhw)
