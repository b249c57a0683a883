"""Ω: the identity at the start, never without a reason elsewhere, and trained on cycles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ModelError, TrainingError
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.inpaint import NOWHERE, REFINED, WARPED, Draft, InpaintConfig, cycle
from frugalseg.propagation.motion import Neighbours
from frugalseg.propagation.networks import RefineConfig
from frugalseg.propagation.refine import (
    ERROR_UNIT,
    Refiner,
    feature_count,
    features,
    load_refiner,
    save_refiner,
)
from frugalseg.propagation.semantic import Guess
from frugalseg.propagation.train_refine import features_of_part, make_cycles, train_refiner

CLASSES = 4


class Constant:
    """A semantic network without any idea, which remembers for which frames it was asked."""

    def __init__(self, classes: int = 11) -> None:
        self.asked: list[str] = []

    def guess(self, picture):
        self.asked.append(picture.key)
        zero = np.zeros(picture.size_HW, np.uint8)
        return Guess(zero, zero + 1, zero, zero)


@pytest.fixture
def draft(noise):
    rng = np.random.default_rng(3)
    label, first, margin = rng.integers(0, CLASSES, (3, 48, 64), np.uint8)
    label[:4] = IGNORE
    error = rng.uniform(0, 90, (48, 64)).astype(np.float32)
    error[0] = np.inf
    source = np.where(label == IGNORE, NOWHERE, WARPED).astype(np.uint8)
    return Draft(
        noise(1), label, label, error, error < 30, source, Guess(first, (first + 1) % CLASSES, margin, margin), 3
    )


def test_features_by_hand(draft) -> None:
    seen = features(draft, CLASSES)
    assert seen.shape == (feature_count(CLASSES), 48, 64) and seen.dtype == np.float32 and np.isfinite(seen).all()
    one_hot, shares, image, (error, trusted, edge, k) = np.split(seen, [5, 9, 12])
    assert (one_hot.argmax(axis=0) == np.minimum(draft.label_HW, CLASSES)).all() and (one_hot.sum(axis=0) == 1).all()
    assert shares.sum(axis=0) == pytest.approx(np.ones((48, 64)))
    assert (image * 255).round().transpose(1, 2, 0).astype(np.uint8).tolist() == draft.picture.rgb_HWC.tolist()
    assert (error[0] == 2).all() and error[9, 9] == pytest.approx(min(2, draft.error_HW[9, 9] / ERROR_UNIT))
    assert (trusted == (draft.error_HW < 30)).all() and 0 < edge.min() <= edge.max() <= 1
    assert k == pytest.approx(np.full((48, 64), 0.3))


def test_untrained_it_is_the_identity_and_says_where_labels_come_from(draft) -> None:
    label, source = Refiner(CLASSES, 8).refine(draft)
    assert (label == draft.label_HW).all() and (source == draft.source_HW).all()


def test_what_it_changes_is_marked_as_refined(draft) -> None:
    refiner = Refiner(CLASSES, 8)
    with torch.no_grad():
        refiner.head.bias[2] += 100
    label, source = refiner.refine(draft)
    assert (label == 2).all() and (source == np.where(draft.label_HW == 2, WARPED, REFINED)).all()
    with torch.no_grad():
        refiner.head.bias[CLASSES] += 200
    label, source = refiner.refine(draft)
    assert (label == IGNORE).all() and (source == NOWHERE).all()


@pytest.mark.parametrize("size_HW", [(17, 23), (16, 16), (5, 9)])
def test_any_size_goes_through(size_HW) -> None:
    inputs = torch.rand(2, feature_count(CLASSES), *size_HW)
    assert Refiner(CLASSES, 8)(inputs).shape == (2, CLASSES + 1, *size_HW)


def test_cycles_use_a_network_that_never_saw_the_frame_and_lengths_within_reach(pictures, clip) -> None:
    nets = {frame.key: Constant() for frame in clip}
    labels = {0: clip[0].label, 3: clip[3].label}
    config = RefineConfig(cycles=6, longest_cycle=3)
    pairs = make_cycles(pictures, labels, Neighbours(Dis()), nets.__getitem__, InpaintConfig(), config)
    assert len(pairs) == 12 and {draft.k // 2 for draft, _ in pairs} == {1, 2, 3}
    assert [draft.picture.key for draft, _ in pairs] == [clip[0].key] * 6 + [clip[3].key] * 6
    assert all((truth == labels[0 if number < 6 else 3]).all() for number, (_, truth) in enumerate(pairs))
    assert {key for key, net in nets.items() if net.asked} == {clip[0].key, clip[3].key}


def test_a_labelled_frame_at_the_videos_end_goes_the_other_way_and_a_lone_one_is_refused(pictures, clip) -> None:
    last = {len(clip) - 1: clip[-1].label}
    config = RefineConfig(cycles=3, longest_cycle=2)
    pairs = make_cycles(pictures, last, Neighbours(Dis()), lambda key: Constant(), InpaintConfig(), config)
    assert len(pairs) == 3
    with pytest.raises(TrainingError, match="none of 1 labelled frames has a neighbour among 1 frames"):
        make_cycles(
            pictures[:1], {0: clip[0].label}, Neighbours(Dis()), lambda key: Constant(), InpaintConfig(), config
        )


@pytest.fixture(scope="module")
def cycled(pictures, clip):
    config = RefineConfig(cycles=2, longest_cycle=3)
    labels = {number: clip[number].label for number in (1, 4)}
    return make_cycles(pictures, labels, Neighbours(Dis()), lambda key: Constant(), InpaintConfig(), config)


@pytest.fixture(scope="module")
def trained(cycled):
    return train_refiner(cycled, 11, RefineConfig(channels=8, steps=60, batch_size=2, crop_px=64, lr=5e-3))


def test_it_learns_from_cycles(cycled, trained) -> None:
    before = np.mean([(draft.label_HW == truth).mean() for draft, truth in cycled])
    after = np.mean([(trained.refine(draft)[0] == truth).mean() for draft, truth in cycled])
    assert after > before + 0.003


def test_it_helps_on_a_cycle_it_was_not_trained_on(trained, pictures, clip) -> None:
    draft = cycle_of(pictures, clip, 2)
    assert (trained.refine(draft)[0] == clip[2].label).mean() > (draft.label_HW == clip[2].label).mean()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(cycled) -> None:
    same, again, other = (
        train_refiner(cycled, 11, RefineConfig(channels=8, steps=3, batch_size=2, crop_px=32, seed=seed)).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(value, again[name]) for name, value in same.items())
    assert not torch.equal(same["stem.0.weight"], other["stem.0.weight"])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (40, 50), (74, 100), (30, 96)])
def test_features_of_a_part_are_those_of_the_whole_there(cycled, row: int, column: int) -> None:
    rows, columns = slice(row, row + 16), slice(column, column + 20)
    for draft, _ in cycled:
        assert (features_of_part(draft, rows, columns, 11) == features(draft, 11)[:, rows, columns]).all()
        flat = np.zeros_like(draft.label_HW)
        flat[3] = 1  # an edge beyond the reach of most parts
        far = replace(draft, label_HW=flat)
        assert (features_of_part(far, rows, columns, 11) == features(far, 11)[:, rows, columns]).all()


def cycle_of(pictures, clip, number):
    from frugalseg.propagation.chain import Anchor

    anchor = Anchor(pictures[number], clip[number].label)
    return cycle(anchor, pictures[number + 1 : number + 3], Neighbours(Dis()), Constant(), InpaintConfig())


def test_no_steps_are_the_identity(cycled) -> None:
    draft = cycled[0][0]
    assert (train_refiner(cycled, 11, RefineConfig(channels=8, steps=0)).refine(draft)[0] == draft.label_HW).all()


def test_a_loss_that_is_no_number_stops_with_a_message(cycled) -> None:
    spoilt = [(replace(draft, k=float("nan")), truth) for draft, truth in cycled]
    with pytest.raises(TrainingError, match="step 0 of 5"):
        train_refiner(spoilt, 11, RefineConfig(channels=8, steps=5, crop_px=32))


def test_saved_and_loaded_it_says_the_same_and_damage_is_refused(tmp_path: Path, draft) -> None:
    refiner = Refiner(CLASSES, 8)
    with torch.no_grad():
        refiner.head.weight.normal_()
    save_refiner(tmp_path, refiner)
    assert (load_refiner(tmp_path).refine(draft)[0] == refiner.refine(draft)[0]).all()
    (tmp_path / "refine.json").write_text('{"classes": 5, "channels": 8}')
    with pytest.raises(ModelError, match="other shape"):
        load_refiner(tmp_path)
    (tmp_path / "refine.json").write_text('{"classes": -5, "channels": 8}')
    with pytest.raises(ModelError, match="no trained network `refine` here"):
        load_refiner(tmp_path)
    (tmp_path / "refine.safetensors").unlink()
    with pytest.raises(ModelError, match="no trained network `refine` here"):
        load_refiner(tmp_path)
