import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.core.errors import ConfigError
from frugalseg.core.toml import read_toml, toml_string, toml_value

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = TEXT | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


@given(VALUES)
def test_every_value_reads_back_as_itself(value):
    back = tomllib.loads(f"value = {toml_value(value)}")["value"]
    assert back == value
    assert type(back) is type(value)


@given(TEXT)
def test_every_text_is_one_line(text):
    line = toml_string(text)
    assert "\n" not in line
    assert "\r" not in line


@pytest.mark.parametrize("value", [None, [1, None], {"a": None}, b"bytes", object()])
def test_what_toml_cannot_hold_is_refused(value):
    with pytest.raises(ConfigError, match="TOML cannot hold"):
        toml_value(value)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfrows = 8\r\n")
    assert read_toml(tmp_path / "a.toml") == {"rows": 8}


@pytest.mark.parametrize(
    "content",
    [b"rows = ", b"a = 1\na = 2", b"a = \xff", b"a = " + b"9" * 10_000, b"a = " + b"[" * 100_000],
    ids=["no value", "duplicate key", "no UTF-8", "10k digits", "deep"],
)
def test_what_is_no_toml_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.toml: not valid TOML: "):
        read_toml(tmp_path / "a.toml")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot read it: No such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot read it: Is a directory"):
        read_toml(tmp_path)
