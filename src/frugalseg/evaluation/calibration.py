"""Calibration as the report tells it: one line a model, a sentence in plain words, the classes least to be believed."""

import math
from dataclasses import dataclass

import numpy as np

from frugalseg.core.classes import ClassSet
from frugalseg.evaluation.panels import css_color
from frugalseg.evaluation.reliability import BINS, PIXELS, Reliability, ReliabilityCurve
from frugalseg.evaluation.report_data import ReportData
from frugalseg.evaluation.wording import percent, share

HONEST = 0.02  # of |confidence - accuracy|: not worth a word
SURE_BIN = 12  # the first bin of confidences above 80 %
CLASSES = 6
CLASS_FLOOR = 1e-3  # of all pixels predicted: smaller classes are noise


@dataclass(frozen=True)
class CalibrationRow:
    """One model: mean confidence, accuracy, their difference and the expected calibration error; fractions."""

    name: str
    curve: ReliabilityCurve

    @property
    def verdict(self) -> str:
        """Too sure, too modest, or neither."""
        if self.curve.gap > HONEST:
            return "too sure"
        if self.curve.gap < -HONEST:
            return "too modest"
        return "about right on average"


@dataclass(frozen=True)
class ClassTrust:
    """Pixels predicted as one class: how sure the network was, and how many were right."""

    name: str
    color: str
    confidence: float
    accuracy: float


def calibration_rows(data: ReportData) -> tuple[CalibrationRow, ...]:
    """Return one row a model that has counts of any pixel, in the models' order."""
    rows = [CalibrationRow(m.name, data.reliability[m.name].curve()) for m in data.models if m.name in data.reliability]
    return tuple(row for row in rows if not math.isnan(row.curve.ece))


def in_words(row: CalibrationRow) -> str:
    """Say what the curve means: an example (the pixels it is sure of, if any) and the whole."""
    curve = row.curve
    sure = slice(SURE_BIN, None)
    pixels = int(curve.pixels_B[sure].sum())
    if pixels:
        right = float(np.nansum(curve.pixels_B[sure] * curve.accuracy_B[sure]) / pixels)
        of_all = share(float(pixels / curve.pixels_B.sum()))
        when = f"Where {row.name} is at least {percent(SURE_BIN / BINS, 0)} % sure, on {of_all} of the pixels"
        example = f"{when}, it is right {percent(right)} % of the time."
    else:
        example = f"{row.name} is nowhere more than {percent(SURE_BIN / BINS, 0)} % sure."
    points = f"{abs(100 * curve.gap):.1f} points"
    if curve.gap > HONEST:
        mean = f"On average it is {points} surer than it is right: do not read its confidence as a chance."
    elif curve.gap < -HONEST:
        mean = f"On average it is right more often than it believes, by {points}."
    elif curve.ece > HONEST:
        mean = "On average its confidence fits, but too sure here and too modest there cancel out."
    else:
        mean = "Its confidence can be taken at its word."
    return f"{example} {mean}"


def least_trusted(reliability: Reliability, classes: ClassSet) -> tuple[ClassTrust, ...]:
    """Return the predicted classes whose confidence is furthest from their accuracy, the worst first."""
    whole = max(1, int(reliability.counts[..., PIXELS].sum()))
    found = []
    for class_id, name in enumerate(classes.names):
        curve = reliability.curve([class_id])
        if curve.pixels_B.sum() >= CLASS_FLOOR * whole and abs(curve.gap) > HONEST:
            color = css_color(classes.colors[class_id])
            found.append((abs(curve.gap), ClassTrust(name, color, curve.confidence, curve.accuracy)))
    found.sort(key=lambda pair: -pair[0])
    return tuple(trust for _, trust in found[:CLASSES])
