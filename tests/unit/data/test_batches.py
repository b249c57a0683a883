from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import write_label_png
from frugalseg.core.errors import ImageFileError, TrainingError
from frugalseg.core.records import Frame, PartialLabel, Provenance
from frugalseg.data.batches import (
    DomainBatch,
    DomainBatches,
    FramePool,
    ImageCache,
    Mining,
    Mixture,
    class_share,
    human_masks,
    mining_centre,
)
from frugalseg.data.joined import JoinedLabels
from frugalseg.data.partial import write_partial
from frugalseg.data.pixels import to_uint8
from frugalseg.data.rare_classes import RareClassSampler
from frugalseg.data.transforms import AugmentConfig, Window


@pytest.fixture(scope="module")
def pools(tiny_city: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[FramePool, FramePool]:
    data = tiny_city.domain_data(tmp_path_factory.mktemp("city"))
    return data.source, data.target


def batches(pools: tuple[FramePool | None, FramePool | None], **settings: Any) -> DomainBatches:
    defaults: dict[str, Any] = {"size": 2, "input_hw": (16, 24), "seed": 0, "augment_config": AugmentConfig()}
    return DomainBatches(*pools, **{**defaults, **settings})


def same(one: DomainBatch, other: DomainBatch) -> bool:
    return one.keys == other.keys and all(
        torch.equal(value, getattr(other, name)) if isinstance(value, torch.Tensor) else value == getattr(other, name)
        for name, value in vars(one).items()
    )


def labelled(tiny_city: ModuleType, pool: FramePool) -> FramePool:
    return pool.with_labels(human_masks(tiny_city.read_label))


def test_a_batch_holds_both_domains(pools: tuple[FramePool, FramePool]) -> None:
    batch = batches(pools).batch(3)
    assert batch.step == 3 and len(batch.keys) == 4
    assert [key.split("_")[0] for key in batch.keys] == ["simulator"] * 2 + ["street"] * 2
    assert batch.source_images is not None and batch.source_images.shape == (2, 3, 16, 24)
    assert batch.source_labels is not None and batch.source_labels.dtype == torch.int64
    assert batch.source_labels.shape == (2, 16, 24)
    assert batch.target_images is not None and batch.target_images.dtype == torch.float32
    assert batch.target_labels is None and batch.target_provenance is None


def test_selected_frames_come_beside_the_others_and_change_nothing_about_them(
    tiny_city: ModuleType, pools: tuple[FramePool, FramePool]
) -> None:
    chosen = labelled(tiny_city, FramePool(pools[1].frames[:2]))
    batch, without = (batches(pools, selected=selected).batch(3) for selected in (chosen, None))
    assert batch.selected_images is not None and batch.selected_images.shape == (2, 3, 16, 24)
    assert batch.selected_labels is not None and batch.selected_labels.shape == (2, 16, 24)
    assert {*batch.keys[4:]} == {frame.key for frame in chosen.frames}, "each once an epoch"
    assert same(
        without,
        replace(batch, selected_images=None, selected_labels=None, selected_provenance=None, keys=batch.keys[:4]),
    )
    alone = batches((None, None), selected=chosen).batch(3)
    assert alone.target_images is None and torch.equal(alone.selected_images, batch.selected_images)


def test_one_domain_alone(pools: tuple[FramePool, FramePool]) -> None:
    batch = batches((None, pools[1])).batch(0)
    assert batch.source_images is None and batch.source_labels is None and batch.target_images is not None


def test_a_batch_depends_on_seed_and_step_only(pools: tuple[FramePool, FramePool]) -> None:
    one = batches(pools)
    _ = [one.batch(step) for step in (5, 2)]  # what was asked before does not matter
    assert same(one.batch(3), batches(pools).batch(3))
    assert not same(one.batch(3), one.batch(4))
    assert not same(one.batch(3), batches(pools, seed=1).batch(3))


def test_slots_of_a_batch_are_varied_each_in_its_own_way(pools: tuple[FramePool, FramePool]) -> None:
    single = (FramePool(pools[0].frames[:1], pools[0].labels), None)
    batch = batches(single, size=3).batch(0)
    assert batch.source_images is not None
    assert len({image.numpy().tobytes() for image in batch.source_images}) == 3


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_does_not_matter(pools: tuple[FramePool, FramePool], threads: int) -> None:
    stream = list(batches(pools, threads=threads).stream(2, 9))
    plain = batches(pools)
    assert [batch.step for batch in stream] == list(range(2, 9))
    assert all(same(batch, plain.batch(batch.step)) for batch in stream)


def test_a_stream_may_be_left_early_or_be_empty(pools: tuple[FramePool, FramePool]) -> None:
    stream = batches(pools, threads=3).stream(0, 1000)
    assert next(stream).step == 0
    stream.close()  # type: ignore[attr-defined]
    assert list(batches(pools).stream(4, 4)) == []


def test_every_frame_comes_once_an_epoch_in_another_order(pools: tuple[FramePool, FramePool]) -> None:
    stream = batches((pools[0], None), size=1)
    epochs = [[stream.batch(epoch * 5 + step).keys[0] for step in range(5)] for epoch in range(4)]
    assert all(Counter(epoch) == Counter(frame.key for frame in pools[0].frames) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_ranks_share_out_what_one_process_would_see(pools: tuple[FramePool, FramePool]) -> None:
    whole = batches((pools[0], None), size=4)
    ranks = [batches((pools[0], None), size=2, rank=rank, world=2) for rank in range(2)]
    for step in range(5):
        shared = ranks[0].batch(step).keys + ranks[1].batch(step).keys
        assert shared == whole.batch(step).keys


def test_ranks_vary_the_same_frame_each_in_its_own_way(pools: tuple[FramePool, FramePool]) -> None:
    single = FramePool(pools[0].frames[:1], pools[0].labels)
    first, second = (batches((single, None), rank=rank, world=2).batch(0).source_images for rank in range(2))
    assert first is not None and second is not None and not torch.equal(first, second)


def test_no_frames_is_an_error_at_once(pools: tuple[FramePool, FramePool]) -> None:
    for empty in ((None, None), (FramePool(()), pools[1]), (pools[0], FramePool(()))):
        with pytest.raises(TrainingError, match="no frames to train on"):
            batches(empty)


def test_a_damaged_image_is_named(pools: tuple[FramePool, FramePool], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    bad = Frame("bad", str(tmp_path / "bad.png"), None, "", 0, "train", 8, 8, "")
    with pytest.raises(ImageFileError, match=r"bad\.png"):
        list(batches((None, FramePool((bad,))), threads=2).stream(0, 3))


# --- hard-sample mining


def test_mining_centres_on_a_pixel_of_a_rare_class() -> None:
    label = np.zeros((10, 12), np.uint8)
    label[3, 4] = label[7, 9] = 5
    label[0, 0] = 6
    rng = np.random.default_rng(0)
    found = {mining_centre(label, Mining((5,), 1.0), rng) for _ in range(50)}
    assert found == {(3, 4), (7, 9)}
    assert {mining_centre(label, Mining((5, 6), 1.0), rng) for _ in range(100)} == {(3, 4), (7, 9), (0, 0)}


def test_mining_happens_as_often_as_told_and_only_where_there_is_something() -> None:
    label = np.full((4, 4), IGNORE, np.uint8)
    label[1, 1] = 2
    rng = np.random.default_rng(0)
    often = sum(mining_centre(label, Mining((2,), 0.8), rng) is not None for _ in range(1000))
    assert 760 <= often <= 840
    assert mining_centre(label, Mining((3,), 1.0), rng) is None
    assert mining_centre(label, Mining((), 1.0), rng) is None
    assert mining_centre(label, None, rng) is None


def test_mined_windows_show_the_rare_class_in_the_target_only(
    tiny_city: ModuleType, pools: tuple[FramePool, FramePool]
) -> None:
    both = pools[0], labelled(tiny_city, pools[1])
    config = AugmentConfig(zoom_min=2.5, zoom_max=2.5)
    mined = batches(both, augment_config=config, mining=Mining((tiny_city.SIGN,), 1.0))
    usual = batches(both, augment_config=config)
    seen = {"mined": 0, "usual": 0}
    for step in range(10):
        with_mining, without = mined.batch(step), usual.batch(step)
        assert torch.equal(with_mining.source_images, without.source_images)  # type: ignore[arg-type]
        for name, batch in (("mined", with_mining), ("usual", without)):
            assert batch.target_labels is not None
            seen[name] += int((batch.target_labels == tiny_city.SIGN).flatten(1).any(dim=1).sum())
    assert seen["mined"] == 20 and seen["usual"] < 15


def test_target_frames_are_never_shown_smaller_than_they_are(
    tiny_city: ModuleType, pools: tuple[FramePool, FramePool]
) -> None:
    both = pools[0], labelled(tiny_city, pools[1])
    out = AugmentConfig(zoom_min=0.4, zoom_max=1.0, color_jitter=0, hue_jitter=0)
    for config, borders in ((out, False), (out.model_copy(update={"target_zoom_min": 0.4}), True)):
        drawn = [batches(both, augment_config=config).batch(step) for step in range(5)]
        assert any((batch.source_images == 0).all(dim=1).any() for batch in drawn)
        assert any(bool((batch.target_images == 0).all(dim=1).any()) for batch in drawn) is borders
    assert AugmentConfig(zoom_min=0.5, zoom_max=0.8).for_target().zoom_min == 0.8  # zooms stay in order


# --- drawing by rare class


def rare(pool: FramePool, tiny_city: ModuleType, **settings: float) -> RareClassSampler:
    pixels = np.stack([np.bincount(tiny_city.read_label(frame).ravel(), minlength=256)[:4] for frame in pool.frames])
    return RareClassSampler(pixels, **{"temperature": 0.01, "ratio": 1.0, "share": 0.02, "seed": 0, **settings})  # type: ignore[arg-type]


def test_rare_classes_come_into_view(tiny_city: ModuleType, pools: tuple[FramePool, FramePool]) -> None:
    config = AugmentConfig(zoom_min=2.0, zoom_max=2.0)
    usual = batches(pools, augment_config=config)
    drawn = batches(pools, augment_config=config, rare=rare(pools[0], tiny_city))
    seen = {"drawn": 0, "usual": 0}
    for step in range(10):
        by_class, in_turn = drawn.batch(step), usual.batch(step)
        assert torch.equal(by_class.target_images, in_turn.target_images)  # type: ignore[arg-type]
        for name, batch in (("drawn", by_class), ("usual", in_turn)):
            assert batch.source_labels is not None
            seen[name] += int((batch.source_labels == tiny_city.SIGN).flatten(1).any(dim=1).sum())
    assert seen["drawn"] >= 17 and seen["usual"] <= 14


def test_drawing_by_class_depends_on_the_place_alone(tiny_city: ModuleType, pools: tuple[FramePool, FramePool]) -> None:
    sampler = rare(pools[0], tiny_city, ratio=0.5)
    stream = list(batches(pools, rare=sampler, threads=4).stream(2, 9))
    plain, usual = batches(pools, rare=rare(pools[0], tiny_city, ratio=0.5)), batches(pools)
    assert all(same(batch, plain.batch(batch.step)) for batch in stream)
    granted = [[sampler.draw(step, 0, slot) is not None for slot in range(2)] for step in range(2, 9)]
    assert {True, False} <= {slot for step in granted for slot in step}
    for batch, wished in zip(stream, granted, strict=True):
        in_turn = usual.batch(batch.step)
        for slot in range(2):
            if not wished[slot]:  # the other draws are as if nothing were drawn by class
                assert batch.keys[slot] == in_turn.keys[slot]
                assert torch.equal(batch.source_images[slot], in_turn.source_images[slot])  # type: ignore[index]


def test_a_wish_that_cannot_be_granted_does_not_hold_up_training(
    tiny_city: ModuleType, pools: tuple[FramePool, FramePool]
) -> None:
    batch = batches(pools, rare=rare(pools[0], tiny_city, share=1.0)).batch(0)
    assert batch.source_images is not None and len(batch.keys) == 4


def test_the_share_of_a_class_in_a_window() -> None:
    label = np.zeros((4, 6), np.uint8)
    label[1:3, 2:5] = 7
    assert class_share(label, Window(0, 0, 4, 6), 7) == 6 / 24
    assert class_share(label, Window(1, 2, 2, 2), 7) == 1.0
    assert class_share(label, Window(-2, -2, 4, 5), 7) == 1 / 20  # what lies outside of the frame has no class
    assert class_share(label, Window(-9, 0, 4, 4), 7) == 0.0


# --- frames in between others


def drawn(pools: tuple[FramePool, FramePool], ratio: float, steps: int, **settings: Any) -> list[str]:
    """Return the keys drawn as selected frames: of the street from the mixture, of the simulator others."""
    chosen, mixture = FramePool(pools[0].frames), Mixture(pools[1], ratio)
    made = batches((None, None), selected=chosen, mixture=mixture, size=3, **settings)
    return [key for step in range(steps) for key in made.batch(step).keys]


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_of_n_draws_the_mixture_has_its_share_and_every_frame_its_turn(
    pools: tuple[FramePool, FramePool], ratio: float
) -> None:
    keys = drawn(pools, ratio, 20)
    for number in range(1, len(keys) + 1):
        others = sum(key.startswith("street") for key in keys[:number])
        assert others == int(np.floor(number * ratio)), number
    for look in ("street", "simulator"):
        turns = Counter(key for key in keys if key.startswith(look))
        assert not turns or max(turns.values()) - min(turns.values()) <= 1
        own = [key for key in keys if key.startswith(look)]
        assert len(set(own[:5])) == min(5, len(own))  # an epoch shows each of the five once


def test_the_mixture_is_the_same_for_any_number_of_threads_and_divides_among_ranks(
    pools: tuple[FramePool, FramePool],
) -> None:
    whole = drawn(pools, 0.7, 8)
    first, second = (drawn(pools, 0.7, 4, rank=rank, world=2) for rank in (0, 1))
    by_step = [first[3 * step : 3 * step + 3] + second[3 * step : 3 * step + 3] for step in range(4)]
    assert [key for keys in by_step for key in keys] == whole


def test_labels_that_were_spread_lie_where_nobody_answered(tmp_path: Path, tiny_city: ModuleType) -> None:
    height, width = tiny_city.SIZE_HW
    frame = Frame("f", "f.png", None, "", 0, "train", width, height, "")
    human, spread = (np.full((height, width), IGNORE, np.uint8) for _ in range(2))
    human[2, 3], spread[2, 3], spread[5, 6] = 1, 2, 3
    write_partial(tmp_path / "human", PartialLabel("f", human, np.where(human == IGNORE, 0, 1).astype(np.uint8)))
    joined = JoinedLabels(tmp_path / "human", tmp_path / "spread")
    label, provenance, sure = joined(frame)
    assert np.array_equal(label, human) and provenance[2, 3] == 1 and (sure == 255).all()
    write_partial(tmp_path / "spread", PartialLabel("f", spread, np.where(spread == IGNORE, 0, 6).astype(np.uint8)))
    assert (joined(frame)[2] == 255).all()  # no confidence there
    (tmp_path / "spread" / "confidence").mkdir()
    write_label_png(tmp_path / "spread" / "confidence" / "f.png", np.full((height, width), 70, np.uint8))
    label, provenance, sure = joined(frame)
    assert (label[2, 3], provenance[2, 3], sure[2, 3]) == (1, Provenance.HUMAN_POINT, 255)
    assert (label[5, 6], provenance[5, 6], sure[5, 6]) == (3, Provenance.PROPAGATED_POINT, 70)
    assert (label != IGNORE).sum() == 2 and (provenance != 0).sum() == 2 and (sure != 255).sum() == 1
    Image.fromarray(np.zeros((height, width), np.uint8)).save(tmp_path / "car.png")
    label, provenance, sure = joined(replace(frame, mask=str(tmp_path / "car.png")))
    assert (label != IGNORE).sum() == (provenance != 0).sum() == 1 and (sure == 255).all()


# --- labels and images


def test_full_labels_have_the_provenance_of_a_mask(tiny_city: ModuleType, pools: tuple[FramePool, FramePool]) -> None:
    frame = pools[0].frames[0]
    label, provenance = human_masks(tiny_city.read_label)(frame)
    assert np.array_equal(label, tiny_city.read_label(frame)) and (label == IGNORE).any()
    assert np.array_equal(provenance, np.where(label == IGNORE, Provenance.UNKNOWN, Provenance.HUMAN_MASK))


def test_other_labels_share_the_decoded_images(pools: tuple[FramePool, FramePool]) -> None:
    relabelled = pools[1].with_labels(lambda frame: pytest.fail("not asked"))
    assert relabelled.cache is pools[1].cache and relabelled.frames == pools[1].frames


def test_the_cache_holds_no_more_than_its_limit(pools: tuple[FramePool, FramePool]) -> None:
    frames = pools[0].frames
    one = ImageCache().read(frames[0])
    cache = ImageCache(limit_bytes=2 * one.nbytes)
    first = cache.read(frames[0])
    assert cache.read(frames[0]) is first
    for frame in frames[1:3]:
        cache.read(frame)
    assert cache._held_bytes == 2 * one.nbytes and len(cache._frames) == 2
    again = cache.read(frames[0])
    assert again is not first and np.array_equal(again, first)
    tiny = ImageCache(limit_bytes=10)
    assert np.array_equal(tiny.read(frames[0]), one) and tiny._held_bytes == 0


def test_sixteen_bits_keep_their_high_byte() -> None:
    assert to_uint8(np.array([0, 255, 256, 65535], np.uint16)).tolist() == [0, 0, 1, 255]
    eight = np.array([3], np.uint8)
    assert to_uint8(eight) is eight


def test_a_batch_moves_as_a_whole(pools: tuple[FramePool, FramePool]) -> None:
    moved = batches(pools).batch(1).to(torch.device("meta"))
    assert moved.step == 1 and len(moved.keys) == 4 and moved.target_labels is None
    assert moved.source_images is not None and moved.source_images.device.type == "meta"
    assert moved.source_labels is not None and moved.source_labels.device.type == "meta"
