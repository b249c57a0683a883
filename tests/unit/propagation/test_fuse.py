"""Fusing warps of disputed pixels only gives what full one-hot maps give."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.fuse import Warp, fuse
from frugalseg.propagation.warp import one_hot

CLASSES = 4


def random_warp(seed, size_HW=(24, 30), px=2.0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, CLASSES, (size_HW[0] // 6, size_HW[1] // 6), np.uint8).repeat(6, 0).repeat(6, 1)
    label[rng.random(size_HW) < 0.05] = IGNORE
    flow = Flow.of(rng.uniform(-px, px, 2) + rng.uniform(-0.5, 0.5, (*size_HW, 2)))
    return Warp(label, flow, rng.uniform(0, 40, size_HW).astype(np.float32))


def naive(warps, scale, extend=False):
    """Full one-hot maps, pixel by pixel."""
    height, width = warps[0].label_HW.shape
    fused, winner = np.full((height, width), IGNORE), np.full((height, width), IGNORE)
    for r in range(height):
        for c in range(width):
            votes = np.zeros((len(warps), CLASSES + 1))
            for number, warp in enumerate(warps):
                if not warp.flow.valid_HW[r, c] and not extend:
                    continue
                hot = one_hot(warp.label_HW, CLASSES)
                column, row = c + warp.flow.px_HW2[r, c, 0], r + warp.flow.px_HW2[r, c, 1]
                left, top = int(np.floor(column)), int(np.floor(row))
                for y in (top, top + 1):
                    for x in (left, left + 1):
                        share = (1 - abs(column - x)) * (1 - abs(row - y))
                        place = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
                        votes[number] += np.exp(-warp.error_HW[r, c] / scale) * share * hot[place]
            if votes.any():
                won = votes.sum(axis=0).argmax()
                fused[r, c] = IGNORE if won == CLASSES else won
                best = votes[:, won].argmax()
                winner[r, c] = best if warps[best].flow.valid_HW[r, c] else IGNORE
    return fused, winner


@pytest.mark.parametrize("extend", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_fusing_against_full_one_hot_maps(count: int, extend: bool) -> None:
    for seed in range(3):
        warps = [random_warp(10 * seed + number) for number in range(count)]
        fused, (label, winner) = fuse(warps, CLASSES, 10.0, extend), naive(warps, 10.0, extend)
        assert (fused.label_HW == label).mean() > 0.999  # equal votes may differ in their last digit
        assert (fused.warp_HW == winner)[label != IGNORE].mean() > 0.98


def test_the_better_fitting_warp_wins() -> None:
    still = Flow.still((4, 4))
    good, bad = (np.full((4, 4), value, np.float32) for value in (1.0, 30.0))
    zero, one = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    for warps, label, winner in (
        ([Warp(zero, still, good), Warp(one, still, bad)], 0, 0),
        ([Warp(zero, still, bad), Warp(one, still, good)], 1, 1),
    ):
        fused = fuse(warps, CLASSES)
        assert (fused.label_HW == label).all() and (fused.warp_HW == winner).all()


@pytest.mark.parametrize("more", [0.0, 1e-7, 0.01])
def test_among_equals_the_smallest_id_wins_and_then_the_first_warp(more: float) -> None:
    """1e-7 more is no less of a vote in float32; .01 more is."""
    still, zero, one = Flow.still((4, 4)), np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    best, other = np.full((4, 4), 1e-7, np.float32), np.full((4, 4), 1e-7 + more, np.float32)
    fused = fuse([Warp(one, still, best), Warp(zero, still, other)], CLASSES)
    assert (fused.label_HW == (more > 1e-3)).all() and (fused.warp_HW == (more < 1e-3)).all()
    assert (fuse([Warp(one, still, other), Warp(one, still, other)], CLASSES).warp_HW == 0).all()


def test_two_fair_warps_outvote_a_good_one() -> None:
    still, zero, one = Flow.still((4, 4)), np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    errors = [np.full((4, 4), value, np.float32) for value in (4.0, 5.0, 2.0)]
    fused = fuse([Warp(one, still, errors[0]), Warp(one, still, errors[1]), Warp(zero, still, errors[2])], CLASSES)
    assert (fused.label_HW == 1).all() and (fused.warp_HW == 0).all()


def test_a_warp_out_of_view_has_no_say_and_nobody_in_view_means_ignore() -> None:
    label = np.zeros((4, 4), np.uint8)
    away = Flow(np.zeros((4, 4, 2), np.float32), np.zeros((4, 4), bool))
    error = np.zeros((4, 4), np.float32)
    other = Warp(np.ones((4, 4), np.uint8), Flow.still((4, 4)), np.full((4, 4), 200, np.float32))
    assert (fuse([Warp(label, away, error), other], CLASSES).label_HW == 1).all()
    nobody = fuse([Warp(label, away, error)] * 2, CLASSES)
    assert (nobody.label_HW == IGNORE).all() and (nobody.warp_HW == IGNORE).all()


def test_renaming_the_classes_renames_the_result() -> None:
    warps = [random_warp(number) for number in range(3)]
    names = np.arange(256, dtype=np.uint8)
    names[:CLASSES] = [2, 0, 3, 1]
    renamed = [Warp(names[warp.label_HW], warp.flow, warp.error_HW) for warp in warps]
    same = fuse(renamed, CLASSES).label_HW == names[fuse(warps, CLASSES).label_HW]
    assert same.mean() > 0.999


def test_extended_labels_are_those_at_the_border_and_still_marked() -> None:
    label = np.array([[0, 1, 2, 3]], np.uint8).repeat(4, 0)
    flow = Flow.of(np.broadcast_to(np.float32([2, 0]), (4, 4, 2)))
    error = np.full((4, 4), 20, np.float32)
    fused = fuse([Warp(label, flow, error)], CLASSES, extend=True)
    assert fused.label_HW[0].tolist() == [2, 3, 3, 3] and fused.warp_HW[0].tolist() == [0, 0, 255, 255]
    for seeing_error, expected in ((90, [2, 3, 3, 3]), (5, [0, 0, 0, 0])):
        seeing = Warp(np.zeros((4, 4), np.uint8), Flow.still((4, 4)), np.full((4, 4), seeing_error, np.float32))
        fused = fuse([Warp(label, flow, error), seeing], CLASSES, extend=True)
        assert fused.label_HW[0].tolist() == expected
        assert fused.warp_HW[0].tolist() == ([0, 0, 255, 255] if seeing_error == 90 else [1, 1, 1, 1])
