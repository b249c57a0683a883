"""The reconstruction network: it begins with the flow it is given, learns from frames alone, and is a motion source."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from frugalseg.core.errors import DataError, ModelError, TrainingError
from frugalseg.propagation.dis import Dis, DisConfig
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.networks import SdcConfig
from frugalseg.propagation.sdc import Sdc, save_sdc
from frugalseg.propagation.sdc_net import RADIUS, SEEN, WINDOW_PX, Reconstructor, best_fit, compare, halves, twice
from frugalseg.propagation.train_sdc import Pair, crops, train_sdc

SMALL = {"sdc_channels": 8, "sdc_levels": 2, "sdc_crop_px": 32, "sdc_batch_size": 1, "sdc_pairs": 2}


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape, np.float32))


def untrained(folder: Path, head: float = 0.0) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Reconstructor(4, 2)
        torch.nn.init.normal_(network.head.weight, std=head)
    save_sdc(folder, network)
    return folder


def test_comparing_against_a_naive_loop_and_the_best_fit_is_the_step_there() -> None:
    here, there = random(0, 2, 3, 6, 7), random(1, 2, 3, 6, 7)
    found = compare(here, there)
    assert found.shape == (2, SEEN, 6, 7)
    steps = [(down, right) for down in range(-RADIUS, RADIUS + 1) for right in range(-RADIUS, RADIUS + 1)]
    reach = WINDOW_PX // 2
    products = np.zeros((2, SEEN, 6, 7))
    for n, number, row, column in np.ndindex(2, SEEN, 6, 7):
        r, c = row + steps[number][0], column + steps[number][1]
        if 0 <= r < 6 and 0 <= c < 7:
            products[n, number, row, column] = float(here[n, :, row, column] @ there[n, :, r, c])
    for row, column in np.ndindex(6, 7):
        window = slice(max(0, row - reach), row + reach + 1), slice(max(0, column - reach), column + reach + 1)
        expected = products[(slice(None), slice(None), *window)].mean(axis=(2, 3))
        assert found[:, :, row, column].numpy() == pytest.approx(expected, abs=1e-5)
    for number, (down, right) in enumerate(steps):
        fit = torch.zeros(1, SEEN, 1, 1)
        fit[0, number] = 100
        assert best_fit(fit)[0, :, 0, 0].tolist() == pytest.approx([right, down], abs=1e-5)
    assert best_fit(torch.zeros(1, SEEN, 1, 1)).abs().max() < 1e-6


def test_halving_and_doubling_keep_a_flow_in_its_own_pixels() -> None:
    flow = torch.tensor([3.0, -1.5])[None, :, None, None].expand(1, 2, 8, 12)
    small = halves(flow, 1)[1] / 2
    assert small.shape == (1, 2, 4, 6) and torch.allclose(twice(small), flow)
    assert halves(flow[..., :7, :11], 2)[2].shape == (1, 2, 2, 3), "odd sizes keep their last row and column"


@pytest.mark.parametrize("size_HW", [(48, 64), (37, 53), (16, 17)])
def test_untrained_it_gives_back_the_flow_it_was_given_at_any_size(tmp_path: Path, noise, shift, size_HW) -> None:
    target, source, motion = noise(0, size_HW), noise(1, size_HW), shift(1.25, -0.5)
    sdc = Sdc(untrained(tmp_path), motion)
    assert np.allclose(sdc.flow(target, source).px_HW2, motion.flow(target, source).px_HW2, atol=1e-5)
    given = Flow.of(np.full((*size_HW, 2), 0.75, np.float32))
    calls = motion.calls
    assert np.allclose(sdc.flow(target, source, given).px_HW2, given.px_HW2, atol=1e-5) and motion.calls == calls
    still = Sdc(tmp_path, None).flow(target, source)
    assert (still.px_HW2 == 0).all() and still.valid_HW.all()


def test_it_is_a_motion_source_like_the_others(tmp_path: Path, noise) -> None:
    sdc = Sdc(untrained(tmp_path / "a", head=0.3), None)
    flow = sdc.flow(noise(0), noise(1))
    assert np.abs(flow.px_HW2).max() > 0.1
    away = sdc.flow(noise(0), noise(1), Flow.of(np.full((48, 64, 2), 20, np.float32)))
    assert away.valid_HW[:20, :30].all() and not away.valid_HW[-10:].any(), "what it points out of view is marked"
    assert (sdc.flow(noise(0), noise(1)).px_HW2 == flow.px_HW2).all()
    names = {
        sdc.identity,
        Sdc(untrained(tmp_path / "b", head=0.2), None).identity,
        Sdc(tmp_path / "a", Dis()).identity,
        Sdc(tmp_path / "a", Dis(DisConfig(finest_scale=0))).identity,
    }
    assert len(names) == 4, "weights and what it starts from"
    with pytest.raises(DataError, match="different sizes"):
        sdc.flow(noise(0), noise(1, (64, 48)))


def test_saved_and_loaded_it_says_the_same_and_damage_is_refused(tmp_path: Path, noise) -> None:
    untrained(tmp_path, head=0.3)
    before = Sdc(tmp_path, None).flow(noise(0), noise(1)).px_HW2
    assert (Sdc(tmp_path, None).flow(noise(0), noise(1)).px_HW2 == before).all()
    for content, message in (
        ('{"channels": 8, "levels": 2}', "other shape"),
        ('{"channels": 8}', "no trained network"),
    ):
        (tmp_path / "sdc.json").write_text(content)
        with pytest.raises(ModelError, match=message):
            Sdc(tmp_path, None)
    with pytest.raises(ModelError, match="no trained network `sdc` here"):
        Sdc(tmp_path / "nowhere", None)


def test_crops_hold_both_frames_and_the_flows_between_them(pictures) -> None:
    config, dis = SdcConfig(**{**SMALL, "sdc_crop_px": 64}), Dis()
    pair = crops([(pictures[0], pictures[1])], dis, config)[0]
    found = [
        (row, column)
        for row, column in np.ndindex(90 - 63, 120 - 63)
        if (pictures[0].rgb_HWC[row : row + 64, column : column + 64] == pair.pictures[0]).all()
    ]
    assert len(found) == 1
    part = tuple(slice(begin, begin + 64) for begin in found[0])
    assert (pictures[1].rgb_HWC[part] == pair.pictures[1]).all()
    for flow, way in zip(pair.flows, ((0, 1), (1, 0)), strict=True):
        assert np.allclose(flow, dis.flow(pictures[way[0]], pictures[way[1]]).px_HW2[part], atol=0.02)
    wide = crops([(pictures[0], pictures[1])], None, SdcConfig(sdc_crop_px=500))[0]
    assert wide.pictures[0].shape == (90, 120, 3) and not wide.flows[0].any()


def test_trained_on_frames_alone_it_is_nearer_the_true_flow_than_none_at_all(tmp_path: Path, clip, pictures) -> None:
    """From no motion to begin with, so that all it knows it has learned; on pixels whose true flow is known."""
    config = SdcConfig(sdc_start="still", sdc_channels=8, sdc_crop_px=64, sdc_steps=80, sdc_lr=1e-2, sdc_levels=3)
    save_sdc(tmp_path, train_sdc(crops(pairwise(pictures), None, config), config))
    sdc, errors = Sdc(tmp_path, None), []
    for number in range(1, len(clip)):
        truth = clip[number].flow_px
        seen = np.isfinite(truth).all(axis=2)
        found = sdc.flow(pictures[number], pictures[number - 1]).px_HW2
        errors.append([np.linalg.norm(flow - truth, axis=2)[seen].mean() for flow in (found, 0 * found)])
    learned, none = np.mean(errors, axis=0)
    assert learned < 0.75 * none


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(pictures) -> None:
    def weights(seed: int) -> torch.Tensor:
        config = SdcConfig(**SMALL, sdc_steps=2, seed=seed)
        return train_sdc(crops([(pictures[0], pictures[1])], None, config), config).head.weight

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


def test_nothing_to_learn_from_and_a_loss_that_is_no_number_stop_with_a_message(pictures) -> None:
    config = SdcConfig(**SMALL, sdc_steps=3)
    with pytest.raises(TrainingError, match="no two neighbouring frames"):
        train_sdc([], config)
    pair = crops([(pictures[0], pictures[1])], None, config)[0]
    spoilt = Pair(pair.pictures, (np.full_like(pair.flows[0], np.nan), pair.flows[1]))
    with pytest.raises(TrainingError, match=r"sdc: the loss is nan at step 0 of 3\. Lower sdc_lr"):
        train_sdc([spoilt], config)
    other = Pair(tuple(p[:20] for p in pair.pictures), tuple(f[:20] for f in pair.flows))
    with pytest.raises(TrainingError, match=r"2 pairs .* of sizes \[\(20, 32\), \(32, 32\)\]"):
        train_sdc([pair, other], config)
    with pytest.raises(DataError, match="different sizes"):
        crops([(pictures[0], Picture("small", pictures[1].rgb_HWC[:40]))], None, config)
