"""Points followed through video: where they land, how often rightly, and which are lost."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.data.toycity import render
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.points import Followed, Points, PointSpreader, between, lay, surroundings
from frugalseg.propagation.spread import AFTER, BEFORE, NOTHING, Break, Shot, SpreadConfig

SIZE_HW, COUNT = (120, 160), 9
MIDDLE = COUNT // 2


class Sliding:
    """A world that moves `step` (columns, rows) from each frame to the next; frames are named by their number."""

    identity = "sliding"

    def __init__(self, columns: float, rows: float) -> None:
        self._step = np.array([columns, rows], np.float32)

    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        there = int(source.key) - int(target.key)
        return Flow.of(np.broadcast_to(self._step * there, (*target.size_HW, 2)).copy())


def flat(number: int, value: int = 90, size_HW: tuple[int, int] = (20, 30)) -> Picture:
    return Picture(str(number), np.full((*size_HW, 3), value, np.uint8))


def points(size_HW: tuple[int, int] = (20, 30), **at: int) -> np.ndarray:
    """Return a label with points, given as r3c7=class."""
    label = np.full(size_HW, IGNORE, np.uint8)
    for place, class_id in at.items():
        row, column = (int(part) for part in place[1:].split("c"))
        label[row, column] = class_id
    return label


def follow(shots: list[Shot], motion, **settings) -> tuple[dict[str, Followed], list[Break]]:
    events = list(PointSpreader(Neighbours(motion), SpreadConfig(**settings)).run(shots))
    return {e.key: e for e in events if isinstance(e, Followed)}, [e for e in events if isinstance(e, Break)]


def where(followed: Followed) -> dict[tuple[int, int], int]:
    return {(r, c): int(followed.label_HW[r, c]) for r, c in np.argwhere(followed.label_HW != IGNORE).tolist()}


# --- on true video


@pytest.fixture(scope="module")
def drives() -> list[list]:
    return [[render("street", 0, drive, index, SIZE_HW, flow=False) for index in range(COUNT)] for drive in range(2)]


def test_one_answer_labels_the_right_pixel_of_the_frames_around_it(drives: list[list]) -> None:
    """At least 96 % of the pixels that 300 answers of one frame label in four frames before and after it are right."""
    rng = np.random.default_rng(0)
    right, given, answers = 0, 0, 0
    for drive in drives:
        label = np.full(SIZE_HW, IGNORE, np.uint8)
        place = rng.integers(0, SIZE_HW[0], 300), rng.integers(0, SIZE_HW[1], 300)
        label[place] = drive[MIDDLE].label[place]
        shots = [
            Shot(f.key, Picture(f.key, f.image), label if number == MIDDLE else None) for number, f in enumerate(drive)
        ]
        found, breaks = follow(shots, Dis(), reach=4)
        assert not breaks and set(found) == {frame.key for frame in drive} - {drive[MIDDLE].key}
        answers += int((label != IGNORE).sum())
        for frame in drive:
            if frame.key in found:
                known = found[frame.key].label_HW != IGNORE
                given += int(known.sum())
                right += int((found[frame.key].label_HW == frame.label)[known].sum())
    assert right >= 0.96 * given
    assert given >= 4 * answers  # one answer counts in more than four of the eight frames around it


def test_the_surer_half_is_right_more_often_than_the_other(drives: list[list]) -> None:
    right, sure = [], []
    for drive in drives:
        shots = [Shot(f.key, Picture(f.key, f.image), f.label if not n else None) for n, f in enumerate(drive)]
        for key, followed in follow(shots, Dis(), reach=8)[0].items():
            truth = next(frame.label for frame in drive if frame.key == key)
            known = followed.label_HW != IGNORE
            right.append((followed.label_HW == truth)[known])
            sure.append(followed.confidence_HW[known])
    right_N, sure_N = np.concatenate(right), np.concatenate(sure)
    surer = sure_N > np.median(sure_N)
    assert right_N[surer].mean() > right_N[~surer].mean() + 0.02


def test_what_comes_to_be_hidden_is_not_spread() -> None:
    """A dark board slides over a bright wall: the wall's points under it are lost, the others and the board's stay."""
    rng = np.random.default_rng(1)
    wall, board = rng.integers(150, 250, (60, 80, 3)), rng.integers(10, 60, (60, 20, 3))
    shots, truth = [], []
    for number in range(5):
        picture, label = wall.copy(), np.zeros((60, 80), np.uint8)
        picture[:, 10 + 4 * number : 30 + 4 * number], label[:, 10 + 4 * number : 30 + 4 * number] = board, 1
        answered = np.full_like(label, IGNORE)
        answered[5:55:5, 2:78:4] = label[5:55:5, 2:78:4]
        shots.append(Shot(str(number), Picture(str(number), picture.astype(np.uint8)), None if number else answered))
        truth.append(label)
    found, _ = follow(shots, Dis(), cut_share=0.0)
    for number in range(1, 5):
        followed = found[str(number)]
        assert set(where(followed).values()) == {0, 1}
        assert all(truth[number][place] == class_id for place, class_id in where(followed).items())
        under = truth[number] == 1
        assert not ((followed.label_HW == 0) & under).any()


# --- who goes where


def test_a_point_goes_both_ways_as_far_as_it_may_and_stays_in_view() -> None:
    label = points(r5c6=3)
    shots = [Shot(str(n), flat(n), label if n == 4 else None) for n in range(9)]
    found, _ = follow(shots, Sliding(2.0, 1.0), reach=3)
    assert {key: where(followed) for key, followed in found.items()} == {
        "1": {(2, 0): 3}, "2": {(3, 2): 3}, "3": {(4, 4): 3}, "5": {(6, 8): 3}, "6": {(7, 10): 3}, "7": {(8, 12): 3}
    }  # fmt: skip
    assert found["3"].origin_HW[4, 4] == AFTER and found["5"].origin_HW[6, 8] == BEFORE
    assert (found["5"].origin_HW == NOTHING).sum() == 20 * 30 - 1
    assert found["5"].confidence_HW[6, 8] == 1.0 and found["5"].confidence_HW.sum() == 1.0
    out, _ = follow(shots, Sliding(8.0, 0.0), reach=4)
    assert {key: where(followed) for key, followed in out.items()} == {"5": {(5, 14): 3}, "6": {(5, 22): 3}}


def test_fractions_of_a_pixel_add_up() -> None:
    shots = [Shot(str(n), flat(n), points(r5c6=3) if not n else None) for n in range(5)]
    found, _ = follow(shots, Sliding(0.375, 0.0))
    assert [next(iter(where(found[str(n)]))) for n in range(1, 5)] == [(5, 6), (5, 7), (5, 7), (5, 8)]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([flat(0), flat(1), flat(2, 250), flat(3, 250)], "a scene cut"),
        ([flat(0), flat(1), flat(2, 90, (20, 34)), flat(3, 90, (20, 34))], "20x30 and are 20x34"),
        ([flat(0), flat(1), None, flat(3)], "cannot be read"),
    ],
)
def test_no_point_crosses_the_end_of_a_track(frames: list, reason: str) -> None:
    shots = [
        Shot(str(n), picture, None if picture is None else points(picture.size_HW, r5c6=n), "it cannot be read")
        for n, picture in enumerate(frames)
    ]
    found, breaks = follow(shots, Sliding(1.0, 0.0))
    assert [entry.key for entry in breaks] == ["2"] and reason in breaks[0].reason
    assert where(found["0"]) == {(5, 5): 1} and where(found["1"]) == {(5, 7): 0}
    if frames[2] is not None:
        assert where(found["2"]) == {(5, 5): 3} and where(found["3"]) == {(5, 7): 2}
    else:
        assert set(found) == {"0", "1"}


def test_of_points_on_one_pixel_the_surest_stays_and_other_classes_cancel() -> None:
    def landed(class_id: int, error: float, place=(4.2, 3.0)) -> Points:
        return Points(
            np.array([place], np.float32), np.array([class_id], np.uint8), np.zeros((1, 5, 5, 3), np.float32),
            np.array([error], np.float32), 1,
        )  # fmt: skip

    agreeing = lay(flat(0), [(BEFORE, landed(2, 10.0)), (AFTER, landed(2, 5.0)), (BEFORE, landed(2, 7.0))], 20.0)
    assert where(agreeing) == {(3, 4): 2} and agreeing.origin_HW[3, 4] == AFTER
    assert agreeing.confidence_HW[3, 4] == pytest.approx(np.exp(-0.25))
    for order in ((5.0, 10.0, 1.0), (1.0, 5.0, 10.0), (10.0, 1.0, 5.0)):
        parts = [(BEFORE, landed(class_id, error)) for class_id, error in zip((2, 2, 1), order, strict=True)]
        assert where(lay(flat(0), parts, 20.0)) == {}
        assert not lay(flat(0), parts, 20.0).confidence_HW.any()
    apart = lay(flat(0), [(BEFORE, landed(2, 1.0)), (BEFORE, landed(1, 1.0, (9.0, 3.0)))], 20.0)
    assert where(apart) == {(3, 4): 2, (3, 9): 1}


def test_reading_between_pixels_equals_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 7, 2)).astype(np.float32)
    columns, rows = rng.uniform(-1, 7.5, 40).astype(np.float32), rng.uniform(-1, 5.5, 40).astype(np.float32)
    for got, column, row in zip(between(values, columns, rows), columns, rows, strict=True):
        left, top = int(np.floor(column)), int(np.floor(row))
        expected = np.zeros(2)
        for y, x in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            share = (1 - abs(column - x)) * (1 - abs(row - y))
            expected += share * values[min(max(y, 0), 4), min(max(x, 0), 6)]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    picture = Picture("p", rng.integers(0, 256, (9, 9, 3), np.uint8))
    around = surroundings(picture, np.array([[4, 3]], np.float32))
    assert np.array_equal(around[0], picture.rgb_HWC[1:6, 2:7])
