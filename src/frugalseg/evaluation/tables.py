"""The report's numbers as rows ready to print: headline, models, classes, mix-ups, ledger."""

import math
from dataclasses import dataclass

import numpy as np

from frugalseg.core.classes import ClassSet
from frugalseg.evaluation import wording
from frugalseg.evaluation.compare import (
    Interval,
    bootstrap_interval,
    gap_closed,
    paired_bootstrap,
    paired_bootstrap_classes,
)
from frugalseg.evaluation.panels import css_color
from frugalseg.evaluation.report_data import EvaluatedModel, LedgerRow, ReportData, Role

UNKNOWN = Interval(math.nan, math.nan, math.nan)
MIXUPS = 8
MIXUP_FLOOR = 1e-4  # of all pixels: shares of smaller classes are noise


@dataclass(frozen=True)
class Tile:
    """One headline number: what it is, numbers with their units, what to know about it, line by line.

    `tone` "good" or "bad" colours it.
    """

    label: str
    parts: tuple[tuple[str, str], ...]
    detail: tuple[str, ...] = ()
    tone: str = ""


@dataclass(frozen=True)
class ModelRow:
    """One line of the table of models; `gain` is mIoU minus the first step's, `gap` the share of the gap closed."""

    model: EvaluatedModel
    subsets: tuple[Interval, ...]
    gain: Interval
    gap: float


@dataclass(frozen=True)
class ClassRow:
    """One line of the table of classes: IoU of the first and the last step and the paired difference."""

    name: str
    color: str
    truth_share: float
    before: Interval
    after: Interval
    gain: Interval


@dataclass(frozen=True)
class MixupRow:
    """A confusion that the last model still makes: `share` of the pixels of `truth` are called `predicted`."""

    truth: str
    truth_color: str
    predicted: str
    predicted_color: str
    share: float
    pixels: int


def gain_of(data: ReportData) -> Interval:
    """Return mIoU of the last step minus that of the first, with its paired interval; NaN with fewer than two steps."""
    return _difference(data.steps[0], data.steps[-1]) if len(data.steps) > 1 else UNKNOWN


def verdict(data: ReportData, gain: Interval) -> str:
    """Say in one sentence what the models' scores show, and no more than they show."""
    if not data.steps:
        return "No labelled frames were given, so nothing is scored; what follows is for the eye."
    before, after = data.steps[0], data.steps[-1]
    score = f"{wording.percent(after.miou.value)} % mIoU with {after.name}"
    if before is after:
        return f"{score}."
    spent = after.human_seconds - before.human_seconds
    cost = f"for {wording.duration(spent)} of people's time" if spent > 0 else "without any human label"
    much = wording.points(abs(gain.value)).lstrip("+")
    if gain.low > 0:
        return f"{score}: {much} points more than {before.name}, {cost}."
    if gain.high < 0:
        return f"{score}: {much} points less than {before.name}, {cost}."
    return f"{score}, {cost}. That is no certain change from {before.name}: {wording.points(gain.value)} points."


def tiles(data: ReportData, gain: Interval) -> tuple[Tile, ...]:
    """Return the headline numbers that this report can give."""
    if not data.steps:
        return ()
    before, after = data.steps[0], data.steps[-1]
    if before is after:
        return (_score_tile("mIoU", after), _time_tile(data, after))
    found = [
        _score_tile("before", before),
        _score_tile("after", after),
        _gain_tile("gain", gain),
        _time_tile(data, after),
    ]
    full, control = data.first(Role.UPPER_BOUND), data.control_of(after)
    if full:
        gap = gap_closed(before.miou.value, after.miou.value, full.miou.value)
        all_labels = (f"{full.name}: {wording.percent(full.miou.value)} %", wording.duration(full.human_seconds))
        found.append(Tile("of the gap closed", ((wording.percent(gap, 0), "%"),), all_labels))
    if control and control.took_as_long(after):
        found.append(_gain_tile("against random", _difference(control, after)))
    return tuple(found)


def model_rows(data: ReportData) -> tuple[ModelRow, ...]:
    """Return one row a model, with its mean over each named subset of the classes."""
    base, full = data.steps[0] if data.steps else None, data.first(Role.UPPER_BOUND)
    rows = []
    for model in data.models:
        subsets = (bootstrap_interval(model.confusions, data.classes.subset_ids(name)) for name in data.classes.subsets)
        gain = _difference(base, model) if base and model is not base else UNKNOWN
        gap = math.nan
        if base and full and model is not base and model is not full:
            gap = gap_closed(base.miou.value, model.miou.value, full.miou.value)
        rows.append(ModelRow(model, tuple(subsets), gain, gap))
    return tuple(rows)


def class_rows(data: ReportData) -> tuple[ClassRow, ...]:
    """Return one row a class, in class-id order."""
    if not data.steps:
        return ()
    before, after = data.steps[0], data.steps[-1]
    truth_C = after.scores.truth_px_C
    gains: tuple[Interval, ...] = (UNKNOWN,) * len(data.classes)
    if before is not after and len(after.confusions):
        gains = paired_bootstrap_classes(before.confusions, after.confusions)
    return tuple(
        ClassRow(
            name=name,
            color=css_color(data.classes.colors[class_id]),
            truth_share=float(truth_C[class_id] / max(1, truth_C.sum())),
            before=before.iou_C[class_id],
            after=after.iou_C[class_id],
            gain=gains[class_id],
        )
        for class_id, name in enumerate(data.classes.names)
    )


def mixup_rows(model: EvaluatedModel, classes: ClassSet) -> tuple[MixupRow, ...]:
    """Return the confusions that cost the most: the largest shares of a class's pixels that go to one other class."""
    matrix = model.confusions.total()[:, : len(classes)]
    truth_C = model.scores.truth_px_C
    share_CC = matrix / np.maximum(1, truth_C)[:, None]
    share_CC[np.eye(len(classes), dtype=bool) | (truth_C < MIXUP_FLOOR * truth_C.sum())[:, None]] = 0
    worst = np.argsort(-share_CC, axis=None, kind="stable")[:MIXUPS]
    pairs = (divmod(int(flat), len(classes)) for flat in worst)
    return tuple(
        MixupRow(
            truth=classes.names[truth],
            truth_color=css_color(classes.colors[truth]),
            predicted=classes.names[predicted],
            predicted_color=css_color(classes.colors[predicted]),
            share=float(share_CC[truth, predicted]),
            pixels=int(matrix[truth, predicted]),
        )
        for truth, predicted in pairs
        if share_CC[truth, predicted] > 0
    )


def ledger_total(rows: tuple[LedgerRow, ...]) -> LedgerRow:
    """Return the sums."""
    return LedgerRow(
        what="total",
        asked=sum(row.asked for row in rows),
        classes=sum(row.classes for row in rows),
        ambiguous=sum(row.ambiguous for row in rows),
        none=sum(row.none for row in rows),
        skipped=sum(row.skipped for row in rows),
        human_seconds=math.fsum(row.human_seconds for row in rows),
        simulated=any(row.simulated for row in rows),
    )


def subset_title(data: ReportData, name: str) -> str:
    """Return the heading of a subset's column: its name and how many classes it has."""
    return f"{name} ({len(data.classes.subsets[name])})"


def _difference(before: EvaluatedModel, after: EvaluatedModel) -> Interval:
    return paired_bootstrap(before.confusions, after.confusions, before.scores.ids)


def _score_tile(label: str, model: EvaluatedModel) -> Tile:
    return Tile(label, ((wording.percent(model.miou.value), "% mIoU"),), (model.name, wording.span(model.miou)))


def _gain_tile(label: str, gain: Interval) -> Tile:
    tone = "good" if gain.low > 0 else "bad" if gain.high < 0 else ""
    return Tile(label, ((wording.points(gain.value), "points"),), (wording.signed_span(gain),), tone)


def _time_tile(data: ReportData, model: EvaluatedModel) -> Tile:
    words = wording.duration(model.human_seconds).split(" ")
    asked = sum(row.asked for row in data.ledger if row.role is Role.STEP)
    source = "simulated" if any(row.simulated for row in data.ledger) else "measured" if data.answered else ""
    questions = f"{wording.whole(asked)} questions" if asked else ""
    return Tile("people's time", tuple(zip(words[::2], words[1::2], strict=False)), (questions, source))
