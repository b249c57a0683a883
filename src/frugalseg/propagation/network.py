"""A trained network of the product as the semantic network g."""

import torch

from frugalseg.models.network import Network
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.semantic import Guess
from frugalseg.training.predict import PredictConfig, Predictor


class NetworkGuess:
    """Predicts whole frames, with the scales, flips and tiles of `PredictConfig` (the paper's g looks at several)."""

    def __init__(
        self,
        network: Network,
        input_hw: tuple[int, int] | None,
        config: PredictConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._predictor = Predictor(network, input_hw, config, device)

    def guess(self, picture: Picture) -> Guess:
        """Return the network's guess."""
        return Guess.of(self._predictor.logits(picture.rgb_HWC).softmax(dim=0).cpu().numpy())
