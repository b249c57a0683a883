"""Labels carried frame by frame: three recursions on known motion."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import DataError, LabelShapeError
from frugalseg.propagation.chain import Anchor, Carried, Chain, Recursion
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.fuse import fuse
from frugalseg.propagation.motion import Neighbours

CLASSES = 11


def striped(size_HW):
    return (np.arange(size_HW[1])[None, :] // 4 % 3).repeat(size_HW[0], 0).astype(np.uint8)


def carry(anchor, motion, recursion, pictures):
    carried = Carried(anchor, Neighbours(motion), recursion, CLASSES)
    return [carried.advance(picture) for picture in pictures]


@pytest.mark.parametrize("recursion", list(Recursion))
def test_whole_pixels_are_carried_without_loss(noise, shift, recursion) -> None:
    frames = [noise(number) for number in range(4)]
    label = striped(frames[0].size_HW)
    labels = carry(Anchor(frames[0], label), shift(2, 0), recursion, frames[1:])
    for k, carried in enumerate(labels, 1):
        assert (carried[:, : -2 * k] == label[:, 2 * k :]).all() and (carried[:, -2 * k :] == IGNORE).all()


def test_composed_flow_rounds_once_where_the_paper_rounds_at_each_step(noise, shift) -> None:
    frames = [noise(number) for number in range(5)]
    label = striped(frames[0].size_HW)
    paper, composed = (
        carry(Anchor(frames[0], label), shift(0.375, 0), r, frames[1:])[-1]
        for r in (Recursion.PAPER, Recursion.COMPOSED)
    )
    assert (paper == label).mean() > 0.95, "four steps of .375 px, each rounded to none"
    assert (composed[:, :-2] == label[:, 2 : -0 or None][:, : composed.shape[1] - 2]).mean() > 0.95


def test_true_flow_carries_the_toy_citys_labels(clip, true_motion, pictures) -> None:
    for recursion in Recursion:
        labels = carry(Anchor(pictures[0], clip[0].label), true_motion, recursion, pictures[1:])
        for frame, label in zip(clip[1:], labels, strict=True):
            known = label != IGNORE
            assert (label == frame.label)[known].mean() > 0.91 and known.mean() > 0.7


def test_memory_does_not_grow_with_the_way(noise, shift) -> None:
    chain = Chain(Anchor(noise(0), striped((48, 64))), Neighbours(shift(1, 0)))
    for number in range(1, 4):
        chain.advance(noise(number))
    assert chain.here.steps == 3 and chain.here.picture.key == "noise 3" and (chain.here.flow.px_HW2 == [3, 0]).all()


def test_direct_flow_starts_from_the_composed_one_and_joins_in(pictures, clip) -> None:
    dis = Dis()
    chain = Chain(Anchor(pictures[0], clip[0].label), Neighbours(dis))
    for picture in pictures[1:4]:
        chain.advance(picture)
    assert len(chain.here.warps(None)) == 1
    composed, direct = chain.here.warps(dis)
    assert (direct.flow.px_HW2 == dis.flow(pictures[3], pictures[0], chain.here.flow).px_HW2).all()
    assert np.median(direct.error_HW) <= np.median(composed.error_HW)
    scores = [(fuse(w, CLASSES).label_HW == clip[3].label).mean() for w in ([composed], [composed, direct])]
    assert scores[1] > 0.85 and scores[1] > scores[0] - 0.01


def test_another_size_on_the_way_is_refused_by_name(noise, shift) -> None:
    chain = Chain(Anchor(noise(0), striped((48, 64))), Neighbours(Dis()))
    with pytest.raises(DataError, match="noise 1 is .*noise 0 is .*Start a new track"):
        chain.advance(noise(1, (64, 48)))


def test_a_label_of_another_size_is_refused_by_name(noise) -> None:
    with pytest.raises(LabelShapeError, match=r"noise 0: label is \(3, 4\)"):
        Anchor(noise(0), np.zeros((3, 4), np.uint8))
