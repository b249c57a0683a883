"""Rows and sentences say what the scores say, and no more."""

import dataclasses
import math

import pytest

from frugalseg.core.records import Answer, Point, Query, QueryKind, Verdict
from frugalseg.evaluation import tables
from frugalseg.evaluation.compare import Interval
from frugalseg.evaluation.report import LedgerRow, Role
from frugalseg.evaluation.wording import duration, percent, points, share, shorten, signed_span, span, whole


def model(data, name):
    return next(model for model in data.models if model.name == name)


def test_headline_tells_a_gain_a_loss_and_a_doubt_apart(data):
    assert "points more than source only, for 25 min of people's time" in tables.verdict(
        data, Interval(0.1, 0.05, 0.15)
    )
    assert "10.0 points less than source only" in tables.verdict(data, Interval(-0.1, -0.15, -0.05))
    assert "no certain change from source only: +1.0 points" in tables.verdict(data, Interval(0.01, -0.02, 0.04))


def test_headline_without_people(data):
    free = dataclasses.replace(data, models=data.models[:2])
    assert "without any human label" in tables.verdict(free, tables.gain_of(free))
    alone = dataclasses.replace(data, models=data.models[:1])
    assert math.isnan(tables.gain_of(alone).value)
    assert tables.verdict(alone, tables.gain_of(alone)).endswith("with source only.")


def test_tiles_hold_the_numbers_of_first_and_last_step(data):
    tiles = {tile.label: tile for tile in tables.tiles(data, tables.gain_of(data))}
    assert list(tiles) == ["before", "after", "gain", "people's time", "of the gap closed", "against random"]
    before, after, full = (model(data, name).miou.value for name in ("source only", "point_da", "all labels"))
    assert tiles["before"].parts == ((percent(before), "% mIoU"),)
    assert tiles["gain"].parts == ((points(after - before), "points"),) and tiles["gain"].tone == "good"
    assert tiles["people's time"].parts == (("25", "min"),)
    assert tiles["of the gap closed"].parts == ((percent((after - before) / (full - before), 0), "%"),)
    assert tiles["against random"].parts == ((points(after - model(data, "random").miou.value), "points"),)


def test_a_loss_is_not_painted_as_a_gain(data):
    backwards = dataclasses.replace(data, models=(model(data, "point_da"), model(data, "source only")))
    assert {tile.label: tile.tone for tile in tables.tiles(backwards, tables.gain_of(backwards))}["gain"] == "bad"


def test_model_rows(data):
    rows = {row.model.name: row for row in tables.model_rows(data)}
    first, full = rows["source only"].model.miou.value, rows["all labels"].model.miou.value
    assert math.isnan(rows["source only"].gain.value) and math.isnan(rows["source only"].gap)
    assert math.isnan(rows["all labels"].gap)
    cbst = rows["cbst"]
    assert cbst.gain.value == pytest.approx(cbst.model.miou.value - first)
    assert cbst.gap == pytest.approx((cbst.model.miou.value - first) / (full - first))
    assert cbst.subsets[0].value == pytest.approx(cbst.model.scores.iou_C[[0, 2]].mean())  # sky and road


def test_class_rows(data):
    rows = tables.class_rows(data)
    assert [row.name for row in rows] == list(data.classes.names)
    assert sum(row.truth_share for row in rows) == pytest.approx(1)
    for class_id, row in enumerate(rows[:4]):
        assert row.before.value == data.models[0].scores.iou_C[class_id]
        assert row.gain.value == pytest.approx(row.after.value - row.before.value)
    assert rows[0].color == "#4682b4"
    assert math.isnan(rows[4].after.value) and math.isnan(rows[4].gain.value)  # the tram that nobody saw


def test_mixups_are_the_largest_shares_off_the_diagonal(data):
    source_only = data.models[0]
    rows = tables.mixup_rows(source_only, data.classes)
    matrix = source_only.confusions.total()
    assert [row.share for row in rows] == sorted((row.share for row in rows), reverse=True)
    for row in rows:
        truth, predicted = data.classes.index(row.truth), data.classes.index(row.predicted)
        assert truth != predicted and row.pixels == matrix[truth, predicted]
        assert row.share == pytest.approx(matrix[truth, predicted] / matrix[truth].sum())


def test_ledger_counts_verdicts_and_totals():
    queries = [Query(str(n), "f", QueryKind.POINT, "s", 0.0, Point(0, n)) for n in range(6)]
    verdicts = [Verdict.CLASS, Verdict.CLASS, Verdict.AMBIGUOUS, Verdict.NONE, Verdict.SKIP]
    answers = [
        Answer(str(n), verdict, 0 if verdict is Verdict.CLASS else None, "ann", 2.5)
        for n, verdict in enumerate(verdicts)
    ]
    row = LedgerRow.count("one", queries, answers, simulated=True)
    assert row == LedgerRow("one", 6, 2, 1, 1, 1, 12.5, True)
    total = tables.ledger_total((row, dataclasses.replace(row, what="two", simulated=False)))
    assert total == LedgerRow("total", 12, 4, 2, 2, 2, 25.0, True)
    assert tables.ledger_total(()).asked == 0


def test_questions_of_the_control_are_not_counted_as_ours(data):
    control = dataclasses.replace(data.ledger[0], asked=990, role=Role.CONTROL)
    with_control = dataclasses.replace(data, ledger=(*data.ledger, control))
    tile = next(t for t in tables.tiles(with_control, tables.gain_of(data)) if t.label == "people's time")
    assert tile.detail == ("10 questions", "simulated")
    assert tables.ledger_total(with_control.ledger).asked == 1000


def test_roles(data):
    assert [model.name for model in data.steps] == ["source only", "cbst", "point_da"]
    assert data.first(Role.CONTROL) is model(data, "random")
    assert dataclasses.replace(data, models=()).first(Role.CONTROL) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (3, "3 s"), (2.44, "2.4 s"), (42.4, "42 s"), (89.4, "89 s"), (95, "2 min"), (1500, "25 min"),
     (3590, "1 h"), (5400, "1 h 30 min"), (7200, "2 h"), (36_000, "10 h"), (1_372_500, "381 h"),
     (1e7, "2\u202f778 h"), (math.nan, "–")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_numbers_in_words():
    assert [percent(0.4832), percent(0.55, 0), percent(math.nan)] == ["48.3", "55", "–"]
    assert [points(0.113), points(-0.02), points(0.0), points(-0.0004), points(math.nan)] == [
        "+11.3",
        "−2.0",
        "0.0",
        "0.0",
        "–",
    ]
    shares = [0.4832, 0.0483, 0.0048, 0.00004, 0.0, 1.0, 0.0996, math.nan]
    expected = ["48 %", "4.8 %", "0.48 %", "< 0.01 %", "0 %", "100 %", "10 %", "–"]
    assert [share(value).replace("\u00a0", " ") for value in shares] == expected
    assert span(Interval(0.48, 0.461, 0.504)) == "46.1–50.4" and span(tables.UNKNOWN) == ""
    assert signed_span(Interval(0.1, -0.01, 0.13)) == "−1.0 to +13.0" and signed_span(tables.UNKNOWN) == ""
    assert whole(1234567) == "1\u202f234\u202f567" and whole(999) == "999"
    assert shorten("abcdef", 6) == "abcdef" and shorten("abcdefg", 6) == "abcde…"
