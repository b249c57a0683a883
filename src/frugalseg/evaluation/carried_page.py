"""Pages about labels carried through video: a comparison's, and the one that `propagate` writes beside its labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.evaluation import pictures
from frugalseg.evaluation.bench_propagation import (
    ANCHORS,
    INTERVALS,
    REFINED,
    CarriedData,
    class_rows,
    failings,
    gain_rows,
    origin_rows,
    refined_rows,
    score_rows,
    seeds_words,
    verdict,
)
from frugalseg.evaluation.bench_text import settings_text
from frugalseg.evaluation.distance_plot import Curves, distance_svg
from frugalseg.evaluation.page import fill, write_html
from frugalseg.evaluation.panels import FramePanels, Panel, css_color
from frugalseg.evaluation.tables import Tile
from frugalseg.evaluation.wording import share

SIDE = 420  # of a picture: sharp at 280 CSS px on a dense screen
WIDE_IN, NARROW_IN = 11.0, 4.8
ORIGIN_COLORS = np.array(
    [(70, 70, 74), (0, 114, 178), (86, 180, 233), (170, 170, 176), (230, 159, 0), (0, 158, 115)], np.uint8
)  # Okabe-Ito's; in the order of `propagation.spread.ORIGINS`


@dataclass(frozen=True, eq=False)
class CarriedFrame:
    """A frame with labels that were carried to it, by name, where their pixels come from, and the truth if known."""

    key: str
    note: str
    image: NDArray[Any]
    labels: Mapping[str, NDArray[np.uint8]]
    origin_HW: NDArray[np.uint8] | None = None
    truth_HW: NDArray[np.uint8] | None = None
    confidence_01_HW: NDArray[np.floating[Any]] | None = None
    with_errors: bool = False


@dataclass(frozen=True)
class Frames:
    """A section of pictures."""

    anchor: str
    title: str
    lead: str
    frames: Sequence[CarriedFrame]


@dataclass(frozen=True)
class TableSection:
    """A section with a table, the header first."""

    anchor: str
    title: str
    lead: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class CarriedPage:
    """Everything on such a page. `panels` are drawn as curves over k, `what` is their scale."""

    title: str
    project: str
    verdict: str
    lead: str
    what: str
    panels: Mapping[str, Curves]
    classes: ClassSet
    origins: Sequence[str]
    tables: Sequence[TableSection]
    pictures: Sequence[Frames]
    facts: Sequence[tuple[str, str]]
    footer: str
    tiles: Sequence[Tile] = ()
    said: Sequence[tuple[str, str]] = ()
    said_title: str = ""
    failed: Sequence[tuple[str, str]] = ()
    created: str = ""
    command: Sequence[str] = ()
    legend: bool = field(default=True)


def write_page(path: Path, page: CarriedPage) -> None:
    """Write the page as one self-contained HTML file."""
    write_html(path, render_page(page))


def render_page(page: CarriedPage) -> str:
    """Return the page's HTML; the same data give the same text."""
    from markupsafe import Markup

    height = 4.4
    sizes = ((WIDE_IN, height), (NARROW_IN, height * max(1, len(page.panels))))
    plots = [distance_svg(page.panels, page.what, size, page.legend) for size in sizes]
    shown = [(one, [frame_panels(frame, page.classes) for frame in one.frames]) for one in page.pictures if one.frames]
    colors = map(css_color, page.classes.colors)
    return fill(
        "carried.html.j2",
        {
            "page": page,
            "plots": [Markup(plot) for plot in plots],
            "shown": shown,
            "legend": list(zip(page.classes.names, colors, strict=True)),
            "origins": list(zip(page.origins, map(css_color, ORIGIN_COLORS), strict=False)),
            "wrong_color": css_color(pictures.WRONG_COLOR),
            "with_confidence": any(f.confidence_01_HW is not None for one in page.pictures for f in one.frames),
            "stops": [css_color(color) for color in pictures.entropy_palette()[::15]],
        },
    )


def frame_panels(frame: CarriedFrame, classes: ClassSet) -> FramePanels:
    """Return the frame, its truth, each label over the picture, where pixels come from, and what is wrong."""
    key, (height, width) = frame.key, frame.image.shape[:2]
    panels = [Panel("frame", pictures.photo_uri(frame.image, 80, SIDE), f"frame {key}")]
    if frame.truth_HW is not None:
        uri = pictures.overlay_uri(frame.image, frame.truth_HW, classes.colors, SIDE)
        panels.append(Panel("ground truth", uri, f"ground truth of frame {key}"))
    for name, label_HW in frame.labels.items():
        uri = pictures.overlay_uri(frame.image, label_HW, classes.colors, SIDE)
        said = _said(label_HW, frame.truth_HW)
        panels.append(Panel(name, uri, f"{name} for frame {key}; {said}", said))
        if frame.with_errors and frame.truth_HW is not None:
            uri = pictures.error_uri(frame.image, frame.truth_HW, label_HW, SIDE)
            panels.append(Panel("errors", uri, f"wrong pixels of {name} in frame {key}"))
    if frame.origin_HW is not None:
        uri = pictures.overlay_uri(frame.image, frame.origin_HW, ORIGIN_COLORS, SIDE)
        whose = list(frame.labels)[-1] if len(frame.labels) > 1 else ""  # of several labels the last one's
        panels.append(Panel("where from", uri, f"where the label of frame {key} comes from", whose))
    if frame.confidence_01_HW is not None:
        mean = float(frame.confidence_01_HW.mean())
        uri = pictures.entropy_uri(1 - frame.confidence_01_HW, SIDE)
        panels.append(Panel("doubt", uri, f"how unsure frame {key} is", f"confidence {mean:.2f}"))
    return FramePanels(key, height, width, tuple(panels), frame.note)


def _said(label_HW: NDArray[np.uint8], truth_HW: NDArray[np.uint8] | None) -> str:
    if truth_HW is None:
        return f"{share(float((label_HW != IGNORE).mean()))} known"
    known_HW = truth_HW != IGNORE
    return f"{share(float((label_HW == truth_HW)[known_HW].mean()))} right" if known_HW.any() else "no truth"


def bench_page(data: CarriedData, strip: Sequence[CarriedFrame], worst: Sequence[CarriedFrame]) -> CarriedPage:
    """Return the page of a comparison: curve, tables, a strip of frames, and those that came out worst."""
    panels = {ANCHORS[n]: {row.name: row.miou(n) for row in data.finished} for n in data.anchors}
    pages = [
        Frames("strip", "Frame by frame", "The same labelled frame, carried further and further.", strip),
        Frames("worst", "Where it drifted", "The labels that agree least with the truth, of each method.", worst),
    ]
    facts = [(row.name, f"{row.summary}; {_seconds(row.learning_s, row.scoring_s)}") for row in data.finished]
    facts += [("network that guesses", data.network), ("seeds", seeds_words(data.seeds))]
    facts += [("settings", settings_text(data.shared)), *data.versions.items()]
    return CarriedPage(
        title=f"{data.project}: labels carried through video",
        project=data.project,
        verdict=verdict(data),
        lead=data.split,
        what="mIoU, %",
        panels=panels,
        classes=data.classes,
        origins=data.origins,
        tables=_tables(data),
        pictures=pages,
        facts=facts,
        footer=INTERVALS,
        said=failings(data),
        said_title="Where a method is worse than motion alone",
        failed=[(f"{row.name}, {run}", text) for row in data.rows for run, text in row.failed.items()],
        created=data.created,
        command=data.command,
    )


def _seconds(learning_s: float, scoring_s: float) -> str:
    learned = f"{learning_s:.0f} s of learning and " if learning_s >= 1 else ""
    return f"{learned}{scoring_s:.0f} s of scoring a part and seed"


def _tables(data: CarriedData) -> list[TableSection]:
    found = []
    for n in data.anchors:
        lead = "mIoU in per cent; truth 255 is not counted, a propagated 255 is a miss. Ranges are 95 % intervals."
        found.append(TableSection(f"scores-{n}", f"Scores with {ANCHORS[n]}", lead, score_rows(data, n)))
        lead = "Points of mIoU over motion alone at each distance, with paired 95 % intervals."
        found.append(TableSection(f"gains-{n}", f"Gains with {ANCHORS[n]}", lead, gain_rows(data, n)))
        if refined := refined_rows(data, n):
            lead = "Points of mIoU of warp_refine over every other method, with paired 95 % intervals."
            found.append(TableSection(f"refined-{n}", f"{REFINED} with {ANCHORS[n]}", lead, refined))
        lead = "IoU in per cent, averaged over k, with Ignore as a class."
        found.append(TableSection(f"classes-{n}", f"Class by class with {ANCHORS[n]}", lead, class_rows(data, n)))
    lead = "Shares of the pixels whose truth is known, over all distances, and how many of them are right."
    return [*found, TableSection("origins", "Where pixels come from", lead, origin_rows(data))]
