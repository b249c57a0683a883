"""Video split into what is scored and what is learned from: no frame in both, none too near."""

import pytest

from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame
from frugalseg.data.halves import halves
from frugalseg.data.sequences import Run


def drive(name: str, count: int) -> Run:
    frames = [
        Frame(
            key=f"{name}{number}",
            image="i",
            label=None,
            height=4,
            width=4,
            sha256="0",
            sequence=name,
            index=number,
            split="train",
        )
        for number in range(count)
    ]
    return Run(tuple(frames), "", "")


def numbers(runs) -> list[list[int]]:
    return [[frame.index for frame in run.frames] for run in runs]


def test_halves_of_a_drive_with_a_gap() -> None:
    first, second = halves([drive("a", 21)], 2, 4, "parts")
    assert numbers(first.scored) == [list(range(10))] and numbers(first.learned) == [list(range(14, 21))]
    assert numbers(second.scored) == [list(range(10, 21))] and numbers(second.learned) == [list(range(6))]


def test_a_part_in_the_middle_is_learned_for_from_both_sides_and_never_joined() -> None:
    _, middle, _ = halves([drive("a", 30)], 3, 2, "parts")
    assert numbers(middle.scored) == [list(range(10, 20))]
    assert numbers(middle.learned) == [list(range(8)), list(range(22, 30))]


@pytest.mark.parametrize(("parts", "gap"), [(2, 0), (2, 10), (3, 5), (5, 3)])
def test_every_frame_is_scored_once_and_learned_from_only_at_a_distance(parts: int, gap: int) -> None:
    runs = [drive("a", 47), drive("b", 23)]
    cut = halves(runs, parts, gap, "parts")
    scored = [frame.key for half in cut for run in half.scored for frame in run.frames]
    assert sorted(scored) == sorted(frame.key for run in runs for frame in run.frames)
    for half in cut:
        places = {(frame.sequence, frame.index) for run in half.scored for frame in run.frames}
        for run in half.learned:
            for frame in run.frames:
                near = range(frame.index - gap, frame.index + gap + 1)
                assert not places & {(frame.sequence, index) for index in near}


def test_whole_sequences() -> None:
    runs = [drive(name, 5) for name in "abcd"]
    for half in halves(runs, 2, 10, "sequences"):
        names = [{frame.sequence for run in part for frame in run.frames} for part in (half.scored, half.learned)]
        assert len(names[0]) == len(names[1]) == 2 and not names[0] & names[1]
    with pytest.raises(DataError, match="2 folds of 1 sequences"):
        halves(runs[:1], 2, 10, "sequences")


def test_one_part_is_refused() -> None:
    with pytest.raises(DataError, match="expected 2 or more"):
        halves([drive("a", 5)], 1, 0, "parts")
