import pytest
import torch

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.build import build

THREE = ClassSet("three", tuple(SemanticClass(name, (0, 0, 0), (c,)) for c, name in enumerate("abc")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shuffle_lit", "no network named 'shuffle_lit'. Did you mean 'shuffle_lite'"),
        ("resnet18", "e.g. deeplabv3plus:resnet101"),
        ("deeplabv3pls:resnet18", "no architecture named 'deeplabv3pls'. Did you mean 'deeplabv3plus'"),
        ("unet:resnet81", "no encoder named 'resnet81'. Did you mean 'resnet18'"),
        ("unet:tu-nothing_like_it", "no encoder named 'tu-nothing_like_it'"),
        ("unet:", "no encoder named ''"),
    ],
)
def test_unknown_names_get_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        build(name, THREE)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "encoder",
    ["hf-hub:somebody/model", "tu-hf-hub:somebody/model", "local-dir:/tmp", "tu-local-dir:/tmp", "../resnet18"],
)
def test_names_that_timm_would_follow_elsewhere_are_unknown(encoder: str) -> None:
    with pytest.raises(UnknownNameError, match="no encoder named"):
        build(f"unet:{encoder}", THREE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("linknet:mit_b0", "does not go with this architecture: .*Linknet"),
        ("dpt:resnet18", "does not go with this architecture: Only Timm encoders"),
        ("unet:test_maxvit", "does not take images of any size"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(name, THREE)


@pytest.mark.parametrize("channels", [0, -1, 65])
def test_absurd_numbers_of_bands_are_refused(channels: int) -> None:
    with pytest.raises(ModelError, match=f"{channels} bands"):
        build("shuffle_lite", THREE, channels)


@pytest.mark.parametrize("name", ["unet:mobileone_s0", "unet:test_resnet"])
def test_without_the_hub_its_weights_are_a_plain_error(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name.split(':')[1]}.*: the hub gave no weights(.|\n)*online"):
        build(name, THREE, weights="hub")


def test_our_own_network_has_no_weights_on_the_hub() -> None:
    with pytest.raises(ModelError, match="Give the trunk's weights file"):
        build("shuffle_lite", THREE, weights="hub")


def test_a_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    first = build("shuffle_lite", THREE, seed=3).state_dict()
    torch.rand(5)
    assert all(
        torch.equal(value, first[key]) for key, value in build("shuffle_lite", THREE, seed=3).state_dict().items()
    )
