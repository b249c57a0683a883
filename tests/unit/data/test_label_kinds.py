import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.errors import ConfigError, DataError, ImageFileError, UnknownIdError
from frugalseg.core.records import Frame
from frugalseg.data.label_kinds import color_table, read_ids, read_raw
from frugalseg.data.labels import LabelReader

TWO = ClassSet(
    "two",
    (SemanticClass("road", (128, 64, 128), (7, 8)), SemanticClass("car", (0, 0, 142), (26,))),
    (0, IGNORE),
    label_colors={8: (1, 2, 3), 0: (0, 0, 0), 7: (128, 64, 128)},
)


@pytest.fixture
def put(tmp_path):
    def write(array, name="label.png", **options):
        Image.fromarray(np.asarray(array, np.uint8)).save(tmp_path / name, **options)
        return tmp_path / name

    return write


def frame(path, kind, size_HW=(1, 4)):
    return Frame("f", "f.jpg", str(path), "", 0, "", size_HW[1], size_HW[0], "", label_kind=kind)


COLORS = [[(128, 64, 128), (1, 2, 3), (0, 0, 142), (0, 0, 0)]]


def test_colours_become_raw_ids(put):
    found = read_raw(frame(put(COLORS), "colors"), TWO)
    assert found.dtype == np.uint16
    assert found.tolist() == [[7, 8, 26, 0]]
    assert LabelReader(TWO, TWO).read(frame(put(COLORS), "colors")).tolist() == [[0, 0, 1, IGNORE]]


def test_a_palette_of_colours_and_alpha_are_colours_too(put, tmp_path):
    put(COLORS)
    Image.open(tmp_path / "label.png").convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    Image.open(tmp_path / "label.png").convert("RGBA").save(tmp_path / "a.png")
    for name in ("p.png", "a.png"):
        assert read_ids(tmp_path / name, "colors", TWO).tolist() == [[7, 8, 26, 0]]


def test_a_class_without_label_colour_looks_like_itself_and_a_colour_has_one_meaning():
    assert color_table(TWO) == {(0, 0, 0): 0, (128, 64, 128): 7, (1, 2, 3): 8, (0, 0, 142): 26}
    alike = ClassSet("alike", (SemanticClass("a", (5, 5, 5), (1,)), SemanticClass("b", (5, 5, 5), (2,))))
    with pytest.raises(ConfigError, match=r"colour \(5, 5, 5\) means raw ids 1 and 2"):
        color_table(alike)


def test_colours_need_a_class_set(put):
    with pytest.raises(ConfigError, match="only its class set tells"):
        read_raw(frame(put(COLORS), "colors"))


ONE = ClassSet("one", (SemanticClass("road", (128, 64, 200), (0,)),))


@pytest.mark.parametrize(
    ("pixels", "values", "cause"),
    [
        ([(128, 64, 200), (0, 0, 0), (0, 0, 0)], "(0, 0, 0) (2 pixels)", "black usually means `no class`"),
        ([(200, 64, 128), (128, 64, 200)], "(200, 64, 128) (1 pixels)", "red and blue are swapped"),
        ([(7, 7, 7), (8, 8, 8)], "(7, 7, 7) (1 pixels), (8, 8, 8)", "grey values: the file holds ids"),
        ([(7, 0, 0), (8, 0, 0)], "(7, 0, 0) (1 pixels)", "only the red channel is used"),
        ([(1, 2, n) for n in range(9)], "and 3 more colours", "many more colours than classes"),
        ([(1, 2, 3)], "(1, 2, 3) (1 pixels)", "a class list that does not belong"),
    ],
    ids=["void", "swapped", "grey", "red", "photograph", "other"],
)
def test_unknown_colours_name_file_colour_count_and_cause(put, pixels, values, cause):
    path = put([pixels])
    with pytest.raises(UnknownIdError) as caught:
        read_ids(path, "colors", ONE)
    what, _, why = str(caught.value).partition("\nLikely cause: ")
    assert what.startswith(f"{path}: colours (red, green, blue) that 'one' does not list: ")
    assert values in what
    assert cause in why


def test_the_red_channel_holds_the_ids(put):
    assert read_ids(put([[(7, 9, 9), (26, 0, 1)]]), "red", None).tolist() == [[7, 26]]


def test_red_ids_that_are_colours_are_told(put):
    with pytest.raises(UnknownIdError, match="the classes' colours, not ids in the red channel"):
        LabelReader(TWO, TWO).read(frame(put([[(128, 64, 128), (0, 0, 142)]]), "red", (1, 2)))


@pytest.mark.parametrize("kind", ["ids", "red", "colors"])
@pytest.mark.parametrize(("suffix", "options"), [("jpg", {}), ("webp", {}), ("tif", {"compression": "jpeg"})])
def test_lossy_files_hold_no_ids_whatever_their_name(put, tmp_path, kind, suffix, options):
    put(COLORS, f"label.{suffix}", **options).rename(tmp_path / "lossy.png")
    with pytest.raises(ImageFileError, match="has lost its ids to compression"):
        read_ids(tmp_path / "lossy.png", kind, TWO)


def test_a_kind_that_there_is_not():
    with pytest.raises(DataError, match="named 'color'. Did you mean 'colors'"):
        frame("x.png", "color")
