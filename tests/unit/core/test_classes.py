import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalseg.core.classes import IGNORE, UNKNOWN, ClassSet, SemanticClass
from frugalseg.core.errors import ConfigError, UnknownNameError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROAD = SemanticClass("road", (128, 64, 128), (7,), ("street",))
CAR = SemanticClass("car", (0, 0, 142), (26, 27))
CITY = ClassSet("city", (ROAD, CAR), (0, 255), {"frequent": ("road",)})


@st.composite
def class_sets(draw):
    count = draw(st.integers(1, 5))
    names = draw(st.lists(TEXT, min_size=2 * count, max_size=2 * count, unique=True))
    ids = draw(st.lists(st.integers(0, 65_535), min_size=2 * count + 1, max_size=2 * count + 4, unique=True))
    color = st.tuples(*[st.integers(0, 255)] * 3)
    classes = tuple(
        SemanticClass(
            names[number],
            draw(color),
            tuple(ids[2 * number : 2 * number + draw(st.integers(1, 2))]),
            tuple(names[count + number : count + number + draw(st.integers(0, 1))]),
        )
        for number in range(count)
    )
    members = st.lists(st.sampled_from(names[:count]), max_size=3).map(tuple)
    return ClassSet(draw(TEXT), classes, tuple(ids[2 * count :]), draw(st.dictionaries(TEXT, members, max_size=2)))


@settings(max_examples=40)
@given(classes=class_sets())
def test_every_class_set_reads_back_as_itself(tmp_path_factory, classes):
    path = tmp_path_factory.getbasetemp() / "classes.toml"
    path.write_text(classes.to_toml(), encoding="utf-8", newline="")
    assert ClassSet.from_toml(path) == classes
    assert ClassSet.from_dict(classes.to_dict(), "dict") == classes
    assert pickle.loads(pickle.dumps(classes)) == copy.deepcopy(classes) == classes
    assert hash(copy.deepcopy(classes)) == hash(classes)


def test_ids_names_and_colours():
    assert (len(CITY), CITY.names) == (2, ("road", "car"))
    assert CITY.colors.tolist() == [[128, 64, 128], [0, 0, 142]]
    assert CITY.lookup[[0, 7, 26, 27, 255, 8, 65_535]].tolist() == [IGNORE, 0, 1, 1, IGNORE, UNKNOWN, UNKNOWN]
    assert CITY.index("street") == 0
    assert CITY.subset_ids("frequent") == (0,)


def test_unknown_names_get_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'car'"):
        CITY.index("cars")
    with pytest.raises(UnknownNameError, match="Did you mean 'frequent'"):
        CITY.subset_ids("frequently")


def test_a_map_goes_by_name_and_alias():
    toy = ClassSet(
        "toy",
        (
            SemanticClass("sky", (0, 0, 0), (0,)),
            SemanticClass("street", (1, 1, 1), (1,)),
            SemanticClass("vehicle", (2, 2, 2), (2,), ("car",)),
            SemanticClass("tree", (3, 3, 3), (3,)),
        ),
    )
    there, back = CITY.map_to(toy), toy.map_to(CITY)
    assert there.table[[0, 1, 2, 255]].tolist() == [1, 2, IGNORE, IGNORE]
    assert (there.dropped, there.missing) == ((), ("sky", "tree"))
    assert back.table[:4].tolist() == [IGNORE, 0, 1, IGNORE]
    assert (back.dropped, back.missing) == (("sky", "tree"), ())
    assert there.raw_lookup()[[7, 26, 27, 0, 255, 9]].tolist() == [1, 2, 2, IGNORE, IGNORE, UNKNOWN]


@settings(max_examples=25)
@given(classes=class_sets())
def test_a_map_to_itself_changes_nothing(classes):
    assert np.array_equal(classes.map_to(classes).raw_lookup(), classes.lookup)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "has 0 classes; expected 1 to 254"),
        ((tuple(SemanticClass(str(n), (0, 0, 0), (n,)) for n in range(255)),), "has 255 classes"),
        (((ROAD, SemanticClass("road", (0, 0, 0), (1,))),), "names must differ; twice: road"),
        (((ROAD, SemanticClass("lane", (0, 0, 0), (7,))),), "raw id 7 is claimed by both 'road' and 'lane'"),
        (((ROAD,), (7,)), "raw id 7 is claimed by both 'road' and 'ignore'"),
        (((SemanticClass("a", (0, 0, 256), (1,)),),), "is not three numbers in 0–255"),
        (((SemanticClass("a", (0, 0, 0), ()),),), "lists no raw id"),
        (((SemanticClass("a", (0, 0, 0), (65_536,)),),), "raw id 65536 of 'a' is outside"),
        (((SemanticClass("a", (0, 0, 0), (-1,)),),), "raw id -1 of 'a' is outside"),
        (((ROAD,), (), {"s": ("rod",)}), "subset 's': .* Did you mean 'road'"),
        (((SemanticClass("a", (0, 0, 0), (1,), ("road",)), ROAD),), "alias 'road' of 'a' already means 'road'"),
        (((ROAD, SemanticClass("a", (0, 0, 0), (1,), ("street",))),), "alias 'street' of 'a' already means 'road'"),
        (((ROAD,), (), {}, {999: (0, 0, 0)}), "raw id 999 is neither a class's nor in `ignore`"),
        (((ROAD,), (9,), {}, {9: (0, 0, 999)}), r"colour \(0, 0, 999\) of '9' is not three numbers"),
        (((ROAD,), (), {}, {}, {"flat": ("raod",)}), "category 'flat': .* Did you mean 'road'"),
        (((ROAD,), (), {}, {}, {"a": ("road",), "b": ("road",)}), "'road' is in the categories 'a' and 'b'"),
        (((ROAD,), (), {}, {}, {}, {"rod": 5.0}), "instance_px: .* Did you mean 'road'"),
        (((ROAD,), (), {}, {}, {}, {"road": 0.0}), "'road' = 0.0; expected an object's mean pixels, > 0"),
        (((ROAD,), (), {}, {}, {}, {"road": float("nan")}), "'road' = nan; expected"),
    ],
)
def test_contradictions_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ClassSet("city", *arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one .* table a class, got none"),
        ("class = 3", "expected one .* table a class, got none"),
        ("class = [3]", "class 0: expected a table with `name` and `color`, got 3"),
        ("[[class]]\nname = 'a'", r"class 0: `name` \(a text\) and `color` are needed, got {'name': 'a'}"),
        ("[[class]]\nnam = 'a'", "class 0: There is no key named 'nam'. Did you mean 'name'"),
        ("clas = 1", "Did you mean 'class'"),
        ("[[class]]\nname = 'a'\ncolor = [1, 2]", "`color` is three numbers"),
        ("[[class]]\nname = 'a'\ncolor = '#ff0000'", "`color` must be a list of whole numbers"),
        ("[[class]]\nname = 'a'\ncolor = [0.5, 0.5, 0.5]", "`color` must be a list of whole numbers"),
        ("[[class]]\nname = 'a'\ncolor = [1, 2, 3]\nraw_ids = '12'", "`raw_ids` must be a list of whole numbers"),
        ("[[class]]\nname = 'a'\ncolor = [1, 2, 3]\nid = true", "`raw_ids` must be a list of whole numbers"),
        ("[[class]]\nname = 'a'\ncolor = [1, 2, 3]\naliases = 'road'", "`aliases` must be a list of texts"),
        ("[[class]]\nname = 5\ncolor = [1, 2, 3]", r"`name` \(a text\)"),
        ("[[class]]\nname = 'a'\ncolor = [1, 2, 3]\nid = 1\nraw_ids = [2]", "give `id` or `raw_ids`, not both"),
        ("ignore = 255\n[[class]]\nname = 'a'\ncolor = [1, 2, 3]", "`ignore` must be a list"),
        ("subsets = 5\n[[class]]\nname = 'a'\ncolor = [1, 2, 3]", "classes.toml"),
        ("[[class]]\nname = 'a'\ncolor = [1, 2, 3]\n[subsets]\ns = 'a'", "subset 's' must be a list of texts"),
        ("[[class]]\nname = 'a'\ncolor = [1, 2, 3]\n[label_colors]\n0 = [1, 2]", "label_colors, 0 is three numbers"),
        ("[[class]]\nname = 'a'\ncolor = [1, 2, 3]\n[label_colors]\nroad = [1, 2, 3]", "invalid literal for int"),
        ("ignore = [" + "9" * 5000 + "]", "not valid TOML"),
    ],
)
def test_a_class_list_that_does_not_fit_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "classes.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        ClassSet.from_toml(path)
    assert str(path) in str(caught.value)


def test_what_is_left_out_has_a_default(tmp_path):
    path = tmp_path / "town.toml"
    path.write_text("[[class]]\nname = 'a'\ncolor = [1, 2, 3]\n[[class]]\nname = 'b'\ncolor = [1, 2, 3]\nid = 9\n")
    classes = ClassSet.from_toml(path)
    assert [entry.raw_ids for entry in classes.classes] == [(0,), (9,)]
    assert (classes.name, classes.ignored_ids, dict(classes.subsets)) == ("town", (IGNORE,), {})


def test_a_missing_class_list_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot read"):
        ClassSet.from_toml(tmp_path / "none.toml")
