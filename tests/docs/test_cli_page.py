"""docs/cli.md says what `--help` says: every verb has its heading and example, every option its line."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from frugalseg.cli.main import VERBS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("cli_page", DOCS / "cli_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    parts = re.split(r"^## frugalseg ?", (DOCS / "cli.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def test_the_page_is_what_the_generator_writes(generator) -> None:
    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), "run: python docs/cli_page.py"


def test_every_verb_has_its_section_in_order(sections: dict[str, str]) -> None:
    assert list(sections) == ["", *VERBS]


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_of_the_source_has_its_line(sections: dict[str, str], verb: str) -> None:
    source = Path(importlib.import_module(VERBS[verb].module).__file__).read_text(encoding="utf-8")
    flags = set(re.findall(r'"(--[a-z-]+)', source))
    flags |= {"--json", "--quiet"}
    for flag in flags:
        assert re.search(rf"^`{flag}\b.*`\n: \S", sections[verb], re.MULTILINE), f"{verb}: {flag} has no line"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_description_and_an_example(sections: dict[str, str], verb: str) -> None:
    assert re.match(r"\n[A-Z][^\n]{20,}", sections[verb])
    assert f"\n$ frugalseg {verb}" in sections[verb]
