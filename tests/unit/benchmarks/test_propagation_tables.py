"""The tables of the benchmarks about spread labels, on results worked by hand; no network is trained here."""

import argparse
from types import ModuleType


def cells(page: str, row: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_rows_of_a_pair_are_compared_seed_by_seed(learning: ModuleType) -> None:
    scores = [(40.0, 41.0, 44.0, 50.0, 49.0), (42.0, 45.0, 46.0, 52.0, 55.0)]
    rows = ("source only", *(row for pair in learning.PAIRS.values() for row in pair))
    spread = {"answered": 10, "spread": 60, "right": 0.95, "frames": 8}
    found = [
        {"scores": dict(zip(rows, seed, strict=True)), "spread": {"points": spread, "images": spread}}
        for seed in scores
    ]
    options = argparse.Namespace(toy=41, points=50, every=20, steps=100)
    page = learning.table(found, options, 60.0)
    assert cells(page, "points spread through video") == ["45.0 ± 1.4", "+2.0", "-10.7 … +14.7"]  # t = 12.71, sd = 1.41
    assert cells(page, "images spread")[:2] == ["52.0 ± 4.2", "+1.0"]
    assert cells(page, "points only") == ["43.0 ± 2.8", "", ""]
    assert cells(page, "points") == ["10", "60", "6.0", "95.0 %", "8"]
    assert cells(learning.table(found[:1], options, 60.0), "images spread") == ["49.0 ± 0.0", "-1.0", "–"]


def test_table_1_has_mean_sample_deviation_and_difference(utility: ModuleType) -> None:
    runs = [
        {"baseline": 50.0, "warp": 51.0, "warp to 2": 50.5, "warp to 4": 52.0},
        {"baseline": 51.0, "warp": 53.0, "warp to 2": 51.0, "warp to 4": 52.0},
        {"baseline": 52.0, "warp": 55.0, "warp to 2": 51.5, "warp to 4": 53.0},
    ]
    options = argparse.Namespace(toy=None, every=20, steps=400, rows=["baseline", "warp"], horizon=[2, 4])
    page = utility.page(runs, options, 60.0)
    table, horizon = page.split("by how far away")
    assert cells(table, "baseline") == ["51.00", "1.00", "–", "–"]
    assert cells(table, "warp") == ["53.00", "2.00", "+2.00", "-0.48 … +4.48"]  # t = 4.30, sd = 1
    assert cells(horizon, "warp") == ["+0.00", "+1.33"]


def test_every_row_has_settings_that_propagate_and_the_student_take(utility: ModuleType) -> None:
    from frugalseg.adaptation.mada import MadaConfig
    from frugalseg.core.config import load_config
    from frugalseg.workflow.propagate_config import PropagateConfig

    for name, row in utility.ROWS.items():
        if row is not None:
            spread = load_config(PropagateConfig, None, row.spread)
            learned = load_config(MadaConfig, None, (*utility.FIRST_STAGE, *row.learned))
            assert learned.repeats == 1
            assert spread.joint == (name == "motion-only") and (learned.propagated_steps == (2,)) == spread.joint
