"""The choice between two labelled frames where they differ: features by hand, symmetry, and what stays as it was."""

from dataclasses import replace

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.chain import Anchor, Chain
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.fuse import ERROR_SCALE, Warp, fuse
from frugalseg.propagation.learned_fusion import (
    COLOUR_ALIKE,
    COLOUR_FLOOR,
    COLOUR_NEAR_PX,
    COLOUR_REACH_PX,
    ERROR_FLOOR,
    VOTE_FLOOR,
    WEIGHTS,
    choose,
    dispute,
)
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.spread import Shot, SpreadConfig, Spreader, Tools

CLASSES, SIZE_HW = 11, (9, 12)


def warp(label_HW, distance_HW, flow=None):
    """A warp that fits as said; its window errors are those distances, as if the picture were as flat."""
    flow = flow or Flow.still(label_HW.shape)
    return Warp(label_HW, flow, distance_HW.astype(np.float32), distance_HW=distance_HW.astype(np.float32))


def flat(value, size_HW=SIZE_HW):
    return np.full(size_HW, value, np.float32)


def two_halves():
    """A picture that is dark left of column 6; the first label's edge is right there, the second's two pixels on."""
    picture = Picture(
        "p", np.where(np.arange(12)[None, :, None] < 6, 20, 200).astype(np.uint8).repeat(9, 0).repeat(3, 2)
    )
    right, late = (np.where(np.arange(12)[None] < edge, 1, 2).astype(np.uint8).repeat(9, 0) for edge in (6, 8))
    return picture, right, late


def test_features_by_hand() -> None:
    picture, right, late = two_halves()
    warps = [warp(right, flat(10)), warp(late, flat(6))]
    found = dispute(picture, warps, CLASSES, ERROR_SCALE, extend=False)
    rows, columns = np.divmod(found.places_N, 12)
    assert sorted(set(columns.tolist())) == [6, 7] and len(rows) == 18
    assert (found.ids_2N == [[2], [1]]).all()
    at = int(np.flatnonzero((rows == 4) & (columns == 7))[0])
    seen, votes, around, fit_1, fit_11, colour = found.features_NF[at].tolist()
    assert seen == 0
    assert votes == pytest.approx(np.log((np.exp(-4 / ERROR_SCALE) + VOTE_FLOOR) / (1 + VOTE_FLOOR)))
    assert around == pytest.approx((9 + 3) / 9 - 6 / 9)  # of class 2: all nine, and a column; of class 1: two columns
    assert fit_1 == fit_11 == pytest.approx(np.log((6 + ERROR_FLOOR) / (10 + ERROR_FLOOR)))
    # Within three pixels both agree on columns 4 and 5 (class 1, dark) and 8 to 10 (class 2, as bright as column 7).
    bell = [np.exp(-(d**2) / (2 * COLOUR_NEAR_PX**2)) for d in range(COLOUR_REACH_PX + 1)]
    down = bell[0] + 2 * sum(bell[1:])
    other = down * (bell[3] + bell[2]) * np.exp(-3 * 180**2 / (2 * COLOUR_ALIKE**2))
    expected = np.log((down * sum(bell[1:]) + COLOUR_FLOOR) / (other + COLOUR_FLOOR))
    assert colour == pytest.approx(expected, rel=1e-5)
    assert list(WEIGHTS) == ["seen", "votes", "surroundings", "fit over 1", "fit over 11", "colour"]


def test_a_label_is_drawn_to_the_edge_of_the_picture_where_both_fit_alike() -> None:
    picture, right, late = two_halves()
    for warps in ([warp(right, flat(8)), warp(late, flat(8))], [warp(late, flat(8)), warp(right, flat(8))]):
        fused = choose(fuse(warps, CLASSES), picture, warps, CLASSES, ERROR_SCALE)
        assert (fused.label_HW == right).all()


def test_the_much_better_fitting_frame_wins_against_the_edge() -> None:
    picture, right, late = two_halves()
    warps = [warp(right, flat(120)), warp(late, flat(1))]
    fused = choose(fuse(warps, CLASSES), picture, warps, CLASSES, ERROR_SCALE)
    assert (fused.label_HW == late).all() and (fused.warp_HW[late != right] == 1).all()


def random_warps(seed, marked=False):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        label = rng.integers(0, CLASSES, (3, 4), np.uint8).repeat(3, 0).repeat(3, 1)
        px = rng.uniform(-2, 2, 2) if marked else np.zeros(2)
        made.append(
            warp(label, rng.uniform(0, 40, SIZE_HW), Flow.of(np.broadcast_to(px.astype(np.float32), (*SIZE_HW, 2))))
        )
    return Picture("p", rng.integers(0, 256, (*SIZE_HW, 3), np.uint8)), made


@pytest.mark.parametrize("extend", [False, True])
def test_no_side_is_preferred(extend: bool) -> None:
    for seed in range(5):
        picture, warps = random_warps(seed, marked=True)
        one = dispute(picture, warps, CLASSES, ERROR_SCALE, extend)
        other = dispute(picture, warps[::-1], CLASSES, ERROR_SCALE, extend)
        assert (one.places_N == other.places_N).all()
        np.testing.assert_allclose(one.features_NF, -other.features_NF, atol=1e-5)


def test_names_of_classes_do_not_matter() -> None:
    names = np.random.default_rng(1).permutation(CLASSES).astype(np.uint8)
    for seed in range(5):
        picture, warps = random_warps(seed)
        renamed = [replace(one, label_HW=names[one.label_HW]) for one in warps]
        chosen, again = (choose(fuse(w, CLASSES), picture, w, CLASSES, ERROR_SCALE) for w in (warps, renamed))
        differ = warps[0].nearest_HW != warps[1].nearest_HW
        assert (names[chosen.label_HW] == again.label_HW)[differ].all()


def test_only_disputed_pixels_change_and_take_a_class_that_a_frame_names() -> None:
    for seed in range(5):
        picture, warps = random_warps(seed, marked=True)
        fused = fuse(warps, CLASSES)
        chosen = choose(fused, picture, warps, CLASSES, ERROR_SCALE)
        both = warps[0].flow.valid_HW & warps[1].flow.valid_HW & (warps[0].nearest_HW != warps[1].nearest_HW)
        assert (chosen.label_HW == fused.label_HW)[~both].all() and (chosen.warp_HW == fused.warp_HW)[~both].all()
        named = np.stack([one.nearest_HW for one in warps])
        assert (named == chosen.label_HW).any(axis=0)[both].all()
        taken = np.take_along_axis(named, np.minimum(chosen.warp_HW, 1)[None].astype(np.intp), axis=0)[0]
        assert (taken == chosen.label_HW)[both].all()


def test_out_of_view_nothing_is_chosen_but_with_extend() -> None:
    picture, warps = random_warps(3)
    away = Flow.of(np.full((*SIZE_HW, 2), 50, np.float32))
    warps = [warps[0], warp(warps[1].label_HW, warps[1].error_HW, away)]
    fused = fuse(warps, CLASSES)
    assert (choose(fused, picture, warps, CLASSES, ERROR_SCALE).label_HW == fused.label_HW).all()
    wide = choose(fuse(warps, CLASSES, extend=True), picture, warps, CLASSES, ERROR_SCALE, extend=True)
    assert set(np.unique(wide.warp_HW)) <= {0, IGNORE}


def test_one_frame_alone_is_left_as_it_is() -> None:
    picture, warps = random_warps(0)
    fused = fuse(warps[:1], CLASSES)
    assert choose(fused, picture, warps[:1], CLASSES, ERROR_SCALE) is fused


def test_agreeing_frames_are_left_as_they_are() -> None:
    picture, right, _ = two_halves()
    warps = [warp(right, flat(3)), warp(right, flat(9))]
    fused = choose(fuse(warps, CLASSES), picture, warps, CLASSES, ERROR_SCALE)
    assert (fused.label_HW == right).all() and not len(dispute(picture, warps, CLASSES, ERROR_SCALE, True).places_N)


def test_it_is_used_where_the_settings_say_so(clip, pictures) -> None:
    dis = Dis()
    shots = [Shot(p.key, p, clip[n].label if n in (0, 5) else None) for n, p in enumerate(pictures)]
    chains = []
    for number, side in ((0, 1), (5, -1)):
        chains.append(Chain(Anchor(pictures[number], clip[number].label), Neighbours(dis)))
        for index in range(number + side, 2 + side, side):
            chains[-1].advance(pictures[index])
    warps = [chain.here.warp() for chain in chains]
    votes = fuse(warps, CLASSES)
    learned = choose(votes, pictures[2], warps, CLASSES, ERROR_SCALE)
    assert (votes.label_HW != learned.label_HW).any()
    for fusion, expected in (("auto", votes), ("photometric", votes), ("learned", learned)):
        tools = Tools(Neighbours(dis), CLASSES, dis)
        found = {e.key: e for e in Spreader(tools, SpreadConfig(fusion=fusion)).run(shots)}
        assert (found[pictures[2].key].label_HW == expected.label_HW).all()
    slow = {
        fusion: np.stack([e.label_HW for e in Spreader(tools, SpreadConfig(fusion=fusion, quality=True)).run(shots)])
        for fusion in ("auto", "photometric", "learned")
    }
    assert (slow["auto"] == slow["learned"]).all() and (slow["auto"] != slow["photometric"]).any()
