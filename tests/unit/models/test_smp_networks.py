import pytest
import torch
from torch import nn

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.models.build import build
from frugalseg.models.network import Normalization
from frugalseg.models.smp_networks import HALF, TolerantBatchNorm, find_encoder

THREE = ClassSet("three", tuple(SemanticClass(name, (0, 0, 0), (c,)) for c, name in enumerate("abc")))


def twins(channels: int = 4) -> tuple[TolerantBatchNorm, nn.BatchNorm2d]:
    ours, plain = TolerantBatchNorm(channels), nn.BatchNorm2d(channels)
    for layer in (ours, plain):
        torch.manual_seed(0)
        nn.init.normal_(layer.running_mean)
        nn.init.uniform_(layer.running_var, 0.5, 2.0)
        nn.init.normal_(layer.weight)
    return ours, plain


@pytest.mark.parametrize("shape", [(2, 4, 1, 1), (1, 4, 1, 2), (3, 4, 5, 5)])
def test_with_several_values_it_is_batch_norm(shape: tuple[int, ...]) -> None:
    ours, plain = twins()
    given = torch.rand(shape)
    assert torch.equal(ours(given), plain(given))
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in ours.state_dict().items())
    assert torch.equal(ours.eval()(given), plain.eval()(given))


def test_a_single_value_is_normalised_by_the_running_statistics() -> None:
    ours, plain = twins()
    given = torch.rand(1, 4, 1, 1)
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    assert torch.equal(ours(given), plain.eval()(given))
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())
    with pytest.raises(ValueError, match="more than 1 value"):
        plain.train()(given)


def test_logits_come_from_the_decoders_grid_and_not_from_smps_upsampling() -> None:
    network = build("deeplabv3plus:test_resnet", THREE).eval()
    with torch.no_grad():
        logits, features = network.body(torch.rand(1, 3, 64, 96))
    assert logits.shape == (1, 3, 16, 24)
    assert features.shape[2:] == (16, 24)


def test_padding_is_no_more_than_the_network_needs() -> None:
    assert build("pspnet:test_resnet", THREE).stride == 8
    assert build("deeplabv3plus:test_resnet", THREE).stride == 16
    assert build("unet:test_resnet", THREE).stride == 32


def test_an_encoder_is_smps_or_timms() -> None:
    assert find_encoder("resnet18").name == "resnet18"
    assert find_encoder("tu-resnet18").name == "tu-resnet18"
    assert find_encoder("test_resnet").name == find_encoder("tu-test_resnet").name == "tu-test_resnet"


def test_normalisation_is_the_one_the_encoder_was_trained_with() -> None:
    assert find_encoder("resnet18").normalization == Normalization()
    assert find_encoder("inceptionv4").normalization == HALF
    assert find_encoder("tu-test_resnet").normalization == HALF
    assert find_encoder("convnext_tiny").normalization == Normalization()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dpt:test_vit", "upernet:swin_tiny_patch4_window7_224"])
def test_encoders_for_one_size_take_any(name: str) -> None:
    network = build(name, THREE)
    logits = network(torch.rand(1, 3, 37, 50)).logits
    assert logits.shape == (1, 3, 37, 50)
    logits.square().mean().backward()
    assert [key for key, weight in network.named_parameters() if weight.grad is None] == []
