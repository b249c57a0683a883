"""What holds of every network of the catalogue: ours, and smp architectures over small encoders of each kind.

All weights are random, and of each big family it is the smallest member.
"""

from pathlib import Path

import pytest
import torch

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError
from frugalseg.models.build import build
from frugalseg.models.network import Network, Outputs, pad_to_multiple, padded_size
from frugalseg.models.store import load_model, save_model
from frugalseg.training.image_vectors import image_vectors
from frugalseg.workflow.catalog import NETWORKS

NAMES = (
    "shuffle_lite",
    "deeplabv2:test_resnet",
    "fcn8s:vgg11_fc32",
    "resnet38:4",
    "vit:test_vit",
    "hms:deeplabv2:test_resnet",
    "deeplabv3plus:test_resnet",
    "segformer:mit_b0",
    "unet:tu-test_convnext",
    "fpn:mobilenet_v2",
    "upernet:test_efficientnet",
    "pan:test_resnet",
)
ODD_HW = (33, 47)


def class_set(count: int) -> ClassSet:
    return ClassSet("numbered", tuple(SemanticClass(f"class {c}", (c, c * c % 256, 3), (c,)) for c in range(count)))


def images(count: int, channels: int = 3, size_HW: tuple[int, int] = ODD_HW) -> torch.Tensor:
    return torch.rand((count, channels, *size_HW), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(name: str) -> Network:
    return build(name, class_set(5), seed=1)


def test_every_network_of_the_catalogue_is_among_these() -> None:
    families = {name.partition(":")[0] for name in NAMES}
    assert {entry.partition(":")[0] for entry in NETWORKS} - {"ARCHITECTURE"} <= families


@pytest.mark.parametrize("size_HW", [ODD_HW, (1, 40), (40, 1)])
def test_logits_have_the_images_size_whatever_it_is(network: Network, size_HW: tuple[int, int]) -> None:
    given = images(2, size_HW=size_HW)
    kept = given.clone()
    with torch.no_grad():
        outputs = network.eval()(given)
    assert outputs.logits.shape == (2, 5, *size_HW)
    assert outputs.features is not None and outputs.features.shape[0] == 2
    assert outputs.logits.isfinite().all()
    if outputs.aux_logits is not None:
        assert outputs.aux_logits.shape == outputs.logits.shape
        assert outputs.aux_logits.isfinite().all() and not torch.equal(outputs.aux_logits, outputs.logits)
    assert torch.equal(given, kept), "the caller's images were changed"


@pytest.mark.parametrize("small", [*NAMES, "pspnet:test_resnet", "deeplabv3:test_resnet", "hms:shuffle_lite"])
def test_a_single_small_image_can_be_learned_from(small: str) -> None:
    fresh = build(small, class_set(5), seed=1)
    for size_HW in ((1, 1), (16, 5), (32, 32)):
        assert fresh(images(1, size_HW=size_HW)).logits.shape[2:] == size_HW
    assert all(bool(value.isfinite().all()) for value in fresh.state_dict().values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.zeros(1, 3, 0, 40), "1 x 3 x 0 x 40"),
        (torch.zeros(3, 40, 40), "3 x 40 x 40"),
        (torch.zeros(1, 4, 40, 40), "1 x 4 x 40 x 40"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "Divide 8-bit images by 255"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.int64), r"in \[0, 1\], got torch.int64"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(network: Network, wrong: torch.Tensor, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        network.eval()(wrong)


def loss(outputs: Outputs) -> torch.Tensor:
    """Return a loss that every output takes part in."""
    logits = [outputs.logits] if outputs.aux_logits is None else [outputs.logits, outputs.aux_logits]
    return sum((own.square().mean() for own in logits), torch.zeros(()))


@pytest.mark.parametrize("padding", [name for name in NAMES if not name.startswith("hms:")])  # that pads at each scale
def test_the_border_is_repeated_and_cropped_away(padding: str) -> None:
    network = build(padding, class_set(5), seed=1)
    padded = pad_to_multiple(images(1), network.stride, network.least_px)
    assert padded.shape[-1] > ODD_HW[1]
    with torch.no_grad():
        network.eval()
        assert torch.equal(network(images(1)).logits, network(padded).logits[..., : ODD_HW[0], : ODD_HW[1]])


def test_an_image_is_predicted_alike_alone_and_in_a_batch(network: Network) -> None:
    with torch.no_grad():
        network.eval()
        torch.testing.assert_close(network(images(2)).logits[:1], network(images(2)[:1]).logits, rtol=1e-3, atol=1e-4)


def test_every_weight_learns_from_a_single_image(name: str) -> None:
    fresh = build(name, class_set(5), seed=1)
    assert fresh.training
    loss(fresh(images(1))).backward()
    learning = {key: weight for key, weight in fresh.named_parameters() if weight.requires_grad}
    assert [key for key, weight in learning.items() if weight.grad is None or not weight.grad.isfinite().all()] == []
    kept = {key.rpartition(".")[0] for key, weight in fresh.named_parameters() if not weight.requires_grad}
    norms = {key for key, layer in fresh.named_modules() if isinstance(layer, torch.nn.BatchNorm2d)}
    assert kept <= norms, "only a trunk's BatchNorm may be told not to learn"
    assert any(bool(weight.grad.any()) for weight in fresh.encoder.parameters() if weight.grad is not None)


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (5, 200)])
def test_other_numbers_of_bands_and_classes(name: str, channels: int, classes: int) -> None:
    other = build(name, class_set(classes), channels).eval()
    with torch.no_grad():
        assert other(images(1, channels)).logits.shape == (1, classes, *ODD_HW)


def test_parameter_groups_hold_every_parameter_once(network: Network) -> None:
    encoder, head = network.parameter_groups(0.1, head_lr_factor=10)
    grouped = [id(parameter) for group in (encoder, head) for parameter in group["params"]]
    assert sorted(grouped) == sorted(map(id, network.parameters()))
    assert (encoder["lr"], head["lr"]) == (0.1, 1.0)
    assert {id(parameter) for parameter in encoder["params"]} == set(map(id, network.encoder.parameters()))
    assert head["params"]


def test_weights_come_from_the_seed_alone(name: str, network: Network) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again, other = build(name, class_set(5), seed=1), build(name, class_set(5), seed=2)
    assert torch.equal(torch.rand(3), expected), "the global generator was moved"
    learned = dict(network.named_parameters())
    assert all(torch.equal(value, learned[key]) for key, value in again.named_parameters())
    assert not all(torch.equal(value, learned[key]) for key, value in other.named_parameters())


def test_saved_and_loaded_it_is_the_same_network(network: Network, tmp_path: Path) -> None:
    save_model(tmp_path, network, {"input_height": 240})
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert (loaded.name, loaded.classes, loaded.channels) == (network.name, network.classes, network.channels)
    assert loaded.normalization == network.normalization
    before, after = network.state_dict(), loaded.state_dict()
    assert list(before) == list(after)
    assert all(before[key].dtype == after[key].dtype and torch.equal(before[key], after[key]) for key in before)
    with torch.no_grad():
        before_saving, after_loading = network.eval()(images(1)), loaded(images(1))
    assert torch.equal(before_saving.logits, after_loading.logits)
    assert (before_saving.aux_logits is None) == (after_loading.aux_logits is None)


def test_an_image_of_one_class_has_the_mean_of_its_features(network: Network) -> None:
    size_HW = padded_size((64, 96), network.stride, network.least_px)
    with torch.no_grad():
        outputs = network.eval()(images(1, size_HW=size_HW))
    assert outputs.features is not None
    vectors, present = image_vectors(network, outputs, torch.full((1, *size_HW), 2), least_px=1)
    assert vectors.shape == (1, 5, outputs.features.shape[1])
    assert present[0].tolist() == [class_id == 2 for class_id in range(5)]
    torch.testing.assert_close(vectors[:, 2], outputs.features.mean(dim=(2, 3)), rtol=1e-4, atol=1e-4)
