"""Labels carried frame by frame: three recursions on known motion."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import DataError, LabelShapeError
from frugalseg.propagation.chain import Anchor, Carried, Chain, Recursion
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.flow import compose
from frugalseg.propagation.fuse import fuse
from frugalseg.propagation.motion import Neighbours
from frugalseg.propagation.warp import WINDOW_PX, photometric_error

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


def test_a_chain_is_mended_where_straight_flow_fits_better_and_goes_on_so(pictures, clip) -> None:
    dis, anchor = Dis(), Anchor(pictures[0], clip[0].label)
    plain, mending = Chain(anchor, Neighbours(dis)), Chain(anchor, Neighbours(dis), dis)
    for picture in pictures[1:4]:
        before = mending.here
        plain.advance(picture)
        composed = compose(mending.advance(picture), before.flow)
        straight = dis.flow(picture, pictures[0], composed)
        errors = [
            photometric_error(picture.rgb_HWC, pictures[0].rgb_HWC, flow, WINDOW_PX, extend=True)
            for flow in (composed, straight)
        ]
        better = errors[1] < errors[0]
        assert 0.1 < better.mean() < 0.9
        expected = np.where(better[..., None], straight.px_HW2, composed.px_HW2)
        assert (mending.here.flow.px_HW2 == expected).all()
        valid = np.where(better, straight.valid_HW, composed.valid_HW)
        assert (mending.here.flow.valid_HW == valid).all()
    assert mending.here.warp().error_HW.mean() < plain.here.warp().error_HW.mean()
    scores = [(fuse([way.here.warp()], CLASSES).label_HW == clip[3].label).mean() for way in (plain, mending)]
    assert scores[1] > 0.85 and scores[1] > scores[0] - 0.005


def test_another_size_on_the_way_is_refused_by_name(noise, shift) -> None:
    chain = Chain(Anchor(noise(0), striped((48, 64))), Neighbours(Dis()))
    with pytest.raises(DataError, match="noise 1 is .*noise 0 is .*Start a new track"):
        chain.advance(noise(1, (64, 48)))


def test_a_label_of_another_size_is_refused_by_name(noise) -> None:
    with pytest.raises(LabelShapeError, match=r"noise 0: label is \(3, 4\)"):
        Anchor(noise(0), np.zeros((3, 4), np.uint8))
