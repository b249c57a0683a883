"""The rows of benchmarks/points.py on runs whose differences are known."""

import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CLASSES = {"sky": 0.5, "road": 0.5}
SEEDS = {0: 0.30, 1: 0.40, 2: 0.50}  # what a seed scores with 5 uniform points a frame, draw 0


@pytest.fixture
def runs(paired: ModuleType, points_page: ModuleType) -> list[Any]:
    """Uniform points gain .1 from 5 to 50 points; the other selector is worth .02 more and a tenth cheaper."""

    def run(selector: str, points: int, seed: int, draw: int, miou: float, minutes: float) -> Any:
        shares = {key: 0.25 for key, _, _ in points_page.EVIDENCE.values()}
        evidence = {**shares, "classes": CLASSES} if points else None
        return paired.Run(selector, points, seed, draw, miou, minutes, points, 1.0, {"six": miou}, {}, evidence)

    found = []
    for seed, base in SEEDS.items():
        floors = {points_page.SOURCE: -0.2, points_page.START: -0.1, points_page.NOTHING: -0.1}
        found += [run(name, 0, seed, 0, base + plus, 0) for name, plus in floors.items()]
        found.append(run(points_page.EVERYTHING, 0, seed, 0, base + 0.2, 20_000))
        for points, plus in ((5, 0.0), (50, 0.1)):
            found += [
                run(points_page.CONTROL, points, seed, draw, base + plus + extra, 10 * points)
                for draw, extra in ((0, 0.0), (1, 0.01))
            ]
            found.append(run("clever", points, seed, 0, base + plus + 0.025, 9 * points))
    return found


def test_differences_are_to_the_controls_mean_of_the_same_seed(points_page: ModuleType, runs: list[Any]) -> None:
    rows = {(row["selector"], row["points"]): row for row in points_page.summary(runs)}
    clicks, seconds = rows["clever", 5]["equal_clicks"], rows["clever", 50]["equal_seconds"]
    assert clicks.over_pairs.value == pytest.approx(0.02) and clicks.over_pairs.low == pytest.approx(0.02)
    assert (clicks.pairs, clicks.seeds) == (3, 3)
    assert seconds.over_pairs.value == pytest.approx(0.02 - 0.1 * math.log10(0.9))
    assert rows["clever", 50]["from_start_to_all_labels"] == pytest.approx(0.225 / 0.3)
    assert rows["clever", 50]["from_source_to_all_labels"] == pytest.approx(0.325 / 0.4)
    assert "equal_clicks" not in rows[points_page.CONTROL, 5]


def test_tables_name_every_row_and_numbers_are_json(points_page: ModuleType, runs: list[Any]) -> None:
    text = "\n".join(points_page.tables(runs, CLASSES, "frames", "cbst"))
    assert "+2.0 [+2.0, +2.0] (3 pairs) ⟨+2.0, +2.0⟩" in text and "75 % (81 %)" in text
    assert text.count("| clever | 5 |") == 3  # scores, evidence, classes
    numbers = points_page.plain({"rows": points_page.summary(runs), "none": math.nan})
    assert json.loads(json.dumps(numbers, allow_nan=False))["none"] is None


def test_plot_is_one_file_of_its_own(points_page: ModuleType, runs: list[Any], tmp_path: Path) -> None:
    points_page.draw_plot(tmp_path / "plot.svg", runs)
    text = (tmp_path / "plot.svg").read_text()
    assert text.count("<svg") == 1 and "<image" not in text and 'href="http' not in text
