"""mada: what each part of the ablation learns from, step 2 written out naively, anchors through a resume."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from frugalseg.adaptation.mada import ANCHORS, COUNTS, FINE_TUNING, SEMI_SUPERVISED, Mada, MadaConfig
from frugalseg.core.anchors import ImageVectors, fit_anchors
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import PartialLabel, Provenance
from frugalseg.data.batches import DomainBatch, PartialLabelFolder
from frugalseg.models.network import Network
from frugalseg.training.alignment import follow, soft_alignment
from frugalseg.training.domain_data import DomainData, write_partial
from frugalseg.training.image_vectors import Means
from frugalseg.training.loop import train
from frugalseg.training.losses import cross_entropy
from frugalseg.training.progress import TrainingLog

VIEW_HW = (17, 23)  # a frame of 24 x 32 at as many pixels as the input of 16 x 24
FRAMES, SELECTED = 5, ("street_1", "street_3")
PLAIN = {"flip_ratio": 0.0, "color_jitter": 0.0, "hue_jitter": 0.0, "blur_ratio": 0.0, "class_weighting": 0.0}
M = {
    1: {"unlabelled": "none", "align_weight": 0.0},
    2: {"unlabelled": "none", "anchor_ema": 1.0},
    3: {"unlabelled": "none"},
    4: {},
}


@pytest.fixture(scope="module")
def city(tiny_city: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> DomainData:
    """Both domains; of five target frames people labelled two in full."""
    folder = tmp_path_factory.mktemp("city")
    data = tiny_city.domain_data(folder, count=FRAMES)
    for frame in data.target.frames:
        label = np.full(tiny_city.SIZE_HW, IGNORE, np.uint8)
        if frame.key in SELECTED:
            label = tiny_city.read_label(frame)
        provenance = np.where(label == IGNORE, 0, Provenance.HUMAN_MASK).astype(np.uint8)
        write_partial(folder / "masks", PartialLabel(frame.key, label, provenance))
    return replace(data, human=replace(data.human, labels=folder / "masks", cells={}))


@pytest.fixture
def make(tiny_city: ModuleType, city: DomainData) -> Any:
    def build(data: DomainData | None = None, body: Any = None, **settings: Any) -> Mada:
        config = MadaConfig(**{**tiny_city.SETTINGS, "anchors": 2, "least_feature_px": 3, **settings})
        network = tiny_city.network(body=body or tiny_city.Body)
        return Mada(network, config, tiny_city.fabric(config.precision), data or city)

    return build


def run(method: Mada, folder: Path, **settings: Any) -> Network:
    return train(method, folder, method._fabric, TrainingLog(folder / "log.jsonl", "test", quiet=True), **settings)


def losses(folder: Path) -> dict[str, set[str]]:
    """Return the names of the losses that each phase logged."""
    found: dict[str, set[str]] = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        said = entry.keys() - {"phase", "step", "done", "elapsed_s"}
        found.setdefault(entry["phase"], set()).update(said)
    return found


def ready(method: Mada, folder: Path, phase: int = 1) -> tuple[Mada, DomainBatch]:
    """Prepare a phase as the loop does, and return the method with the phase's first batch."""
    folder.mkdir(exist_ok=True)
    chosen = method.phases()[phase]
    chosen.prepare(folder)
    method.begin(phase)
    return method, chosen.batches(folder).batch(0)


@pytest.mark.parametrize(
    ("number", "second"),
    [
        (1, None),
        (2, {"source", "selected", "alignment"}),
        (3, {"source", "selected", "alignment"}),
        (4, {"source", "selected", "alignment", "pseudo"}),
    ],
)
def test_the_ablation_is_made_of_settings(make: Any, tmp_path: Path, number: int, second: set[str] | None) -> None:
    method = make(**M[number])
    run(method, tmp_path)
    expected = {FINE_TUNING: {"source", "selected"}} | ({SEMI_SUPERVISED: second} if second else {})
    assert losses(tmp_path) == expected
    assert method.config.repeats == len(expected)
    if second:
        with np.load(tmp_path / SEMI_SUPERVISED / ANCHORS) as saved:
            moved = not np.array_equal(saved["vectors"], method._anchors.vectors.numpy())
        assert moved is (number != 2)


def test_a_mean_teacher_may_take_the_place_of_fixed_labels(make: Any, tmp_path: Path) -> None:
    run(make(unlabelled="mean_teacher", align_weight=0.0), tmp_path)
    assert losses(tmp_path)[SEMI_SUPERVISED] == {"source", "selected", "taught"}
    assert not (tmp_path / SEMI_SUPERVISED / "labels").exists() and not (tmp_path / SEMI_SUPERVISED / ANCHORS).exists()


def test_absent_classes_may_count_as_zeros_in_anchors_and_alignment(make: Any, tmp_path: Path) -> None:
    apart, batch = ready(make(), tmp_path / "apart")
    zeros, _ = ready(make(paper_zeros=True), tmp_path / "zeros")
    assert zeros._anchors.present.all() and not apart._anchors.present.all()
    target = zeros._learner.forward(batch.target_images, "target")
    seen, there = zeros._class_means(target, batch), apart._class_means(target, batch)
    assert seen.present.all() and not there.present.all() and (seen.vectors[~there.present] == 0).all()


def test_without_a_source_the_target_teaches_alone(make: Any, city: DomainData, tmp_path: Path) -> None:
    run(make(replace(city, source=None, pixels_C=None)), tmp_path)
    assert losses(tmp_path)[SEMI_SUPERVISED] == {"selected", "alignment", "pseudo"}


def test_fine_tuning_shows_labelled_frames_only_with_peoples_labels(
    make: Any, tmp_path: Path, tiny_city: ModuleType
) -> None:
    method, batch = ready(make(**PLAIN), tmp_path / "phase", phase=0)
    assert batch.target_images is None and {*batch.keys[2:]} == {*SELECTED}
    method._learner.network.eval()  # no dropout; statistics are those of the start
    said = method.step(batch)
    network = tiny_city.network().eval()
    for term, images, labels in (
        ("source", batch.source_images, batch.source_labels),
        ("selected", batch.selected_images, batch.selected_labels),
    ):
        assert said[term] == pytest.approx(float(cross_entropy(network(images).logits, labels).detach()), rel=1e-4)
    assert said.keys() == {"source", "selected"}


def test_step_2_labels_what_nobody_labelled_and_anchors_everything(
    make: Any, tmp_path: Path, city: DomainData, tiny_city: ModuleType
) -> None:
    method, _ = ready(make(pseudo_threshold=0.265), tmp_path / "phase")
    network, vectors, present, pixels = tiny_city.network().eval(), [], [], np.zeros(4, int)
    for frame in city.target.frames:
        image = torch.from_numpy(city.target.cache.read(frame)).permute(2, 0, 1)[None].float() / 255
        view = torch.nn.functional.interpolate(image, VIEW_HW, mode="bilinear", antialias=True)
        with torch.no_grad():
            outputs = network(view)
        at_frame = torch.nn.functional.interpolate(outputs.logits, tiny_city.SIZE_HW, mode="bilinear")[0]
        classes = at_frame.argmax(dim=0).numpy()
        sure = at_frame.softmax(dim=0).amax(dim=0).numpy() >= 0.265
        if frame.key in SELECTED:
            assert not (tmp_path / "phase" / "labels" / f"{frame.key}.png").exists()
        else:
            label, provenance = PartialLabelFolder(tmp_path / "phase")(frame)
            assert (label == np.where(sure, classes, IGNORE)).all()
            assert ((provenance == Provenance.PSEUDO_LABEL) == sure).all()
            pixels += np.bincount(label[label != IGNORE], minlength=4)
        features = outputs.features[0].numpy()  # 8 x 9 x 12, on the view padded to 18 x 24
        cells = np.full(features.shape[1:], IGNORE)
        for row in range(cells.shape[0]):
            for column in range(cells.shape[1]):
                y, x = (row + 0.5) * 2 * 24 / VIEW_HW[0], (column + 0.5) * 2 * 32 / VIEW_HW[1]
                if y < 24 and x < 32:
                    cells[row, column] = classes[int(y), int(x)]
        counts = np.array([(cells == c).sum() for c in range(4)])
        present.append(counts >= 3)
        vectors.append([features[:, cells == c].mean(axis=1) if n >= 3 else np.zeros(8) for c, n in enumerate(counts)])
    assert 0 < pixels.sum() < 3 * 24 * 32 and np.array(present).any(axis=0).sum() > 1, "the frames tell something"
    named = ImageVectors(
        tuple(frame.key for frame in city.target.frames), np.array(vectors, np.float32), np.array(present)
    )
    expected = fit_anchors(named, 2, seed=method.config.seed)
    with np.load(tmp_path / "phase" / ANCHORS) as saved:
        np.testing.assert_allclose(saved["vectors"], expected.vectors_KCF, atol=1e-5)
        assert (saved["present"] == expected.present_KC).all()
    found = json.loads((tmp_path / "phase" / COUNTS).read_text())
    assert found["selected_frames"] == len(SELECTED) and found["pseudo_pixels"] == pixels.tolist()
    assert sum(found["frames_of_anchors"]) == FRAMES


def test_pseudo_labels_teach_on_frames_nobody_labelled_and_alignment_on_all(make: Any, tmp_path: Path) -> None:
    method, _ = ready(make(batch_size=FRAMES, **PLAIN), tmp_path / "phase")
    batch = method.phases()[1].batches(tmp_path / "phase").batch(0)
    keys = batch.keys[FRAMES : 2 * FRAMES]
    assert {*keys} == {f"street_{number}" for number in range(FRAMES)}
    for key, labels, seen in zip(keys, batch.target_labels, batch.target_provenance, strict=True):
        assert bool((labels != IGNORE).any()) is (key not in SELECTED)
        assert bool((seen == Provenance.PSEUDO_LABEL).any())


def test_a_step_is_equation_11_and_then_equation_8(make: Any, tmp_path: Path) -> None:
    weights = {"align_weight": 0.5, "pseudo_weight": 0.25, "selected_weight": 2.0}
    method, batch = ready(make(**PLAIN, **weights, anchor_ema=0.5), tmp_path / "phase")
    other, _ = ready(make(**PLAIN, **weights, anchor_ema=0.5), tmp_path / "phase")
    network = other._learner.network
    for one in (method._learner.network, network):
        one.eval()
    first = Means(*(part.clone() for part in method._anchors))
    target = network(batch.target_images)
    seen = other._class_means(target, batch)
    total = (
        cross_entropy(network(batch.source_images).logits, batch.source_labels)
        + 2.0 * cross_entropy(network(batch.selected_images).logits, batch.selected_labels)
        + 0.25 * cross_entropy(target.logits, batch.target_labels)
        + 0.5 * soft_alignment(seen, first)
    )
    other._learner.minimize(total)
    said = method.step(batch)
    assert said["source"] + 2 * said["selected"] + 0.25 * said["pseudo"] + 0.5 * said["alignment"] == pytest.approx(
        float(total.detach()), rel=1e-5
    )
    for one, two in zip(method._learner.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-3)
    follow(first, seen, 0.5)
    torch.testing.assert_close(method._anchors.vectors, first.vectors)
    assert method._anchors.vectors.grad_fn is None


def test_what_lies_outside_of_a_frame_is_in_no_class_mean(make: Any, tmp_path: Path) -> None:
    method, batch = ready(make(zoom_min=0.4, zoom_max=0.4, target_zoom_min=0.4), tmp_path / "phase")
    outside = batch.target_provenance == Provenance.UNKNOWN
    assert 0.5 < float(outside.float().mean()) < 1
    target = method._learner.network.eval()(batch.target_images)
    within = method._class_means(target, batch)
    everything = replace(batch, target_provenance=torch.full_like(batch.target_provenance, Provenance.PSEUDO_LABEL))
    assert bool((method._class_means(target, everything).present.sum(dim=1) > 0).all())
    assert not torch.equal(method._class_means(target, everything).vectors, within.vectors)


def test_both_outputs_learn(make: Any, tmp_path: Path, tiny_city: ModuleType) -> None:
    trained = run(make(body=tiny_city.TwoOutputs, aux_seg_weight=0.5, ema=0.0), tmp_path)
    before = tiny_city.network(body=tiny_city.TwoOutputs)
    assert not torch.equal(trained.body.aux_head.weight, before.body.aux_head.weight)


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("settings", [{}, {"unlabelled": "mean_teacher"}, {"ema": 0.0}], ids=str)
@pytest.mark.parametrize("steps_taken", [5, 7])
def test_anchors_and_teacher_survive_a_power_cut_in_the_second_stage(
    make: Any, tmp_path: Path, tiny_city: ModuleType, settings: dict[str, Any], steps_taken: int
) -> None:
    whole = make(anchor_ema=0.9, **settings)
    expected = tiny_city.weights(run(whole, tmp_path / "whole"))
    cut, steps = make(anchor_ema=0.9, **settings), []
    step = cut.step

    def fail(batch: DomainBatch) -> dict[str, float]:
        steps.append(batch.step)
        if len(steps) == steps_taken:
            raise PowerCut
        return step(batch)

    cut.step = fail
    with pytest.raises(PowerCut):
        run(cut, tmp_path / "cut")
    resumed = make(anchor_ema=0.9, **settings)
    assert tiny_city.same_weights(expected, tiny_city.weights(run(resumed, tmp_path / "cut")))
    assert torch.equal(resumed._anchors.vectors, whole._anchors.vectors)


def test_a_step_back_to_the_stages_start_takes_the_anchors_back_too(make: Any, tmp_path: Path) -> None:
    method, batch = ready(make(anchor_ema=0.0), tmp_path / "phase")
    state = {**method.state(), "anchors": None}  # as it was saved when the first stage had ended
    first = method._anchors.vectors.clone()
    method.step(batch)
    assert not torch.equal(method._anchors.vectors, first)
    method.load_state(state)
    method.begin(1)
    assert torch.equal(method._anchors.vectors, first)


def test_nothing_labelled_is_said_with_what_to_do(make: Any, city: DomainData, tmp_path: Path) -> None:
    for frame in city.target.frames:
        nothing = np.full((frame.height, frame.width), IGNORE, np.uint8)
        write_partial(tmp_path / "none", PartialLabel(frame.key, nothing, np.zeros_like(nothing)))
    method = make(replace(city, human=replace(city.human, labels=tmp_path / "none")))
    with pytest.raises(TrainingError, match="people labelled none of the 5 target frames.*5%images"):
        run(method, tmp_path / "run")


def test_class_weights_follow_each_terms_own_labels(make: Any, tmp_path: Path) -> None:
    own, _ = ready(make(class_weighting=1.0), tmp_path / "own")
    source, _ = ready(make(class_weighting=1.0, target_class_weights="source"), tmp_path / "source")
    none, _ = ready(make(class_weighting=1.0, target_class_weights="none"), tmp_path / "none")
    counts = json.loads((tmp_path / "own" / COUNTS).read_text())
    for term in ("selected", "pseudo"):
        expected = own._learner.weights_for(np.array(counts[f"{term}_pixels"]))
        torch.testing.assert_close(own._weights[term], expected)
        assert torch.equal(source._weights[term], source._learner.class_weights) and none._weights[term] is None
