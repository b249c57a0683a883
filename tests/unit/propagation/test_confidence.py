"""Confidence: features by hand, the fit against known models, calibration on frames that were not fitted on."""

from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ArtifactError, DataError
from frugalseg.evaluation.reliability import Reliability
from frugalseg.propagation.chain import Anchor, Chain
from frugalseg.propagation.confidence import FEATURES, Confidence, Examples, pixel_features
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.fuse import Warp, fuse
from frugalseg.propagation.motion import Neighbours

CLASSES = 11


def made_up(count: int, seed: int = 0, strength: float = 2.0) -> tuple[Examples, np.ndarray]:
    """Pixels that are right with a logistic probability of their first two features."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (count, len(FEATURES))).astype(np.float32)
    share = 1 / (1 + np.exp(-(1.0 + strength * features[:, 0] - features[:, 1])))
    return Examples(features, rng.random(count) < share), share


def test_features_by_hand() -> None:
    label = np.zeros((10, 20), np.uint8)
    label[:, 10:] = 1
    other = label.copy()
    other[0, 0] = 1
    still = Flow.still((10, 20))
    away = Flow(still.px_HW2, np.arange(200).reshape(10, 20) != 25)
    warps = [
        Warp(label, still, np.full((10, 20), 9, np.float32)),
        Warp(other, away, np.full((10, 20), 4, np.float32)),
    ]
    seen = dict(zip(FEATURES, pixel_features(label, warps, 3), strict=True))
    assert seen["error"][0, 0] == pytest.approx(np.log(5) / np.log(201)), "the best fitting warp's"
    assert seen["error"][1, 5] == pytest.approx(np.log(10) / np.log(201)), "the only one that reaches it"
    assert seen["edge"][4, 9] == pytest.approx(np.log(2) / np.log(33))
    assert seen["agree"][0, 0] == 0 and seen["agree"][1, 5] == 1 and seen["agree"].sum() == 199
    assert seen["alone"].sum() == 1 and seen["alone"][1, 5] == 1
    assert (seen["distance"] == np.float32(np.log(4) / np.log(11))).all()
    assert seen["error_x_edge"][3, 3] == pytest.approx(seen["error"][3, 3] * seen["edge"][3, 3])


def test_it_finds_the_probabilities_that_made_the_examples() -> None:
    examples, _ = made_up(20_000)
    fresh, share = made_up(5_000, seed=1)
    found = Confidence.fit(examples).of(fresh.features_NF.T[:, None])[0]
    assert np.abs(found - share).mean() < 0.03
    assert found.min() >= 0 and found.max() <= 1


def test_it_says_how_often_it_is_right_on_examples_it_never_saw() -> None:
    model, (fresh, _) = Confidence.fit(made_up(20_000)[0]), made_up(20_000, seed=1)
    confidence = model.of(fresh.features_NF.T[:, None])
    truth, label = np.where(fresh.right_N, 0, 1)[None].astype(np.uint8), np.zeros((1, 20_000), np.uint8)
    assert Reliability.count(truth, label, confidence, 2).curve().ece < 0.02


def test_the_confidence_grows_with_what_speaks_for_a_pixel() -> None:
    model = Confidence.fit(made_up(20_000)[0])
    features = np.zeros((len(FEATURES), 1, 9), np.float32)
    features[0, 0] = np.linspace(-2, 2, 9)
    assert (np.diff(model.of(features)[0]) >= 0).all() and model.of(features)[0, 0] < 0.3 < 0.9 < model.of(features)[
        0, -1
    ]
    assert (np.diff(model.shares) > 0).all() and (np.diff(model.knots) > 0).all()


def test_what_came_back_is_known_to_be_too_good() -> None:
    examples, _ = made_up(20_000, strength=0.0)
    came_back = FEATURES.index("returned")
    examples.features_NF[:, came_back:] = 0
    examples.features_NF[::2, came_back] = 1
    easy = Examples(examples.features_NF, examples.right_N | (examples.features_NF[:, came_back] == 1))
    features = np.zeros((len(FEATURES), 1, 1), np.float32)
    asked = Confidence.fit(easy).of(features)[0, 0]
    assert asked == pytest.approx(0.73, abs=0.05), "as often as where nothing came back: 1 / (1 + exp(-1))"


def test_a_threshold_is_found_on_labels_of_other_frames_where_there_are_enough() -> None:
    examples, _ = made_up(4_000)
    came_back = FEATURES.index("returned")
    examples.features_NF[:, came_back] = 0
    examples.features_NF[:1500, came_back] = 1
    assert (examples.carried.right_N == examples.right_N[1500:]).all()
    examples.features_NF[:3500, came_back] = 1
    assert examples.carried is examples


def test_a_feature_that_told_nothing_has_no_say() -> None:
    examples, _ = made_up(4_000)
    examples.features_NF[:, -1] = 1
    model, features = Confidence.fit(examples), np.zeros((len(FEATURES), 1, 2), np.float32)
    features[-1] = [[0, 1]]
    assert model.gain[-1] == 0 and model.of(features)[0, 0] == model.of(features)[0, 1]


def naive_threshold(confidence, right, precision):
    kept = [level for level in np.unique(confidence) if right[confidence >= level].mean() >= precision]
    return min(kept, default=float("inf"))


@pytest.mark.parametrize("precision", [0.6, 0.8, 0.95, 1.0])
def test_the_threshold_against_a_naive_search(precision: float) -> None:
    examples, _ = made_up(3_000)
    model = Confidence.fit(examples)
    confidence = model.of(examples.features_NF.T[:, None])[0]
    assert model.threshold(examples, precision) == naive_threshold(confidence, examples.right_N, precision)


@pytest.mark.parametrize("precision", [0.0, 1.1, -1, float("nan")])
def test_a_precision_that_is_no_share_is_refused(precision: float) -> None:
    examples, _ = made_up(2_000)
    with pytest.raises(DataError, match="is no share"):
        Confidence.fit(examples).threshold(examples, precision)


@pytest.mark.parametrize("right", [np.ones, np.zeros])
def test_nothing_to_tell_apart_is_refused(right) -> None:
    with pytest.raises(DataError, match="2000 pixels with a known label"):
        Confidence.fit(Examples(np.zeros((2000, len(FEATURES)), np.float32), right(2000, bool)))
    with pytest.raises(DataError, match="expected 1,000"):
        Confidence.fit(made_up(999)[0])


def test_a_feature_that_is_always_the_same_or_decides_alone_does_no_harm() -> None:
    examples, _ = made_up(4_000)
    examples.features_NF[:, 5], examples.features_NF[:, 3] = 1, examples.right_N
    found = Confidence.fit(examples).of(examples.features_NF.T[:, None])[0]
    assert found[examples.right_N].min() > 0.95 and found[~examples.right_N].max() < 0.05


def test_examples_are_labelled_pixels_and_the_same_ones_every_time() -> None:
    label, truth = np.zeros((2, 20, 30), np.uint8)
    label[:5], truth[:, :10], truth[10:, 15:] = IGNORE, IGNORE, 1
    features = np.broadcast_to(np.arange(600, dtype=np.float32).reshape(20, 30), (len(FEATURES), 20, 30))
    every = Examples.of("a", features, label, truth, 10_000)
    assert len(every.right_N) == 15 * 20 and every.right_N.sum() == 300 - 150
    some = [Examples.of(key, features, label, truth, 50) for key in "aab"]
    assert len(some[0].right_N) == 50 and (some[0].features_NF == some[1].features_NF).all()
    assert not (some[0].features_NF == some[2].features_NF).all()
    assert set(some[0].features_NF[:, 0]) <= set(every.features_NF[:, 0])
    assert len(Examples.joined(some).right_N) == 150


def halfway(pictures, clip, before, target, after):
    """A frame's label from two labelled ones."""
    chains = []
    for number in (before, after):
        chain, side = Chain(Anchor(pictures[number], clip[number].label), Neighbours(Dis())), 1
        side = 1 if target > number else -1
        for index in range(number + side, target + side, side):
            chain.advance(pictures[index])
        chains.append(chain)
    warps = [chain.here.warp() for chain in chains]
    label = fuse(warps, CLASSES).label_HW
    return label, pixel_features(label, warps, min(chain.here.steps for chain in chains))


def test_on_the_toy_city_it_tells_right_from_wrong_in_a_frame_it_was_not_fitted_on(pictures, clip) -> None:
    parts = []
    for before, target, after in ((0, 1, 2), (0, 1, 3), (3, 4, 5)):
        label, features = halfway(pictures, clip, before, target, after)
        parts.append(Examples.of(clip[target].key, features, label, clip[target].label, 5000))
    model = Confidence.fit(Examples.joined(parts))
    label, features = halfway(pictures, clip, 1, 2, 3)
    confidence, right = model.of(features), label == clip[2].label
    accepted = confidence >= model.threshold(Examples.joined(parts), 0.985)
    assert accepted.mean() > 0.5 and right[accepted].mean() > 0.97 > right[~accepted].mean() + 0.1


def test_saved_and_loaded_it_says_the_same_and_damage_is_refused(tmp_path: Path) -> None:
    examples, _ = made_up(2_000)
    model = Confidence.fit(examples)
    model.save(tmp_path / "confidence.json")
    assert Confidence.load(tmp_path / "confidence.json") == model
    text = (tmp_path / "confidence.json").read_text()
    for wrong in ("", text[:-20], text.replace('"error"', '"other"'), text.replace('"mean": [', '"mean": [1,')):
        (tmp_path / "confidence.json").write_text(wrong)
        with pytest.raises(ArtifactError, match="Calibrate again"):
            Confidence.load(tmp_path / "confidence.json")
    with pytest.raises(ArtifactError, match="Calibrate again"):
        Confidence.load(tmp_path / "none.json")
