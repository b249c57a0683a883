"""A trained network of the product as the semantic network g."""

from frugalseg.propagation.motion import Picture
from frugalseg.propagation.semantic import Guess
from frugalseg.training.predict import Predictor


class NetworkGuess:
    """Predicts whole frames, with the scales, flips and tiles of its predictor (the paper's g looks at several)."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def guess(self, picture: Picture) -> Guess:
        """Return the network's guess."""
        return Guess.of(self._predictor.logits(picture.rgb_HWC).softmax(dim=0).cpu().numpy())
