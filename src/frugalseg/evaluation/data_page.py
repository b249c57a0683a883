"""The page of `check`: one HTML file with the problems, the numbers of each data set, and the labels laid over frames.

As self-contained as the report: no script, nothing from outside, every text escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.records import Region
from frugalseg.evaluation import pictures, wording
from frugalseg.evaluation.page import fill, write_html
from frugalseg.evaluation.panels import FramePanels, Panel, css_color

NOBODY = 254  # in a label map: an id that no class has
NOBODY_COLOR = (255, 0, 255)  # no class of any set we know is magenta
LABEL_WEIGHT = 0.55  # of the class colour over the photo
OWN_CAR_WEIGHT = 0.3  # of the photo where the ego mask hides it
SIDE = 400  # of a picture on the sheet
SERIES = ("var(--blue)", "var(--orange)", "var(--green)")  # the sets, in the plots
PLOT = Region(0, 0, 60, 240)  # size of a plot, in its own units
BINS = 30


@dataclass(frozen=True, eq=False)
class SheetFrame:
    """A frame on the contact sheet: H x W x 3, class ids (IGNORE, NOBODY) and mask if any, what is wrong with it."""

    key: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8] | None = None
    usable: NDArray[np.bool_] | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PageSet:
    """One data set: counts, its look frame by frame (N values by name), pixels and frames of each class, its sheet."""

    name: str
    frames: int
    labelled: int
    refused: int
    sizes: str
    light: dict[str, NDArray[np.float32]]
    pixels_C: NDArray[np.int64]
    frames_C: NDArray[np.int64]
    sheet: tuple[SheetFrame, ...] = ()


@dataclass(frozen=True)
class ProblemRow:
    """What is wrong with some files of one kind: how many, the first of them (path, what), and the mend."""

    title: str
    count: int
    examples: tuple[tuple[str, str], ...]
    mend: str


@dataclass(frozen=True, eq=False)
class DataPage:
    """Everything on the page; `remarks` are (set, sentence, warning), `alike` pairs of frames that look alike."""

    project: str
    created: str
    classes: ClassSet
    sets: tuple[PageSet, ...]
    problems: tuple[ProblemRow, ...]
    remarks: tuple[tuple[str, str, bool], ...]
    gap: str
    alike: tuple[tuple[SheetFrame, SheetFrame], ...] = ()


@dataclass(frozen=True)
class Plot:
    """Distributions of one number over the frames of each set: (set, colour, outline, mean's place), and its ends."""

    title: str
    low: str
    high: str
    lines: tuple[tuple[str, str, str, float], ...]


def write_page(path: Path, page: DataPage) -> None:
    """Write the page as one self-contained HTML file."""
    write_html(path, render(page))


def render(page: DataPage) -> str:
    """Return the page's HTML; the same data give the same text."""
    return fill("data.html.j2", _context(page))


def overlay(frame: SheetFrame, classes: ClassSet) -> NDArray[np.uint8]:
    """Return the photo with its label in the classes' colours over it, and darkened where the ego mask hides it."""
    shown = frame.image.astype(np.float32)
    if frame.label is not None and frame.label.shape == frame.image.shape[:2]:
        colors = np.zeros((256, 3), np.float32)
        colors[: len(classes)] = classes.colors
        colors[NOBODY] = NOBODY_COLOR
        labelled = frame.label != IGNORE
        shown[labelled] += LABEL_WEIGHT * (colors[frame.label[labelled]] - shown[labelled])
    if frame.usable is not None and frame.usable.shape == frame.image.shape[:2]:
        shown[~frame.usable] *= OWN_CAR_WEIGHT
    return shown.round().astype(np.uint8)


def light_plots(sets: Sequence[PageSet]) -> tuple[Plot, ...]:
    """Return one plot for each number of the frames' look, with one line a set."""
    names = list(dict.fromkeys(name for one in sets for name in one.light))
    return tuple(_plot(name, sets) for name in names if any(len(one.light.get(name, ())) for one in sets))


def verdict(page: DataPage) -> str:
    """Say in one sentence how the data stand."""
    count = sum(problem.count for problem in page.problems)
    frames = wording.whole(sum(one.frames for one in page.sets))
    if count:
        files, reasons = "file" if count == 1 else "files", len(page.problems)
        why = f"{reasons} {'reason' if reasons == 1 else 'reasons'}"
        return f"{wording.whole(count)} {files} to be mended, for {why}, in {frames} frames."
    warnings = sum(warning for _, _, warning in page.remarks)
    if warnings:
        return f"No problem in {frames} frames; {warnings} {'thing' if warnings == 1 else 'things'} to think about."
    return f"No problem in {frames} frames."


def _context(page: DataPage) -> dict[str, Any]:
    return {
        "page": page,
        "verdict": verdict(page),
        "plots": light_plots(page.sets),
        "plot_size": PLOT,
        "series": [(one.name, SERIES[number % len(SERIES)]) for number, one in enumerate(page.sets)],
        "rows": _class_rows(page),
        "sheets": [(one, [_panels(frame, page.classes) for frame in one.sheet]) for one in page.sets if one.sheet],
        "alike": [[_panels(frame, page.classes) for frame in pair] for pair in page.alike],
        "legend": list(zip(page.classes.names, map(css_color, page.classes.colors), strict=True)),
        "nobody": css_color(np.array(NOBODY_COLOR, np.uint8)),
    }


def _class_rows(page: DataPage) -> list[dict[str, Any]]:
    """Return for each class: its colour, and its share of labelled pixels and its frames in each labelled set."""
    labelled = [one for one in page.sets if one.labelled]
    rows = []
    for class_id, name in enumerate(page.classes.names):
        cells = [
            (one.name, one.pixels_C[class_id] / max(1, one.pixels_C.sum()), int(one.frames_C[class_id]))
            for one in labelled
        ]
        rows.append({"name": name, "color": css_color(page.classes.colors[class_id]), "cells": cells})
    return rows if labelled else []


def _panels(frame: SheetFrame, classes: ClassSet) -> FramePanels:
    what = "no label" if frame.label is None else "label over the frame"
    tags = () if frame.label is None else pictures.place_names(_named(frame.label, classes), classes.names)
    photo = pictures.photo_uri(overlay(frame, classes), quality=80, side=SIDE)
    panel = Panel(frame.key, photo, f"frame {frame.key}, {what}", "", tags=tags)
    height, width = frame.image.shape[:2]
    return FramePanels(frame.key, height, width, (panel,), "; ".join(frame.problems))


def _named(label_HW: NDArray[np.uint8], classes: ClassSet) -> NDArray[np.uint8]:
    return np.where(label_HW < len(classes), label_HW, np.uint8(IGNORE))


def _plot(name: str, sets: Sequence[PageSet]) -> Plot:
    everything = np.concatenate([one.light[name] for one in sets if len(one.light.get(name, ()))])
    low, high = float(everything.min()), float(everything.max())
    margin = max(0.05 * (high - low), 0.005)
    low, high = low - margin, high + margin
    lines = []
    for number, one in enumerate(sets):
        values = one.light.get(name, np.zeros(0, np.float32))
        if len(values):
            place = (float(values.mean()) - low) / (high - low) * PLOT.width
            lines.append((one.name, SERIES[number % len(SERIES)], _outline(values, low, high), round(place, 1)))
    return Plot(name, f"{low:.2f}", f"{high:.2f}", tuple(lines))


def _outline(values: NDArray[np.float32], low: float, high: float) -> str:
    """Return an SVG path: a histogram, smoothed over three bins, as high as the plot."""
    counts, _ = np.histogram(values, BINS, (low, high))
    smooth = np.convolve(np.pad(counts.astype(float), 1), (0.25, 0.5, 0.25), "same")
    xs = np.linspace(-0.5, BINS + 0.5, BINS + 2) / BINS * PLOT.width
    ys = PLOT.height * (1 - 0.95 * smooth / smooth.max())
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs.clip(0, PLOT.width), ys, strict=True))
    return f"M0,{PLOT.height} L{points} L{PLOT.width},{PLOT.height} Z"
