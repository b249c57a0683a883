import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.models.build import build
from frugalseg.models.shuffle_lite import Block, Decoder, ShuffleLite, Trunk

THREE = ClassSet("three", tuple(SemanticClass(name, (0, 0, 0), (c,)) for c, name in enumerate("abc")))


def test_keys_are_those_of_the_published_file() -> None:
    keys = list(Trunk().state_dict())
    assert len(keys) == 330
    assert keys[:6] == [
        *(f"first_conv.{key}" for key in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")),
        "first_conv.1.num_batches_tracked",
    ]
    form = (
        r"(first_conv\.[01]|stage[234]\.[0-7]\.branch_(main\.[013456]|proj\.[0123]))\.(weight|bias|running_\w+|num\w+)"
    )
    assert [key for key in keys if not re.fullmatch(form, key)] == []
    assert {key.split(".branch_proj")[0] for key in keys if "proj" in key} == {"stage2.0", "stage3.0", "stage4.0"}
    sizes = {stage: len({key.split(".")[1] for key in keys if key.startswith(stage)}) for stage in ("stage2", "stage3")}
    assert sizes == {"stage2": 4, "stage3": 8}


def test_levels_have_the_published_channels_and_strides() -> None:
    with torch.no_grad():
        levels = Trunk().eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in levels] == [(24, 16, 24), (48, 8, 12), (96, 4, 6), (192, 2, 3)]


def test_a_stride_1_block_passes_even_channels_and_works_on_odd_ones() -> None:
    block = randomised(Block(8, 8, 1))
    given = torch.rand(2, 8, 5, 6)
    worked = block.branch_main(torch.stack([given[:, channel] for channel in (1, 3, 5, 7)], dim=1))
    with torch.no_grad():
        out = block(given)
    for half, channel in enumerate((0, 2, 4, 6)):
        assert torch.equal(out[:, half], given[:, channel])
    torch.testing.assert_close(out[:, 4:], worked)


def test_a_stride_2_block_gives_both_branches_unshuffled() -> None:
    block = randomised(Block(4, 10, 2))
    given = torch.rand(2, 4, 6, 8)
    assert block.branch_proj is not None
    with torch.no_grad():
        out = block(given)
        torch.testing.assert_close(out, torch.cat([block.branch_proj(given), block.branch_main(given)], dim=1))
    assert out.shape == (2, 10, 3, 4)


def randomised(module: nn.Module) -> nn.Module:
    """Return the module in evaluation mode with BatchNorm statistics that matter."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    return module.eval()


def test_ragged_grids_are_cropped_and_not_squeezed() -> None:
    """60 rows at stride 4 are 15 at stride 16 and 8 at stride 32, which stand for 64 rows."""
    grids = {24: (64, 4), 48: (32, 2), 96: (16, 1), 192: (8, 1)}
    full = [torch.rand(1, channels, *size_hw) for channels, size_hw in grids.items()]
    ragged = [full[0][:, :, :60], full[1][:, :, :30], full[2][:, :, :15], full[3]]
    decoder = randomised(Decoder())
    with torch.no_grad():
        expected, got = decoder(tuple(full)), decoder(tuple(ragged))
    assert got.shape == (1, 64, 60, 4)
    torch.testing.assert_close(got[:, :, :40], expected[:, :, :40])  # smoothing carries the crop some rows up


def test_colour_channels_reach_the_trunk_as_bgr_in_0_to_1() -> None:
    network = build("shuffle_lite", THREE).eval()
    seen: list[Tensor] = []
    network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    image = torch.tensor([0.2, 0.5, 1.0])[None, :, None, None].expand(1, 3, 8, 8)
    network(image)
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([1.0, 0.5, 0.2])


def test_it_is_small() -> None:
    assert sum(parameter.numel() for parameter in ShuffleLite(19).parameters()) < 220_000


def test_a_grey_network_is_the_colour_network_on_grey_images(tmp_path: Path) -> None:
    colour = randomised(build("shuffle_lite", THREE))
    torch.save(colour.get_submodule("body.encoder").state_dict(), tmp_path / "trunk.pth")
    grey = build("shuffle_lite", THREE, channels=1, weights=tmp_path / "trunk.pth").eval()
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        expected = colour.get_submodule("body.encoder")(image.expand(-1, 3, -1, -1))
        for level, expected_level in zip(grey.encoder(image), expected, strict=True):
            torch.testing.assert_close(level, expected_level, rtol=1e-4, atol=1e-4)


def test_it_is_built_without_importing_other_families() -> None:
    code = (
        "import sys; from frugalseg.core.classes import *; from frugalseg.models.build import build\n"
        "build('shuffle_lite', ClassSet('x', (SemanticClass('a', (0, 0, 0), (0,)),)))\n"
        "print([name for name in ('segmentation_models_pytorch', 'timm', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def published_trunk(real_data: Path) -> Trunk:
    network = build("shuffle_lite", THREE, weights=real_data / "weights" / "shufflenetv2_x0_5_trunk.pth")
    assert isinstance(network.encoder, Trunk)
    return network.encoder.eval()


def real_images(real_data: Path) -> Tensor:
    paths = sorted((real_data / "carla34" / "images").iterdir())[:14]
    views = [Image.open(path).convert("RGB").resize((320, 240), Image.Resampling.BILINEAR) for path in paths]
    return torch.stack([pil_to_tensor(view) for view in views]).float() / 255


def distance_from_statistics(trunk: Trunk, images_NBHW: Tensor) -> float:
    """Return how far real activations lie from what the file's BatchNorm layers remember, in standard deviations."""
    distances: list[Tensor] = []

    def compare(layer: nn.BatchNorm2d, given: tuple[Tensor, ...], _: Tensor) -> None:
        assert layer.running_mean is not None and layer.running_var is not None
        alive = layer.running_var > 1e-6
        apart = (given[0].mean(dim=(0, 2, 3)) - layer.running_mean).abs() / layer.running_var.sqrt()
        distances.append(apart[alive].median())

    hooks = [layer.register_forward_hook(compare) for layer in trunk.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        trunk(images_NBHW)
    for hook in hooks:
        hook.remove()
    return float(torch.stack(distances).mean())


def test_real_images_agree_with_the_published_statistics(real_data: Path) -> None:
    trunk, images = published_trunk(real_data), real_images(real_data)
    ours = distance_from_statistics(trunk, images.flip(1))
    assert ours < 0.3
    mean, std = torch.tensor([0.406, 0.456, 0.485])[:, None, None], torch.tensor([0.225, 0.224, 0.229])[:, None, None]
    assert distance_from_statistics(trunk, (images.flip(1) - mean) / std) > 2 * ours


def test_another_channel_order_does_not_agree_with_them(real_data: Path) -> None:
    class Halves(Block):
        def forward(self, input_NChw: Tensor) -> Tensor:
            if self.branch_proj is not None:
                return super().forward(input_NChw)
            passed, worked = input_NChw.chunk(2, dim=1)
            return torch.cat([passed, self.branch_main(worked)], dim=1)

    trunk, images = published_trunk(real_data), real_images(real_data).flip(1)
    ours = distance_from_statistics(trunk, images)
    for block in trunk.modules():
        if isinstance(block, Block):
            block.__class__ = Halves
    assert distance_from_statistics(trunk, images) > 3 * ours
