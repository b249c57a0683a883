"""Labels spread through video, as methods learn them: the relaxed loss, weights, which frames, and two methods."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from frugalseg.adaptation.mada import Mada, MadaConfig
from frugalseg.adaptation.point_da import PointDa, PointDaConfig
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import HUMAN, SPREAD, Frame, PartialLabel, Provenance
from frugalseg.data.partial import write_partial
from frugalseg.training.domain_data import DomainData, Human, Propagated
from frugalseg.training.loop import train
from frugalseg.training.losses import cross_entropy
from frugalseg.training.progress import TrainingLog
from frugalseg.training.propagated import (
    MixingConfig,
    PropagatedConfig,
    labelled_frames,
    relaxed_cross_entropy,
    trust,
)

CLASSES = 4


def case(seed: int, size_HW: tuple[int, int] = (5, 7)) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (2, *size_HW), generator=rng)
    labels[torch.rand(labels.shape, generator=rng) < 0.3] = IGNORE
    return {
        "logits": torch.randn(2, CLASSES, *size_HW, generator=rng),
        "labels": labels,
        "trust": torch.rand(labels.shape, generator=rng),
        "relaxed": torch.rand(labels.shape, generator=rng) < 0.7,
        "weights": torch.rand(CLASSES, generator=rng) + 0.5,
    }


def naive(
    logits: torch.Tensor, labels: torch.Tensor, trust: torch.Tensor, relaxed: torch.Tensor, radius: int,
    weights: torch.Tensor | None,
) -> float:  # fmt: skip
    """-log of the summed probability of all classes around, pixel by pixel."""
    total, mass = 0.0, 0.0
    images, height, width = labels.shape
    for n in range(images):
        for row in range(height):
            for column in range(width):
                own = int(labels[n, row, column])
                if own == IGNORE:
                    continue
                classes = {own}
                if relaxed[n, row, column]:
                    for y in range(max(0, row - radius), min(height, row + radius + 1)):
                        for x in range(max(0, column - radius), min(width, column + radius + 1)):
                            classes.add(int(labels[n, y, x]))
                exponents = [math.exp(float(logits[n, c, row, column])) for c in range(CLASSES)]
                probability = sum(exponents[c] for c in classes - {IGNORE}) / sum(exponents)
                weight = 1.0 if weights is None else float(weights[own])
                total -= weight * float(trust[n, row, column]) * math.log(probability)
                mass += weight
    return total / mass


@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_relaxed_loss_equals_a_naive_loop(radius: int, weighted: bool) -> None:
    for seed in range(4):
        given = case(seed)
        given["weights"] = given["weights"] if weighted else None  # type: ignore[assignment]
        logits, labels, sure, relaxed, weights = given.values()
        got = relaxed_cross_entropy(logits, labels, sure, relaxed, radius, weights)
        assert float(got) == pytest.approx(naive(logits, labels, sure, relaxed, radius, weights), rel=1e-5)


def test_a_border_worked_by_hand() -> None:
    """Two classes side by side, equal logits of three classes: on the border 2 of 3 are right, else 1 of 3."""
    labels = torch.tensor([[[0, 0, 1, 1]]])
    everything = torch.ones(labels.shape)
    got = relaxed_cross_entropy(torch.zeros(1, 3, 1, 4), labels, everything, everything > 0, 1)
    assert float(got) == pytest.approx((2 * math.log(3) + 2 * math.log(3 / 2)) / 4)


def test_limits_of_the_relaxed_loss() -> None:
    given = case(0)
    ones, nowhere = torch.ones_like(given["trust"]), torch.zeros_like(given["relaxed"])
    for radius, relaxed in ((0, given["relaxed"]), (3, nowhere)):  # nothing relaxed: plain cross entropy
        got = relaxed_cross_entropy(given["logits"], given["labels"], ones, relaxed, radius, given["weights"])
        torch.testing.assert_close(got, cross_entropy(given["logits"], given["labels"], given["weights"]))
    nothing = torch.full_like(given["labels"], IGNORE)
    logits = given["logits"].clone().requires_grad_()
    loss = relaxed_cross_entropy(logits, nothing, ones, ~nowhere, 1)
    loss.backward()
    assert float(loss.detach()) == 0.0 and logits.grad is not None and not logits.grad.any()
    logits = (50 * given["logits"]).requires_grad_()
    relaxed_cross_entropy(logits, given["labels"], ones, ~nowhere, 1).backward()
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all())


def test_the_order_of_classes_does_not_matter() -> None:
    given, order = case(1), torch.tensor([2, 0, 3, 1])
    moved = torch.where(given["labels"] == IGNORE, IGNORE, order.argsort()[given["labels"].clamp(max=3)])
    one, other = (
        relaxed_cross_entropy(logits, labels, given["trust"], given["relaxed"], 1)
        for logits, labels in ((given["logits"], given["labels"]), (given["logits"][:, order], moved))
    )
    torch.testing.assert_close(one, other)


def test_how_much_a_pixel_counts() -> None:
    provenance = torch.tensor([[[int(kind) for kind in Provenance]]])
    confidence = torch.full_like(provenance, 51)
    config = PropagatedConfig(propagated_weight=0.5, confidence_power=2.0)
    expected = [0.5 * 0.2**2 if kind in SPREAD else 1.0 for kind in Provenance]
    assert trust(provenance, confidence, config).flatten().tolist() == pytest.approx(expected)
    alike = PropagatedConfig(confidence_power=0.0)
    assert (trust(provenance, torch.zeros_like(confidence), alike) == 1).all()


# --- which frames


@pytest.fixture(scope="module")
def city(tiny_city: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> DomainData:
    """Of six target frames people labelled 2 in full; labels went to 0, 1, 3, 4, and to a frame that is no target."""
    folder = tmp_path_factory.mktemp("city")
    data = tiny_city.domain_data(folder, count=6)
    for number, frame in enumerate(data.target.frames):
        truth = tiny_city.read_label(frame)
        label = truth if number == 2 else np.full_like(truth, IGNORE)
        write_partial(folder / "human", PartialLabel(frame.key, label, source_of(label, Provenance.HUMAN_MASK)))
        if number in (0, 1, 3, 4):
            spread = PartialLabel(frame.key, truth, source_of(truth, Provenance.PROPAGATED))
            write_partial(folder / "spread", spread, np.full_like(truth, 102))
    write_partial(folder / "spread", PartialLabel("scored", truth, source_of(truth, Provenance.PROPAGATED)))
    steps = {"street_0": 2, "street_1": 1, "street_3": 1, "street_4": 2, "scored": 2}
    human, propagated = Human(folder / "human", {}), Propagated(folder / "spread", steps)
    return replace(data, human=human, propagated=propagated)


def source_of(label: np.ndarray, kind: Provenance) -> np.ndarray:
    return np.where(label == IGNORE, Provenance.UNKNOWN, kind).astype(np.uint8)


def frames_of(city: DomainData, **settings: Any) -> tuple[list[str], list[str]]:
    config = MixingConfig(**settings)
    found = labelled_frames(city.target, city.need_human("test"), city.propagated, config, "test")
    others = found.mixture.pool.frames if found.mixture else ()
    return [frame.key for frame in found.selected.frames], [frame.key for frame in others]


def test_frames_as_far_from_a_labelled_one_as_told_and_never_one_that_is_scored(city: DomainData) -> None:
    own = ["street_2"]
    assert frames_of(city) == (own, ["street_0", "street_4"])
    assert frames_of(city, propagated_steps=(1,)) == (own, ["street_1", "street_3"])
    assert frames_of(city, propagated_steps=()) == (own, ["street_0", "street_1", "street_3", "street_4"])
    assert frames_of(city, propagated_ratio=0.0) == (own, [])
    assert frames_of(replace(city, propagated=None)) == (own, [])
    points = replace(city.propagated, steps={})  # only points came there: how far is each point's own
    assert len(frames_of(replace(city, propagated=points))[1]) == 4
    with pytest.raises(TrainingError, match=r"are 1, 2 frames from a labelled one; propagated_steps = \[5\]"):
        frames_of(city, propagated_steps=(5,))


def test_pictures_that_were_warped_take_the_place_of_frames(city: DomainData, tmp_path: Path) -> None:
    warped = replace(city, propagated=replace(city.propagated, pictures=tmp_path))
    found = labelled_frames(warped.target, warped.human, warped.propagated, MixingConfig(), "test")
    assert [frame.image for frame in found.mixture.pool.frames] == [
        str(tmp_path / f"{key}.png") for key in ("street_0", "street_4")
    ]
    assert found.selected.cache is warped.target.cache is not found.mixture.pool.cache


# --- the methods


def run(method: Any, folder: Path) -> list[dict[str, Any]]:
    train(method, folder, method._fabric, TrainingLog(folder / "log.jsonl", "test", quiet=True))
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def mada(tiny_city: ModuleType, data: DomainData, **settings: Any) -> Mada:
    defaults = {**tiny_city.SETTINGS, "unlabelled": "none", "align_weight": 0.0}
    return Mada(tiny_city.network(), MadaConfig(**{**defaults, **settings}), tiny_city.fabric(), data)


def test_mada_draws_spread_frames_among_peoples(city: DomainData, tiny_city: ModuleType, tmp_path: Path) -> None:
    method = mada(tiny_city, city)
    phase = method.phases()[0]
    phase.prepare(tmp_path)
    assert json.loads((tmp_path / "labels.json").read_text())["propagated_frames"] == 2
    stream = phase.batches(tmp_path)
    keys = [key for step in range(10) for key in stream.batch(step).keys[2:]]
    assert sum(key != "street_2" for key in keys) == 14 and set(keys) == {"street_0", "street_2", "street_4"}
    batch = stream.batch(1)
    assert batch.selected_confidence is not None and batch.selected_provenance is not None
    spread = batch.selected_provenance == Provenance.PROPAGATED
    assert spread.any() and set(batch.selected_confidence[spread].unique().tolist()) == {102}
    assert set(batch.selected_confidence[batch.selected_provenance == Provenance.HUMAN_MASK].unique().tolist()) <= {255}


def test_mada_gives_pseudo_labels_to_frames_without_any_other(
    city: DomainData, tiny_city: ModuleType, tmp_path
) -> None:
    method = mada(tiny_city, city, unlabelled="pseudo")
    method.phases()[1].prepare(tmp_path)
    assert {path.stem for path in (tmp_path / "labels").iterdir()} == {"street_1", "street_3", "street_5"}


def test_mada_without_spread_labels_is_as_it_was(city: DomainData, tiny_city: ModuleType, tmp_path: Path) -> None:
    alone = replace(city, propagated=None)
    one, other = (
        run(mada(tiny_city, alone, propagated_weight=weight, relaxed_px=px), tmp_path / str(px))
        for weight, px in ((1.0, 1), (0.1, 4))
    )
    assert [row["selected"] for row in one if "selected" in row] == [
        row["selected"] for row in other if "selected" in row
    ]


def test_a_weight_of_nothing_leaves_peoples_pixels(city: DomainData, tiny_city: ModuleType, tmp_path: Path) -> None:
    rows = run(mada(tiny_city, city, propagated_weight=0.0, propagated_ratio=1.0), tmp_path)
    assert [row["selected"] for row in rows if "selected" in row] == [0.0] * 4


@pytest.fixture
def points(city: DomainData, tiny_city: ModuleType, tmp_path: Path) -> DomainData:
    """People answered two points of each frame; five others came to each from its neighbours."""
    frames: tuple[Frame, ...] = city.target.frames
    for frame in frames:
        truth = np.where(tiny_city.read_label(frame) == IGNORE, np.uint8(0), tiny_city.read_label(frame))
        for folder, kind, columns in (
            ("human", Provenance.HUMAN_POINT, (3, 9)),
            ("spread", Provenance.PROPAGATED_POINT, (3, 12, 15, 18, 21, 24)),
        ):
            label = np.full_like(truth, IGNORE)
            label[5, columns] = truth[5, columns]
            sure = np.full_like(truth, 204) if kind in SPREAD else None
            write_partial(tmp_path / folder, PartialLabel(frame.key, label, source_of(label, kind)), sure)
    human, propagated = Human(tmp_path / "human", {}), Propagated(tmp_path / "spread", {})
    return replace(city, human=human, propagated=propagated)


def point_da(tiny_city: ModuleType, data: DomainData, **settings: Any) -> PointDa:
    config = PointDaConfig(**{**tiny_city.SETTINGS, **settings})
    return PointDa(tiny_city.network(), config, tiny_city.fabric(), replace(data, teacher=tiny_city.network(seed=1)))


def test_point_da_keeps_a_term_for_people_and_one_for_points_that_came(
    points: DomainData, tiny_city: ModuleType, tmp_path: Path
) -> None:
    method = point_da(tiny_city, points, flip_ratio=0.0, zoom_min=1.0, zoom_max=1.0, height=24, width=32)
    phase = method.phases()[0]
    phase.prepare(tmp_path)
    counts = json.loads((tmp_path / "labels.json").read_text())
    assert sum(counts["human_pixels"]) == 6 * 2 and sum(counts["spread_pixels"]) == 6 * 5
    batch = phase.batches(tmp_path).batch(0)
    provenance, confidence = batch.target_provenance, batch.target_confidence
    assert provenance is not None and confidence is not None
    assert [int(torch.isin(provenance, torch.tensor(kinds)).sum()) for kinds in (HUMAN, SPREAD)] == [4, 10]
    assert set(confidence[provenance == Provenance.PROPAGATED_POINT].tolist()) == {204}
    method._learner.network.eval()
    said = method.step(batch)
    logits = tiny_city.network().eval()(batch.target_images).logits
    only = batch.target_labels.masked_fill(provenance != Provenance.PROPAGATED_POINT, IGNORE)
    spread = cross_entropy(logits, only, method._weights["spread"])
    assert said["spread"] == pytest.approx(0.8 * float(spread.detach()), rel=1e-4)
    people = batch.target_labels.masked_fill(provenance != Provenance.HUMAN_POINT, IGNORE)
    assert said["human"] == pytest.approx(
        float(cross_entropy(logits, people, method._weights["human"]).detach()), rel=1e-4
    )


def test_point_da_refuses_labels_that_fit_other_pictures(points: DomainData, tiny_city: ModuleType, tmp_path) -> None:
    warped = replace(points, propagated=replace(points.propagated, pictures=tmp_path))
    with pytest.raises(TrainingError, match="Spread them without `joint`"):
        point_da(tiny_city, warped)


@pytest.mark.parametrize("method", [point_da, mada])
def test_learning_from_spread_points_is_repeatable_and_differs_from_learning_without(
    method: Any, points: DomainData, tiny_city: ModuleType, tmp_path: Path
) -> None:
    found = [
        tiny_city.weights(
            train(built, tmp_path / name, built._fabric, TrainingLog(tmp_path / f"{name}.jsonl", "t", quiet=True))
        )
        for name, built in (
            ("a", method(tiny_city, points)),
            ("b", method(tiny_city, points, loader_threads=3)),
            ("c", method(tiny_city, replace(points, propagated=None))),
        )
    ]
    assert tiny_city.same_weights(found[0], found[1]) and not tiny_city.same_weights(found[0], found[2])
