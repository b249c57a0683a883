"""Every method has a page with idea, equations, file, defaults, numbers and a script; the scripts run as they stand."""

import importlib.util
import re
from pathlib import Path

import pytest

from frugalseg.core.config import describe
from frugalseg.training.preset import presets
from frugalseg.workflow.catalog import METHODS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OTHERS = ("settings", "warp_refine")  # the latter has a test of its own
METHOD_PAGES = sorted(path for path in (DOCS / "methods").glob("*.md") if path.stem not in OTHERS)
LONGEST = 55  # lines of a script that is to be read in one go


def names_on(page: Path) -> list[str]:
    """The methods that a page's title names."""
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").split(", ")


def script_of(page: Path) -> str:
    section = page.read_text(encoding="utf-8").partition("\n## Script\n")[2]
    return section.partition("```python\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def settings_page():
    spec = importlib.util.spec_from_file_location("settings_page", DOCS / "settings_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all scripts, so that the toy city is drawn and the source network trained once."""
    return tmp_path_factory.mktemp("scripts")


def test_every_method_is_on_one_page() -> None:
    assert sorted(name for page in METHOD_PAGES for name in names_on(page)) == sorted(METHODS)


@pytest.mark.parametrize("page", METHOD_PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "**Idea.**" in text
    assert re.search(r"\*\*(Equations|Stages)\.?\*\*", text)
    assert "| setting | default | from |" in text or "How ours differs" in text
    assert "\n## Our numbers\n" in text and "benchmarks/" in text.partition("\n## Our numbers\n")[2]
    for name in names_on(page):
        assert (module := METHODS[name].target.partition(":")[0].split(".")[-1]) and f"adaptation/{module}.py" in text
    for path in re.findall(r"`((?:src/frugalseg|benchmarks)/[\w/]+\.py)`", text):
        assert (ROOT / path).is_file(), path
    for name in re.findall(r"\b\w+_paper\w*\b", text):
        assert name in presets(), name


def test_every_setting_is_described(settings_page) -> None:
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page(), "run: python docs/settings_page.py"
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n?)*)", settings_page.page(), flags=re.MULTILINE))
    for name, entry in METHODS.items():
        for setting in describe(entry.load_config()):
            text = sections["Shared by all"] + sections[name]
            assert f"| `{setting.name}` |" in text and setting.description.replace("|", "\\|") in text, setting.name


@pytest.mark.parametrize("page", METHOD_PAGES, ids=lambda page: page.stem)
def test_defaults_that_a_page_gives_are_those_of_the_code(page: Path) -> None:
    fields = {setting.name: setting.default for setting in describe(METHODS[names_on(page)[0]].load_config())}
    table = page.read_text(encoding="utf-8").partition("| setting | default | from |\n")[2].partition("\n\n")[0]
    for row, given in re.findall(r"^\| (`\w+`[^|]*) \| ([^|]*) \|", table, re.MULTILINE):
        named, first = re.findall(r"`(\w+)`", row), given.split()[0].strip("`:;,")
        assert set(named) <= set(fields), row
        if len(named) == 1 and re.fullmatch(r"[\d.]+(e-?\d+)?", first):
            assert float(first) == float(fields[named[0]]), row
        elif len(named) == 1 and given.startswith("`"):
            assert first == fields[named[0]].strip('"'), row


@pytest.mark.parametrize("page", METHOD_PAGES, ids=lambda page: page.stem)
def test_the_script_runs_as_it_stands(
    page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = script_of(page)
    assert 25 < len(script.splitlines()) <= LONGEST
    monkeypatch.chdir(workplace)
    exec(compile(script, page.name, "exec"), {"__name__": "__main__"})
    scores = [float(number) for number in re.findall(r"mIoU\D*(\d\.\d+)", capsys.readouterr().out)]
    assert scores and all(0 <= score <= 1 for score in scores)
