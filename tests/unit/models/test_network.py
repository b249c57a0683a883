import pytest
import torch
from torch import Tensor, nn

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ModelError
from frugalseg.models.network import Network, Normalization, adapt_input_weight, pad_to_multiple

TWO = ClassSet("two", (SemanticClass("a", (0, 0, 0), (0,)), SemanticClass("b", (9, 9, 9), (1,))))


class Quarter(nn.Module):
    """The first two bands, every second pixel: what a network is given can be read off its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 1, 1)
        self.seen_hw = (0, 0)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor]:
        self.seen_hw = (images_NBHW.shape[2], images_NBHW.shape[3])
        features = images_NBHW[:, :2, ::2, ::2]
        return features, features


def network(normalization: Normalization, channels: int = 3, stride: int = 2, least_px: int = 1) -> Network:
    return Network(Quarter(), "quarter", TWO, channels, stride, normalization, least_px)


def test_input_is_reordered_and_normalised_band_by_band() -> None:
    plain = Normalization(mean=(0.1, 0.2, 0.3), std=(0.5, 2.0, 1.0), order=(2, 1, 0))
    image = torch.tensor([0.4, 0.6, 0.9])[None, :, None, None].expand(1, 3, 2, 2)  # red, green, blue
    logits = network(plain)(image).logits
    torch.testing.assert_close(logits[0, :, 0, 0], torch.tensor([(0.9 - 0.1) / 0.5, (0.6 - 0.2) / 2.0]))


def test_plain_normalisation_changes_nothing() -> None:
    nothing = Normalization(mean=(0.0,) * 3, std=(1.0,) * 3)
    assert nothing.plain and not Normalization().plain
    image = torch.rand(1, 3, 4, 4)
    logits = network(nothing, stride=4)(image).logits
    assert logits.shape == (1, 2, 4, 4)
    assert torch.equal(logits[..., 0, 0], image[:, :2, 0, 0])


def test_logits_are_upsampled_with_half_pixel_centres() -> None:
    image = torch.zeros(1, 3, 2, 4)
    image[0, 0, :, 2:] = 1.0  # the body sees columns 0 and 2: logits 0, 1
    logits = network(Normalization((0.0,) * 3, (1.0,) * 3))(image).logits
    torch.testing.assert_close(logits[0, 0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))


@pytest.mark.parametrize(
    ("size_hw", "stride", "least_px", "expected_hw"),
    [((5, 8), 4, 1, (8, 8)), ((4, 8), 4, 1, (4, 8)), ((1, 1), 32, 1, (32, 32)), ((5, 40), 16, 30, (32, 48))],
)
def test_padded_sizes(size_hw: tuple[int, int], stride: int, least_px: int, expected_hw: tuple[int, int]) -> None:
    padded = pad_to_multiple(torch.zeros(1, 1, *size_hw), stride, least_px)
    assert tuple(padded.shape[2:]) == expected_hw
    body = network(Normalization(), stride=stride, least_px=least_px)
    assert body(torch.zeros(1, 3, *size_hw)).logits.shape[2:] == size_hw
    assert isinstance(body.body, Quarter) and body.body.seen_hw == expected_hw


class TwoOutputs(Quarter):
    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, ...]:
        logits, features = super().forward(images_NBHW)
        return logits, features, -logits


def test_a_second_output_is_upsampled_and_cropped_like_the_first() -> None:
    image = torch.rand(1, 3, 5, 7)
    assert network(Normalization())(image).aux_logits is None
    outputs = Network(TwoOutputs(), "two", TWO, 3, 4, Normalization())(image)
    assert outputs.aux_logits is not None and outputs.aux_logits.shape == (1, 2, 5, 7)
    torch.testing.assert_close(outputs.aux_logits, -outputs.logits)


class Stubborn(Quarter):
    """Has a BatchNorm that sees one value a channel, as behind global pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def forward(self, images_NBHW: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = super().forward(images_NBHW)
        return logits + self.norm(logits.mean(dim=(2, 3), keepdim=True)), features


def test_too_little_for_a_batch_norm_is_said_with_the_mend() -> None:
    stubborn = Network(Stubborn(), "stubborn", TWO, 3, 4, Normalization())
    with pytest.raises(ModelError, match="stubborn: a batch of 1 x 3 x 8 x 8 leaves .* one value.*batch_size"):
        stubborn(torch.rand(1, 3, 5, 7))
    assert stubborn(torch.rand(2, 3, 5, 7)).logits.isfinite().all()
    assert stubborn.eval()(torch.rand(1, 3, 5, 7)).logits.isfinite().all()


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.bool])
def test_images_of_whole_numbers_are_refused(kind: torch.dtype) -> None:
    with pytest.raises(ModelError, match=rf"numbers in \[0, 1\], got {kind}. Divide 8-bit images by 255"):
        network(Normalization())(torch.ones(1, 3, 8, 8, dtype=kind))


def test_padding_repeats_the_last_row_and_column() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    expected = torch.tensor([[1.0, 2.0, 2.0], [3.0, 4.0, 4.0], [3.0, 4.0, 4.0]])
    assert torch.equal(pad_to_multiple(image, 3)[0, 0], expected)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8), (1, 3, 0, 8), (0, 3, 8, 8)])
def test_wrong_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="N x 3 x height x width"):
        network(Normalization())(torch.zeros(shape))


def test_normalisation_of_other_numbers_of_bands() -> None:
    bgr = Normalization(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), order=(2, 1, 0))
    grey, five = bgr.for_channels(1), bgr.for_channels(5)
    assert (grey.order, five.order) == ((0,), (2, 1, 0, 3, 4))
    assert grey.mean == pytest.approx((0.2,)) and grey.std == pytest.approx((0.5,))
    assert five.mean == pytest.approx((0.1, 0.2, 0.3, 0.2, 0.2))
    assert bgr.for_channels(3) is bgr


@pytest.mark.parametrize(
    "fields",
    [
        {"mean": (0.0, 0.0)},
        {"std": (0.2, 0.0, 0.2)},
        {"std": (0.2, 1e-320, 0.2)},  # no zero in Python, zero in float32
        {"std": (0.2, -0.2, 0.2)},
        {"std": (0.2, float("inf"), 0.2)},
        {"mean": (0.0, 1e300, 0.0)},
        {"mean": (0.0, 10**400, 0.0)},
        {"mean": (0.0, float("nan"), 0.0)},
        {"order": (0, 1, 1)},
        {"mean": (), "std": (), "order": ()},
    ],
)
def test_impossible_normalisations_are_refused(fields: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ModelError, match="no normalisation"):
        Normalization(**fields)  # type: ignore[arg-type]


def test_normalisation_for_other_bands_is_refused() -> None:
    with pytest.raises(ModelError, match="is for 1 bands, not 3"):
        network(Normalization()).set_normalization(Normalization().for_channels(1))


def test_normalisation_is_no_part_of_a_checkpoint() -> None:
    assert set(network(Normalization()).state_dict()) == {"body.encoder.weight", "body.encoder.bias"}


def test_first_convolution_for_fewer_and_more_bands() -> None:
    weight = torch.randn(4, 3, 3, 3)
    image = torch.rand(2, 5, 6, 6)
    convolve = nn.functional.conv2d
    grey = image[:, :1]
    as_colour = grey.expand(-1, 3, -1, -1)
    torch.testing.assert_close(convolve(grey, adapt_input_weight(weight, 1)), convolve(as_colour, weight))
    torch.testing.assert_close(convolve(image, adapt_input_weight(weight, 5)), convolve(image[:, :3], weight))
    assert adapt_input_weight(weight, 3) is weight
