import dataclasses

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.errors import AnswerError, DataError
from frugalseg.core.records import (
    HUMAN,
    Answer,
    Frame,
    Manifest,
    PartialLabel,
    Point,
    Provenance,
    Query,
    QueryKind,
    Refused,
    Region,
    Verdict,
)

CLASSES = ClassSet("one", (SemanticClass("road", (0, 0, 0), (0,)),))


def frame(key="a_1", label=None, **changes):
    return dataclasses.replace(Frame(key, f"{key}.png", label, "a", 1, "", 4, 3, "0" * 64), **changes)


@pytest.mark.parametrize(
    "key",
    ["", "a\nb", "a\u202eb", "é" * 128, "broken-\udcff", "a\0"],
    ids=["empty", "line", "rtl", "256 B", "raw", "NUL"],
)
def test_a_frame_key_is_printable_and_short(key):
    with pytest.raises(DataError, match="frame key"):
        Frame(key, "image.png", None, "", 0, "", 4, 3, "")


@pytest.mark.parametrize("key", ["/etc/passwd", "../a", "a/../../b"])
def test_a_frame_key_is_no_way_out_of_a_folder(key):
    with pytest.raises(DataError, match="no plain relative path"):
        Frame(key, "image.png", None, "", 0, "", 4, 3, "")


@pytest.mark.parametrize("key", ["a", "town/CON", "🚗_7", "é" * 127, "a."])
def test_odd_but_harmless_keys_are_kept(key):
    assert frame(key).key == key


@pytest.mark.parametrize("size", [{"width": 0}, {"height": 0}, {"width": -1}])
def test_a_frame_has_pixels(size):
    with pytest.raises(DataError, match="has no pixels"):
        frame(**size)


def test_a_manifest_is_in_key_order_and_finds_frames():
    manifest = Manifest("m", (frame("b"), frame("a"), frame("B")), CLASSES)
    assert [entry.key for entry in manifest] == ["B", "a", "b"]
    assert manifest.by_key["a"] is manifest.frames[1]
    assert len(manifest) == 3


def test_two_frames_of_one_key_are_refused():
    with pytest.raises(DataError, match="twice: a, b"):
        Manifest("m", tuple(frame(key) for key in "bacab"), CLASSES)


def test_refused_files_are_in_order_and_text():
    manifest = Manifest("m", (), CLASSES, (Refused("b\udcff", "x"), Refused("a", "y")))
    assert [entry.path for entry in manifest.refused] == ["a", r"b\udcff"]


def test_labelled_means_every_frame():
    assert not Manifest("m", (), CLASSES).labelled
    assert not Manifest("m", (frame("a", "a.png"), frame("b")), CLASSES).labelled
    assert Manifest("m", (frame("a", "a.png"), frame("b", "b.png")), CLASSES).labelled


@pytest.mark.parametrize(
    "make",
    [
        lambda: Point(-1, 0),
        lambda: Point(0, -1),
        lambda: Region(-1, 0, 1, 1),
        lambda: Region(0, 0, 0, 1),
        lambda: Region(0, 0, 1, -1),
        lambda: Query("q", "a", QueryKind.POINT, "s", 0.0),
        lambda: Query("q", "a", QueryKind.IMAGE, "s", 0.0, Point(0, 0)),
        lambda: Query("q", "a", QueryKind.REGION, "s", 0.0),
        lambda: Query("q", "a", QueryKind.IMAGE, "s", float("nan")),
        lambda: Query("q", "a", QueryKind.IMAGE, "s", float("inf")),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(DataError):
        make()


def test_a_region_cuts_its_rectangle():
    array = np.arange(12).reshape(3, 4)
    assert array[Region(1, 2, 2, 1).slices].tolist() == [[6], [10]]


@pytest.mark.parametrize(
    ("verdict", "class_id", "seconds"),
    [
        (Verdict.CLASS, None, 1.0),
        (Verdict.AMBIGUOUS, 3, 1.0),
        (Verdict.NONE, 0, 1.0),
        (Verdict.SKIP, None, -1.0),
        (Verdict.SKIP, None, float("nan")),
        (Verdict.SKIP, None, float("inf")),
    ],
)
def test_an_answer_that_contradicts_itself_is_refused(verdict, class_id, seconds):
    with pytest.raises(AnswerError, match="answer to q"):
        Answer("q", verdict, class_id, "ann", seconds)


def test_class_0_is_a_class():
    assert Answer("q", Verdict.CLASS, 0, "ann", 0.0).class_id == 0


def test_a_partial_label_knows_where_each_pixel_comes_from():
    label = np.array([[IGNORE, 0]], np.uint8)
    PartialLabel("a", label, np.array([[0, Provenance.HUMAN_POINT]], np.uint8))
    for provenance in ([[0, 0]], [[1, 1]], [[0]], [0, 1]):
        with pytest.raises(DataError, match="a: "):
            PartialLabel("a", label, np.array(provenance, np.uint8))
    assert Provenance.PSEUDO_LABEL not in HUMAN
