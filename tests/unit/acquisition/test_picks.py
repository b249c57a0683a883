import numpy as np
import pytest

from frugalseg.acquisition import picks
from frugalseg.acquisition.picks import best, pick_apart
from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.core.chance import generator
from frugalseg.core.records import Point


def view(size_HW, askable=None, asked=()):
    return FrameView("a", np.zeros(size_HW, np.float32), np.zeros(size_HW, np.uint8), askable, asked=asked)


def places(candidates):
    return list(zip(candidates["row"].tolist(), candidates["column"].tolist(), strict=True))


def test_picks_keep_apart():
    score = np.array([[9, 8, 7, 6, 5, 4]], np.float32)
    assert places(pick_apart(view((1, 6)), score, 3, 1)) == [(0, 0), (0, 2), (0, 4)]
    assert places(pick_apart(view((1, 6)), score, 3, 0)) == [(0, 0), (0, 1), (0, 2)]


def test_when_all_are_blocked_the_distance_is_halved():
    score = np.array([[9, 8, 7, 6]], np.float32)
    assert places(pick_apart(view((1, 4)), score, 9, 2)) == [(0, 0), (0, 3), (0, 1), (0, 2)]


def test_what_was_asked_before_blocks_too():
    score = np.array([[9, 8, 7, 6, 5, 4]], np.float32)
    assert places(pick_apart(view((1, 6), asked=(Asked(Point(0, 1)),)), score, 2, 1)) == [(0, 3), (0, 5)]


@pytest.mark.parametrize("count", [5, 60, 400])
def test_it_equals_one_maximum_after_the_other(count, monkeypatch):
    score = generator(count, "score").random((90, 80), dtype=np.float32)
    askable = generator(count, "mask").random((90, 80)) < 0.8
    left, expected = np.where(askable, score, -1), []
    while len(expected) < count and left.max() >= 0:
        row, column = (int(at) for at in np.unravel_index(left.argmax(), left.shape))
        expected.append((row, column))
        left[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4] = -1
    for chunk in (1, 64, picks.CHUNK):
        monkeypatch.setattr(picks, "CHUNK", chunk)
        found = places(pick_apart(view((90, 80), askable), score, count, 3))
        assert found[: len(expected)] == expected
        assert len(set(found)) == count


def test_best_takes_some_last():
    score, last = np.array([[4, 3, 2, 1]], np.float32), np.array([[True, False, False, True]])
    assert places(best(view((1, 4)), score / 4, 4, last)) == [(0, 1), (0, 2), (0, 0), (0, 3)]
    assert places(best(view((1, 4)), score / 4, 0)) == []


def test_ties_fall_by_hash_however_few_are_sorted_at_once(monkeypatch):
    flat = np.zeros((40, 50), np.float32)
    flat[:2] = 0.5
    whole = places(pick_apart(view((40, 50)), flat, 60, 2))
    monkeypatch.setattr(picks, "CHUNK", 1)
    assert [places(pick_apart(view((40, 50)), flat, count, 2)) for count in (3, 20, 60)] == [
        whole[:3],
        whole[:20],
        whole,
    ]
    assert whole != sorted(whole)
