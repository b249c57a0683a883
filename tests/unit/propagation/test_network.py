"""A network as what guesses: its classes, and at most 64 of what its last layer sees."""

import numpy as np
import torch

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.models.shuffle_lite import shuffle_lite
from frugalseg.propagation.network import DEEP, NetworkGuess, thinned
from frugalseg.training.predict import Predictor

CLASSES = ClassSet("three", tuple(SemanticClass(name, (number, 0, 0), (number,)) for number, name in enumerate("abc")))


def test_a_guess_brings_what_the_last_layer_sees(noise) -> None:
    torch.manual_seed(0)
    predictor, picture = Predictor(shuffle_lite(CLASSES), (48, 64)), noise(0)
    guess, plain = NetworkGuess(predictor, deep=True).guess(picture), NetworkGuess(predictor).guess(picture)
    features = predictor.outputs(picture.rgb_HWC).features
    assert features is not None and (guess.deep_Dhw == features[0].numpy().astype(np.float16)).all()
    assert (guess.first_HW == predictor.logits(picture.rgb_HWC).argmax(dim=0).numpy()).all()
    assert guess.deep_Dhw.shape[1:] == (12, 16)
    assert plain.deep_Dhw.size == 0 and (plain.first_HW == guess.first_HW).all()


def test_features_beyond_half_precision_stay_numbers(noise) -> None:
    class Loud:
        def with_features(self, rgb_HWC):
            return torch.zeros(3, *rgb_HWC.shape[:2]), torch.full((1, 2, 2), -1e6)

    deep = NetworkGuess(Loud(), deep=True).guess(noise(0)).deep_Dhw  # type: ignore[arg-type]
    assert np.isfinite(deep).all() and (deep < -5e4).all()


def test_many_features_are_mixed_down_always_in_the_same_way_and_keep_distances() -> None:
    rng = torch.Generator().manual_seed(0)
    few, many = torch.randn(DEEP, 2, 3, generator=rng), torch.randn(900, 20, 20, generator=rng)
    assert thinned(few) is few
    mixed = thinned(many)
    assert mixed.shape == (DEEP, 20, 20) and torch.equal(mixed, thinned(many.clone()))
    before, after = (torch.cdist(*[part.flatten(1).T] * 2)[0, 1:] for part in (many, mixed))
    kept = after / before * (900 / DEEP) ** 0.5
    assert 0.9 < float(kept.mean()) < 1.1 and float(kept.std()) < 0.15
