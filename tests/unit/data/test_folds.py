"""Folds keep sequences whole, are about equally large, and never change."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame
from frugalseg.data.folds import fold_of


def frames(**counts):
    return [
        Frame(f"{name}_{n:03}", "x.png", "y.png", name.strip("_"), n, "", 8, 8, "")
        for name, count in counts.items()
        for n in range(count)
    ]


def test_two_hundred_scenes_become_four_runs_of_fifty():
    scenes = [Frame(f"{n:06}_10", "x.png", "y.png", f"{n:06}", 10, "", 8, 8, "") for n in range(200)]
    fold = fold_of(scenes, 4)
    assert [fold[f"{n:06}_10"] for n in range(200)] == [n // 50 for n in range(200)]
    assert fold_of(reversed(scenes), 4) == fold


def test_frames_of_one_sequence_stay_together():
    fold = fold_of(frames(a=3, b=3, c=5, d=1), 2)
    assert [{fold[key] for key in fold if key.startswith(name)} for name in "abcd"] == [{0}, {0}, {1}, {1}]


def test_frames_without_a_sequence_are_on_their_own():
    alone = [Frame(f"f{n}", "x.png", "y.png", "", n, "", 8, 8, "") for n in range(6)]
    assert list(fold_of(alone, 3).values()) == [0, 0, 1, 1, 2, 2]


def test_what_cannot_be_shared_out_is_refused():
    with pytest.raises(DataError, match=r"4 folds of 2 sequences \(6 labelled frames\)"):
        fold_of(frames(a=3, b=3), 4)
    with pytest.raises(DataError, match="1 folds of 2 sequences"):
        fold_of(frames(a=3, b=3), 1)
    with pytest.raises(DataError, match="fold 0 would have no frame, because sequence 'a' alone has 90 of 92"):
        fold_of(frames(a=90, b=1, c=1), 3)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=30), st.integers(2, 6))
def test_every_frame_has_one_fold_and_runs_are_of_about_one_length(counts, folds):
    given_frames = [frame for n, count in enumerate(counts) for frame in frames(**{f"s{n:02}": count})]
    try:
        fold = fold_of(given_frames, folds)
    except DataError:
        assume(False)
    assert fold.keys() == {frame.key for frame in given_frames}
    sizes = [sum(value == number for value in fold.values()) for number in range(folds)]
    assert max(sizes) - len(given_frames) / folds <= max(counts)
    order = [fold[frame.key] for frame in given_frames]
    assert order == sorted(order)
