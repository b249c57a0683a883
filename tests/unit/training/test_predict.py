from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from frugalseg.core.config import load_config
from frugalseg.core.errors import ConfigError
from frugalseg.models.network import Outputs
from frugalseg.training.predict import PredictConfig, Predictor, on_frame, tile_spans, tiled


class Pointwise(nn.Module):
    """Logits of a pixel depend on that pixel only. Remembers the sizes it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 4, 1)
        self.seen: list[tuple[int, int]] = []
        nn.init.normal_(self.mix.weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.mix.bias)

    def forward(self, images: torch.Tensor) -> Outputs:
        self.seen.append((images.shape[-2], images.shape[-1]))
        return Outputs(self.mix(images))


class Sides(nn.Module):
    """Tells left from right by position alone, so that a mirrored view says the opposite."""

    def forward(self, images: torch.Tensor) -> Outputs:
        ramp = torch.linspace(-1, 1, images.shape[-1]).expand(images.shape[-2], -1)
        return Outputs(torch.stack([ramp, -ramp])[None].to(images))


def frame(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def predictor(network: nn.Module, input_hw: tuple[int, int] | None = None, **settings: object) -> Predictor:
    return Predictor(network, input_hw, PredictConfig(**settings))  # type: ignore[arg-type]


def test_logits_have_the_size_of_the_frame_whatever_the_network_sees() -> None:
    for input_hw in (None, (10, 12), (40, 80)):
        logits = predictor(Pointwise(), input_hw, scales=(0.5, 1.0), flip=True).logits(frame(21, 33))
        assert logits.shape == (4, 21, 33) and logits.dtype == torch.float32


def test_a_plain_view_at_the_frames_size_is_the_network_itself() -> None:
    network, image = Pointwise(), frame()
    whole = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255).logits[0]
    torch.testing.assert_close(predictor(network).logits(image), whole)


def test_the_view_has_the_inputs_number_of_pixels_and_the_frames_shape() -> None:
    network = Pointwise()
    predictor(network, (48, 64)).logits(frame(120, 360))
    height, width = network.seen[-1]
    assert height * 3 == pytest.approx(width, abs=3)
    assert height * width == pytest.approx(48 * 64, rel=0.05)


def test_prediction_leaves_the_network_in_evaluation_mode_and_needs_no_gradients() -> None:
    network = Pointwise().train()
    logits = predictor(network).logits(frame())
    assert not network.training and not logits.requires_grad


@pytest.mark.parametrize("tile", [7, 16, 29, 30])
def test_tiles_of_a_pointwise_network_equal_the_whole(tile: int) -> None:
    network, image = Pointwise(), frame()
    torch.testing.assert_close(predictor(network, tile=tile).logits(image), predictor(network).logits(image))
    assert max(max(size) for size in network.seen[:-1]) <= max(tile, 1)


def test_tiles_are_blended_without_seams() -> None:
    numbers = iter(range(100))
    blended = tiled(
        lambda part: torch.full((1, 1, *part.shape[-2:]), float(next(numbers))), torch.zeros(1, 3, 8, 40), 16
    )
    steps = blended[0, 0].diff()
    assert float(steps.min()) >= -1e-6 and float(steps.max()) < 0.6  # rises from tile to tile, never by a whole one
    assert float(blended[0, 0, 0]) == 0 and float(blended[0, 0, -1]) == 2


@pytest.mark.parametrize(("length", "tile"), [(5, 8), (8, 8), (9, 8), (30, 8), (1000, 64), (17, 16), (3, 1)])
def test_tiles_cover_everything_and_overlap_by_a_quarter(length: int, tile: int) -> None:
    spans = tile_spans(length, tile)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(stop - start == min(tile, length) for start, stop in spans)
    for (_, stop), (start, _) in zip(spans, spans[1:], strict=False):
        assert stop - start >= tile / 4 - 1


def test_several_views_average_probabilities() -> None:
    network, image = Pointwise(), frame()
    views = [predictor(network, scales=(scale,)).logits(image).softmax(dim=0) for scale in (0.5, 0.75, 1.0)]
    got = predictor(network, scales=(0.5, 0.75, 1.0)).logits(image)
    torch.testing.assert_close(got.softmax(dim=0), torch.stack(views).mean(dim=0))
    torch.testing.assert_close(got.logsumexp(dim=0), torch.zeros(20, 30), atol=1e-5, rtol=0)  # the log of an average


def test_the_mirrored_view_is_mirrored_back() -> None:
    image = frame()
    plain, both = predictor(Pointwise()).logits(image), predictor(Pointwise(), flip=True).logits(image)
    torch.testing.assert_close(both.softmax(dim=0), plain.softmax(dim=0))
    undecided = predictor(Sides(), flip=True).logits(image).softmax(dim=0)
    torch.testing.assert_close(undecided[0], undecided[1])


def test_averaging_keeps_small_doubts() -> None:
    """u = 1 - p of 1e-8 in two views is 1e-8 in their average, which float32 probabilities could not say."""

    class Sure(nn.Module):
        def forward(self, images: torch.Tensor) -> Outputs:
            logits = torch.zeros(1, 3, *images.shape[-2:])
            logits[:, 1] = float(np.log(2e8))
            return Outputs(logits)

    logits = predictor(Sure(), flip=True).logits(frame(4, 4))
    doubt = (logits[[0, 2]] - logits[1]).exp().sum(dim=0)
    torch.testing.assert_close(doubt, torch.full((4, 4), 1e-8), rtol=1e-4, atol=0)


class Gridded(Pointwise):
    """Also says where it looks: the middle of each cell of stride 8, over the image padded to whole cells."""

    def covered(self, size_HW: Sequence[int]) -> tuple[int, int]:
        rows, columns = (8 * -(-length // 8) for length in size_HW)
        return rows, columns

    def forward(self, images: torch.Tensor) -> Outputs:
        rows, columns = (torch.arange(length / 8) * 8 + 3.5 for length in self.covered(images.shape[-2:]))
        self.seen.append((images.shape[-2], images.shape[-1]))
        return Outputs(self.mix(images), None, torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None])


def test_features_come_with_the_same_logits_in_one_look() -> None:
    for settings, looks in (({}, 1), ({"flip": True}, 3)):
        network = Gridded()
        logits, features = predictor(network, None, **settings).with_features(frame(24, 16))
        assert torch.equal(logits, predictor(Gridded(), None, **settings).logits(frame(24, 16)))
        assert features is not None and features.shape == (2, 3, 2) and len(network.seen) == looks
    assert predictor(Pointwise()).with_features(frame())[1] is None


@pytest.mark.parametrize("size_HW", [(24, 17), (25, 16), (58, 39), (60, 61)])
def test_features_lie_on_the_frame_and_not_on_what_was_padded(size_HW: tuple[int, int]) -> None:
    _, features = predictor(Gridded(), None).with_features(frame(*size_HW))
    assert features is not None
    for axis, length in enumerate(size_HW):
        count = features.shape[1 + axis]
        middle = (torch.arange(count) + 0.5) * length / count - 0.5
        inner = (middle >= 3.5) & (middle <= 8 * -(-length // 8) - 4.5)  # beyond the outer middles nothing lies between
        found = features[axis].movedim(axis, 0)
        assert torch.allclose(found[inner], middle[inner, None].expand_as(found[inner]), atol=1e-3)
        assert abs(length / count - 8) < 3


def test_a_fine_grid_is_averaged_to_a_quarter_of_the_view() -> None:
    features = torch.arange(16.0).reshape(1, 1, 1, 16).expand(1, 1, 8, 16)
    found = on_frame(features, (8, 16), (8, 16))
    assert found.shape == (1, 1, 2, 4) and found[0, 0, 0].tolist() == [1.5, 5.5, 9.5, 13.5]


def test_frames_come_in_order_one_at_a_time() -> None:
    read = []

    def reader(item: SimpleNamespace) -> np.ndarray:
        read.append(item.key)
        return frame(6, 8, item.key)

    stream = predictor(Pointwise()).frames([SimpleNamespace(key=key) for key in range(3)], reader)  # type: ignore[misc]
    assert next(stream)[0].key == 0 and read == [0]
    assert [item.key for item, _ in stream] == [1, 2]


@pytest.mark.parametrize("override", ["scales=[]", "scales=[0.0]", "scales=[-1.0]", "tile=-1"])
def test_settings_that_make_no_sense_are_refused(override: str) -> None:
    with pytest.raises(ConfigError):
        load_config(PredictConfig, None, [override])
