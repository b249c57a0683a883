"""docs/networks.md names every network and preset there is, with the right sizes, and its examples run."""

import re
from pathlib import Path

import pytest
import torch

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.models.build import build
from frugalseg.training.preset import load_preset, presets
from frugalseg.workflow.catalog import NETWORKS

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
NINETEEN = ClassSet("19", tuple(SemanticClass(f"class {c}", (c, 0, 0), (c,)) for c in range(19)))
ROWS = re.findall(r"^\| `([^`]+)` \| ([\d.]+) M \|", PAGE, flags=re.MULTILINE)


def test_every_network_has_its_heading() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, flags=re.MULTILINE)
    assert [heading for heading in headings if heading in NETWORKS] == list(NETWORKS)


def test_every_preset_stands_there_with_its_network() -> None:
    rows = dict(re.findall(r"^\| `(\w+_paper\w*)` \| `([^`]+)` \|", PAGE, flags=re.MULTILINE))
    assert rows == {name: load_preset(name).network for name in presets()}


@pytest.mark.parametrize(("name", "millions"), ROWS)
def test_sizes_are_right(name: str, millions: str) -> None:
    with torch.device("meta"):
        network = build(name, NINETEEN)
    places = len(millions.partition(".")[2])
    assert f"{sum(weight.numel() for weight in network.parameters()) / 1e6:.{places}f}" == millions


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
def test_examples_run(example: str) -> None:
    exec(compile(example, "networks.md", "exec"), {})
