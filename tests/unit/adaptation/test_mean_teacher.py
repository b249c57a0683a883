import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from frugalseg.adaptation.mean_teacher import MeanTeacher, MeanTeacherConfig
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import Frame
from frugalseg.data.batches import DomainBatch, FramePool
from frugalseg.training.domain_data import DomainData
from frugalseg.training.loop import train
from frugalseg.training.losses import cross_entropy
from frugalseg.training.mixing import pseudo_labels, trusted_cross_entropy
from frugalseg.training.progress import TrainingLog

SURE = {"threshold": 0.0}  # of every pixel


@pytest.fixture(scope="module")
def city(tiny_city: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> DomainData:
    data: DomainData = tiny_city.domain_data(tmp_path_factory.mktemp("city"), human=False, count=3)
    return replace(data, pretrained=lambda: tiny_city.network(seed=7))


@pytest.fixture
def make(tiny_city: ModuleType, city: DomainData) -> Any:
    def build(data: DomainData = city, **settings: Any) -> MeanTeacher:
        config = MeanTeacherConfig(**{**tiny_city.SETTINGS, "mask_weight": 1.0, **settings})  # all views
        return MeanTeacher(tiny_city.network(), config, tiny_city.fabric(), data)

    return build


def first_batch(method: MeanTeacher, folder: Path, step: int = 0) -> DomainBatch:
    folder.mkdir(exist_ok=True)
    (phase,) = method.phases()
    phase.prepare(folder)
    return phase.batches(folder).batch(step)


def watch(method: MeanTeacher) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Return a list that fills with (domain, images, logits) of everything the student is shown."""
    seen: list[tuple[str, torch.Tensor, torch.Tensor]] = []
    forward = method._learner.forward

    def watched(images: torch.Tensor, domain: Any) -> Any:
        outputs = forward(images, domain)
        seen.append((domain, images, outputs.logits))
        return outputs

    method._learner.forward = watched  # type: ignore[method-assign]
    return seen


def one_step(method: MeanTeacher, batch: DomainBatch) -> tuple[dict[str, float], float]:
    """Return the losses and the sum that is minimised; nothing is learned."""
    totals: list[torch.Tensor] = []
    method._learner.add, method._learner.step = totals.append, lambda: None
    losses = method.step(batch)
    return losses, float(sum(totals).detach())


# --- what a step is made of


def test_the_loss_is_the_weighted_sum_of_its_parts(make: Any, tmp_path: Path) -> None:
    method = make(mixed_weight=0.5, mask_weight=2.0, things=("road", "building"), feature_weight=0.3, feature_share=0.5)
    losses, total = one_step(method, first_batch(method, tmp_path / "p"))
    assert losses.keys() == {"source", "features", "mixed", "masked", "trust"}
    parts = losses["source"] + 0.3 * losses["features"] + 0.5 * losses["mixed"] + 2 * losses["masked"]
    assert total == pytest.approx(parts, rel=1e-5)
    assert losses["features"] > 0


def test_every_part_is_the_loss_of_the_view_the_student_saw(make: Any, tmp_path: Path) -> None:
    method = make(threshold=0.26, ema=0.5, mixed_statistics="own")
    batch = first_batch(method, tmp_path / "p")
    teacher = method._learner.best_network()
    assert teacher is not method._learner.network
    labels, trust = pseudo_labels(teacher(batch.target_images).logits, batch.target_labels != IGNORE, 0.26, "image")
    assert trust.min() > 0 and trust.max() < 1
    seen = watch(method)
    losses, _ = one_step(method, batch)
    (_, plain, _), (_, _, source), (_, mixed_images, mixed), (_, masked_images, masked) = seen
    assert torch.equal(plain, batch.target_images)
    weights = method._learner.class_weights
    assert losses["source"] == pytest.approx(float(cross_entropy(source, batch.source_labels, weights).detach()))
    assert losses["masked"] == pytest.approx(float(trusted_cross_entropy(masked, labels, trust).detach()), rel=1e-5)
    assert losses["trust"] == pytest.approx(float(trust.mean()))
    for views in (mixed_images, masked_images):
        assert views.shape == plain.shape and not torch.equal(views, plain)
    alone = float(trusted_cross_entropy(mixed, labels, trust).detach())
    assert losses["mixed"] != pytest.approx(alone, rel=1e-3)  # pasted pixels carry the source's labels


def test_without_colours_the_views_are_made_of_the_frames_themselves(make: Any, tmp_path: Path) -> None:
    plain = {"color_jitter": 0.0, "hue_jitter": 0.0, "blur_ratio": 0.0, "look_ratio": 0.0}
    method = make(**plain, mask_ratio=0.5, mixed_statistics="own")
    batch = first_batch(method, tmp_path / "p")
    seen = watch(method)
    one_step(method, batch)
    _, source, mixed, masked = (images for _, images, _ in seen)
    assert torch.equal(source, batch.source_images)
    from_source = (mixed == batch.source_images).all(dim=1)
    from_target = (mixed == batch.target_images).all(dim=1)
    assert (from_source | from_target).all() and from_source.any() and from_target.any()
    for n in range(2):  # whole classes were pasted
        pasted = batch.source_labels[n][from_source[n] & ~from_target[n]].unique()
        assert 0 < len(pasted) <= 2 and IGNORE not in pasted.tolist()
    visible = (masked == batch.target_images).all(dim=1).float().mean()
    assert 0.1 < visible < 0.9


def test_source_frames_take_the_look_of_target_frames(make: Any, tmp_path: Path) -> None:
    plain = {"color_jitter": 0.0, "hue_jitter": 0.0, "blur_ratio": 0.0, "mask_weight": 0.0}
    method = make(**plain, look_ratio=1.0, mixed_statistics="own")
    batch = first_batch(method, tmp_path / "p")
    seen = watch(method)
    one_step(method, batch)
    _, source, mixed = (images for _, images, _ in seen)
    assert (source != batch.source_images).flatten(1).any(dim=1).all()
    own, target = batch.source_images.mean((2, 3)), batch.target_images.mean((2, 3))
    assert (source.mean((2, 3)) - target.mean(0)).abs().sum() < (own - target.mean(0)).abs().sum()
    from_target = (mixed == batch.target_images).all(dim=1)
    assert ((mixed == source).all(dim=1) | from_target).all()  # what is pasted looks the same


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"mixed_weight": 0.0}, {"source", "masked"}),
        ({"mask_weight": 0.0}, {"source", "mixed"}),
        ({"mixed_weight": 0.0, "mask_weight": 0.0}, {"source"}),
        ({"things": ("road",), "feature_weight": 0.0}, {"source", "mixed", "masked"}),
        ({"things": ()}, {"source", "mixed", "masked"}),
    ],
)
def test_every_part_goes_away_with_one_setting(
    make: Any, tmp_path: Path, settings: dict[str, Any], parts: set[str]
) -> None:
    method = make(**settings)
    losses, total = one_step(method, first_batch(method, tmp_path / "p"))
    assert losses.keys() == parts | {"trust"}
    assert total == pytest.approx(sum(losses[part] for part in parts), rel=1e-5)


def test_without_mixing_the_student_sees_target_images_in_other_colours(make: Any, tmp_path: Path) -> None:
    method = make(mixing="none", color_jitter=0.0, hue_jitter=0.0, blur_ratio=0.0, mask_weight=0.0)
    batch = first_batch(method, tmp_path / "p")
    seen = watch(method)
    one_step(method, batch)
    assert torch.equal(seen[-1][1], batch.target_images)


# --- the teacher


@pytest.mark.parametrize("ema", [0.9, 0.0])
def test_no_gradient_reaches_the_teacher(make: Any, tmp_path: Path, ema: float) -> None:
    method = make(ema=ema, **SURE)
    batch = first_batch(method, tmp_path / "p")
    logits = method._ask_teacher(batch.target_images)
    assert not logits.requires_grad and method._learner.network.training  # the student goes on learning
    teacher = method._learner.best_network()
    before = {name: value.clone() for name, value in teacher.named_parameters()}
    method._learner.ema = None  # so that only gradients could move it
    method.step(batch)
    moved = any(not torch.equal(before[name], value) for name, value in teacher.named_parameters())
    assert moved == (teacher is method._learner.network)
    if ema:
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())


def test_the_teacher_is_asked_about_plain_images_and_follows_the_student(make: Any, tmp_path: Path) -> None:
    method = make(ema=0.9)
    batch = first_batch(method, tmp_path / "p")
    assert torch.equal(batch.target_images * 255, (batch.target_images * 255).round())  # bytes: no colour was varied
    teacher = method._learner.ema.network
    asked: list[torch.Tensor] = []
    teacher.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0]))
    start = teacher.body.head.weight.clone()
    for step in range(3):
        method.step(replace(batch, step=step))
    assert len(asked) == 3 and all(torch.equal(images, batch.target_images) for images in asked)
    assert not torch.equal(teacher.body.head.weight, start)


def test_the_model_is_the_teacher_or_the_student(make: Any) -> None:
    method = make()
    assert method.finish() is method._learner.ema.network
    method = make(predict_with="student")
    assert method.finish() is method._learner.network


# --- BatchNorm statistics


@pytest.mark.parametrize(
    ("settings", "domains"),
    [
        ({}, ["source", "target", "mixed"]),
        ({"mixed_statistics": "own"}, ["target", "source", "mixed", "mixed"]),
        ({"mixed_statistics": "source"}, ["target", "source", "source", "mixed"]),
        ({"mixed_weight": 0.0}, ["target", "source", "mixed"]),
        ({"batch_statistics": "shared"}, ["source", "target", "mixed"]),
    ],
)
def test_which_images_move_which_statistics(
    make: Any, tmp_path: Path, settings: dict[str, Any], domains: list[str]
) -> None:
    method = make(**settings)
    batch = first_batch(method, tmp_path / "p")
    seen = watch(method)
    one_step(method, batch)
    assert [domain for domain, _, _ in seen] == domains


def test_where_mixed_images_leave_them_alone_the_models_statistics_are_those_of_plain_target_images(
    make: Any, tiny_city: ModuleType, tmp_path: Path
) -> None:
    method, twin = make(mixed_statistics="own"), tiny_city.network().train()
    batch = first_batch(method, tmp_path / "p")
    one_step(method, batch)
    twin(batch.target_images)
    found, expected = method._learner.network.state_dict(), twin.state_dict()
    for name in expected:
        if "running" in name:
            assert torch.equal(found[name], expected[name])


# --- pixels and frames


def test_the_own_car_and_what_lies_off_the_frame_are_never_taught(
    make: Any, tiny_city: ModuleType, city: DomainData, tmp_path: Path
) -> None:
    mask = np.full(tiny_city.SIZE_HW, 255, np.uint8)
    mask[12:] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert city.target is not None
    masked = tuple(Frame(**{**vars(frame), "mask": str(tmp_path / "mask.png")}) for frame in city.target.frames)
    settings = {"zoom_min": 0.5, "zoom_max": 0.5, "mixing": "none", "mask_weight": 0.0, **SURE}
    method = make(replace(city, target=FramePool(masked)), **settings)
    batch = first_batch(method, tmp_path / "p")
    usable = (batch.target_labels != IGNORE).float().mean()
    assert usable == pytest.approx(0.5 * 0.25, abs=0.03)  # the upper half of a frame that fills a quarter of the input
    seen = watch(method)
    losses, _ = one_step(method, batch)
    assert losses["trust"] == pytest.approx(1.0)  # of the usable pixels
    logits = seen[-1][2]
    taught, _ = pseudo_labels(method._ask_teacher(batch.target_images), batch.target_labels != IGNORE, 0.0, "image")
    assert ((taught == IGNORE) == (batch.target_labels == IGNORE)).all()
    assert losses["mixed"] == pytest.approx(float(cross_entropy(logits, taught).detach()), rel=1e-5)


def test_source_labels_of_nothing_but_ignore_do_no_harm(make: Any, tmp_path: Path) -> None:
    method = make(things=("road",), **SURE)
    batch = first_batch(method, tmp_path / "p")
    empty = replace(batch, source_labels=torch.full_like(batch.source_labels, IGNORE))
    losses = method.step(empty)
    assert losses["source"] == 0 and losses["features"] == 0 and losses["mixed"] > 0
    assert all(bool(torch.isfinite(value).all()) for value in method._learner.network.state_dict().values())


def test_views_depend_on_seed_and_step_and_differ_from_each_other(make: Any, tmp_path: Path) -> None:
    method, other = make(), make(seed=1)
    images = first_batch(method, tmp_path / "p").source_images
    views = [method._varied(images, view, step) for view, step in (("mixed", 3), ("masked", 3), ("mixed", 4))]
    views.append(other._varied(images, "mixed", 3))
    assert all(not torch.equal(one, two) for n, one in enumerate(views) for two in views[:n])
    assert torch.equal(make()._varied(images, "mixed", 3), views[0])
    five_bands = torch.rand(2, 5, 8, 8)
    assert method._varied(five_bands, "mixed", 0) is five_bands  # colours are a matter of RGB


# --- rare classes


def test_the_sources_classes_are_counted_once_and_told(make: Any, tiny_city: ModuleType, tmp_path: Path) -> None:
    method = make(loader_threads=2)
    batches = method.phases()[0].batches
    first_batch(method, tmp_path / "p")
    counts = np.load(tmp_path / "p" / "class_pixels.npy")
    labels = [tiny_city.read_label(frame) for frame in method._source.frames]
    assert counts.tolist() == [[int((label == c).sum()) for c in range(4)] for label in labels]
    summary = json.loads((tmp_path / "p" / "rare_classes.json").read_text())
    assert [row["name"] for row in summary["classes"]] == ["sky", "building", "road", "sign"]
    probability = [row["probability"] for row in summary["classes"]]
    assert sum(probability) == pytest.approx(1) and max(probability) == probability[tiny_city.SIGN]
    assert 1 < summary["effective_frames"] <= summary["frames"] == 3
    assert batches(tmp_path / "p")._rare.pixels_FC.tolist() == counts.tolist()


def test_drawing_by_class_can_be_switched_off(make: Any, tmp_path: Path) -> None:
    method = make(rare_ratio=0.0)
    first_batch(method, tmp_path / "p")
    assert list((tmp_path / "p").iterdir()) == [] and method.phases()[0].batches(tmp_path / "p")._rare is None


# --- the whole run


class PowerCut(Exception):
    pass


@pytest.mark.parametrize(
    "settings",
    [
        {"things": ("road",), "quality": "batch", "predict_with": "student", "mixed_statistics": "own"},
        {"mixed_statistics": "source", "quality": "pixel", "target_class_weights": "source", "mixing": "none"},
    ],
)
def test_resumed_equals_uninterrupted(
    make: Any, tiny_city: ModuleType, tmp_path: Path, settings: dict[str, Any]
) -> None:
    def run(method: MeanTeacher, folder: Path) -> dict[str, torch.Tensor]:
        network = train(method, folder, method._fabric, TrainingLog(None, "t", quiet=True))
        found: dict[str, torch.Tensor] = tiny_city.weights(network)
        return found

    whole = run(make(**settings, **SURE), tmp_path / "whole")
    method = make(**settings, **SURE)
    step = method.step

    def cut(batch: DomainBatch) -> dict[str, float]:
        if batch.step == 3:
            raise PowerCut
        result: dict[str, float] = step(batch)
        return result

    method.step = cut
    with pytest.raises(PowerCut):
        run(method, tmp_path / "cut")
    assert tiny_city.same_weights(whole, run(make(**settings, **SURE), tmp_path / "cut"))


def test_it_says_what_it_needs(make: Any, city: DomainData) -> None:
    with pytest.raises(TrainingError, match="mean_teacher learns from a labelled source"):
        make(replace(city, source=None))
    with pytest.raises(TrainingError, match="mean_teacher learns from target images"):
        make(replace(city, target=None))
    with pytest.raises(TrainingError, match="pretrained trunk, and this project has none"):
        make(replace(city, pretrained=None), things=("road",))
    with pytest.raises(TrainingError, match="no class: lorry"):
        make(things=("lorry",))


def test_it_learns_the_target(make: Any, tiny_city: ModuleType, tmp_path: Path) -> None:
    """From random weights, a few dozen steps get most pixels of unseen target frames right."""
    settings = {"steps": 80, "save_every": 80, "lr": 0.02, "color_jitter": 0.2, "hue_jitter": 0.0, "zoom_max": 1.0}
    method = make(**settings, ema=0.9, threshold=0.5, look_ratio=0.0)  # nothing but colour tells this world's classes
    network = train(method, tmp_path / "run", method._fabric, TrainingLog(None, "t", quiet=True))
    right = []
    for index in range(3):
        image, label = tiny_city.draw("street", 5, index)
        prediction = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255).logits[0].argmax(dim=0).numpy()
        right.append((prediction == label)[label != IGNORE].mean())
    assert np.mean(right) > 0.8
