"""Ω: the identity at the start, never without a reason elsewhere, and trained on cycles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import DataError, ModelError, TrainingError
from frugalseg.propagation.cycle_crops import GUESSED as GUESS_MAPS
from frugalseg.propagation.cycle_crops import Crops, features_of_part
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.inpaint import GUESSED, NOWHERE, REFINED, WARPED, Draft, InpaintConfig, cycle
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.networks import RefineConfig
from frugalseg.propagation.refine import (
    ERROR_UNIT,
    GATES,
    Refiner,
    deep_features,
    feature_count,
    features,
    load_refiner,
    save_refiner,
)
from frugalseg.propagation.semantic import Guess
from frugalseg.propagation.spread import SpreadConfig, Spreader, Tools
from frugalseg.propagation.train_refine import make_drafts, train_refiner

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
    carried = np.roll(label, 1, axis=1)
    return Draft(
        noise(1), label, carried, error, error < 30, source, Guess(first, (first + 1) % CLASSES, margin, margin), 3
    )


def test_features_by_hand(draft) -> None:
    seen = features(draft, CLASSES)
    assert seen.shape == (feature_count(CLASSES), 48, 64) and seen.dtype == np.float32 and np.isfinite(seen).all()
    one_hot, carried, shares, image, (error, trusted, edge, k) = np.split(seen, [5, 10, 14, 17])
    for part, label in ((one_hot, draft.label_HW), (carried, draft.warped_HW)):
        assert (part.argmax(axis=0) == np.minimum(label, CLASSES)).all() and (part.sum(axis=0) == 1).all()
    assert shares.sum(axis=0) == pytest.approx(np.ones((48, 64)))
    assert (image * 255).round().transpose(1, 2, 0).astype(np.uint8).tolist() == draft.picture.rgb_HWC.tolist()
    assert (error[0] == 2).all() and error[9, 9] == pytest.approx(min(2, draft.error_HW[9, 9] / ERROR_UNIT))
    assert (trusted == (draft.error_HW < 30)).all() and 0 < edge.min() <= edge.max() <= 1
    assert k == pytest.approx(np.full((48, 64), 0.3))


def test_untrained_it_is_the_identity_and_says_where_labels_come_from(draft) -> None:
    label, source = Refiner(CLASSES, 8).refine(draft)
    assert (label == draft.label_HW).all() and (source == draft.source_HW).all()


def test_it_can_turn_to_what_motion_or_the_network_said_whatever_class_that_is(draft) -> None:
    refiner = Refiner(CLASSES, 8)
    for gate, other in ((1, draft.warped_HW), (2, draft.guess.first_HW)):
        with torch.no_grad():
            refiner.head.bias.zero_()
            refiner.head.bias[0], refiner.head.bias[gate] = -1, 1
        named_HW = (draft.guess.margin_HW > 0) | (gate == 1)  # else two classes are equals
        assert (refiner.refine(draft)[0] == other)[named_HW].all()


def test_what_it_changes_is_marked_as_refined(draft) -> None:
    refiner = Refiner(CLASSES, 8)
    with torch.no_grad():
        refiner.head.bias[GATES + 2] += 100
    label, source = refiner.refine(draft)
    same_HW = (draft.label_HW == 2) | (draft.warped_HW == 2)
    assert (label == 2).all() and (source == np.where(same_HW, WARPED, REFINED)).all()
    with torch.no_grad():
        refiner.head.bias[GATES + CLASSES] += 200
    label, source = refiner.refine(draft)
    assert (label == IGNORE).all() and (source == NOWHERE).all()


def test_motions_label_stays_unless_another_one_is_likelier_by_so_much(draft) -> None:
    refiner, known_HW = Refiner(CLASSES, 8), draft.label_HW != draft.warped_HW
    with torch.no_grad():
        refiner.head.bias[1] = 1.1  # motion's label against the draft's: a logit of 5.5 against one of 5
    shares = torch.tensor([5.0, 5.5, 0, 0, 0]).softmax(0)  # both of them where they differ
    apart = float(shares[1] - shares[0])
    assert (refiner.refine(draft)[0] == draft.warped_HW).all()
    with torch.no_grad():
        refiner.head.bias[1] = 0.9  # the other way round, by as little
    shares = torch.tensor([5.0, 4.5, 0, 0, 0]).softmax(0)
    apart = float(shares[0] - shares[1])
    for overrule, expected in ((apart - 0.01, draft.label_HW), (apart + 0.01, draft.warped_HW)):
        refiner.overrule = overrule
        label, source = refiner.refine(draft)
        assert known_HW.any() and (label == expected).all()
        assert (source == np.where(label == IGNORE, NOWHERE, WARPED)).all(), "motion's label, or the draft's"


def test_what_labelled_frames_agree_on_stays_motions(draft) -> None:
    agreed = np.random.default_rng(0).random(draft.label_HW.shape) < 0.5
    label, _ = Refiner(CLASSES, 8).refine(replace(draft, agreed_HW=agreed))
    assert (label == np.where(agreed, draft.warped_HW, draft.label_HW)).all()


def test_a_draft_tells_where_two_labelled_frames_agree_and_one_tells_nothing(pictures, clip) -> None:
    tools = Tools(Neighbours(Dis()), 11, Dis(), Constant())
    spreader = Spreader(tools, SpreadConfig())
    sides = [spreader.bring(pictures, clip[number].label, number, 3) for number in (1, 5)]
    assert spreader.draft(pictures[3], sides[:1]).agreed_HW is None
    draft = spreader.draft(pictures[3], sides)
    every = [there.warp() for there in sides]
    assert len(every) == 2 and not all(warp.flow.valid_HW.all() for warp in every)
    expected = np.all([(warp.nearest_HW == draft.warped_HW) & warp.flow.valid_HW for warp in every], axis=0)
    assert (draft.agreed_HW == expected).all() and 0.5 < expected.mean() < 1


def test_where_motion_has_no_label_none_is_protected(draft) -> None:
    lost = np.zeros(draft.label_HW.shape, np.bool_)
    lost[:, :20] = True
    error, moved = np.where(lost, np.inf, 1).astype(np.float32), np.where(lost, IGNORE, draft.warped_HW)
    draft = replace(draft, error_HW=error, warped_HW=moved.astype(np.uint8))
    refiner = Refiner(CLASSES, 8, overrule=0.999)
    label, _ = refiner.refine(draft)
    assert (label[:, :20] == draft.label_HW[:, :20]).all() and (label[:, 20:] == draft.warped_HW[:, 20:]).all()


def test_where_a_label_comes_from_stays_known_under_the_papers_recursion(draft) -> None:
    carried = np.where(np.arange(64) < 30, GUESSED, WARPED) * np.ones((48, 1), np.int64)
    draft = replace(draft, agreed_HW=np.ones((48, 64), np.bool_), warped_source_HW=carried.astype(np.uint8))
    label, source = Refiner(CLASSES, 8).refine(draft)
    other = (label != draft.label_HW) & (label != IGNORE)
    assert (label == draft.warped_HW).all() and other.any() and (source[other] == carried[other]).all()


def test_features_of_another_network_than_it_has_learned_from_are_refused(draft) -> None:
    seen = replace(draft, guess=replace(draft.guess, deep_Dhw=np.zeros((3, 6, 8), np.float16)))
    assert (Refiner(CLASSES, 8, 3).refine(seen)[0] == draft.label_HW).all()
    assert (Refiner(CLASSES, 8).refine(seen)[0] == draft.label_HW).all(), "one without reads none"
    with pytest.raises(DataError, match="(?s)has 0 features, and the refinement network has learned from one with 3"):
        Refiner(CLASSES, 8, 3).refine(draft)


@pytest.mark.parametrize("size_HW", [(17, 23), (16, 16), (5, 9)])
def test_any_size_goes_through(size_HW) -> None:
    inputs = torch.rand(2, feature_count(CLASSES), *size_HW)
    for deep in (0, 3):
        seen = torch.rand(2, deep, *(-(-length // 4) for length in size_HW))
        assert Refiner(CLASSES, 8, deep)(inputs, seen).shape == (2, CLASSES + 1, *size_HW)


def drafts(pictures, labels, number, config, net=None, wanted=range(99), **spread):
    tools = Tools(Neighbours(Dis()), CLASSES, semantic=net or Constant())
    return list(make_drafts(pictures, labels, number, tools, SpreadConfig(**spread), config, wanted))


def cycles(pictures, number, label, config, net=None, wanted=range(99)):
    return drafts(pictures, {number: label}, number, config, net, wanted)


def test_cycles_end_at_the_labelled_frame_and_their_lengths_are_within_reach(pictures, clip) -> None:
    net, config = Constant(), RefineConfig(cycles=6, longest_cycle=3)
    made = cycles(pictures, 3, clip[3].label, config, net)
    assert [number for number, _ in made] == list(range(6)) and {draft.k // 2 for _, draft in made} == {1, 2, 3}
    assert {draft.picture.key for _, draft in made} == {clip[3].key} and net.asked.count(clip[3].key) == 6


def test_a_cycle_is_the_same_whichever_others_are_made(pictures, clip) -> None:
    config = RefineConfig(cycles=4, longest_cycle=3)
    every = dict(cycles(pictures, 2, clip[2].label, config))
    ((number, alone),) = cycles(pictures, 2, clip[2].label, config, wanted={2})
    assert number == 2 and alone.k == every[2].k and (alone.label_HW == every[2].label_HW).all()
    assert not cycles(pictures, 2, clip[2].label, config, wanted=())


def test_where_others_are_labelled_their_labels_come_to_the_frame_as_in_use(pictures, clip) -> None:
    labels, net = {number: clip[number].label for number in (0, 3, 5)}, Constant()
    config, spread = RefineConfig(cycles=12, pairs=1), SpreadConfig(reach=3)
    made = dict(drafts(pictures, labels, 3, config, net, reach=3))
    assert len(made) == 12 and set(net.asked) == {clip[3].key}
    spreader = Spreader(Tools(Neighbours(Dis()), CLASSES, semantic=net), spread)
    sides = [spreader.bring(pictures, labels[number], number, 3) for number in (0, 5)]
    expected = [spreader.draft(pictures[3], reached) for reached in (sides[:1], sides[1:], sides)]
    found = [
        next(
            number for number, one in enumerate(expected) if (one.label_HW == draft.label_HW).all() and one.k == draft.k
        )
        for draft in made.values()
    ]
    assert set(found) == {0, 1, 2}
    label_HW, *_ = spreader.label(pictures[3], sides, sides[0])
    assert (label_HW == expected[2].label_HW).all(), "a draft is what is written where nothing mends it"


def test_pairs_are_a_share_of_the_drafts_and_never_those_of_the_papers_recursion(pictures, clip) -> None:
    labels, config = {number: clip[number].label for number in (2, 3)}, RefineConfig(cycles=16, longest_cycle=2)
    alone = [draft.k for _, draft in cycles(pictures, 2, clip[2].label, config)]
    half = [draft.k for _, draft in drafts(pictures, labels, 2, config)]
    assert 4 <= half.count(1) <= 12, "the other labelled frame is one frame away; a cycle's way is at least 2"
    assert [k for k in half if k > 1] == [k for k, other in zip(alone, half, strict=True) if other > 1]
    for given in ({"recursion": "paper"}, {"reach": 1}):
        far = labels if "recursion" in given else {2: clip[2].label, 4: clip[4].label}
        assert [
            draft.k for _, draft in drafts(pictures, far, 2, config.model_copy(update={"pairs": 1.0}), **given)
        ] == alone
    assert [draft.k for _, draft in drafts(pictures, labels, 2, config.model_copy(update={"pairs": 0.0}))] == alone


def test_a_labelled_frame_at_the_videos_end_goes_the_other_way_and_a_lone_one_nowhere(pictures, clip) -> None:
    config = RefineConfig(cycles=3, longest_cycle=2, channels=8, steps=1)
    assert len(cycles(pictures, len(clip) - 1, clip[-1].label, config)) == 3
    assert cycles(pictures[:1], 0, clip[0].label, config) == []


def test_training_without_any_cycle_is_refused_and_without_steps_needs_none(tmp_path: Path) -> None:
    for frames in (0, 2):
        with (
            Crops(tmp_path, frames, RefineConfig(steps=1)) as crops,
            pytest.raises(TrainingError, match=f"none of {frames} labelled frames has a neighbour"),
        ):
            train_refiner(crops, CLASSES, RefineConfig(steps=1))
    with Crops(tmp_path, 0, RefineConfig(steps=0)) as crops:
        train_refiner(crops, CLASSES, RefineConfig(steps=0))


@pytest.fixture(scope="module")
def cycled(pictures, clip):
    config = RefineConfig(cycles=2, longest_cycle=3)
    return [
        (draft, clip[number].label)
        for number in (1, 4)
        for _, draft in cycles(pictures, number, clip[number].label, config)
    ]


def kept(folder: Path, pairs, config: RefineConfig, gone=()) -> Crops:
    """The crops of cycles that were made, `config.cycles` a frame."""
    crops = Crops(folder, len(pairs) // config.cycles, config)
    for place, pair in enumerate(pairs):
        frame, cycle_number = divmod(place, config.cycles)
        if frame not in gone and cycle_number in crops.wanted(frame):
            crops.add(frame, cycle_number, *pair)
    return crops


def learn(folder: Path, pairs, config: RefineConfig) -> Refiner:
    with kept(folder, pairs, config) as crops:
        return train_refiner(crops, 11, config)


def drawn(pairs, config: RefineConfig, step: int, slot: int):
    """A crop of drafts that are all at hand, its features made of the whole draft."""
    rng = generator(config.seed, "crop", step, slot)
    draft, truth = pairs[int(rng.integers(len(pairs)))]
    place = []
    for length in truth.shape:
        start = 4 * int(rng.integers(max(1, (length - config.crop_px) // 4 + 1)))
        place.append(slice(start, min(length, start + config.crop_px)))
    part, truth = features(draft, 11)[:, *place], truth[tuple(place)]
    return (part[:, :, ::-1], truth[:, ::-1]) if rng.random() < 0.5 else (part, truth)


@pytest.mark.parametrize(("crop_px", "steps"), [(16, 1), (16, 12), (64, 2), (500, 1)])
def test_crops_that_waited_in_a_file_are_those_of_drafts_at_hand(tmp_path: Path, cycled, crop_px, steps) -> None:
    config = RefineConfig(cycles=2, crop_px=crop_px, steps=steps, batch_size=3)
    with kept(tmp_path, cycled, config) as crops:
        for step in range(steps):
            inputs, deep, truth = crops.batch(step, 11)
            assert deep.shape == (3, 0, 1, 1)
            for slot in range(3):
                part, label = drawn(cycled, config, step, slot)
                assert (inputs[slot] == part).all() and (truth[slot] == label).all()
    assert not list(tmp_path.iterdir())


def test_the_file_of_crops_does_not_grow_with_labelled_frames_or_their_size(tmp_path: Path, cycled) -> None:
    config = RefineConfig(cycles=2, crop_px=16, steps=2, batch_size=2)
    wide = [
        (replace(draft, **{name: np.tile(getattr(draft, name), (4, 4)) for name in MAPS}, guess=tiled(draft.guess),
                 picture=Picture("", np.tile(draft.picture.rgb_HWC, (4, 4, 1)))), np.tile(truth, (4, 4)))
        for draft, truth in cycled
    ]  # fmt: skip
    sizes = []
    for pairs in (wide, wide * 20):
        with kept(tmp_path, pairs, config) as crops:
            assert sum(len(crops.wanted(frame)) for frame in range(len(pairs) // 2)) <= 4
            sizes.append(crops._file.seek(0, 2))
    assert max(sizes) <= 4 * (84 * 84 * 16 + 300)


MAPS = ("label_HW", "warped_HW", "error_HW", "trusted_HW", "source_HW")


def tiled(guess: Guess) -> Guess:
    return Guess(*(np.tile(getattr(guess, name), (4, 4)) for name in GUESS_MAPS))


def test_in_place_of_crops_whose_frame_had_no_neighbour_there_are_others(tmp_path: Path, cycled) -> None:
    config = RefineConfig(cycles=2, crop_px=32, steps=4, batch_size=2)
    with kept(tmp_path, cycled, config, gone={0}) as crops:
        batches = [crops.batch(step, 11) for step in range(4)]
        assert all(len(truth) == 2 for *_, truth in batches)
        mine = [truth for step in range(4) for truth in crops.batch(step, 11)[2]]
    own = [
        (part, label) for step in range(4) for slot in range(2) for part, label in [drawn(cycled, config, step, slot)]
    ]
    assert {label.tobytes() for label in mine} < {np.ascontiguousarray(label).tobytes() for _, label in own}


def with_deep(pairs, channels=(2, 2)):
    """The drafts, with features on a grid of their own that tell where in the frame a cell lies, and a constant."""
    rows, columns = np.meshgrid(np.arange(5.0), np.arange(7.0), indexing="ij")
    deep = np.stack([rows, columns, np.full((5, 7), 9.0)]).astype(np.float16)
    return [
        (replace(draft, guess=replace(draft.guess, deep_Dhw=deep[:count])), truth)
        for (draft, truth), count in zip(pairs, np.repeat(channels, 2), strict=True)
    ]


@pytest.mark.parametrize("crop_px", [16, 64, 500])
def test_what_the_network_sees_lies_where_the_crop_does(tmp_path: Path, cycled, crop_px: int) -> None:
    config = RefineConfig(cycles=2, crop_px=crop_px, steps=3, batch_size=3)
    pairs = with_deep(cycled, (3, 3))
    with kept(tmp_path, pairs, config) as crops:
        whole = deep_features(pairs[0][0].guess.deep_Dhw, pairs[0][1].shape)
        assert crops.deep == 3 and whole.shape[1:] == tuple(-(-length // 4) for length in pairs[0][1].shape)
        mean, spread = crops.deep_spread
        assert mean == pytest.approx([2, 3, 9]) and spread[:2] == pytest.approx([2**0.5, 2])
        assert np.isinf(spread[2]), "what was the same everywhere tells nothing"
        for step in range(3):
            _, deep, _ = crops.batch(step, 11)
            for slot in range(3):
                rng, place = generator(config.seed, "crop", step, slot), []
                rng.integers(len(pairs))
                for length in pairs[0][1].shape:
                    start = int(rng.integers(max(1, (length - crop_px) // 4 + 1)))
                    place.append(slice(start, start + -(-min(crop_px, length) // 4)))
                expected = whole[:, *place]
                assert (deep[slot] == (expected[:, :, ::-1] if rng.random() < 0.5 else expected)).all()
    with kept(tmp_path, pairs, config.model_copy(update={"deep": False})) as crops:
        assert crops.deep == 0 and crops.batch(0, 11)[1].shape[1] == 0


def test_networks_of_several_kinds_are_refused(tmp_path: Path, cycled) -> None:
    config = RefineConfig(cycles=2, steps=8, crop_px=32)
    with pytest.raises(TrainingError, match="has 2 features, those before had 3.*deep = false"):
        kept(tmp_path, with_deep(cycled, (3, 2)), config)


class Knowing:
    """A semantic network that knows all, but only at every third column."""

    def __init__(self, clip) -> None:
        self._labels = {frame.key: frame.label for frame in clip}

    def guess(self, picture):
        known = np.arange(picture.size_HW[1]) % 3 == 0
        first = np.where(known, np.minimum(self._labels[picture.key], 10), 0).astype(np.uint8)
        return Guess(first, (first + 1) % 11, margin := np.where(known, 255, 0).astype(np.uint8) + 0 * first, margin)


@pytest.fixture(scope="module")
def told(pictures, clip):
    config = RefineConfig(cycles=2, longest_cycle=3)
    labels = [(number, clip[number].label) for number in (1, 2, 4)]
    made = {n: cycles(pictures, n, label, config, Knowing(clip)) for n, label in labels}
    return {number: [(draft, clip[number].label) for _, draft in drafts] for number, drafts in made.items()}


def right(pairs, label_of) -> float:
    return float(np.mean([(label_of(draft) == truth).mean() for draft, truth in pairs]))


def test_it_learns_whom_to_believe_from_cycles_and_does_so_on_a_frame_it_has_not_learned_from(told, tmp_path) -> None:
    config = RefineConfig(cycles=2, channels=8, steps=150, batch_size=2, crop_px=64, lr=5e-3)
    trained = learn(tmp_path, told[1] + told[4], config)
    for pairs in (told[1] + told[4], told[2]):
        assert right(pairs, lambda draft: trained.refine(draft)[0]) > right(pairs, lambda d: d.label_HW) + 0.003


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(cycled, tmp_path: Path) -> None:
    same, again, other = (
        learn(
            tmp_path, cycled, RefineConfig(cycles=2, channels=8, steps=3, batch_size=2, crop_px=32, seed=seed)
        ).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(value, again[name]) for name, value in same.items())
    assert not torch.equal(same["stem.0.weight"], other["stem.0.weight"])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (40, 50), (74, 100), (30, 96)])
def test_features_of_a_part_are_those_of_the_whole_there(cycled, row: int, column: int) -> None:
    rows, columns = slice(row, row + 16), slice(column, column + 20)
    for draft, _ in cycled:
        assert (features_of_part(draft, (rows, columns), 11) == features(draft, 11)[:, rows, columns]).all()
        flat = np.zeros_like(draft.label_HW)
        flat[3] = 1  # an edge beyond the reach of most parts
        far = replace(draft, label_HW=flat)
        assert (features_of_part(far, (rows, columns), 11) == features(far, 11)[:, rows, columns]).all()


def cycle_of(pictures, clip, number):
    from frugalseg.propagation.chain import Anchor

    anchor = Anchor(pictures[number], clip[number].label)
    return cycle(anchor, pictures[number + 1 : number + 3], Neighbours(Dis()), Constant(), InpaintConfig())


def test_no_steps_are_the_identity(cycled, tmp_path: Path) -> None:
    draft = cycled[0][0]
    assert (learn(tmp_path, cycled, RefineConfig(channels=8, steps=0)).refine(draft)[0] == draft.label_HW).all()


def test_a_loss_that_is_no_number_stops_with_a_message(cycled, tmp_path: Path) -> None:
    spoilt = [(replace(draft, k=float("nan")), truth) for draft, truth in cycled]
    with pytest.raises(TrainingError, match="step 0 of 5"):
        learn(tmp_path, spoilt, RefineConfig(cycles=2, channels=8, steps=5, crop_px=32))


def test_saved_and_loaded_it_says_the_same_and_damage_is_refused(tmp_path: Path, draft) -> None:
    refiner = Refiner(CLASSES, 8, 2)
    draft = replace(draft, guess=replace(draft.guess, deep_Dhw=np.ones((2, 6, 8), np.float16)))
    with torch.no_grad():
        refiner.head.weight.normal_()
        refiner.deep_mean.fill_(3)
    save_refiner(tmp_path, refiner)
    assert (load_refiner(tmp_path, 0.0).refine(draft)[0] == refiner.refine(draft)[0]).all()
    (tmp_path / "refine.json").write_text('{"classes": 5, "channels": 8, "deep": 3}')
    with pytest.raises(ModelError, match="other shape"):
        load_refiner(tmp_path, 0.0)
    (tmp_path / "refine.json").write_text('{"classes": -5, "channels": 8}')
    with pytest.raises(ModelError, match="no trained network `refine` here"):
        load_refiner(tmp_path, 0.0)
    (tmp_path / "refine.safetensors").unlink()
    with pytest.raises(ModelError, match="no trained network `refine` here"):
        load_refiner(tmp_path, 0.0)
