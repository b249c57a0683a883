"""benchmarks/points_together.py: runs of several results in one table, each once, and never with other settings."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SETTINGS: dict[str, Any] = {
    "source_only": {"lr": 1.0, "seed": 4},
    "mean_teacher": {"ema": 0.9, "seed": 4},
    "point_da": {"steps": 300, "seed": 4},
    "random_points": {},
}
EVIDENCE = [
    "near_edge", "ambiguous", "surprise", "entropy_01", "effective_classes", "classes_off", "neighbour_px", "alike",
    "bits", "bits_a_minute",
]  # fmt: skip


def run(selector: str, points: int, seed: int, miou: float) -> dict[str, Any]:
    evidence = {**dict.fromkeys(EVIDENCE, 0.5), "classes": {"road": 1.0}}
    return {
        "selector": selector, "points": points, "seed": seed, "draw": 0, "miou": miou, "minutes": 10.0 * points,
        "clicks": points, "cpu_s": 1.0, "subsets": {"frequent": miou}, "iou": {"road": miou}, "evidence": evidence,
    }  # fmt: skip


def write(path: Path, seeds: dict[int, float], rows: dict[tuple[str, int], float], **settings: Any) -> Path:
    """Write a result in which every row scores so much more than its seed's start."""
    floors = {"source only": -0.1, "start": 0.0, "nobody asked (K = 0)": 0.1, "all labels": 0.4}
    runs = [run(name, 0, seed, base + more) for seed, base in seeds.items() for name, more in floors.items()]
    runs += [run(*row, seed, base + more) for seed, base in seeds.items() for row, more in rows.items()]
    path.parent.mkdir(exist_ok=True)
    found = {"settings": {**SETTINGS, **settings}, "runs": runs, "true_class_shares": {"road": 1.0}, "how": [str(path)]}
    path.write_text(json.dumps(found))
    return path


def test_rows_take_the_seeds_that_either_result_has(
    points_together: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    control = {("random_points", 5): 0.15}
    first = write(tmp_path / "a" / "points_2026-01-01.json", {0: 0.3, 1: 0.4, 2: 0.5}, control)
    margin = {**control, ("margin", 5): 0.17, ("margin", 10): 0.2, ("random_points", 10): 0.17}
    second = write(tmp_path / "b" / "points_2026-01-02.json", {0: 0.3, 1: 0.4}, margin, margin={})
    monkeypatch.setattr(sys, "argv", ["points_together.py", str(first), str(second), "--out", str(tmp_path / "out")])
    points_together.main()
    printed = capsys.readouterr().out
    scores = printed.split("## What the answers were like")[0]
    rows = {tuple(cells[1:3]): cells[3:] for cells in map(row_cells, scores.splitlines()) if len(cells) > 8}
    assert rows["random_points", "5"][:3] == ["55.0 ± 10.0", "55.0", "3"] and rows["random_points", "10"][2] == "2"
    assert rows["margin", "5"][2] == "2" and "+2.0 [+2.0, +2.0] (2 pairs)" in rows["margin", "5"][4]
    assert "camvid-day/test" in printed and str(first) in printed and str(second) in printed
    written = next((tmp_path / "out").glob("points_*.json"))
    assert len(json.loads(written.read_text())["runs"]) == 3 * 4 + 3 + 2 * 3


def row_cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("points_2026-01-02", {"point_da": {"steps": 800, "seed": 4}}, "point_da has another steps than in .*01-01"),
        ("points_2026-01-02", {"cbst": {"rounds": 3}}, r"go on from \['cbst', 'mean_teacher'\], those of .*01-01"),
        ("points_dev_0006R0_2026-01-02", {}, "other frames were scored than in"),
        ("numbers", {}, "expected a result of points.py by its own name"),
    ],
)
def test_results_that_do_not_compare_are_refused(
    points_together: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, settings: Any, message: str
) -> None:
    first = write(tmp_path / "points_2026-01-01.json", {0: 0.3}, {("random_points", 5): 0.1})
    second = write(tmp_path / f"{name}.json", {1: 0.3}, {("random_points", 5): 0.1}, **settings)
    monkeypatch.setattr(sys, "argv", ["points_together.py", str(first), str(second)])
    with pytest.raises(SystemExit, match=message):
        points_together.main()


def test_another_seed_is_no_other_setting(points_together: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "points_2026-01-02.json"
    other = {name: {**own, "seed": 0} if "seed" in own else own for name, own in SETTINGS.items()}
    assert points_together.agreed({tmp_path / "points_2026-01-01.json": SETTINGS, path: other}) == SETTINGS
