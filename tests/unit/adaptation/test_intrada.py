import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from frugalseg.adaptation.intrada import (
    INTRA,
    RANKING,
    SUMMARY,
    IntraDa,
    IntraDaConfig,
    RankedFrame,
    mean_over,
    rank,
)
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import Frame, Provenance
from frugalseg.core.table import read_records
from frugalseg.data.batches import FramePool, PartialLabelFolder
from frugalseg.training.domain_data import DomainData, predictions
from frugalseg.training.loop import train
from frugalseg.training.progress import TrainingLog


@pytest.fixture
def city(tiny_city: ModuleType, tmp_path: Path) -> DomainData:
    data: DomainData = tiny_city.domain_data(tmp_path / "city", human=False, count=6)
    return data


@pytest.fixture
def make(tiny_city: ModuleType, city: DomainData) -> Any:
    def build(data: DomainData = city, **settings: Any) -> IntraDa:
        config = IntraDaConfig(**{**tiny_city.SETTINGS, "discriminator_width": 2, **settings})
        return IntraDa(tiny_city.network(), config, tiny_city.fabric(), data)

    return build


def prepared(method: IntraDa, folder: Path) -> Path:
    folder.mkdir()
    method.phases()[-1].prepare(folder)
    return folder


def run(method: IntraDa, tiny_city: ModuleType, folder: Path) -> torch.nn.Module:
    return train(method, folder, tiny_city.fabric(), TrainingLog(None, "t", quiet=True))


def test_ranking_by_hand() -> None:
    got = rank({"c": 0.3, "a": 0.1, "d": 0.9, "b": 0.3}, 0.67)
    assert [(ranked.key, ranked.easy) for ranked in got] == [("a", True), ("b", True), ("c", True), ("d", False)]
    assert [ranked.entropy_01 for ranked in got] == [0.1, 0.3, 0.3, 0.9]


def test_ranking_equals_a_naive_selection_and_does_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(0)
    entropy = {f"frame_{number}": float(rng.integers(0, 5)) / 5 for number in range(40)}  # many ties
    left, chosen = dict(entropy), []
    while len(chosen) < 27:  # 67 % of 40
        key = min(left, key=lambda key: (left[key], key))
        chosen.append(key)
        del left[key]
    got = rank(entropy, 0.67)
    assert [ranked.key for ranked in got if ranked.easy] == chosen
    assert rank(dict(reversed(entropy.items())), 0.67) == got


@pytest.mark.parametrize(("ratio", "easy"), [(0.01, 1), (0.5, 2), (0.99, 2)])
def test_neither_side_is_empty(ratio: float, easy: int) -> None:
    ranking = rank({"a": 0.1, "b": 0.2, "c": 0.3}, ratio)
    assert sum(ranked.easy for ranked in ranking) == easy


def test_mean_over_usable_pixels_by_hand() -> None:
    values, usable = np.array([[0.2, 0.4], [0.6, 1.0]], np.float32), np.array([[True, True], [True, False]])
    assert mean_over(values, None) == pytest.approx(0.55)
    assert mean_over(values, usable) == pytest.approx(0.4)
    assert mean_over(values, np.zeros((2, 2), bool)) == 1.0


def test_easy_frames_get_all_predictions_and_hard_ones_nothing(make: Any, tmp_path: Path) -> None:
    method = make()
    folder = prepared(method, tmp_path / "stage")
    ranking = read_records(folder / RANKING, RankedFrame)
    assert len(ranking) == 6 and sum(ranked.easy for ranked in ranking) == 4
    place = {ranked.key: ranked for ranked in ranking}
    counts = np.zeros(4, np.int64)
    network = method._learner.best_network()
    for frame, logits in predictions(network, method._target, method.config, torch.device("cpu")):
        probability = logits.double().softmax(dim=0)
        entropy = -(probability * probability.log()).sum(dim=0) / np.log(4)
        assert place[frame.key].entropy_01 == pytest.approx(float(entropy.mean()), rel=1e-5)
        if place[frame.key].easy:
            label, provenance = PartialLabelFolder(folder)(frame)
            assert np.array_equal(label, logits.argmax(dim=0).numpy())
            assert (provenance == Provenance.PSEUDO_LABEL).all()
            counts += np.bincount(label.ravel(), minlength=4)
        else:
            assert not (folder / "labels" / f"{frame.key}.png").exists()
    summary = json.loads((folder / SUMMARY).read_text())
    assert (summary["easy_frames"], summary["hard_frames"]) == (4, 2)
    assert list(summary["labelled_pixels"].values()) == counts.tolist()
    entropies = [ranked.entropy_01 for ranked in ranking]
    assert entropies == sorted(entropies)
    marks = [summary[name] for name in ("lowest_entropy", "highest_easy_entropy", "highest_entropy")]
    assert marks == [entropies[0], entropies[3], entropies[-1]]


def test_the_own_car_is_neither_ranked_nor_labelled(make: Any, tiny_city: ModuleType, tmp_path: Path) -> None:
    mask = np.full(tiny_city.SIZE_HW, 255, np.uint8)
    mask[16:] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    frames = tiny_city.write_frames(tmp_path / "masked", "street", 3)
    masked = tuple(Frame(**{**vars(frame), "mask": str(tmp_path / "mask.png")}) for frame in frames)
    method = make(DomainData(None, FramePool(masked), teacher=tiny_city.network(seed=1)), first_stage="given")
    folder = prepared(method, tmp_path / "stage")
    for ranked in read_records(folder / RANKING, RankedFrame):
        frame = next(frame for frame in masked if frame.key == ranked.key)
        if ranked.easy:
            assert (PartialLabelFolder(folder)(frame)[0][16:] == IGNORE).all()


def test_the_second_stage_sees_easy_and_hard_target_frames_only(make: Any, tmp_path: Path) -> None:
    method = make()
    folder = prepared(method, tmp_path / "stage")
    easy = {ranked.key: ranked.easy for ranked in read_records(folder / RANKING, RankedFrame)}
    stream = method.phases()[1].batches(folder)
    for step in range(6):
        batch = stream.batch(step)
        assert [easy[key] for key in batch.keys] == [True, True, False, False]
        assert batch.source_labels is not None and batch.target_labels is None


def test_the_second_stage_passes_everything_with_the_targets_statistics(make: Any, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    for number in (0, 1):
        method = make()
        folder = prepared(method, tmp_path / str(number))
        method.begin(number)
        batch = method.phases()[number].batches(folder).batch(0)
        forward, passed = method._learner.forward, []
        method._learner.forward = lambda images, domain, f=forward, p=passed: p.append(domain) or f(images, domain)
        method.step(batch)
        seen.append(passed)
    assert seen == [["source", "target"], ["target", "target"]]


def test_the_second_stage_starts_where_it_is_told(make: Any, tiny_city: ModuleType, tmp_path: Path) -> None:
    start = tiny_city.weights(tiny_city.network())
    for second_start in ("start", "adapted"):
        method = make(second_start=second_start, ema=0.5)
        folder = prepared(method, tmp_path / second_start)
        method.begin(0)
        for step in range(2):
            method.step(method.phases()[0].batches(folder).batch(step))
        adapted = tiny_city.weights(method._learner.best_network())
        method.begin(1)
        now = tiny_city.weights(method._learner.network)
        assert tiny_city.same_weights(now, start if second_start == "start" else adapted)
        assert method._learner.ema is not None and method._learner.ema.updates == 0
        (own,) = method._learner.statistics.state().values()
        assert torch.equal(own[0]["running_mean"], now["body.encoder.1.running_mean"])


def test_an_adapted_network_takes_the_first_stages_place(
    make: Any, tiny_city: ModuleType, city: DomainData, tmp_path: Path
) -> None:
    """It needs no source, and ranks and labels with the given network, not with the one that learns."""
    teacher = tiny_city.network(seed=1)
    method = make(DomainData(None, city.target, teacher=teacher), first_stage="given")
    assert [phase.name for phase in method.phases()] == [INTRA]
    before = tiny_city.weights(teacher)
    run(method, tiny_city, tmp_path / "run")
    assert tiny_city.same_weights(before, teacher.state_dict())
    ranking = {ranked.key: ranked for ranked in read_records(tmp_path / "run" / INTRA / RANKING, RankedFrame)}
    for frame, logits in predictions(teacher, city.target, method.config, torch.device("cpu")):
        if ranking[frame.key].easy:
            label, _ = PartialLabelFolder(tmp_path / "run" / INTRA)(frame)
            assert np.array_equal(label, logits.argmax(dim=0).numpy())


@pytest.mark.parametrize("choice", ["own", "source", "none"])
def test_class_weights_of_the_pseudo_labels(make: Any, tmp_path: Path, choice: str) -> None:
    method = make(target_class_weights=choice)
    folder = prepared(method, tmp_path / "stage")
    method.begin(1)
    method.phases()[1].batches(folder)
    counts = np.array(list(json.loads((folder / SUMMARY).read_text())["labelled_pixels"].values()))
    learner = method._learner
    expected = {"own": learner.weights_for(counts), "source": learner.class_weights, "none": None}[choice]
    assert (method._weights_C is None) == (expected is None)
    assert expected is None or torch.equal(method._weights_C, expected)


def test_defaults_are_the_papers() -> None:
    config = IntraDaConfig()
    assert (config.easy_ratio, config.start, config.first_stage, config.second_start) == (
        0.67,
        "pretrained",
        "advent",
        "start",
    )


def test_it_says_what_it_needs(make: Any, tiny_city: ModuleType, city: DomainData) -> None:
    cases: tuple[tuple[DomainData, dict[str, str], str], ...] = (
        (DomainData(None, city.target), {}, "intrada with first_stage = advent learns from a labelled source"),
        (DomainData(None, city.target), {"first_stage": "given"}, "first_stage = given starts from an adapted network"),
        (DomainData(city.source, None, city.pixels_C), {}, "intrada learns from target images"),
        (DomainData(None, FramePool(city.target.frames[:1])), {}, "needs two frames or more"),
    )
    for data, settings, message in cases:
        with pytest.raises(TrainingError, match=message):
            make(data, **settings)
