"""What labelled frames and parts bought, from invented counts: gains by hand, verdicts, the same in text and page."""

import json

import numpy as np
import pytest

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.evaluation.bench_images import (
    AskedImages,
    ImagesData,
    added,
    added_text,
    curve,
    images_json,
    images_markdown,
    render_images,
    verdict,
)
from frugalseg.evaluation.bench_table import BenchData, BenchMethod, BenchRun
from frugalseg.evaluation.confusion import Confusions

CLASSES = ClassSet("two", tuple(SemanticClass(name, (9, 9, id), (id,)) for id, name in enumerate(("<road>", "car"))))
RIGHT = {"m0": (50, 52), "m1": (66, 65), "m2": (67, 64), "mu": (90, 88), "m1_10%": ()}  # of 100 pixels, by seed
ASKED = {
    "m1": AskedImages(15, 67_500.0, "m0", "labels, by budget"),
    "m2": AskedImages(15, 67_500.0, "m1", "m2"),
    "mu": AskedImages(300, 1_350_000.0, "m1", "labels, by budget"),
    "m1_10%": AskedImages(30, 135_000.0, "m1", "labels, by budget"),
}


def counts(right: int, spread: int = 3) -> Confusions:
    found = Confusions(2)
    for number in range(8):
        own = right + (spread if number % 2 else -spread)
        found.add(f"f{number}", np.array([[own, 100 - own, 0], [100 - own, own, 0]], np.int64))
    return found


def iou(right: int) -> float:
    return right / (200 - right)


@pytest.fixture
def data() -> ImagesData:
    methods = tuple(
        BenchMethod(
            name,
            "in words",
            800,
            tuple(BenchRun(seed, counts(value), 10.0, 20.0, 100 << 20) for seed, value in enumerate(quality)),
            failed={} if quality else {0: "Out of <memory>."},
        )
        for name, quality in RIGHT.items()
    )
    bench = BenchData("city & co", "net", CLASSES, (0, 1), methods, {}, command=("frugalseg", "bench"))
    return ImagesData(bench, ASKED)


def test_what_a_row_adds_by_hand(data: ImagesData) -> None:
    gain = added(data, "m1")
    assert gain.value == pytest.approx(((iou(66) - iou(50)) + (iou(65) - iou(52))) / 2)
    assert 0 < gain.low <= gain.value <= gain.high
    assert added_text(data, "m1").startswith("+14.5 over m0 (+") and added_text(data, "m1").endswith("2 of 2 seeds")
    assert added_text(data, "m2").endswith("1 of 2 seeds") and "over m1" in added_text(data, "m2")
    assert added(data, "m1_10%") is None and added_text(data, "m1_10%") == "–"


def test_the_verdict_says_no_more_than_is_known(data: ImagesData) -> None:
    assert verdict(data) == "Can be told to pay: m1 over m0, mu over m1; open: m2 over m1."
    assert verdict(ImagesData(data.bench, {})) == "Nothing finished that asked."


def test_budgets_lie_on_one_curve_over_peoples_minutes(data: ImagesData) -> None:
    points = {point.name: point for point in curve(data)}
    assert list(points) == ["m1", "m2", "mu"], "what failed is not drawn"
    assert points["m1"].human_minutes == 1125 and points["m1"].series == points["mu"].series != points["m2"].series


def test_text_page_and_json_tell_the_same(data: ImagesData) -> None:
    text, page = images_markdown(data), render_images(data)
    assert "| m1 | 15 | 19 h |" in text and f"| {added_text(data, 'm1')} |" in text
    assert verdict(data) in text and verdict(data) in page
    assert page == render_images(data) and page.count("<svg") == 4
    assert "&lt;road&gt;" in page and "<road>" not in page and "Out of &lt;memory&gt;." in page
    rows = {row["method"]: row for row in json.loads(json.dumps(images_json(data)))["methods"]}
    assert rows["m1"]["asked"] == {"frames": 15, "human_seconds": 67_500.0, "over": "m0"}
    assert rows["m1"]["added"]["low"] > 0 and rows["m1_10%"]["added"] is None and "asked" not in rows["m0"]
