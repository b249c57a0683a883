import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from frugalseg.adaptation.point_da import PointDa, PointDaConfig
from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.config import load_config
from frugalseg.core.errors import ConfigError, TrainingError
from frugalseg.core.records import PartialLabel, Provenance, Region
from frugalseg.data.batches import DomainBatch, PartialLabelFolder
from frugalseg.training.composed_labels import compose_label, sample_points
from frugalseg.training.loop import train
from frugalseg.training.losses import cross_entropy
from frugalseg.training.progress import TrainingLog

SIZE_HW = (12, 16)


def naive_label(
    human: PartialLabel, pseudo: NDArray[np.uint8], cells: tuple[Region, ...]
) -> tuple[list[list[int]], list[list[int]]]:
    """Equation 6 pixel by pixel: people's answers, G1 outside of the selected cells, nothing elsewhere."""
    labels, sources = [], []
    for row in range(SIZE_HW[0]):
        labels.append([IGNORE] * SIZE_HW[1])
        sources.append([0] * SIZE_HW[1])
        for column in range(SIZE_HW[1]):
            selected = any(
                cell.top <= row < cell.top + cell.height and cell.left <= column < cell.left + cell.width
                for cell in cells
            )
            if human.provenance[row, column]:
                labels[row][column] = int(human.label[row, column])
                sources[row][column] = int(human.provenance[row, column])
            elif not selected and pseudo[row, column] != IGNORE:
                labels[row][column] = int(pseudo[row, column])
                sources[row][column] = int(Provenance.PSEUDO_LABEL)
    return labels, sources


def human_points(seed: int, number: int = 20) -> PartialLabel:
    rng = np.random.default_rng(seed)
    label, provenance = np.full(SIZE_HW, IGNORE, np.uint8), np.zeros(SIZE_HW, np.uint8)
    rows, columns = rng.integers(0, SIZE_HW[0], number), rng.integers(0, SIZE_HW[1], number)
    label[rows, columns] = rng.integers(0, 4, number)
    provenance[rows, columns] = rng.choice([int(kind) for kind in (1, 2, 3)], number)
    return PartialLabel("f", label, provenance)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cells", [(), (Region(0, 0, 6, 8),), (Region(0, 8, 6, 8), Region(6, 0, 9, 9))])
def test_labels_equal_a_naive_loop_of_equation_6(seed: int, cells: tuple[Region, ...]) -> None:
    pseudo = np.random.default_rng(seed).choice(np.array([0, 1, 2, 3, IGNORE], np.uint8), SIZE_HW)
    human = human_points(seed)
    got = compose_label(human, pseudo, cells)
    labels, sources = naive_label(human, pseudo, cells)
    assert got.label.tolist() == labels and got.provenance.tolist() == sources


def test_limits_of_equation_6() -> None:
    pseudo = np.full(SIZE_HW, 2, np.uint8)
    nobody = PartialLabel("f", np.full(SIZE_HW, IGNORE, np.uint8), np.zeros(SIZE_HW, np.uint8))
    self_training = compose_label(nobody, pseudo, ())  # K = 0
    assert (self_training.label == 2).all() and (self_training.provenance == Provenance.PSEUDO_LABEL).all()
    everything = compose_label(human_points(0), pseudo, (Region(0, 0, *SIZE_HW),))  # every cell selected
    assert np.array_equal(everything.label, human_points(0).label)
    assert (pseudo == 2).all()  # the prediction is not written into


# --- the method


@pytest.fixture
def make(tiny_city: ModuleType, tmp_path: Path) -> Any:
    def build(body: str = "Body", source: bool = True, confusion: Any = None, **settings: Any) -> PointDa:
        data = tiny_city.domain_data(tmp_path / "city", count=3)
        data = replace(data, human=replace(data.human, confusion_CC=confusion))
        data = data if source else replace(data, source=None, pixels_C=None)
        config = PointDaConfig(**{**tiny_city.SETTINGS, "discriminator_width": 4, **settings})
        return PointDa(tiny_city.network(body=getattr(tiny_city, body)), config, tiny_city.fabric(), data)

    return build


def prepared(method: PointDa, folder: Path) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    folder.mkdir()
    method.phases()[0].prepare(folder)
    return [PartialLabelFolder(folder)(frame) for frame in method._target.frames]


def test_selected_cells_keep_only_the_answers(make: Any, tmp_path: Path) -> None:
    for label, provenance in prepared(make(), tmp_path / "p"):
        left, right = provenance[:, :16], provenance[:, 16:]
        assert set(np.unique(left)) == {Provenance.UNKNOWN, Provenance.HUMAN_POINT}
        assert (right == Provenance.PSEUDO_LABEL).all() and (label[:, 16:] != IGNORE).all()


def test_pseudo_labels_are_the_teachers_not_the_students(make: Any, tiny_city: ModuleType, tmp_path: Path) -> None:
    method = make()
    predict = prepared(method, tmp_path / "p")
    method._learner.network.load_state_dict(tiny_city.network(seed=9).state_dict())
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(predict, prepared(method, tmp_path / "q"), strict=True))
    method._teacher.load_state_dict(tiny_city.network(seed=9).state_dict())
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(predict, prepared(method, tmp_path / "r"), strict=True))


def test_without_pseudo_labels_only_answers_are_left(make: Any, tmp_path: Path) -> None:
    for _, provenance in prepared(make(pseudo_labels="none"), tmp_path / "p"):
        assert set(np.unique(provenance)) == {Provenance.UNKNOWN, Provenance.HUMAN_POINT}


def test_everywhere_also_labels_what_nobody_answered_inside_the_cells(make: Any, tmp_path: Path) -> None:
    cells, everywhere = (prepared(make(pseudo_labels=where), tmp_path / where) for where in ("cells", "everywhere"))
    for (_, some), (label, every) in zip(cells, everywhere, strict=True):
        assert set(np.unique(every)) == {Provenance.HUMAN_POINT, Provenance.PSEUDO_LABEL} and (label != IGNORE).all()
        assert np.array_equal(every == Provenance.HUMAN_POINT, some == Provenance.HUMAN_POINT)


def test_points_keep_a_few_pseudo_labels_of_each_cell_that_is_not_selected(make: Any, tmp_path: Path) -> None:
    settings = {"pseudo_labels": "points", "pseudo_rows": 2, "pseudo_columns": 4, "pseudo_points": 3}
    cells, points = prepared(make(), tmp_path / "cells"), prepared(make(**settings), tmp_path / "points")
    for (every, _), (label, provenance) in zip(cells, points, strict=True):
        pseudo = provenance == Provenance.PSEUDO_LABEL
        per_cell = pseudo.reshape(2, 12, 4, 8).sum(axis=(1, 3))
        assert per_cell.tolist() == [[0, 0, 3, 3]] * 2, "the left half was selected"
        assert np.array_equal(label[pseudo], every[pseudo]), "they are G1's"
    assert not np.array_equal(points[0][1] == 4, points[1][1] == 4), "each frame has pixels of its own"


def test_sampled_points_are_uniform_over_the_labelled_pixels_of_a_cell() -> None:
    label = np.full((4, 6), IGNORE, np.uint8)
    label[:, :3], label[0, 3] = 2, 1
    label[3, 0] = IGNORE
    times = np.zeros((4, 6), int)
    for seed in range(600):
        kept = sample_points(label, (1, 2), 4, generator(seed, "test"))
        assert ((kept == label) | (kept == IGNORE)).all()
        times += kept != IGNORE
    left = times[:, :3][label[:, :3] != IGNORE]
    assert left.sum() == 4 * 600 and abs(left - 4 * 600 / 11).max() < 60, "3.9 standard deviations"
    assert times[0, 3] == 600 and times[:, 3:].sum() == 600, "a cell with fewer keeps them all"
    assert (sample_points(label, (9, 9), 1, generator(0, "test")) == label).all(), "cells of a pixel or none"


def test_a_ratio_keeps_the_most_confident_share(make: Any, tmp_path: Path) -> None:
    provenance = np.stack([maps[1] for maps in prepared(make(pseudo_ratio=0.25), tmp_path / "p")])
    kept = (provenance[..., 16:] == Provenance.PSEUDO_LABEL).mean()
    assert 0.1 < kept < 0.45


def batch(human: int, machine: int) -> DomainBatch:
    """Return one frame a domain: `human` pixels people answered, `machine` pseudo-labels of another class."""
    rng = torch.Generator().manual_seed(0)
    labels, provenance = torch.full((1, 16, 24), IGNORE), torch.zeros(1, 16, 24, dtype=torch.uint8)
    labels[0, 0, :human], provenance[0, 0, :human] = 1, int(Provenance.HUMAN_POINT)
    labels.view(-1)[24 : 24 + machine] = 2
    provenance.view(-1)[24 : 24 + machine] = int(Provenance.PSEUDO_LABEL)
    source_labels = torch.randint(0, 4, (1, 16, 24), generator=rng)
    images = torch.rand(2, 1, 3, 16, 24, generator=rng)
    return DomainBatch(0, images[0], source_labels, images[1], labels, provenance)


def total_loss(method: PointDa, content: DomainBatch) -> tuple[float, dict[str, float]]:
    totals: list[torch.Tensor] = []
    method._learner.add, method._learner.step = totals.append, lambda: None
    torch.manual_seed(0)
    losses = method.step(content)
    return float(sum(totals).detach()), losses


def test_the_human_term_stands_alone_averaged_over_its_pixels(make: Any) -> None:
    total, losses = total_loss(make(human_weight=3.0, target_weight=0.5), batch(human=4, machine=200))
    assert total == pytest.approx(losses["source"] + 0.5 * losses["target"] + 3 * losses["human"], rel=1e-5)
    _, fewer_pseudo = total_loss(make(), batch(human=4, machine=20))
    assert fewer_pseudo["human"] == pytest.approx(losses["human"], rel=1e-5)  # not drowned by pseudo-labels


def test_merged_is_one_cross_entropy_over_all_target_labels(make: Any) -> None:
    content = batch(human=4, machine=200)
    method = make(human_term="merged", target_weight=0.5)
    total, losses = total_loss(method, content)
    assert losses.keys() == {"source", "target"}
    assert total == pytest.approx(losses["source"] + 0.5 * losses["target"], rel=1e-5)
    own, alone = make(), total_loss(make(), content)[1]
    weights = own._learner.class_weights
    assert weights is not None
    mass = 4 * float(weights[1]), 200 * float(weights[2])
    expected = (mass[0] * alone["human"] + mass[1] * alone["target"]) / sum(mass)
    assert losses["target"] == pytest.approx(expected, rel=1e-4)


def test_no_answers_in_the_window_is_no_loss(make: Any) -> None:
    _, losses = total_loss(make(), batch(human=0, machine=50))
    assert losses["human"] == 0 and losses["target"] > 0


def test_a_frame_that_was_never_exported_is_named(make: Any, tmp_path: Path) -> None:
    method = make()
    missing = method._target.frames[1].key
    (tmp_path / "city" / "answers" / "labels" / f"{missing}.png").unlink()
    with pytest.raises(Exception, match=missing):
        prepared(method, tmp_path / "p")


def test_it_says_what_it_needs(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path, human=False, count=1)
    with pytest.raises(TrainingError, match="point_da learns from people's answers"):
        PointDa(tiny_city.network(), PointDaConfig(), tiny_city.fabric(), data)


# --- equations 7 to 10, from the paper


def entropy_maps(logits: torch.Tensor) -> torch.Tensor:
    """Equation 2, divided by log C."""
    probability = logits.softmax(dim=1)
    return -probability * probability.log() / math.log(logits.shape[1])


def naive_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """One half of equation 7, pixel by pixel, as a mean weighted by class."""
    total, mass = torch.zeros(()), 0.0
    for n, row, column in (labels != IGNORE).nonzero().tolist():
        label = int(labels[n, row, column])
        total = total - weights[label] * logits[n, :, row, column].softmax(dim=0)[label].log()
        mass += float(weights[label])
    return total / mass


@pytest.mark.parametrize("body", ["Body", "TwoOutputs"])
@pytest.mark.parametrize("human_term", ["own", "merged"])
def test_the_networks_side_is_equation_9(make: Any, body: str, human_term: str) -> None:
    settings = {"adv_weight": 0.7, "aux_adv_weight": 0.2, "aux_seg_weight": 0.3, "human_term": human_term}
    settings |= {"human_weight": 3.0, "target_weight": 0.5}
    method, twin, content = make(body, **settings), make(body, **settings), batch(human=4, machine=60)
    totals: list[torch.Tensor] = []
    method._learner.add, method._learner.step = totals.append, lambda: None
    torch.manual_seed(0)
    losses = method.step(content)
    sum(totals).backward()
    torch.manual_seed(0)
    source = twin._learner.forward(content.source_images, "source")
    target = twin._learner.forward(content.target_images, "target")
    human = content.target_provenance == int(Provenance.HUMAN_POINT)
    machine = content.target_provenance == int(Provenance.PSEUDO_LABEL)
    weights = twin._learner.class_weights
    expected = torch.zeros(())
    for level, (labelled, fooled) in enumerate([(1.0, 0.7), (0.3, 0.2)][: 1 + (body == "TwoOutputs")]):
        terms = [(1.0, source[level], content.source_labels)]
        if human_term == "merged":
            terms.append((0.5, target[level], content.target_labels))
        else:
            terms.append((0.5, target[level], content.target_labels.masked_fill(~machine, IGNORE)))
            terms.append((3.0, target[level], content.target_labels.masked_fill(~human, IGNORE)))
        for weight, logits, labels in terms:
            expected = expected + labelled * weight * naive_cross_entropy(logits, labels, weights)
        answer = twin._adversary.discriminators[level](entropy_maps(target[level]))
        expected = expected - fooled * answer.sigmoid().log().mean()  # equation 8, G2's side: taken for the source
    expected.backward()
    assert float(sum(totals).detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    for got, wanted in zip(method._learner.network.parameters(), twin._learner.network.parameters(), strict=True):
        torch.testing.assert_close(got.grad, wanted.grad, rtol=1e-4, atol=1e-6)
    names = {"source", "target", "fooling", "discriminator"} | ({"human"} if human_term == "own" else set())
    names |= {"aux_fooling", "aux_discriminator"} if body == "TwoOutputs" else set()
    assert losses.keys() == names


def test_the_discriminators_side_is_equation_8(make: Any) -> None:
    settings = {"adv_weight": 0.1, "discriminator_lr": 1e-3}
    method, twin, content = make(**settings), make(**settings), batch(human=4, machine=60)
    torch.manual_seed(0)
    losses = method.step(content)
    torch.manual_seed(0)
    with torch.no_grad():
        source = entropy_maps(twin._learner.forward(content.source_images, "source").logits)
        target = entropy_maps(twin._learner.forward(content.target_images, "target").logits)
    (discriminator,) = twin._adversary.discriminators
    of_source, of_target = discriminator(source).sigmoid(), discriminator(target).sigmoid()
    value = of_source.log().mean() + (1 - of_target).log().mean()  # what D2 maximises
    assert losses["discriminator"] == pytest.approx(-float(value.detach()) / 2, rel=1e-5)
    (-value / 2).backward()
    torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.9, 0.99)).step()
    for got, wanted in zip(method._adversary.discriminators[0].parameters(), discriminator.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=2e-5)


def held(module: torch.nn.Module) -> list[torch.Tensor]:
    return [value.detach().clone() for value in module.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_each_side_of_the_game_changes_its_own_network_only(make: Any) -> None:
    method, content = make("TwoOutputs", adv_weight=0.1), batch(human=4, machine=60)
    network, judges = method._learner.network, method._adversary.discriminators
    step, learn, before = method._learner.step, method._adversary.learn, (held(network), held(judges))
    method._learner.step = method._learner.optimizer.zero_grad
    method.step(content)
    assert same(held(network), before[0]) and not same(held(judges), before[1]), "D2's side"
    before, method._learner.step, method._adversary.learn = (held(network), held(judges)), step, lambda: None
    method.step(content)
    assert not same(held(network), before[0]) and same(held(judges), before[1]), "G2's side"
    method._adversary.learn = learn


def test_without_adversarial_weight_or_source_there_is_no_discriminator(make: Any) -> None:
    for method in (make(), make(source=False, adv_weight=0.1)):
        assert method._adversary is None and method.state()["adversary"] is None
        assert not {"fooling", "discriminator"} & method.step(batch(human=4, machine=60)).keys()


def test_every_phase_begins_with_a_fresh_d2(make: Any) -> None:
    method = make(adv_weight=0.1, discriminator_lr=0.1)
    before = held(method._adversary.discriminators)
    method.step(batch(human=4, machine=60))
    assert not same(held(method._adversary.discriminators), before)
    method.begin(0)
    assert same(held(method._adversary.discriminators), before)


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("body", ["Body", "TwoOutputs"])
def test_interrupted_and_resumed_the_adversary_is_the_same_bit_for_bit(
    make: Any, tiny_city: ModuleType, tmp_path: Path, body: str
) -> None:
    def run(method: PointDa, folder: Path) -> dict[str, torch.Tensor]:
        log = TrainingLog(folder / "log.jsonl", "test", quiet=True)
        return dict(tiny_city.weights(train(method, folder, tiny_city.fabric(), log)))  # type: ignore[arg-type]

    settings = {"adv_weight": 0.5, "discriminator_lr": 0.01, "save_every": 1, "human_loss": "gce"}
    whole = make(body, **settings)
    expected = run(whole, tmp_path / "whole")
    cut = make(body, **settings)
    step, taken = cut.step, []

    def until_the_third(content: DomainBatch) -> dict[str, float]:
        taken.append(content.step)
        if len(taken) == 3:
            raise PowerCut
        return step(content)  # type: ignore[no-any-return]

    cut.step = until_the_third
    with pytest.raises(PowerCut):
        run(cut, tmp_path / "cut")
    again = make(body, **settings)
    assert tiny_city.same_weights(expected, run(again, tmp_path / "cut"))
    assert same(held(whole._adversary.discriminators), held(again._adversary.discriminators))


# --- people's term when some answers are wrong


@pytest.mark.parametrize("name", ["gce", "forward"])
def test_a_robust_loss_is_peoples_alone(make: Any, name: str) -> None:
    content = batch(human=4, machine=60)
    plain, robust = total_loss(make(), content)[1], total_loss(make(human_loss=name), content)[1]
    assert robust["source"] == plain["source"] and robust["target"] == plain["target"]
    assert robust["human"] != pytest.approx(plain["human"], rel=1e-3)


def test_robust_losses_near_their_limits_are_cross_entropy(make: Any) -> None:
    content = batch(human=4, machine=60)
    plain = total_loss(make(), content)[1]["human"]
    for settings in (
        {"human_loss": "gce", "gce_q": 1e-5},
        {"human_loss": "forward", "human_wrong_rate": 0.0},
        {"human_loss": "forward", "human_confusion": tuple(map(tuple, np.eye(4).tolist()))},
    ):
        assert total_loss(make(**settings), content)[1]["human"] == pytest.approx(plain, rel=1e-3)


def test_measured_confusions_correct_as_given_ones_do(make: Any) -> None:
    content, measured = batch(human=4, machine=60), np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    given = total_loss(make(human_loss="forward", human_confusion=tuple(map(tuple, measured.tolist()))), content)
    assert total_loss(make(human_loss="annotators", confusion=measured), content)[1] == given[1]
    assert total_loss(make(confusion=measured), content)[1] == total_loss(make(), content)[1]  # measured, but not used
    with pytest.raises(TrainingError, match="point_da: nothing was measured of those who gave the answers"):
        make(human_loss="annotators")


def test_settings_that_contradict_each_other_are_refused(make: Any) -> None:
    with pytest.raises(ConfigError, match="human_loss = gce needs human_term = own"):
        load_config(PointDaConfig, None, ["human_loss=gce", "human_term=merged"])
    config = load_config(PointDaConfig, None, ["human_confusion=[[1, 0.5], [0, 1]]"])
    assert config.human_confusion == ((1.0, 0.5), (0.0, 1.0))
    with pytest.raises(ConfigError, match="2 rows of 2 entries; expected 4 x 4"):
        make(human_confusion=config.human_confusion)


def test_the_loss_of_a_perfect_answer_is_small() -> None:
    logits = torch.full((1, 4, 2, 2), -50.0)
    logits[:, 1] = 50.0
    assert float(cross_entropy(logits, torch.ones(1, 2, 2, dtype=torch.int64))) < 1e-6
