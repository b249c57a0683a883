import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.codec import write_label_png
from frugalseg.core.errors import (
    ImageFileError,
    LabelShapeError,
    MissingPairError,
    UnknownIdError,
)
from frugalseg.core.records import Frame, Manifest
from frugalseg.data.diagnose import diagnose
from frugalseg.data.facts import Inspector
from frugalseg.data.labels import LabelReader

HEIGHT, WIDTH = 6, 8


def class_set(count, first=0, ignored=(IGNORE,), name="toy"):
    return ClassSet(name, tuple(SemanticClass(f"c{n}", (0, 0, 0), (first + n,)) for n in range(count)), ignored)


FIVE = class_set(5)


@pytest.fixture
def put(tmp_path):
    """Write a label and return its frame; None: a frame without label."""

    def write(label, key="a", mask=None):
        path = tmp_path / f"{key}.png"
        if label is not None:
            Image.fromarray(label).save(path)
        named = None if label is None else str(path)
        return Frame(key, str(tmp_path / f"{key}.jpg"), named, "", 0, "", WIDTH, HEIGHT, "", mask)

    return write


def flat(value, dtype=np.uint8):
    return np.full((HEIGHT, WIDTH), value, dtype)


def spotted(value, count, ground=0, dtype=np.uint8):
    label = flat(ground, dtype)
    label.flat[:count] = value
    return label


def refusal(frame, kind, classes=FIVE):
    with pytest.raises(kind) as caught:
        LabelReader(classes, classes).read(frame)
    facts = Inspector(classes, classes, images=False)(frame)
    found = diagnose(Manifest("toy", (frame,), classes), [facts], classes, need_labels=True)
    assert str(caught.value) in [finding.text for finding in found], "what `check` says of the same file"
    return str(caught.value)


def test_raw_ids_become_the_projects_class_ids(put):
    dataset = ClassSet(
        "city",
        (
            SemanticClass("road", (0, 0, 0), (7,)),
            SemanticClass("car", (0, 0, 0), (26, 27)),
            SemanticClass("sky", (0, 0, 0), (23,)),
        ),
        (0, 255),
    )
    project = ClassSet(
        "mine", (SemanticClass("vehicle", (0, 0, 0), (0,), ("car",)), SemanticClass("road", (0, 0, 0), (1,)))
    )
    label = spotted(26, 3, ground=7)
    label[1] = [27, 27, 23, 0, 255, 7, 7, 7]
    ids = LabelReader(dataset, project).read(put(label))
    assert ids.dtype == np.uint8
    assert ids[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert ids[1].tolist() == [0, 0, IGNORE, IGNORE, IGNORE, 1, 1, 1]


def test_sixteen_bit_ids(put):
    wide = ClassSet("wide", (SemanticClass("a", (0, 0, 0), (65_000,)), SemanticClass("b", (0, 0, 0), (3,))))
    assert LabelReader(wide, wide).read(put(spotted(65_000, 2, 3, np.uint16))).flat[:3].tolist() == [0, 0, 1]


def test_the_ego_mask_is_never_learned_from(put, tmp_path):
    write_label_png(tmp_path / "mask.png", spotted(0, 10, ground=255))
    ids = LabelReader(FIVE, FIVE).read(put(flat(2), mask=str(tmp_path / "mask.png")))
    assert (ids.ravel()[:10] == IGNORE).all()
    assert (ids.ravel()[10:] == 2).all()


def test_a_mask_of_another_size_is_refused(put, tmp_path):
    write_label_png(tmp_path / "mask.png", np.ones((3, 3), np.uint8))
    with pytest.raises(LabelShapeError, match=r"mask\.png: the mask is 3x3 but .*a\.jpg is 6x8"):
        LabelReader(FIVE, FIVE).read(put(flat(2), mask=str(tmp_path / "mask.png")))


@pytest.mark.parametrize(
    ("label", "classes", "values", "cause"),
    [
        (spotted(5, 3, ground=2), FIVE, "5 (3 pixels)", "off by one"),
        (spotted(0, 4, ground=2), class_set(5, first=1), "0 (4 pixels)", "off by one"),
        (spotted(255, 7), class_set(5, ignored=()), "255 (7 pixels)", "Add it to `ignore`"),
        (spotted(26, 9, ground=7), class_set(19), "26 (9 pixels)", "labelIds (0–33), not trainIds (0–18)"),
        (spotted(26_003, 2, dtype=np.uint16), FIVE, "26003 (2 pixels)", "16-bit instance ids"),
        (
            np.arange(48, dtype=np.uint8).reshape(HEIGHT, WIDTH) * 5,
            FIVE,
            "5 (1 pixels), 10 (1 pixels)",
            "a grey photograph",
        ),
        (spotted(9, 1), FIVE, "9 (1 pixels)", "does not belong to these labels"),
    ],
    ids=["off by one", "off by one below", "unmapped 255", "labelIds", "instance ids", "grey picture", "other list"],
)
def test_unknown_ids_name_file_value_count_and_cause(put, label, classes, values, cause):
    message = refusal(put(label), UnknownIdError, classes)
    assert "a.png: ids that 'toy' does not list: " + values in message
    assert cause in message.partition("Likely cause: ")[2]


def test_many_values_are_cut_and_the_commonest_come_first(put):
    label = np.arange(48, dtype=np.uint8).reshape(HEIGHT, WIDTH) + 100
    label[0] = 200
    message = refusal(put(label), UnknownIdError)
    assert "list: 200 (8 pixels), 108 (1 pixels)" in message
    assert "and 35 more values. Known: 0–4, ignored: 255." in message


def test_a_label_in_colours_names_file_and_cause(put):
    frame = put(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(ImageFileError) as caught:
        LabelReader(FIVE, FIVE).read(frame)
    assert str(caught.value).startswith(f"{frame.label}: expected one channel of class ids, got a RGB image.\n")
    assert "label_kind=colors in the SPEC" in str(caught.value) and "label_kind=red" in str(caught.value)


def test_a_swapped_size_names_both_files_sizes_and_cause(put):
    message = refusal(put(np.zeros((WIDTH, HEIGHT), np.uint8)), LabelShapeError)
    assert "a.png: label is 8x6 but its image " in message
    assert "a.jpg is 6x8 (height x width).\nLikely cause: the label was saved transposed" in message


def test_another_size_says_how_to_mend_it(put):
    message = refusal(put(np.zeros((12, 16), np.uint8)), LabelShapeError)
    assert "label is 12x16" in message
    assert message.endswith("Resize the label to 6x8 with nearest-neighbour, so that no ids are mixed.")


def test_a_label_that_exif_does_not_turn_names_the_cause(put, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (HEIGHT, WIDTH)).save(tmp_path / "a.jpg", exif=exif)
    message = refusal(put(np.zeros((WIDTH, HEIGHT), np.uint8)), LabelShapeError)
    assert "EXIF rotation. The image says orientation 6" in message


def test_a_frame_without_label(put):
    with pytest.raises(MissingPairError, match=r"a\.jpg: there is no label for this image"):
        LabelReader(FIVE, FIVE).read(put(None))
