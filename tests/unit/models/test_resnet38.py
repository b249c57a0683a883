import pytest
import torch
from torch import nn
from torch.nn import functional

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.build import build
from frugalseg.models.resnet38 import BottleneckUnit, Trunk, Unit

NINETEEN = ClassSet("19", tuple(SemanticClass(f"class {c}", (c, 0, 0), (c,)) for c in range(19)))


def test_the_papers_network_has_its_size_depth_and_strides() -> None:
    with torch.device("meta"):
        network = build("resnet38", NINETEEN).eval()
        logits, features = network.body(torch.zeros(1, 3, 64, 96))
        trunk = network.encoder(torch.zeros(1, 3, 64, 96))
    assert 123e6 < sum(weight.numel() for weight in network.parameters()) < 125e6
    assert trunk.shape == (1, 4096, 8, 12)
    assert features.shape == (1, 512, 8, 12) and logits.shape == (1, 19, 8, 12)
    shortcuts = {key for key, _ in network.encoder.named_modules() if "conv_branch1" in key}
    convolutions = [key for key, layer in network.encoder.named_modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) - len(shortcuts) + 1 == 38  # and the classifier


def test_levels_lie_at_the_published_strides_and_dilations() -> None:
    trunk, seen = Trunk(3, width=1).eval(), {}
    for name, layer in trunk.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: seen.update({name: (out.shape[1], out.shape[2])}))
    trunk(torch.zeros(1, 3, 64, 64))
    expected = {"conv1a": (1, 64), "b2_2": (2, 32), "b3_2": (4, 16), "b4_5": (8, 8), "b5_2": (16, 8), "b7": (64, 8)}
    assert {name: seen[name] for name in expected} == expected
    dilations = {key: layer.dilation[0] for key, layer in trunk.named_modules() if isinstance(layer, nn.Conv2d)}
    assert {key for key, dilation in dilations.items() if dilation == 2} == {
        f"{unit}.{branch}"
        for unit in ("b5", "b5_1", "b5_2")
        for branch in ("conv_branch2a", "conv_branch2b1")
        if (unit, branch) != ("b5", "conv_branch2a")
    }
    assert {key for key, dilation in dilations.items() if dilation == 4} == {"b6.conv_branch2b1", "b7.conv_branch2b1"}


def test_a_unit_adds_to_its_input_and_its_shortcut_sees_the_activation() -> None:
    same, changing = Unit((2, 2, 2)).eval(), Unit((2, 2, 4), stride=2).eval()
    given = torch.randn(1, 2, 6, 6)
    for unit in (same, changing):
        nn.init.zeros_(unit.conv_branch2b1.weight)
    with torch.no_grad():
        assert torch.equal(same(given), given)
        assert changing.conv_branch1 is not None
        active = functional.relu(changing.bn_branch2a(given))
        torch.testing.assert_close(changing(given), changing.conv_branch1(active))
    assert changing(given).shape == (1, 4, 3, 3)


def test_dropout_works_while_training_only() -> None:
    unit = BottleneckUnit(8, 16, dilation=4, dropout=0.5)
    given = torch.rand(1, 8, 5, 5)
    with torch.no_grad():
        assert not torch.equal(unit.train()(given), unit(given))
        assert torch.equal(unit.eval()(given), unit(given))


@pytest.mark.parametrize("width", ["0", "65", "x", "-1", "8.0", "999999999999", "²"])
def test_other_widths_are_refused(width: str) -> None:
    with pytest.raises(UnknownNameError, match="number of channels it starts with, 1 to 64"):
        build(f"resnet38:{width}", NINETEEN)


def test_it_has_no_weights_on_the_hub() -> None:
    with pytest.raises(ModelError, match="Give the trunk's weights file"):
        build("resnet38:1", NINETEEN, weights="hub")
