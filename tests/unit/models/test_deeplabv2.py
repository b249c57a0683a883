from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.build import build
from frugalseg.models.deeplabv2 import SummedDilations

NINETEEN = ClassSet("19", tuple(SemanticClass(f"class {c}", (c, 0, 0), (c,)) for c in range(19)))


def test_the_papers_network_has_its_size_and_stride() -> None:
    with torch.device("meta"):
        network = build("deeplabv2:resnet101", NINETEEN).eval()
        logits, features, aux = network.body(torch.zeros(1, 3, 512, 1024))
    trunk = sum(weight.numel() for weight in network.encoder.parameters())
    assert trunk == 42_500_160  # ResNet-101 without its classifier
    heads = 4 * 19 * (9 * (1024 + 2048) + 2)  # four 3x3 convolutions with biases on conv4 and on conv5
    assert sum(weight.numel() for weight in network.parameters()) == trunk + heads
    assert logits.shape == aux.shape == (1, 19, 64, 128)
    assert features.shape == (1, 2048, 64, 128)


def test_a_classifier_is_the_sum_of_its_four_dilations() -> None:
    """Each branch sees the centre and eight places at its distance; where only its own are lit, only it answers."""
    classifier = SummedDilations(1, 1)
    for branch in classifier.branches:
        nn.init.ones_(branch.weight)  # type: ignore[arg-type]
    lit = torch.zeros(1, 1, 60, 60)
    for distance in (6, 12, 18, 24):
        lit[0, 0, 30 + distance, 30] = distance
    assert float(classifier(lit)[0, 0, 30, 30].detach()) == 6 + 12 + 18 + 24
    lit[0, 0, 30, 30] = 1.0  # the centre is seen by all four
    assert float(classifier(lit)[0, 0, 30, 30].detach()) == 6 + 12 + 18 + 24 + 4


def test_scale_and_shift_of_batch_norm_stay_while_its_statistics_move() -> None:
    network = build("deeplabv2:resnet18", NINETEEN)
    before = {key: value.clone() for key, value in network.encoder.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameter_groups(0.1, 10), momentum=0.9, weight_decay=0.1)
    outputs = network(torch.rand(2, 3, 33, 47))
    assert outputs.aux_logits is not None
    (outputs.logits.square().mean() + outputs.aux_logits.square().mean()).backward()
    optimizer.step()
    moved = {key for key, value in network.encoder.state_dict().items() if not torch.equal(value, before[key])}
    norms = {key for key, layer in network.encoder.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    affine = {f"{norm}.{part}" for norm in norms for part in ("weight", "bias")}
    statistics = {f"{norm}.{part}" for norm in norms for part in ("running_mean", "running_var")}
    assert len(affine) == 40 and not affine & moved
    assert statistics <= moved
    assert "conv1.weight" in moved


def test_torchvisions_weights_fit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = torchvision.models.resnet18().state_dict()
    torch.save(published, tmp_path / "resnet18.pth")
    network = build("deeplabv2:resnet18", NINETEEN, weights=tmp_path / "resnet18.pth")
    own = network.encoder.state_dict()
    assert len(own) == len(published) - 2  # the classifier's
    assert all(torch.equal(value, published[key]) for key, value in own.items())


def test_what_cannot_be_dilated_is_refused() -> None:
    with pytest.raises(ModelError, match="deeplabv2:test_vit: this encoder does not"):
        build("deeplabv2:test_vit", NINETEEN)
    with pytest.raises(UnknownNameError, match="no encoder named 'resnet102'. Did you mean 'resnet152'"):
        build("deeplabv2:resnet102", NINETEEN)
