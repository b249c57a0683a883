import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.core.errors import ReaderError
from frugalseg.core.spec import Spec

TEXT = st.binary(max_size=12).map(os.fsdecode) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = TEXT.filter(bool)
PATHS = NAMES.filter(lambda path: "\0" not in path)


@given(
    reader=st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True),
    path=PATHS,
    options=st.dictionaries(NAMES, TEXT, max_size=3),
)
def test_every_spec_reads_back_as_itself(reader, path, options):
    spec = Spec(reader, path, options)
    assert Spec.parse(str(spec)) == spec
    assert str(spec).isprintable()


def test_the_readme_form():
    spec = Spec.parse("folder:/x/y z?split=train&limit=5")
    assert spec == Spec("folder", "/x/y z", {"split": "train", "limit": "5"})
    assert str(spec) == "folder:/x/y z?split=train&limit=5"


def test_odd_characters_are_written_as_percents():
    spec = Spec("folder", "/a?b%c\n", {"include": "a&b=c"})
    assert str(spec) == "folder:/a%3Fb%25c%0A?include=a%26b%3Dc"
    assert Spec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/data/frames", "names no reader. Did you mean 'folder:/data/frames'"),
        ("Folder:/x", "'Folder' is no reader's name"),
        ("folder:", "is empty"),
        ("folder:%00", "holds a NUL"),
        ("folder:/x?split", "option 'split' has no value. Write split=VALUE"),
        ("folder:/x?=5", "an option has no name"),
        ("folder:/x?a=1&a=2", "option 'a' is given twice"),
        ("folder:/x?a=1&%61=2", "option 'a' is given twice"),
        ("folder:/x?a=1&", "option '' has no value"),
    ],
)
def test_what_cannot_be_read_is_explained(text, message):
    with pytest.raises(ReaderError) as caught:
        Spec.parse(text)
    assert message in str(caught.value)


def test_all_unknown_options_are_named_at_once():
    with pytest.raises(ReaderError) as caught:
        Spec.parse("folder:/x?splt=train&limt=5&mask=m.png").only(("split", "limit", "mask"))
    assert "Did you mean 'split'" in str(caught.value)
    assert "Did you mean 'limit'" in str(caught.value)
    assert "named 'mask'" not in str(caught.value)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "", "five", "٣", "9" * 13])
def test_a_count_that_is_none_is_refused(value):
    with pytest.raises(ReaderError, match="whole number from 1 up"):
        Spec("folder", "/x", {"limit": value}).positive("limit")


def test_a_count():
    assert Spec("folder", "/x", {"limit": "12"}).positive("limit") == 12
    assert Spec("folder", "/x").positive("limit") is None


def test_options_belong_to_the_spec():
    options = {"split": "train"}
    spec = Spec("folder", "/x", options)
    options["split"] = "val"
    assert spec.options == {"split": "train"}
    assert hash(spec) == hash(Spec("folder", "/x"))
