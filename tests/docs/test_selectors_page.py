"""docs/selectors.md has a section for every selector, and in it every setting."""

import re
from pathlib import Path

import pytest

from frugalseg.acquisition.images import LIKENESS, SOURCE
from frugalseg.acquisition.view import SECOND
from frugalseg.core.config import describe
from frugalseg.core.cost import Budget, CostModel
from frugalseg.workflow.catalog import IMAGE_SELECTORS, SELECTORS

PAGE = (Path(__file__).parents[2] / "docs" / "selectors.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_a_selector_has_its_section_and_row(name: str) -> None:
    settings = [setting.name for setting in describe(SELECTORS[name].load_config())]
    assert [setting for setting in settings if f"`{setting}`" not in SECTIONS[name]] == []
    assert re.search(rf"^\| `{name}` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(IMAGE_SELECTORS))
def test_the_columns_of_whole_images_are_true(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    _, _, _, chance, needs, _ = (cell.strip() for cell in row.split("|"))
    strategy = SELECTORS[name].load()
    assert (chance != "no") == strategy.chance
    assert ("discriminator" in needs, "source" in needs) == (LIKENESS in strategy.needs, SOURCE in strategy.needs)


@pytest.mark.parametrize("name", sorted(set(SELECTORS) - set(IMAGE_SELECTORS)))
def test_the_tables_columns_are_true(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    _, _, compete, chance, looks, _ = (cell.strip() for cell in row.split("|"))
    entry = SELECTORS[name]
    selector = entry.load()
    assert (compete == "no", chance != "no") == (selector.even, selector.chance)
    needs = selector(entry.load_config()(), Budget.parse("1point"), 1, CostModel(), 0).needs
    assert (looks == "1") == (SECOND not in needs)
