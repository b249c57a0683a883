"""Labels spread along a stream: who gets which label, where tracks end, and how much waits in memory."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.data.toycity import render
from frugalseg.propagation.chain import Anchor, Chain
from frugalseg.propagation.confidence import FEATURES, Confidence
from frugalseg.propagation.cuts import found_again
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.fuse import fuse
from frugalseg.propagation.inpaint import REFINED
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.semantic import Guess
from frugalseg.propagation.spread import (
    AFTER,
    BEFORE,
    EXTENDED,
    NOTHING,
    REFINEMENT,
    SEMANTIC,
    Break,
    Shot,
    Spread,
    SpreadConfig,
    Spreader,
    Tools,
    Unreached,
)

CLASSES = 11
SIZE_HW = (48, 64)


class Standing:
    """Nothing moves."""

    identity = "standing"

    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        return Flow.still(target.size_HW)


def grey(key: str, value: int = 100, size_HW=SIZE_HW) -> Picture:
    return Picture(key, np.full((*size_HW, 3), value, np.uint8))


def stream(text: str, size_HW=SIZE_HW):
    """A letter a frame: `.` unlabelled, a digit labelled so everywhere, `x` unreadable, `!` after a cut, `s` small."""
    value, shots = 100, []
    for number, letter in enumerate(text):
        if letter == "!":
            value = 255 - value
        size = (24, 32) if letter == "s" else size_HW
        picture = None if letter == "x" else grey(f"f{number}", value, size)
        label = np.full(size, int(letter), np.uint8) if letter.isdigit() else None
        shots.append(Shot(f"f{number}", picture, label))
    return shots


def spreader(motion=None, config=None, **tools) -> Spreader:
    return Spreader(Tools(Neighbours(motion or Standing()), CLASSES, **tools), config or SpreadConfig())


def summary(text: str, **config) -> str:
    """What became of each frame of `stream(text)`: the digit it got, `.` unreached, and the breaks in brackets."""
    parts = []
    for event in spreader(config=SpreadConfig(**config)).run(stream(text)):
        if isinstance(event, Spread):
            parts.append(str(event.label_HW[0, 0]))
        else:
            parts.append(f"[{event.key}]" if isinstance(event, Break) else ".")
    return "".join(parts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1....", "1111"),
        ("....1", "1111"),
        ("..1..", "1111"),
        ("1...2...", "111" + "222"),  # equal errors: the smaller id
        ("1....", "1111"),
        ("", ""),
        ("....", "...."),
        ("1", ""),
        ("12", ""),
        ("1..x..2", "11[f3]22"),
        ("1..!..2", "11[f3]222"),
        ("..1..x", "1111[f5]"),
        ("1..s..", "11[f3].[f4].."),
        ("x..1", "[f0]11"),
        ("1xx.", "[f1][f2]."),
        ("..!..1", "..111[f2]"),  # found when the label comes back to it
    ],
)
def test_labels_go_both_ways_and_never_over_the_end_of_a_track(text: str, expected: str) -> None:
    assert summary(text) == expected


def test_no_further_than_its_reach() -> None:
    assert summary("1......", reach=3) == "111..."
    assert summary("......1", reach=3) == "...111"
    assert summary("1.......2", reach=3, anchors=1) == "111.222"
    assert summary("1...2", reach=3) == "111" and summary("1...2", reach=3, anchors=1) == "112"


def events(text, **config):
    return [e for e in spreader(config=SpreadConfig(**config)).run(stream(text)) if isinstance(e, Spread)]


def test_each_label_says_where_it_comes_from() -> None:
    first, second, third = events("1...2")
    assert (first.key, first.before, first.after) == ("f1", ("f0", 1), ("f4", 3))
    assert (third.before, third.after) == (("f0", 3), ("f4", 1))
    assert (second.origin_HW == BEFORE).all()
    first, _, third = events("1...2", anchors=1)
    assert (first.before, first.after, third.before, third.after) == (("f0", 1), None, None, ("f4", 1))
    assert (third.origin_HW == AFTER).all()


def test_frames_come_out_in_order_and_each_once() -> None:
    text = "..1....2.....x..3.........................4.."
    keys = [e.key for e in spreader(config=SpreadConfig(reach=4)).run(stream(text)) if not isinstance(e, Break)]
    assert keys == [f"f{number}" for number, letter in enumerate(text) if letter == "."]


def test_a_window_of_frames_is_in_memory_however_long_the_stream() -> None:
    alive: list[weakref.ref] = []

    def frames():
        for number in range(60):
            picture = grey(f"f{number}")
            alive.append(weakref.ref(picture))
            label = np.zeros(SIZE_HW, np.uint8) if number in (0, 30) else None
            yield Shot(picture.key, picture, label)

    most = 0
    for _ in spreader(config=SpreadConfig(reach=5)).run(frames()):
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
    assert len(alive) == 60 and most <= 5 + 5  # those that wait, the anchor, and what the loops hold


def test_pixels_out_of_view_are_nothing_or_extended_and_say_so(shift) -> None:
    for extend, label, origin in ((False, IGNORE, NOTHING), (True, 1, EXTENDED)):
        shots = stream("1.")
        (event,) = spreader(shift(4, 0), SpreadConfig(extend=extend)).run(shots)
        assert (event.label_HW[:, -4:] == label).all() and (event.origin_HW[:, -4:] == origin).all()
        assert (event.label_HW[:, :-4] == 1).all() and (event.origin_HW[:, :-4] == BEFORE).all()


def test_the_stream_gives_what_chains_and_fusing_give(clip, pictures) -> None:
    dis, shots = Dis(), [Shot(p.key, p) for p in pictures]
    for number in (0, 5):
        shots[number] = replace(shots[number], label_HW=clip[number].label)
    for quality in (False, True):
        config = SpreadConfig(quality=quality, fusion="photometric")
        found = {e.key: e for e in spreader(dis, config, direct=dis).run(shots)}
        chains = []
        for number, side in ((0, 1), (5, -1)):
            chain = Chain(Anchor(pictures[number], clip[number].label), Neighbours(dis), dis if quality else None)
            for index in range(number + side, 2 + side, side):
                chain.advance(pictures[index])
            chains.append(chain)
        warps = [chain.here.warp() for chain in chains]
        assert (found[pictures[2].key].label_HW == fuse(warps, CLASSES).label_HW).all()
        assert (found[pictures[2].key].label_HW == clip[2].label).mean() > 0.9


class Says:
    def guess(self, picture: Picture) -> Guess:
        five = np.full(picture.size_HW, 5, np.uint8)
        return Guess(five, five * 0, five, five)


class Paints:
    """Refines the first row to class 7."""

    def refine(self, draft):
        label, source = draft.label_HW.copy(), draft.source_HW.copy()
        label[0], source[0] = 7, REFINED
        return label, source


def test_a_semantic_network_fills_what_no_warp_reaches_and_a_refiner_has_the_last_word(shift) -> None:
    tools = {"semantic": Says()}
    (event,) = spreader(shift(4, 0), **tools).run(stream("1."))
    assert (event.label_HW[:, -4:] == 5).all() and (event.origin_HW[:, -4:] == SEMANTIC).all()
    assert (event.label_HW[:, :-4] == 1).all() and (event.origin_HW[:, :-4] == BEFORE).all()
    (event,) = spreader(shift(4, 0), refiner=Paints(), **tools).run(stream("1."))
    assert (event.label_HW[0] == 7).all() and (event.origin_HW[0] == REFINEMENT).all()
    assert (event.origin_HW[1:, -4:] == SEMANTIC).all()


def test_confidence_stands_beside_each_label_where_there_is_a_model_for_it() -> None:
    size = len(FEATURES)
    weights = [0.0] * size + [0.0]
    weights[FEATURES.index("distance")] = -2.0
    model = Confidence((0.0,) * size, (1.0,) * size, tuple(weights), (0.0, 1.0), (0.0, 1.0))
    found = list(spreader(confidence=model).run(stream("1...")))
    assert found[0].confidence_HW.shape == SIZE_HW
    assert found[0].confidence_HW[0, 0] > found[1].confidence_HW[0, 0] > found[2].confidence_HW[0, 0]
    assert all(e.confidence_HW is None for e in spreader().run(stream("1.")))


def test_frames_of_a_drive_are_found_again_and_those_of_another_are_not(pictures) -> None:
    dis = Dis()
    for before, now in zip(pictures, pictures[1:], strict=False):
        assert found_again(before, now, dis.flow(now, before)) > 0.8
    other = Picture("other", render("street", 0, 9, 20, (90, 120), flow=False).image)
    assert found_again(pictures[0], other, dis.flow(other, pictures[0])) < 0.6


def test_a_cut_says_how_little_was_found_again() -> None:
    (event,) = (e for e in spreader().run(stream("1.!..")) if isinstance(e, Break))
    assert event == Break("f2", "a scene cut: only 0 % of the frame is found again in the one before")


@pytest.mark.parametrize(("reach", "pairs"), [(10, "01 12 23 43 45 56 67"), (2, "01 12 43 32 45 56")])
def test_whether_there_is_a_cut_is_looked_for_once_between_two_frames(monkeypatch, reach, pairs) -> None:
    looked = []
    monkeypatch.setattr(
        "frugalseg.propagation.spread.scene_cut",
        lambda before, now, step, share: looked.append(before.key[1:] + now.key[1:]) or "",
    )
    list(spreader(config=SpreadConfig(reach=reach)).run(stream("1...2...")))
    assert " ".join(looked) == pairs


def test_a_change_of_size_says_both_sizes() -> None:
    (event, *_) = (e for e in spreader().run(stream("1.s")) if isinstance(e, Break))
    assert event.reason == "frames were 48x64 and are 24x32 (height x width) from here on"


def test_unreached_frames_are_named() -> None:
    assert [e.key for e in spreader().run(stream("..")) if isinstance(e, Unreached)] == ["f0", "f1"]


def test_a_frame_that_cannot_be_read_says_why() -> None:
    shots = stream("1x.")
    shots[1] = replace(shots[1], reason="f1.png: the file is damaged.")
    (event,) = (e for e in spreader().run(shots) if isinstance(e, Break))
    assert event == Break("f1", "f1.png: the file is damaged.")
