from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from frugalseg.adaptation.point_da import PointDa, PointDaConfig, compose_label
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import PartialLabel, Provenance, Region
from frugalseg.data.batches import DomainBatch, PartialLabelFolder
from frugalseg.training.losses import cross_entropy

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
    def build(**settings: Any) -> PointDa:
        data = tiny_city.domain_data(tmp_path / "city", count=3)
        config = PointDaConfig(**{**tiny_city.SETTINGS, **settings})
        return PointDa(tiny_city.network(), config, tiny_city.fabric(), data)

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
    method._learner.minimize = totals.append  # type: ignore[assignment, method-assign]
    torch.manual_seed(0)
    losses = method.step(content)
    return float(totals[0].detach()), losses


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


def test_the_loss_of_a_perfect_answer_is_small() -> None:
    logits = torch.full((1, 4, 2, 2), -50.0)
    logits[:, 1] = 50.0
    assert float(cross_entropy(logits, torch.ones(1, 2, 2, dtype=torch.int64))) < 1e-6
