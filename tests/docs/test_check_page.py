"""docs/check.md holds, word for word, what `frugalseg check` says of the eight slips that new users make."""

import json
import re
from pathlib import Path

import pytest

from frugalseg.cli.main import run
from frugalseg.data.findings import TITLES, Kind
from frugalseg.data.quarantine import COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "check.md"
SLIPS = (
    "wrong folder",
    "swapped folders",
    "ids off by one",
    "colours instead of ids",
    "labelIds instead of trainIds",
    "255 is not listed",
    "label of another size",
    "EXIF rotation",
)


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    parts = re.split(r"^##+ ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def check(root: Path, slip, slips, capsys) -> tuple[int, str, Path]:
    """Make the slip in a fresh miniature, start a project on it and return check's exit code, its text, its page."""
    slips.write_world(root, count=2)
    slip(root)
    sets = ("--source", "folder:sim", "--target", "folder:street", "--validation", "folder:checked", "--quiet")
    assert run(["init", "city", *sets]) == 0
    capsys.readouterr()
    code = run(["check", "city", "--quiet"])
    return code, capsys.readouterr().out, next(root.glob("city/runs/*/check.json"))


def messages(text: str) -> list[str]:
    """Cut what check prints into the problems it tells, each from its title to its mend."""
    blocks = text.split("\n\n")[1:]
    return [block for block in blocks if not block.startswith(("Remarks", "With pictures"))]


def test_the_page_shows_all_eight(slips) -> None:
    assert tuple(slips.SLIPS) == SLIPS


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_gives_the_one_message_that_the_page_shows(
    name: str, sections, slips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, details = check(tmp_path, slips.SLIPS[name], slips, capsys)
    assert code == 2
    (message,) = messages(text)
    shown = re.search(r"```text\n(.*?)\n```", sections[name], re.DOTALL)
    assert shown is not None
    assert message.replace(str(tmp_path), "/data") == shown[1]
    assert str(tmp_path) in message, "the message names a file"
    assert len({row["mend"] for row in json.loads(details.read_text(encoding="utf-8"))["problems"]}) == 1


def test_data_in_order_give_no_message(slips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, details = check(tmp_path, lambda root: None, slips, capsys)
    assert (code, messages(text)) == (0, [])
    assert json.loads(details.read_text(encoding="utf-8"))["problems"] == []


def test_every_kind_of_problem_stands_on_the_page(sections) -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", sections["What is a problem"], re.MULTILINE)
    assert rows == [(str(kind), TITLES[kind]) for kind in Kind]


def test_the_files_are_described(sections, slips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    _, _, details = check(tmp_path, slips.other_size, slips, capsys)
    content = json.loads(details.read_text(encoding="utf-8"))
    keys = {*content, *content["problems"][0], *content["domains"]["source"]}
    missing = [key for key in sorted(keys) if f"`{key}`" not in sections["check.json"]]
    assert not missing
    assert ", ".join(COLUMNS) in sections["Quarantine"]
