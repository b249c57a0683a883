"""No name leads out of a folder, through dots, links or tricks with names that only begin alike."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frugalseg.core.errors import NotFoundError
from frugalseg.core.files import safe_join

PIECES = ("..", ".", "/", "//", "in", "out", "root", "root_secret", "link", "loop", "\\", "\0", "x" * 300, "~", "C:")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with a file, a link out of it, a loop, and a neighbour whose name begins like its own."""
    base = tmp_path_factory.mktemp("join")
    for folder in ("root/in", "root_secret"):
        (base / folder).mkdir(parents=True)
    (base / "root" / "in" / "file").write_text("ours")
    (base / "root_secret" / "file").write_text("secret")
    (base / "root" / "link").symlink_to(base / "root_secret")
    (base / "root" / "loop").symlink_to(base / "root" / "loop")
    return base / "root"


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_what_is_joined_lies_below_with_links_followed(root, name) -> None:
    try:
        found = safe_join(root, name)
    except NotFoundError:
        return
    assert os.path.realpath(found).startswith(os.path.realpath(root) + os.sep)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../root_secret/file", "/etc/passwd", "link/file", "in/../../root_secret", "a\0b", "in/.."]
)
def test_what_leads_out_or_is_the_folder_itself_is_not_found(root, name) -> None:
    with pytest.raises(NotFoundError):
        safe_join(root, name)


def test_what_is_inside_is_found(root) -> None:
    assert safe_join(root, "in/file").read_text() == "ours"
    assert safe_join(root, "in/../in/./file").read_text() == "ours"
    assert safe_join(root, "not there yet").parent == Path(os.path.realpath(root))
