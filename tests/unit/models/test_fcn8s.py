from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torchvision.models import vgg

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import UnknownNameError
from frugalseg.models.build import build
from frugalseg.models.fcn8s import Fcn8s, Vgg, bilinear_twice

THREE = ClassSet("three", tuple(SemanticClass(name, (0, 0, 0), (c,)) for c, name in enumerate("abc")))


def test_the_papers_network_has_its_size_and_strides() -> None:
    with torch.device("meta"):
        network = build("fcn8s:vgg16", THREE).eval()
        logits, features = network.body(torch.zeros(1, 3, 64, 96))
        levels = network.encoder(torch.zeros(1, 3, 64, 96))
    assert (
        sum(weight.numel() for weight in network.encoder.parameters()) == 134_260_544
    )  # VGG-16 without its last layer
    assert [tuple(level.shape[1:]) for level in levels] == [(256, 8, 12), (512, 4, 6), (512, 2, 3)]
    assert logits.shape == (1, 3, 8, 12) and features.shape == (1, 4096, 2, 3)


def test_scores_of_three_strides_are_summed() -> None:
    body = build("fcn8s:vgg11_fc8", THREE).eval().body
    assert isinstance(body, Fcn8s)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        pool3, pool4, _ = body.encoder(image)
        logits, fc7 = body(image)
        coarse = body.score_pool4(pool4) + body.twice_coarse(body.score(fc7))
        torch.testing.assert_close(logits, body.score_pool3(pool3) + body.twice_fine(coarse))


def test_upsampling_starts_bilinear_each_class_by_itself() -> None:
    scores = torch.rand(1, 3, 5, 7)
    with torch.no_grad():
        up = bilinear_twice(3)(scores)
    expected = functional.interpolate(scores, scale_factor=2.0, mode="bilinear")
    torch.testing.assert_close(up[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])  # at the border zeros are mixed in


def test_torchvisions_fully_connected_layers_become_convolutions() -> None:
    """fc6 on a 7x7 grid gives, at its centre, what torchvision's layer gives for the flattened grid."""
    torch.manual_seed(0)
    wide = torch.nn.Linear(512 * 7 * 7, 4)
    layers = torch.nn.ModuleDict({"fc1": torch.nn.Conv2d(512, 4, 7, padding=3), "fc2": torch.nn.Conv2d(4, 4, 1)})
    encoder = Vgg(torch.nn.Sequential(), layers)
    state = {"classifier.0.weight": wide.weight, "classifier.0.bias": wide.bias, "classifier.3.weight": torch.eye(4)}
    encoder.load_state_dict(encoder.published(state) | {"pre_logits.fc2.bias": torch.zeros(4)})
    grid = torch.rand(1, 512, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(layers["fc1"](grid)[0, :, 3, 3], wide(grid.flatten(1))[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(layers["fc2"](grid[:, :4]), grid[:, :4])


def test_torchvisions_trunk_fits_the_narrow_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = vgg.make_layers(vgg.cfgs["A"], batch_norm=True).state_dict()  # the features of its vgg11_bn
    torch.save({f"features.{key}": value for key, value in published.items()}, tmp_path / "vgg11_bn.pth")
    network = build("fcn8s:vgg11_bn_fc8", THREE, weights=tmp_path / "vgg11_bn.pth")
    own = network.get_submodule("body.encoder.features").state_dict()
    assert all(torch.equal(value, published[key]) for key, value in own.items())


@pytest.mark.parametrize("encoder", ["resnet18", "vgg17", "vgg16_fc0", "vgg16_fc99999", "vgg16_fc", ""])
def test_other_encoders_are_refused(encoder: str) -> None:
    with pytest.raises(UnknownNameError, match="fcn8s:vgg16|no encoder named 'vgg17'. Did you mean 'vgg1"):
        build(f"fcn8s:{encoder}", THREE)
