from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError, UnknownNameError
from frugalseg.models.build import build
from frugalseg.models.vit import VitDecoder

THREE = ClassSet("three", tuple(SemanticClass(name, (0, 0, 0), (c,)) for c, name in enumerate("abc")))


@pytest.mark.parametrize(
    ("name", "patch_px"),
    [("test_vit", 16), ("vit_tiny_patch16_dinov3_qkvb", 16), ("vit_small_patch14_reg4_dinov2", 14)],
)
def test_images_are_padded_to_patches_and_four_blocks_are_fused(name: str, patch_px: int) -> None:
    network = build(f"vit:{name}", THREE).eval()
    seen: list[tuple[int, ...]] = []
    network.encoder.register_forward_hook(lambda _, given, out: seen.append((*given[0].shape[2:], len(out))))
    with torch.no_grad():
        outputs = network(torch.rand(1, 3, 2 * patch_px + 1, patch_px + 3))
    assert network.stride == patch_px
    assert seen == [(3 * patch_px, 2 * patch_px, 4)]
    assert outputs.logits.shape == (1, 3, 2 * patch_px + 1, patch_px + 3)
    assert outputs.features is not None and outputs.features.shape == (1, 128, 12, 8)


def test_the_blocks_are_equally_spaced_and_the_last_is_among_them() -> None:
    assert build("vit:test_vit", THREE).encoder.out_indices == [0, 2, 3, 5]
    with torch.device("meta"):
        assert build("vit:vit_large_patch14_dinov2", THREE).encoder.out_indices == [5, 11, 17, 23]


def test_every_block_counts() -> None:
    decoder = VitDecoder([2, 2], width=4).eval()
    blocks = [torch.rand(1, 2, 3, 3, requires_grad=True) for _ in range(2)]
    out = decoder(blocks)
    assert out.shape == (1, 4, 12, 12)
    out.square().sum().backward()
    assert all(block.grad is not None and bool(block.grad.any()) for block in blocks)


@pytest.mark.parametrize("name", ["test_vit", "vit_tiny_patch16_dinov3_qkvb"])
def test_a_file_from_timm_fits(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = timm.create_model(name, num_classes=7).state_dict()
    save_file(whole, tmp_path / "vit.safetensors")
    network = build(f"vit:{name}", THREE, weights=tmp_path / "vit.safetensors")
    own = network.encoder.state_dict()
    assert own and all(torch.equal(value, whole[key.removeprefix("model.")]) for key, value in own.items())


def test_normalisation_is_the_backbones_own() -> None:
    config = timm.get_pretrained_cfg("vit_small_patch14_dinov2")
    with torch.device("meta"):
        assert build("vit:vit_small_patch14_dinov2", THREE).normalization.mean == config.mean


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("resnet18", ModelError, "does not go with this architecture"),
        ("test_vit9", UnknownNameError, "Did you mean 'test_vit"),
        ("hf-hub:somebody/model", UnknownNameError, "no encoder named"),
    ],
)
def test_what_is_no_plain_vision_transformer_is_refused(name: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        build(f"vit:{name}", THREE)


def test_without_the_hub_its_weights_are_a_plain_error() -> None:
    with pytest.raises(ModelError, match="vit_small_patch14_dinov2: the hub gave no weights(.|\n)*online"):
        build("vit:vit_small_patch14_dinov2", THREE, weights="hub")
