"""The page on labels through video names what the code has: methods, files, settings, origins."""

import re
from pathlib import Path

from frugalseg.core.config import describe
from frugalseg.propagation.spread import ORIGINS
from frugalseg.training.preset import presets
from frugalseg.workflow.catalog import PROPAGATORS
from frugalseg.workflow.propagate_config import PropagateConfig

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "methods" / "warp_refine.md").read_text(encoding="utf-8")


def test_it_is_about_every_propagator() -> None:
    title = TEXT.partition("\n")[0]
    assert title.partition(": ")[2].split(", ") == list(PROPAGATORS)


def test_files_and_presets_exist() -> None:
    folder = ROOT / "src" / "frugalseg" / "propagation"
    named = set(re.findall(r"`(\w+\.py)`", TEXT))
    assert len(named) > 10 and all((folder / name).is_file() for name in named)
    assert all((ROOT / path).is_file() for path in re.findall(r"`(benchmarks/\w+\.py)`", TEXT))
    assert set(re.findall(r"\w+_paper\b", TEXT)) <= set(presets())


def test_settings_it_gives_are_those_of_the_code() -> None:
    fields = {setting.name: setting.default for setting in describe(PropagateConfig)}
    given = dict(re.findall(r"`(\w+) = ([\w.]+)`", TEXT))
    assert {"tau", "anchors", "extend", "precision"} <= set(given) <= set(fields)
    assert float(given["tau"]) == float(fields["tau"])


def test_origins_are_numbered_as_in_the_code() -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith("| `origin/KEY.png`"))
    words = {"before": "before", "after": "after"}
    for number, origin in enumerate(ORIGINS):
        part = re.search(rf"\b{number} ([^,|]*)", row)[1]
        assert words.get(origin, "guess" if origin == "semantic" else origin) in part
