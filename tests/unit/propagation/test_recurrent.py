"""The paper's recursion in the stream: what a frame was given is what goes on to the next."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.chain import Anchor, Carried, Recursion
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.inpaint import REFINED, InpaintConfig, Inpainted
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.semantic import Guess, Recent
from frugalseg.propagation.spread import (
    BEFORE,
    REFINEMENT,
    SEMANTIC,
    Shot,
    Spread,
    SpreadConfig,
    Spreader,
    Tools,
)
from frugalseg.propagation.warp import WINDOW_PX

CLASSES, SIZE_HW = 11, (48, 64)
PAPER = SpreadConfig(recursion="paper", anchors=1)


class Says:
    def __init__(self) -> None:
        self.asked = 0

    def guess(self, picture: Picture) -> Guess:
        self.asked += 1
        five = np.full(picture.size_HW, 5, np.uint8)
        return Guess(five, five * 0, five, five)


class Grows:
    """Adds one to every class, so that how often it had a say can be read off."""

    def refine(self, draft):
        return draft.label_HW + 1, np.full_like(draft.source_HW, REFINED)


def events(motion, config: SpreadConfig, shots, **tools) -> list[Spread]:
    spreader = Spreader(Tools(Neighbours(motion), CLASSES, **tools), config)
    return [event for event in spreader.run(shots) if isinstance(event, Spread)]


def grey_shots(count: int, label: int = 1) -> list[Shot]:
    pictures = [Picture(f"f{n}", np.full((*SIZE_HW, 3), 100, np.uint8)) for n in range(count)]
    first = Shot("f0", pictures[0], np.full(SIZE_HW, label, np.uint8))
    return [first, *(Shot(picture.key, picture) for picture in pictures[1:])]


def test_motion_alone_is_what_warping_again_at_each_step_gives(clip, pictures) -> None:
    dis = Dis()
    shots = [Shot(p.key, p, clip[0].label if n == 0 else None) for n, p in enumerate(pictures)]
    carried = Carried(Anchor(pictures[0], clip[0].label), Neighbours(dis), Recursion.PAPER, CLASSES)
    composed = {e.key: e.label_HW for e in events(dis, SpreadConfig(anchors=1), shots)}
    differs = False
    for event, picture in zip(events(dis, PAPER, shots), pictures[1:], strict=True):
        expected_HW = carried.advance(picture)
        seen_HW = carried.chain.here.flow.valid_HW
        assert (event.label_HW[seen_HW] == expected_HW[seen_HW]).all() and (event.label_HW[~seen_HW] == IGNORE).all()
        differs |= bool((event.label_HW != composed[event.key]).any())
    assert differs, "the two recursions are two"


def test_with_a_network_it_is_the_papers_warp_inpaint(clip, pictures) -> None:
    dis, says = Dis(), Says()
    shots = [Shot(p.key, p, clip[0].label if n == 0 else None) for n, p in enumerate(pictures)]
    config = InpaintConfig(tau=PAPER.tau, window_px=WINDOW_PX, recursion="paper")
    inpainted = Inpainted(Anchor(pictures[0], clip[0].label), Neighbours(dis), says, config)
    for event, picture in zip(events(dis, PAPER, shots, semantic=says), pictures[1:], strict=True):
        draft = inpainted.advance(picture)
        assert (event.label_HW == draft.label_HW).all()
        assert ((event.origin_HW == SEMANTIC) <= (event.label_HW == 5)).all()


def test_a_guess_goes_on_to_the_next_frame_and_is_not_asked_for_again(shift) -> None:
    first, second = events(shift(4, 0), PAPER, grey_shots(3), semantic=Says())
    assert (first.origin_HW[:, -4:] == SEMANTIC).all() and (first.origin_HW[:, :-4] == BEFORE).all()
    assert (second.label_HW[:, -8:] == 5).all() and (second.origin_HW[:, -8:] == SEMANTIC).all()
    assert (second.label_HW[:, :-8] == 1).all()


@pytest.mark.parametrize(("recursion", "expected"), [("paper", [2, 3, 4]), ("composed", [2, 2, 2])])
def test_a_refined_label_goes_on_by_the_papers_recursion_alone(shift, recursion: str, expected: list[int]) -> None:
    config = SpreadConfig(recursion=recursion, anchors=1)
    found = events(shift(0, 0), config, grey_shots(4), semantic=Says(), refiner=Grows())
    assert [int(event.label_HW[0, 0]) for event in found] == expected
    assert all((event.origin_HW == REFINEMENT).all() for event in found)


def test_both_sides_are_carried_and_meet(shift) -> None:
    shots = grey_shots(5)
    shots[4] = Shot("f4", shots[4].picture, np.full(SIZE_HW, 1, np.uint8))
    for tools in ({}, {"semantic": Says()}):
        found = events(shift(0, 0), SpreadConfig(recursion="paper"), shots, **tools)
        assert [(e.before[1], e.after[1]) for e in found] == [(1, 3), (2, 2), (3, 1)]
        assert all((e.label_HW == 1).all() for e in found)


def test_a_network_is_asked_once_for_the_pictures_it_remembers() -> None:
    says = Says()
    recent = Recent(says, 2)
    pictures = [Picture(f"p{n}", np.full((4, 4, 3), n, np.uint8)) for n in range(3)]
    for n in (0, 1, 0, 2, 0, 1):
        assert (recent.guess(pictures[n]).first_HW == 5).all()
    assert says.asked == 4, "0, 1, 2, and 1 again, which had given way"


def test_flow_to_the_frame_before_is_the_chains(shift) -> None:
    spreader = Spreader(Tools(Neighbours(shift(4, 0)), CLASSES), PAPER)
    first, second, *_ = grey_shots(3)
    walk = spreader.walk(Anchor(first.picture, first.label_HW))
    step = walk.advance(second.picture)
    assert isinstance(step, Flow) and (step.px_HW2[..., 0] == 4).all() and walk.here.steps == 1
