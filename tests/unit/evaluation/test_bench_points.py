"""What questions bought, from invented counts: gains by hand, verdicts that say no more than is known, the tables."""

import json
from dataclasses import replace

import numpy as np
import pytest

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.evaluation.bench_points import (
    Asked,
    PointsData,
    curve,
    gain_of_selection,
    points_json,
    points_markdown,
    render_points,
    verdict,
)
from frugalseg.evaluation.bench_table import BenchData, BenchMethod, BenchRun
from frugalseg.evaluation.confusion import Confusions

NAMES = ("<road>", "car", "sky")
CLASSES = ClassSet(
    "three",
    tuple(SemanticClass(name, (9, 9, index), (index,)) for index, name in enumerate(NAMES)),
    subsets={"two": ("<road>", "car")},
)
RIGHT = {  # right pixels of 100, by seed
    "cbst": (50, 52),
    "self_training": (52, 53),
    "random": (56, 60),
    "active": (66, 65),
    "active_1": (58, 58),
    "full_labeling": (90, 88),
}
ASKED = {
    "self_training": Asked(0, 0.0, 0.0, 0.0),
    "random": Asked(10, 50.0, 1200.0, 3.0, series="random cells"),
    "active": Asked(10, 50.0, 1500.0, 4.0),
    "active_1": Asked(1, 5.0, 120.0, 0.0),
    "full_labeling": Asked(128, 640.0, 16000.0, 40.0),
}


def counts(right: int, frames: int = 8, spread: int = 3) -> Confusions:
    """Frames of which about `right` of 100 pixels of each class are right; the last class is always right."""
    found = Confusions(3)
    for number in range(frames):
        own = right + (spread if number % 2 else -spread)
        found.add(f"f{number}", np.array([[own, 100 - own, 0, 0], [100 - own, own, 0, 0], [0, 0, 100, 0]], np.int64))
    return found


def iou(right: int) -> float:
    return right / (200 - right)


def make(right: dict[str, tuple[int, ...]] = RIGHT) -> PointsData:
    methods = tuple(
        BenchMethod(
            name,
            "in words",
            800,
            tuple(BenchRun(seed, counts(value), 10.0, 20.0, 100 << 20) for seed, value in enumerate(quality)),
        )
        for name, quality in right.items()
    )
    bench = BenchData("city & co", "net", CLASSES, (0, 1), methods, {}, command=("frugalseg", "bench"))
    return PointsData(bench, ASKED, active="active", random="random")


def test_the_gain_of_selection_by_hand() -> None:
    gain = gain_of_selection(make())
    by_seed = [2 / 3 * (iou(66) - iou(56)), 2 / 3 * (iou(65) - iou(60))]  # the third class is right in both
    assert gain.value == pytest.approx(sum(by_seed) / 2)
    assert 0 < gain.low <= gain.value <= gain.high


@pytest.mark.parametrize(
    ("active", "said"),
    [
        ((66, 65), "can be told: it did. active against random, which asks as much: +"),
        ((46, 45), "can be told: it cost. active against random, which asks as much: −"),
        ((56, 60), "is open. active against random, which asks as much: 0.0 points, better with 0 of 2 seeds"),
    ],
)
def test_the_verdict_says_what_is_known(active: tuple[int, int], said: str) -> None:
    assert said in verdict(make({**RIGHT, "active": active}))


def test_without_both_rows_nothing_is_said() -> None:
    data = make({**RIGHT, "random": ()})
    assert gain_of_selection(data) is None
    assert "cannot be said" in verdict(data) and "cannot be said" in render_points(data)
    one = make({**RIGHT, "random": (56,)})
    assert "of 1 seeds" in verdict(one), "a seed that lacks one of them is left out"


def test_the_curve_runs_over_peoples_minutes() -> None:
    points = {point.name: point for point in curve(make())}
    assert list(points) == ["self_training", "active_1", "random", "active", "full_labeling"]
    assert points["active"].human_minutes == 25 and points["random"].series == "random cells"
    scores = [(2 * iou(right) + 1) / 3 for right in RIGHT["active"]]
    assert points["active"].miou == pytest.approx(sum(scores) / 2)
    assert points["active"].high - points["active"].low == pytest.approx(2 * np.std(scores, ddof=1))


def test_json_holds_what_was_asked_and_the_subsets() -> None:
    found = points_json(make())
    rows = {row["method"]: row for row in json.loads(json.dumps(found))["methods"]}
    assert rows["active"]["asked"] == {"cells": 10, "points_a_frame": 50.0, "human_seconds": 1500.0, "wrong": 4.0}
    assert "asked" not in rows["cbst"] and found["compared_with"] == "cbst"
    assert rows["active"]["subsets"]["two"]["miou"] == pytest.approx((iou(66) + iou(65)) / 2)
    assert found["selection_gain"]["low"] > 0


def test_markdown_and_page_tell_the_same() -> None:
    data = make()
    text, page = points_markdown(data), render_points(data)
    assert "| active | 10 | 50.0 | 25 min | 4 |" in text
    assert text.index("| self_training | 0 |") < text.index("| active_1 | 1 |") < text.index("| full_labeling | 128 |")
    assert verdict(data) in text and verdict(data) in page
    assert page == render_points(data) and page.count("<svg") == 4
    assert "&lt;road&gt;" in page and "<road>" not in page and "<script" not in page


def test_rows_that_failed_are_named_and_not_drawn() -> None:
    data = make({**RIGHT, "active_1": ()})
    broken = replace(data.bench.methods[4], failed={0: "Out of <memory>."})
    data = replace(data, bench=replace(data.bench, methods=(*data.bench.methods[:4], broken, data.bench.methods[5])))
    assert "* active_1, seed 0: Out of <memory>." in points_markdown(data)
    assert "active_1" not in [point.name for point in curve(data)]
    assert "Out of &lt;memory&gt;." in render_points(data)
