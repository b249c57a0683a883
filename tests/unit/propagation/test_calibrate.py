"""Examples for the calibration: labels carried to labelled frames, and labels that went away and came back."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.calibrate import examples
from frugalseg.propagation.confidence import FEATURES
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.spread import SpreadConfig, Tools

CLASSES = 11


class Asked:
    """Nothing moves; remembers between which frames motion was asked for."""

    identity = "asked"

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []

    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        self.pairs.append((int(target.key), int(source.key)))
        return Flow.still(target.size_HW)


def grey(count: int) -> list[Picture]:
    return [Picture(str(number), np.full((40, 50, 3), 90, np.uint8)) for number in range(count)]


def column(parts, name: str) -> list[float]:
    return [round(float(part.features_NF[0, FEATURES.index(name)]), 4) for part in parts]


def far(k: int) -> float:
    return round(float(np.log1p(k) / np.log1p(10)), 4)


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    return {place: rng.integers(0, 3, (40, 50), np.uint8) for place in (1, 4, 6)}


def test_a_labelled_frame_is_made_from_its_neighbours_and_from_its_own_round_trips(labels) -> None:
    motion = Asked()
    parts = list(examples(grey(9), labels, 4, Tools(Neighbours(motion), CLASSES), SpreadConfig(reach=4)))
    assert len(parts) == 3  # from both neighbours; away and back on either side, with a neighbour as the second
    assert column(parts, "distance")[0] == far(2), "the nearer neighbour is two frames away"
    assert {(3, 4), (4, 3), (5, 4), (4, 5)} <= set(motion.pairs), "the way back has flow of its own"
    assert all(part.features_NF.shape[1] == len(FEATURES) for part in parts)
    share = (labels[1] == labels[4]).mean()
    assert parts[0].right_N.mean() == pytest.approx(share, abs=0.2) and parts[1].right_N.mean() > share


def test_one_anchor_means_one_labelled_frame_at_a_time(labels) -> None:
    tools, config = Tools(Neighbours(Asked()), CLASSES), SpreadConfig(reach=4, anchors=1)
    parts = list(examples(grey(9), labels, 4, tools, config))
    assert len(parts) == 3 and parts[1].right_N.all() and parts[2].right_N.all(), "nothing moves: all comes back"
    assert set(column(parts[1:], "distance")) <= {far(2), far(4)}, "there and back"


def test_a_lone_labelled_frame_has_its_round_trips_and_one_at_the_end_has_one(labels) -> None:
    tools, config = Tools(Neighbours(Asked()), CLASSES), SpreadConfig(reach=4)
    assert len(list(examples(grey(9), {4: labels[4]}, 4, tools, config))) == 2
    assert len(list(examples(grey(9), {0: labels[4]}, 0, tools, config))) == 1
    assert list(examples(grey(1), {0: labels[4]}, 0, tools, config)) == []


def test_no_label_comes_from_out_of_reach(labels) -> None:
    motion = Asked()
    list(examples(grey(9), {0: labels[1], 8: labels[4]}, 8, Tools(Neighbours(motion), CLASSES), SpreadConfig(reach=4)))
    assert min(min(pair) for pair in motion.pairs) >= 6


def test_unlabelled_pixels_are_no_examples(labels) -> None:
    labels[4][:20] = IGNORE
    tools = Tools(Neighbours(Asked()), CLASSES)
    parts = list(examples(grey(9), {4: labels[4]}, 4, tools, SpreadConfig(reach=4)))
    assert [len(part.right_N) for part in parts] == [1000, 1000]
