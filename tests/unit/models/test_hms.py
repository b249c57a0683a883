import pytest
import torch
from torch import Tensor, nn

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.build import build
from frugalseg.models.hms import HierarchicalAttention
from frugalseg.models.network import Network, Normalization

TWO = ClassSet("two", (SemanticClass("a", (0, 0, 0), (0,)), SemanticClass("b", (9, 9, 9), (1,))))
PLAIN = Normalization((0.0,) * 3, (1.0,) * 3)


class Height(nn.Module):
    """Its logits are the height of the image it is given, so that every scale can be told apart."""

    def __init__(self, two_outputs: bool = False) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 1, 1)
        self.two_outputs = two_outputs

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, ...]:
        logits = torch.full_like(images_NBHW[:, :2], float(images_NBHW.shape[2]))
        return (logits, images_NBHW[:, :1], 10 * logits) if self.two_outputs else (logits, images_NBHW[:, :1])


class Constant(nn.Module):
    """Attention that depends on the scale alone: `trusts` in the order of the scales, from the finest down."""

    def __init__(self, trusts: list[float]) -> None:
        super().__init__()
        self.trusts = list(trusts)

    def forward(self, features: Tensor) -> Tensor:
        return torch.logit(torch.tensor(self.trusts.pop(0))).expand_as(features)


def over_scales(trusts: list[float], two_outputs: bool = False) -> HierarchicalAttention:
    inner = Network(Height(two_outputs), "height", TWO, 3, 4, PLAIN)
    body = HierarchicalAttention(inner, channels=1)
    body.attention = Constant(trusts)  # type: ignore[assignment]
    return body.eval()


def test_scales_are_joined_from_the_finest_down() -> None:
    """Worked by hand: heights 128, 64, 32; a = 0.25 at scale 1 and 0.5 at scale 0.5."""
    logits, features = over_scales([0.25, 0.5])(torch.rand(1, 3, 64, 96))
    at_1 = 0.25 * 64 + 0.75 * 128
    torch.testing.assert_close(logits, torch.full((1, 2, 64, 96), 0.5 * 32 + 0.5 * at_1))
    assert features.shape == (1, 1, 64, 96)  # those of scale 1


def test_auxiliary_logits_are_joined_alike() -> None:
    logits, _, aux = over_scales([0.25, 0.5], two_outputs=True)(torch.rand(1, 3, 64, 96))
    torch.testing.assert_close(aux, 10 * logits)


def test_training_sees_two_scales_and_prediction_the_ones_asked_for() -> None:
    body = over_scales([0.5]).train()
    assert float(body(torch.rand(1, 3, 64, 64))[0][0, 0, 0, 0]) == 0.5 * 32 + 0.5 * 64
    body = over_scales([]).eval()
    body.scales = (1.0,)
    assert float(body(torch.rand(1, 3, 64, 64))[0][0, 0, 0, 0]) == 64


def test_attention_lies_where_the_image_lies_although_the_view_is_padded() -> None:
    """The inner network pads 4 rows to 32: attention on its padded grid must not be squeezed onto the image."""
    inner = Network(Height(), "height", TWO, 3, 32, PLAIN)
    body = HierarchicalAttention(inner, channels=1).eval()
    body.attention = nn.Identity()  # type: ignore[assignment]
    features = torch.full((1, 1, 32, 32), -50.0)
    features[..., :4, :] = 50.0
    assert body._trust(features, (4, 8)).min() == 1.0


def test_trust_of_nothing_but_the_image_itself_is_the_inner_network() -> None:
    inner = build("shuffle_lite", TWO, seed=3).eval()
    network = build("hms:shuffle_lite", TWO, seed=3).eval()
    assert isinstance(network.body, HierarchicalAttention)
    network.body.scales = (1.0,)
    image = torch.rand(1, 3, 50, 66)
    with torch.no_grad():
        torch.testing.assert_close(network(image).logits, inner(image).logits)  # normalised once, BGR once


def test_the_encoder_is_the_inner_networks_and_learns_at_its_rate() -> None:
    network = build("hms:shuffle_lite", TWO)
    assert network.encoder is network.get_submodule("body.inner.body.encoder")
    head = network.parameter_groups(0.1, 10)[1]
    attention = {id(weight) for weight in network.get_submodule("body.attention").parameters()}
    assert attention <= {id(weight) for weight in head["params"]}


def test_the_grid_of_its_features_is_that_of_the_network_inside() -> None:
    network = build("hms:shuffle_lite", TWO, seed=3).eval()
    inner = build("shuffle_lite", TWO)
    for size_HW in ((33, 47), (64, 96)):
        assert network.covered(size_HW) == inner.covered(size_HW) >= size_HW
        features = network(torch.zeros(1, 3, *size_HW)).features
        assert features is not None and [4 * cells for cells in features.shape[-2:]] == list(network.covered(size_HW))


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("hms:hms:shuffle_lite", ModelError, "has attention over scales already"),
        ("hms", UnknownNameError, "no network named 'hms'"),
        ("hms:", UnknownNameError, "no network named ''"),
        ("hms:shuffle_lit", UnknownNameError, "Did you mean 'shuffle_lite'"),
    ],
)
def test_what_cannot_be_seen_at_scales_is_refused(name: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        build(name, TWO)
