import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from frugalseg.adaptation.self_training import CbstConfig, SelfTraining, rare_classes
from frugalseg.core.classes import IGNORE
from frugalseg.core.records import Frame, Provenance
from frugalseg.data.batches import FramePool, PartialLabelFolder
from frugalseg.training.domain_data import DomainData, predictions


@pytest.fixture
def make(tiny_city: ModuleType, tmp_path: Path) -> Any:
    def build(target: FramePool | None = None, **settings: Any) -> SelfTraining:
        data = tiny_city.domain_data(tmp_path / "city", human=False, count=3)
        if target is not None:
            data = DomainData(data.source, target, data.pixels_C)
        config = CbstConfig(**{**tiny_city.SETTINGS, **settings})
        return SelfTraining(tiny_city.network(), config, tiny_city.fabric(), data)

    return build


def prepare(method: SelfTraining, folder: Path, round_number: int = 0) -> Path:
    folder.mkdir()
    method.phases()[round_number].prepare(folder)
    return folder


def test_p_grows_as_in_the_paper_and_stops_at_the_largest() -> None:
    config = CbstConfig()
    assert [config.ratio(number) for number in range(9)] == pytest.approx(
        [0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.50, 0.50]
    )
    assert CbstConfig(start_ratio=0.6).ratio(0) == 0.5  # the cap holds from the first round on


def test_rare_classes_by_hand() -> None:
    counts = np.array([100_000, 50, 0, 20, 9_930])  # shares .909, .0005, never, .0002, .09
    assert rare_classes(counts, 0.001) == (3, 1)  # the rarest first; never predicted cannot be mined
    assert rare_classes(counts, 0.0001) == (3, 1, 4)  # none below: the three rarest
    assert rare_classes(counts, 1.0) == (3, 1, 4, 0)
    assert rare_classes(np.array([5, 0, 7]), 0.0) == (0, 2)
    assert rare_classes(np.zeros(3, np.int64), 0.001) == ()
    assert rare_classes(np.array([4, 4, 4, 4]), 0.001) == (0, 1, 2)  # ties by class id


def test_each_class_is_labelled_to_its_share(make: Any, tmp_path: Path) -> None:
    method = make(start_ratio=0.3)
    folder = prepare(method, tmp_path / "round")
    logits = torch.stack(
        [frame for _, frame in predictions(method._learner.network, method._target, method.config, torch.device("cpu"))]
    )
    predicted = np.bincount(logits.argmax(dim=1).flatten(), minlength=4)
    maps = [PartialLabelFolder(folder)(frame) for frame in method._target.frames]
    labels = np.stack([label for label, _ in maps])
    summary = json.loads((folder / "pseudo_labels.json").read_text())
    assert summary["ratio"] == 0.3
    for c, row in enumerate(summary["classes"]):
        assert row["predicted_pixels"] == predicted[c]
        assert row["labelled_pixels"] == (labels == c).sum()
        if predicted[c] > 50:
            # algorithm 2's share of the pixels predicted c; some more or fewer go over between classes (equation 8)
            assert row["labelled_pixels"] == pytest.approx(0.3 * predicted[c], rel=0.35)
            top = logits.softmax(dim=1)[:, c][logits.argmax(dim=1) == c].sort(descending=True).values
            assert row["threshold"] == pytest.approx(float(top[round(0.3 * predicted[c]) - 1]), abs=1e-3)
    for label, provenance in maps:
        assert np.array_equal(provenance == Provenance.PSEUDO_LABEL, label != IGNORE)
        assert set(np.unique(provenance)) <= {Provenance.UNKNOWN, Provenance.PSEUDO_LABEL}


def test_later_rounds_label_more(make: Any, tmp_path: Path) -> None:
    method = make(start_ratio=0.2, ratio_step=0.3, max_ratio=0.8, rounds=3)
    shares = []
    for number in range(3):
        folder = prepare(method, tmp_path / str(number), number)
        labels = [PartialLabelFolder(folder)(frame)[0] for frame in method._target.frames]
        shares.append(np.mean([(label != IGNORE).mean() for label in labels]))
    assert shares == sorted(shares) and shares[0] == pytest.approx(0.2, abs=0.07)
    assert shares[2] == pytest.approx(0.8, abs=0.1)


def test_the_own_car_is_neither_counted_nor_labelled(make: Any, tiny_city: ModuleType, tmp_path: Path) -> None:
    mask = np.full(tiny_city.SIZE_HW, 255, np.uint8)
    mask[16:] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    frames = tiny_city.write_frames(tmp_path / "masked", "street", 2)
    masked = tuple(Frame(**{**vars(frame), "mask": str(tmp_path / "mask.png")}) for frame in frames)
    method = make(FramePool(masked), start_ratio=0.5)
    folder = prepare(method, tmp_path / "round")
    for frame in masked:
        assert (PartialLabelFolder(folder)(frame)[0][16:] == IGNORE).all()
    summary = json.loads((folder / "pseudo_labels.json").read_text())
    counted = sum(row["predicted_pixels"] for row in summary["classes"])
    assert counted == 2 * 16 * tiny_city.SIZE_HW[1]  # the bonnet takes no rank away from the street


def test_mining_looks_for_the_rarest_predicted_classes(make: Any, tmp_path: Path) -> None:
    method = make(mining_ratio=0.5, mining_share=0.01)
    folder = prepare(method, tmp_path / "round")
    mining = method._batches(folder, 0)._mining
    predicted = [row["predicted_pixels"] for row in json.loads((folder / "pseudo_labels.json").read_text())["classes"]]
    assert mining is not None and mining.ratio == 0.5
    assert mining.classes == rare_classes(np.array(predicted), 0.01)
    assert make(mining_ratio=0.0)._batches(folder, 0)._mining is None


def test_rates_fall_from_round_to_round(make: Any) -> None:
    method = make(lr=0.01, head_lr_factor=1.0, round_lr_factor=0.5)
    rates = []
    for number in range(3):
        method.begin(number)
        method.set_rate(1.0)
        rates.append(method._learner.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


def test_the_loss_is_source_plus_weighted_pseudo_labels(make: Any, tmp_path: Path) -> None:
    method = make(target_weight=0.25)
    batch = method._batches(prepare(method, tmp_path / "round"), 0).batch(0)
    totals: list[torch.Tensor] = []
    method._learner.add, method._learner.step = totals.append, lambda: None
    losses = method.step(batch)
    assert float(sum(totals).detach()) == pytest.approx(losses["source"] + 0.25 * losses["target"], rel=1e-5)
    assert losses["source"] > 0 and losses["target"] > 0


# --- ST and the spatial priors


def test_st_ranks_all_classes_together(make: Any, tmp_path: Path) -> None:
    summary = json.loads((prepare(make(shared_threshold=True), tmp_path / "round") / "pseudo_labels.json").read_text())
    assert len({row["threshold"] for row in summary["classes"]}) == 1
    predicted, labelled = (
        sum(row[f"{kind}_pixels"] for row in summary["classes"]) for kind in ("predicted", "labelled")
    )
    assert labelled == pytest.approx(0.2 * predicted, rel=0.1)  # pixels of the last bin all come along


def test_the_prior_is_the_sources_and_is_counted_once(make: Any, tmp_path: Path) -> None:
    method = make(spatial_prior=True, rounds=2)
    first = prepare(method, tmp_path / "round-1")
    prior_Chw = np.load(first / "prior.npz")["prior_Chw"]
    seen = {
        int(c) for frame in method._source.frames for c in np.unique(method._source.labels(frame)[0]) if c != IGNORE
    }
    assert {c for c in range(len(prior_Chw)) if prior_Chw[c].any()} == seen
    changed = np.roll(prior_Chw, 1, axis=0)
    np.savez_compressed(first / "prior.npz", prior_Chw=changed)
    second = prepare(method, tmp_path / "round-2", 1)
    assert not (second / "prior.npz").exists()
    assert np.array_equal(method._prior(second, len(prior_Chw)), changed)


def test_the_prior_moves_the_labels(make: Any, tmp_path: Path) -> None:
    found = []
    for use in (True, False):
        folder = prepare(method := make(spatial_prior=use), tmp_path / str(use))
        found.append(np.stack([PartialLabelFolder(folder)(frame)[0] for frame in method._target.frames]))
    assert (found[0] != found[1]).any()


def test_a_share_of_the_source_is_drawn_anew_in_each_round(make: Any) -> None:
    method = make(source_share=0.34, source_share_step=0.33, rounds=3)
    drawn = [[frame.key for frame in method._source_subset(number).frames] for number in range(3)]
    assert [len(keys) for keys in drawn] == [1, 2, 3] and all(keys == sorted(keys) for keys in drawn)
    assert method._source_subset(1).frames == method._source_subset(1).frames
