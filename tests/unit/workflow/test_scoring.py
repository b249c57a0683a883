"""The scoring pass: views from a network, only what is needed, nothing asked twice."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from frugalseg.acquisition.view import MARGIN, SECOND, Asked
from frugalseg.core.records import Frame, Point
from frugalseg.models.network import Outputs
from frugalseg.workflow.scoring import Scorer, margin, top_two


class Looks(torch.nn.Module):
    """Class 0 where the image is dark, 1 where it is light; of coarse images it says the opposite in the left half."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[tuple[int, int]] = []

    def forward(self, image_NCHW: Tensor) -> Outputs:
        self.looks.append(tuple(image_NCHW.shape[-2:]))
        light = image_NCHW.mean(dim=1) * 4 - 2
        if image_NCHW.shape[-1] < 16:
            light[..., light.shape[-1] // 2 :] *= -1  # right of the mirrored image
        return Outputs(torch.stack([-light, light], dim=1))


def frame(key: str) -> Frame:
    return Frame(key, f"{key}.png", None, "drive", 7, "train", 16, 12, "")


def read(frame: Frame) -> Any:
    image = np.full((12, 16, 3), 40, np.uint8)
    image[:, 9:] = 220
    return image


def views(needs: frozenset[str], asked: Any = None) -> tuple[Any, list[tuple[int, int]]]:
    network = Looks()
    found = list(Scorer(network, None, needs).views([frame("a"), frame("b")], read, asked))
    return found, network.looks


def test_a_view_holds_what_the_network_says() -> None:
    (first, second), looks = views(frozenset())
    assert (first.key, second.key, first.sequence, first.index) == ("a", "b", "drive", 7)
    assert first.prediction_HW.tolist() == [[0] * 9 + [1] * 7] * 12
    assert first.margin_HW is None and first.second_HW is None
    assert looks == [(12, 16)] * 2, "one look a frame where no more is needed"


def test_needed_maps_are_computed() -> None:
    (first, _), looks = views(frozenset({MARGIN, SECOND}))
    light = 4 * 220 / 255 - 2
    assert first.margin_HW[0, -1] == pytest.approx(np.tanh(light), abs=1e-5)  # of two classes with logits -l and l
    assert looks == [(12, 16), (9, 12)] * 2
    assert first.second_HW.tolist()[5][:7] == [1] * 7, "mirrored back: it disagrees in the left half"
    assert first.second_HW.tolist()[5][9:] == [1] * 7


def test_what_was_asked_is_passed_on() -> None:
    (first, second), _ = views(frozenset(), {"b": (Asked(Point(3, 4)),)})
    assert first.askable_HW is None
    assert np.argwhere(~second.askable_HW).tolist() == [[3, 4]]


def test_the_margin_by_hand() -> None:
    prob = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.4, 0.4, 0.2]])
    logits = prob.log().T[:, None] + 3
    found = margin(logits, *top_two(logits)[1:])
    assert found[0].tolist() == pytest.approx([0.2, 0.7, 0.0], abs=1e-6)
    one = torch.zeros(1, 2, 2)
    assert margin(one, *top_two(one)[1:]).tolist() == [[1, 1], [1, 1]]


def test_the_best_two_classes_are_those_of_a_sort() -> None:
    logits = torch.randn(19, 31, 17, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    found, first, second = top_two(logits)
    by_value = logits.sort(dim=0, descending=True, stable=True)  # of equals the first class is the best
    assert torch.equal(found, by_value.indices[0].to(torch.uint8))
    assert torch.equal(first, by_value.values[0]) and torch.equal(second, by_value.values[1])
    assert (first == second).any(), "ties were tried"
