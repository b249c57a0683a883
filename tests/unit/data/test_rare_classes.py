import math

import numpy as np
import pytest

from frugalseg.data.rare_classes import RareClassSampler, Wish, class_probabilities, frames_by_class

PIXELS_FC = np.array([[900, 100, 0, 0], [950, 40, 10, 0], [999, 0, 1, 0]])


def sampler(**settings: float) -> RareClassSampler:
    return RareClassSampler(PIXELS_FC, **{"temperature": 0.1, "ratio": 1.0, "share": 0.005, "seed": 0, **settings})  # type: ignore[arg-type]


def test_probabilities_equal_the_papers_formula() -> None:
    pixels = np.array([700, 200, 0, 100])
    powers = [math.exp((1 - share) / 0.5) for share in (0.7, 0.2, 0.1)]
    found = class_probabilities(pixels, 0.5)
    assert found[[0, 1, 3]] == pytest.approx([power / sum(powers) for power in powers])
    assert found[2] == 0  # a class that no frame shows cannot be asked for


def test_limits_of_the_probabilities() -> None:
    pixels = np.array([97, 2, 1, 0])
    assert class_probabilities(pixels, 1e6) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0], abs=1e-5)
    assert class_probabilities(pixels, 1e-5) == pytest.approx([0, 0, 1, 0])  # no overflow
    assert class_probabilities(np.array([5, 5]), 0.01) == pytest.approx([0.5, 0.5])


def test_frames_that_show_enough_of_a_class() -> None:
    found = [frames.tolist() for frames in frames_by_class(PIXELS_FC, 0.005)]
    assert found == [[0, 1, 2], [0, 1], [1], []]
    assert frames_by_class(PIXELS_FC, 0.5)[2].tolist() == [1, 2]  # nowhere so much of it: wherever it is at all
    assert frames_by_class(PIXELS_FC, 0.0)[3].tolist() == []


def test_draws_follow_the_probabilities_and_the_place_alone() -> None:
    always = sampler()
    drawn = [always.draw(step, 0, 0) for step in range(2000)]
    assert all(isinstance(wish, Wish) and wish.share == 0.005 for wish in drawn)
    classes = np.bincount([wish.class_id for wish in drawn if wish], minlength=4) / 2000
    assert classes == pytest.approx(class_probabilities(PIXELS_FC.sum(axis=0), 0.1), abs=0.04)
    for wish in drawn:
        assert wish and wish.frame in always.frames_of_class[wish.class_id]
    assert sampler().draw(17, 0, 0) == drawn[17]
    places = [(step, rank, slot) for step in range(5) for rank in range(2) for slot in range(3)]
    assert len({tuple(sampler(seed=seed).draw(*place) for place in places) for seed in range(3)}) == 3
    assert len({sampler(temperature=1e6).draw(*place) for place in places}) > 3


def test_only_a_share_of_the_draws_goes_by_class() -> None:
    third = sampler(ratio=0.3)
    share = np.mean([third.draw(step, 0, 0) is not None for step in range(1000)])
    assert share == pytest.approx(0.3, abs=0.04)
    assert all(sampler(ratio=0.0).draw(step, 0, 0) is None for step in range(100))


def test_how_likely_a_frame_is() -> None:
    half, always = sampler(ratio=0.5), sampler()
    by_class = np.zeros(3)
    for step in range(1500):
        wish = always.draw(step, 1, 0)
        assert wish is not None
        by_class[wish.frame] += 1 / 1500
    assert half.probability_F == pytest.approx(0.5 * by_class + 0.5 / 3, abs=0.03)
    assert half.probability_F.sum() == pytest.approx(1) and half.probability_F.min() >= 0.5 / 3
