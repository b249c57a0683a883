"""What stops a training before it begins, and the pixels that it counts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.errors import DataProblems, LabelShapeError, MissingPairError, UnknownIdError
from frugalseg.core.records import Frame, Manifest, Refused
from frugalseg.data.facts import Inspector
from frugalseg.data.summary import summarise
from frugalseg.workflow.scan import refuse

HEIGHT, WIDTH = 6, 8
FIVE = ClassSet("toy", tuple(SemanticClass(f"c{n}", (9 * n, 0, 0), (n,)) for n in range(5)))


@pytest.fixture
def put(tmp_path: Path):
    """Write a label and return its frame; None: a frame without label."""

    def write(key: str, label: np.ndarray | None) -> Frame:
        path = tmp_path / f"{key}.png"
        if label is not None:
            Image.fromarray(label).save(path)
        return Frame(key, f"{key}.jpg", None if label is None else str(path), "", 0, "", WIDTH, HEIGHT, "")

    return write


def spotted(value: int, count: int, ground: int = 0) -> np.ndarray:
    label = np.full((HEIGHT, WIDTH), ground, np.uint8)
    label.flat[:count] = value
    return label


def looked_at(*frames: Frame, project: ClassSet = FIVE, refused: tuple[Refused, ...] = ()):
    """Return what `refuse` is given; the images are not looked at, as before a training."""
    inspect = Inspector(FIVE, project, images=False)
    return "street", Manifest("street", frames, FIVE, refused), [inspect(frame) for frame in frames], project


def test_three_broken_frames_are_three_problems_of_one_error(put) -> None:
    frames = put("a", spotted(1, 9)), put("b", spotted(77, 9)), put("c", np.zeros((WIDTH, HEIGHT), np.uint8))
    with pytest.raises(DataProblems) as caught:
        refuse(*looked_at(*frames, put("d", None)))
    assert {type(problem) for problem in caught.value.problems} == {UnknownIdError, LabelShapeError, MissingPairError}
    assert str(caught.value).startswith("3 problem(s) in street:\n  1. ")
    assert all(f"{name}." in str(caught.value) for name in "bcd")


def test_a_file_that_was_refused_is_no_part_of_the_set(put) -> None:
    refuse(*looked_at(put("a", spotted(1, 9)), refused=(Refused("x.png", "an animation."),)))


def test_pixels_are_counted_by_class(put) -> None:
    frames = put("a", spotted(4, 5)), put("b", spotted(IGNORE, 40, ground=1)), put("c", None)
    summary = summarise(*looked_at(*frames))
    assert summary.pixels_C.tolist() == [43, 8, 0, 0, 5]
    assert summary.frames_C.tolist() == [1, 1, 0, 0, 1]
    assert summary.pixels_C.dtype == np.int64
    assert summarise(*looked_at()).pixels_C.tolist() == [0] * 5


@pytest.mark.parametrize("label", [spotted(IGNORE, 48), spotted(0, 0)], ids=["nothing labelled", "no class in common"])
def test_labels_that_teach_nothing_are_refused(put, label: np.ndarray) -> None:
    project = ClassSet("mine", (SemanticClass("road", (0, 0, 0), (0,)),))
    with pytest.raises(DataProblems, match=r"no labelled pixel of any class of the project \(road\)"):
        refuse(*looked_at(put("a", label), project=project))
