from types import ModuleType

import pytest
import torch

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ModelError
from frugalseg.models.network import Outputs, padded_size
from frugalseg.training.image_vectors import agreeing, class_means, image_vectors, labels_on_grid


def test_class_means_by_hand() -> None:
    features = torch.tensor([[[[1.0, 3.0], [5.0, 9.0]], [[0.0, 2.0], [4.0, 8.0]]]])  # 1 image, 2 channels, 2 x 2
    labels = torch.tensor([[[0, 0], [2, IGNORE]]])
    means, present = class_means(features, labels, 3, least_px=1)
    assert means.tolist() == [[[2.0, 1.0], [0.0, 0.0], [5.0, 4.0]]]
    assert present.tolist() == [[True, False, True]]
    means, present = class_means(features, labels, 3, least_px=2)
    assert present.tolist() == [[True, False, False]] and (means[0, 2] == 0).all()


def test_they_equal_equations_1_and_4_written_out() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(3, 7, 11, 13), torch.randint(0, 5, (3, 11, 13))
    labels[0, :3], labels[1][labels[1] == 4] = IGNORE, 0
    means, present = class_means(features, labels, 5, least_px=10)
    for image in range(3):
        for class_id in range(5):
            mask = (labels[image] == class_id).float()
            assert bool(present[image, class_id]) == (float(mask.sum()) >= 10)
            if present[image, class_id]:
                expected = (features[image] * mask).sum(dim=(1, 2)) / mask.sum()
                torch.testing.assert_close(means[image, class_id], expected)
    assert not present[1, 4]


def test_the_gradient_of_a_mean_reaches_its_own_pixels_only_and_evenly() -> None:
    features = torch.randn(1, 2, 2, 3, requires_grad=True)
    labels = torch.tensor([[[0, 0, 1], [0, IGNORE, 1]]])
    means, _ = class_means(features, labels, 2, least_px=1)
    (gradient,) = torch.autograd.grad(means[0, 0, 1], features)
    assert (gradient[0, 0] == 0).all()
    torch.testing.assert_close(gradient[0, 1], torch.tensor([[1 / 3, 1 / 3, 0], [1 / 3, 0, 0]]))


def test_nothing_known_gives_zeros_and_a_finite_gradient() -> None:
    features = torch.randn(1, 2, 2, 2, requires_grad=True)
    means, present = class_means(features, torch.full((1, 2, 2), IGNORE), 3)
    (gradient,) = torch.autograd.grad(means.sum(), features)
    assert not present.any() and (means == 0).all() and (gradient == 0).all()


def test_half_precision_is_summed_in_single() -> None:
    features = torch.full((1, 1, 64, 64), 1000.0, dtype=torch.float16)  # the sum, 4 million, is beyond fp16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        means, _ = class_means(features, torch.zeros(1, 64, 64, dtype=torch.int64), 1)
    assert means.dtype == torch.float32 and float(means) == 1000


def test_labels_are_taken_at_the_centres_of_the_cells() -> None:
    labels = torch.arange(16).reshape(1, 4, 4)
    assert labels_on_grid(labels, (4, 4), (4, 4), (2, 2)).tolist() == [[[5, 7], [13, 15]]]
    assert torch.equal(labels_on_grid(labels, (4, 4), (4, 4), (4, 4)), labels)


def test_padding_has_no_class_and_a_frame_of_another_size_fits() -> None:
    labels = torch.ones(1, 3, 6, dtype=torch.int64)
    assert labels_on_grid(labels, (3, 6), (4, 8), (2, 4)).tolist() == [[[1, 1, 1, IGNORE], [IGNORE] * 4]]
    large = torch.tensor([[[3, 4], [5, 6]]]).repeat_interleave(8, 1).repeat_interleave(8, 2)  # the frame, 16 x 16
    assert labels_on_grid(large, (4, 4), (4, 4), (2, 2)).tolist() == [[[3, 4], [5, 6]]]  # seen at 4 x 4


def test_agreeing_keeps_what_was_predicted_right() -> None:
    truth = torch.tensor([[[0, 1, IGNORE]]])
    assert agreeing(truth, torch.tensor([[[0, 2, 1]]])).tolist() == [[[0, IGNORE, IGNORE]]]


def test_a_networks_vectors_are_the_means_of_its_feature_layer(tiny_city: ModuleType) -> None:
    network = tiny_city.network().eval()
    images = torch.rand(2, 3, 13, 22)
    with torch.no_grad():
        outputs = network(images)
        vectors, present = image_vectors(network, outputs, outputs.logits.argmax(dim=1), least_px=2)
    assert outputs.features is not None
    padded = padded_size((13, 22), network.stride, network.least_px)
    labels = labels_on_grid(outputs.logits.argmax(dim=1), (13, 22), padded, outputs.features.shape[-2:])
    expected = class_means(outputs.features, labels, len(network.classes), 2)
    assert vectors.shape == (2, len(network.classes), outputs.features.shape[1])
    assert torch.equal(vectors, expected[0]) and torch.equal(present, expected[1])


def test_labels_may_have_another_size_than_the_view_and_count_only_where_right(tiny_city: ModuleType) -> None:
    network = tiny_city.network().eval()
    with torch.no_grad():
        outputs = network(torch.rand(1, 3, 12, 20))
    predicted = outputs.logits.argmax(dim=1)
    large = predicted.repeat_interleave(3, 1).repeat_interleave(3, 2)
    own = image_vectors(network, outputs, predicted, least_px=1)
    assert all(torch.equal(a, b) for a, b in zip(image_vectors(network, outputs, large, 1), own, strict=True))
    wrong_left = large.clone()
    wrong_left[..., :30] = (large[..., :30] + 1) % len(network.classes)
    half = predicted.clone()
    half[..., :10] = IGNORE
    found = image_vectors(network, outputs, wrong_left, 1, right_only=True)
    assert all(torch.equal(a, b) for a, b in zip(found, image_vectors(network, outputs, half, 1), strict=True))


def test_a_network_without_a_feature_layer_is_refused(tiny_city: ModuleType) -> None:
    network = tiny_city.network()
    with pytest.raises(ModelError, match="gives no features"):
        image_vectors(network, Outputs(torch.zeros(1, 2, 4, 4)), torch.zeros(1, 4, 4, dtype=torch.int64))
