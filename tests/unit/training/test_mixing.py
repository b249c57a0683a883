import numpy as np
import pytest
import torch
from torch import Tensor

from frugalseg.core.classes import IGNORE
from frugalseg.training.losses import cross_entropy
from frugalseg.training.mixing import (
    Lesson,
    chosen_classes,
    class_mix,
    hidden,
    kept_blocks,
    pseudo_labels,
    trusted_cross_entropy,
)

rng = np.random.default_rng


def certain(label: list[list[int]], probability: list[list[float]]) -> Tensor:
    """Return logits 1 x 3 x H x W whose softmax gives `label` this probability and the others equal shares."""
    top, ids = torch.tensor(probability, dtype=torch.float64), torch.tensor(label)
    rest = ((1 - top) / 2).log()
    return torch.stack([torch.where(ids == c, top.log(), rest) for c in range(3)])[None].float()


# --- what the teacher says, and how far it is trusted


def test_trust_by_hand() -> None:
    logits = torch.cat(
        [
            certain([[0, 1], [2, 2]], [[0.99, 0.97], [0.5, 0.96]]),  # 2 of 4 above .968
            certain([[1, 1], [0, 0]], [[0.99, 0.4], [0.99, 0.99]]),  # 2 of the 3 usable ones
        ]
    )
    usable = torch.tensor([[[True, True], [True, True]], [[True, True], [True, False]]])
    labels, trust = pseudo_labels(logits, usable, 0.968, "image")
    assert labels.tolist() == [[[0, 1], [2, 2]], [[1, 1], [0, IGNORE]]]
    assert trust[0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert trust[1].unique().tolist() == [pytest.approx(2 / 3)]
    _, trust = pseudo_labels(logits, usable, 0.968, "batch")
    assert trust.unique().tolist() == [pytest.approx(4 / 7)]
    _, trust = pseudo_labels(logits, usable, 0.968, "pixel")
    assert trust.tolist() == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]


@pytest.mark.parametrize("quality", ["image", "batch", "pixel"])
def test_nothing_usable_is_no_trust(quality: str) -> None:
    labels, trust = pseudo_labels(torch.randn(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool), 0.5, quality)
    assert (labels == IGNORE).all() and (trust == 0).all() and trust.shape == (2, 4, 4)


# --- ClassMix


def test_half_the_classes_are_chosen_and_ignore_is_none() -> None:
    label = torch.tensor([[0, 0, 3], [5, IGNORE, 7], [9, 9, IGNORE]])
    drawn = [tuple(sorted(chosen_classes(label, rng(seed)).tolist())) for seed in range(60)]
    assert {len(classes) for classes in drawn} == {3}  # of five: one more than the rest, as in the public code
    assert len(set(drawn)) == 10 and set().union(*drawn) == {0, 3, 5, 7, 9}  # every three of the five
    assert chosen_classes(torch.tensor([[4, 4]]), rng(0)).tolist() == [4]
    assert chosen_classes(torch.tensor([[IGNORE]]), rng(0)).tolist() == []
    assert torch.equal(chosen_classes(label, rng(7)), chosen_classes(label, rng(7)))


def test_class_mix_by_hand() -> None:
    source, target = torch.full((1, 1, 2, 3), 0.25), torch.full((1, 1, 2, 3), 0.75)
    labels = torch.tensor([[[4, 4, 4], [4, IGNORE, IGNORE]]])  # one class only: it is the one that is pasted
    lesson = Lesson(target, torch.tensor([[[0, 1, IGNORE], [2, 0, IGNORE]]]), torch.full((1, 2, 3), 0.5))
    mixed = class_mix(source, labels, lesson, [rng(0)])
    assert mixed.images_NBHW.tolist() == [[[[0.25, 0.25, 0.25], [0.25, 0.75, 0.75]]]]
    assert mixed.labels_NHW.tolist() == [[[4, 4, 4], [4, 0, IGNORE]]]
    assert mixed.trust_NHW.tolist() == [[[1, 1, 1], [1, 0.5, 0.5]]]


@pytest.mark.parametrize("seed", range(3))
def test_class_mix_equals_a_naive_loop(seed: int) -> None:
    torch.manual_seed(seed)
    source, target = torch.rand(2, 2, 3, 5, 6)
    source_labels = torch.randint(0, 6, (2, 5, 6))
    source_labels[source_labels == 5] = IGNORE
    lesson = Lesson(target, torch.randint(0, 5, (2, 5, 6)), torch.rand(2, 5, 6))
    mixed = class_mix(source, source_labels, lesson, [rng(1), rng(2)])
    for n in range(2):
        pasted = set(chosen_classes(source_labels[n], rng(n + 1)).tolist())
        for row in range(5):
            for column in range(6):
                place = (n, row, column)
                from_source = int(source_labels[place]) in pasted
                image = source if from_source else target
                assert torch.equal(mixed.images_NBHW[n, :, row, column], image[n, :, row, column])
                assert mixed.labels_NHW[place] == (source_labels if from_source else lesson.labels_NHW)[place]
                assert mixed.trust_NHW[place] == (1 if from_source else lesson.trust_NHW[place])


# --- masks


def test_masks_are_made_of_blocks() -> None:
    kept = kept_blocks((16, 24), 4, 0.5, rng(0))
    assert kept.shape == (16, 24) and kept.dtype == torch.bool
    blocks = kept.view(4, 4, 6, 4).permute(0, 2, 1, 3).reshape(24, 16)
    assert (blocks == blocks[:, :1]).all() and 4 < blocks[:, 0].sum() < 20


def test_masks_hide_as_much_as_told() -> None:
    hidden_share = 1 - np.mean([kept_blocks((40, 64), 8, 0.7, rng(seed)).float().mean() for seed in range(200)])
    assert hidden_share == pytest.approx(0.7, abs=0.01)
    assert kept_blocks((8, 8), 2, 0.0, rng(0)).all() and not kept_blocks((8, 8), 2, 1.0, rng(0)).any()


def test_blocks_that_do_not_divide_the_image_cover_it_evenly() -> None:
    kept = kept_blocks((10, 7), 4, 0.5, rng(3))  # 2 x 2 blocks
    widths = [3, 4]
    assert kept.shape == (10, 7)
    columns = [kept[:, :4], kept[:, 4:]] if len(kept[0, :4].unique()) == 1 else []
    assert [part.shape[1] for part in columns] == widths[::-1]
    assert kept_blocks((3, 3), 100, 0.5, rng(0)).float().std() == 0  # larger than the image: one block


def test_hidden_pixels_are_zero_once_normalised(tiny_city) -> None:  # type: ignore[no-untyped-def]
    network = tiny_city.network()
    images, kept = torch.rand(2, 3, 4, 6), torch.rand(2, 4, 6) > 0.5
    normalised = network._normalize(hidden(images, kept, network))
    everywhere = kept[:, None].expand(-1, 3, -1, -1)
    assert normalised[~everywhere].abs().max() < 1e-6
    assert torch.equal(normalised[everywhere], network._normalize(images)[everywhere])


def test_the_hidden_colour_follows_the_trunks_channel_order(tiny_city) -> None:  # type: ignore[no-untyped-def]
    from frugalseg.models.network import Normalization

    network = tiny_city.network()
    network.set_normalization(Normalization((0.1, 0.2, 0.6), (1.0, 1.0, 1.0), (2, 0, 1)))
    blank = hidden(torch.rand(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.bool), network)
    assert blank[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.6, 0.1])
    assert network._normalize(blank).abs().max() < 1e-6


# --- the loss


def naive_loss(logits: Tensor, labels: Tensor, trust: Tensor, weights: Tensor | None) -> float:
    total, mass = 0.0, 0.0
    for n, row, column in np.ndindex(*labels.shape):
        y = int(labels[n, row, column])
        if y == IGNORE:
            continue
        weight = 1.0 if weights is None else float(weights[y])
        values = logits[n, :, row, column].double().exp()
        total += float(trust[n, row, column]) * weight * -float((values[y] / values.sum()).log())
        mass += weight
    return total / mass


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_equals_a_naive_loop(weighted: bool) -> None:
    torch.manual_seed(0)
    logits, labels, trust = torch.randn(2, 4, 5, 6), torch.randint(0, 4, (2, 5, 6)), torch.rand(2, 5, 6)
    labels[0, :2] = IGNORE
    weights = torch.tensor([0.5, 1.0, 2.0, 7.0]) if weighted else None
    found = float(trusted_cross_entropy(logits, labels, trust, weights))
    assert found == pytest.approx(naive_loss(logits, labels, trust, weights), rel=1e-6)


def test_limits_of_the_loss() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    labels, ones = torch.randint(0, 3, (1, 4, 4)), torch.ones(1, 4, 4)
    full = trusted_cross_entropy(logits, labels, ones)
    assert float(full.detach()) == pytest.approx(float(cross_entropy(logits, labels).detach()), rel=1e-6)
    third = trusted_cross_entropy(logits, labels, ones / 3)  # less trust is less loss, not the same mean again
    assert float(third.detach()) == pytest.approx(float(full.detach()) / 3, rel=1e-6)
    for nothing in (
        trusted_cross_entropy(logits, torch.full_like(labels, IGNORE), ones),
        trusted_cross_entropy(logits, labels, 0 * ones),
    ):
        (gradient,) = torch.autograd.grad(nothing, logits)
        assert float(nothing.detach()) == 0 and (gradient == 0).all()


def test_ignored_pixels_get_no_gradient_however_trusted() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    labels = torch.tensor([[[0, IGNORE], [IGNORE, 2]]])
    (gradient,) = torch.autograd.grad(trusted_cross_entropy(logits, labels, torch.ones(1, 2, 2)), logits)
    moved = gradient.abs().sum(dim=1)[0] > 0
    assert moved.tolist() == [[True, False], [False, True]]
