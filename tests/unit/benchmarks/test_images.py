"""The rows of benchmarks/images.py on runs whose differences are known, and what may stand on one graph with them."""

import json
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SEEDS = {0: 0.30, 1: 0.40, 2: 0.50}  # what a seed scores with random frames, draw 0
JUDGED = "diverse_images"


@pytest.fixture
def runs(paired: ModuleType, points_page: ModuleType) -> list[Any]:
    """Random frames differ by .01 between draws; chosen ones are worth .025, pseudo-labels on them .03 more."""

    def run(name: str, percent: int, seed: int, draw: int, miou: float, frames: int) -> Any:
        return paired.Run(name, percent, seed, draw, miou, frames * 75.0, frames, 1.0, {"six": miou}, {})

    found = []
    for seed, base in SEEDS.items():
        found += [run(points_page.SOURCE, 0, seed, 0, base - 0.2, 0), run(points_page.START, 0, seed, 0, base - 0.1, 0)]
        found.append(run(points_page.EVERYTHING, 0, seed, 0, base + 0.2, 305))
        found += [run("random_images", 5, seed, draw, base + draw / 100, 15) for draw in range(2)]
        found += [run(JUDGED, 5, seed, 0, base + 0.025, 15), run("m4", 5, seed, 0, base + 0.055, 15)]
    return found


def test_selectors_are_compared_with_random_frames_and_parts_with_the_same_frames(
    images_page: ModuleType, runs: list[Any]
) -> None:
    rows = {row["name"]: row for row in images_page.summary(runs, JUDGED)}
    chosen, part = rows[JUDGED]["over_random"], rows["m4"]["over_m1"]
    assert chosen.over_pairs.value == pytest.approx(0.02) and (chosen.pairs, chosen.seeds) == (3, 3)
    assert part.over_pairs.value == pytest.approx(0.03) and part.over_pairs.low == pytest.approx(0.03)
    assert "over_random" not in rows["m4"] and "over_random" not in rows["random_images"]
    assert rows["m4"]["hours"] == 15 * 75 / 60 and rows["m4"]["from_start_to_all_labels"] == pytest.approx(0.155 / 0.3)


def test_tables_name_every_row_once(images_page: ModuleType, runs: list[Any]) -> None:
    text = "\n".join(images_page.tables(runs, "frames", ["mean_teacher"], JUDGED, "adaptsegnet"))
    assert "mean_teacher after source_only" in text and "aada ask adaptsegnet after source_only" in text
    assert "+2.0 [+2.0, +2.0] (3 pairs) ⟨+2.0, +2.0⟩" in text and "+3.0 [+3.0, +3.0] (3 pairs)" in text
    assert text.count(f"| {JUDGED} | 5 | 15 |") == text.count("| m4 | 5 | 15 |") == 1
    assert f"those of {JUDGED}" in text and "standard deviation of 0.7 points" in text


def test_points_and_frames_stand_on_one_graph_each_with_its_band(
    images_page: ModuleType, runs: list[Any], paired: ModuleType, tmp_path: Path
) -> None:
    points = [
        paired.Run("random_points", each, 0, 0, 0.3 + each / 500, 15.0 * each, 305 * each, 1.0, {}, {})
        for each in (5, 10, 50)
    ]
    images_page.draw_hours(tmp_path / "plot.svg", runs, points, [60, 90], [1.5, 6])
    text = (tmp_path / "plot.svg").read_text()
    assert text.count("<svg") == 1 and "<image" not in text and 'href="http' not in text
    assert text.count("fill-opacity: 0.12") >= 4 or text.count("opacity: 0.12") >= 4  # points, control, judged, m4


def test_points_from_another_start_are_refused(images: ModuleType, tmp_path: Path, paired: ModuleType) -> None:
    settings = {
        "source_only": {"lr": 1.0, "seed": 2},
        "mean_teacher": {"ema": 0.9, "seed": 2},
        "mada m1": {"steps": 500},
    }
    run = vars(paired.Run("random_points", 5, 0, 0, 0.3, 1.0, 10, 1.0, {}, {}))
    floor = {**run, "points": 0}
    theirs = {
        "source_only": {"lr": 1.0, "seed": 0},
        "mean_teacher": {"ema": 0.9, "seed": 0},
        "point_da": {"steps": 300},
    }
    (tmp_path / "points.json").write_text(json.dumps({"settings": theirs, "runs": [run, floor]}))
    points, length = images.read_points(tmp_path / "points.json", settings)
    assert [one.points for one in points] == [5]
    assert length == "On the plot points are learned in 300 steps of point_da, frames in 500 of mada."
    other = {**theirs, "cbst": {"rounds": 3}}
    (tmp_path / "points.json").write_text(json.dumps({"settings": other, "runs": [run]}))
    with pytest.raises(SystemExit, match="go on from source_only, cbst, mean_teacher, these frames from source_only"):
        images.read_points(tmp_path / "points.json", settings)


@pytest.mark.parametrize(("row", "draws"), [("random_images", 3), ("multi_anchor:anchors=5", 2), ("entropy_images", 1)])
def test_draws_are_for_selectors_that_draw(images: ModuleType, row: str, draws: int) -> None:
    assert images.draws_of(row, images.CONTROL, Namespace(draws=2, control_draws=3)) == draws
