"""The pictures of one frame with what is drawn over them: chosen cells, answered points, class names, captions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.records import Answer, Query, Region, Verdict
from frugalseg.evaluation import pictures
from frugalseg.evaluation.report_data import ShownFrame
from frugalseg.evaluation.wording import duration, share

UNANSWERED = "unanswered"
SAID: dict[str, str] = {
    Verdict.CLASS: "a class",
    Verdict.MASK: "the whole image",
    Verdict.AMBIGUOUS: "boundary or mixed pixel",
    Verdict.NONE: "none of the classes",
    Verdict.SKIP: "skipped",
    UNANSWERED: "not answered yet",
}  # also the order of the legend


@dataclass(frozen=True)
class Mark:
    """A point that was asked about: where, what came back (a Verdict or "unanswered"), in which colour."""

    x: float
    y: float
    verdict: str
    color: str
    title: str


@dataclass(frozen=True)
class Panel:
    """One picture; `cells`, `marks` and `tags` are drawn over it in the frame's own pixels."""

    title: str
    uri: str
    alt: str
    caption: str = ""
    cells: tuple[Region, ...] = ()
    marks: tuple[Mark, ...] = ()
    tags: tuple[pictures.Tag, ...] = ()


@dataclass(frozen=True)
class FramePanels:
    """All pictures of one frame in one section."""

    key: str
    height: int
    width: int
    panels: tuple[Panel, ...]
    summary: str = ""


def css_color(rgb: NDArray[np.uint8]) -> str:
    """(255, 0, 128) → "#ff0080"."""
    return "#" + bytes(rgb.tolist()).hex()


def question_panels(frame: ShownFrame, classes: ClassSet) -> FramePanels | None:
    """Return the photo with the points people answered and the entropy map with the chosen cells; None without both."""
    if not frame.queries and frame.entropy_01 is None:
        return None
    cells = tuple(dict.fromkeys(query.cell for query in frame.queries if query.cell))
    last = {answer.query: answer for answer in frame.answers}
    marks = tuple(_mark(query, last.get(query.id), classes) for query in frame.queries if query.point)
    asked = f"{len(frame.queries)} questions in {len(cells)} cells" if cells else f"{len(frame.queries)} questions"
    photo = Panel(
        "what people were asked", pictures.photo_uri(frame.image), f"frame {frame.key}; {asked}", "", cells, marks
    )
    panels = [photo]
    if frame.entropy_01 is not None:
        mean = float(np.nanmean(frame.entropy_01)) if np.isfinite(frame.entropy_01).any() else 0.0
        alt = f"entropy of the model's prediction in frame {frame.key}, mean {mean:.2f}"
        caption = f"mean {mean:.2f}"
        panels.append(Panel("how unsure the model was", pictures.entropy_uri(frame.entropy_01), alt, caption, cells))
    return FramePanels(frame.key, *frame.size_HW, tuple(panels), _question_summary(frame, asked, last))


def prediction_panels(frame: ShownFrame, classes: ClassSet) -> FramePanels | None:
    """Return photo, truth, each model's prediction and what changed from first to last; None without predictions."""
    if not frame.predictions:
        return None
    panels = [Panel("frame", pictures.photo_uri(frame.image), f"frame {frame.key}")]
    if frame.truth is not None:
        panels.append(_label_panel("ground truth", frame.truth, frame, classes, ""))
    for name, prediction_HW in frame.predictions.items():
        right = "" if frame.truth is None else _right(frame.truth, prediction_HW)
        panels.append(_label_panel(name, prediction_HW, frame, classes, right))
    if frame.truth is not None and len(frame.predictions) > 1:
        panels.append(_change_panel(frame.truth, frame.predictions, frame.key))
    return FramePanels(frame.key, *frame.size_HW, tuple(panels))


def _mark(query: Query, answer: Answer | None, classes: ClassSet) -> Mark:
    assert query.point is not None  # the caller's filter
    verdict: str = answer.verdict if answer else UNANSWERED
    color, title = "none", SAID[verdict]
    if answer and answer.class_id is not None:
        known = answer.class_id < len(classes)
        color = css_color(classes.colors[answer.class_id]) if known else "none"
        title = classes.names[answer.class_id] if known else f"class {answer.class_id}"
    seconds = f", {duration(answer.seconds)}" if answer else ""
    return Mark(query.point.column + 0.5, query.point.row + 0.5, str(verdict), color, title + seconds)


def _question_summary(frame: ShownFrame, asked: str, last: Mapping[str, Answer]) -> str:
    verdicts: list[str] = [answer.verdict for answer in last.values()]
    parts = [f"{verdicts.count(verdict)} × {said}" for verdict, said in SAID.items() if verdict in verdicts]
    seconds = sum(answer.seconds for answer in frame.answers)
    return "; ".join([asked, *parts]) + (f"; {duration(seconds)} of people's time" if frame.answers else "")


def _label_panel(title: str, label_HW: NDArray[np.uint8], frame: ShownFrame, classes: ClassSet, caption: str) -> Panel:
    pixels = np.bincount(label_HW.ravel(), minlength=256)[: len(classes)]
    order = [class_id for class_id in np.argsort(-pixels, kind="stable") if pixels[class_id]]
    shares = ", ".join(f"{classes.names[i]} {share(pixels[i] / label_HW.size)}" for i in order[:6])
    alt = f"{title} of frame {frame.key}: {shares or 'no class'}"
    tags = pictures.place_names(label_HW, classes.names)
    return Panel(title, pictures.label_uri(label_HW, classes.colors), alt, caption, tags=tags)


def _change_panel(truth_HW: NDArray[np.uint8], predictions: Mapping[str, NDArray[np.uint8]], key: str) -> Panel:
    before_HW, *_, after_HW = predictions.values()
    change_HW = pictures.change_map(truth_HW, before_HW, after_HW)
    labelled = max(1, int((truth_HW != IGNORE).sum()))
    fixed, broken = (share((change_HW == what).sum() / labelled) for what in (pictures.FIXED, pictures.BROKEN))
    caption = f"{fixed} fixed, {broken} broken"
    return Panel(
        "what changed", pictures.label_uri(change_HW, pictures.CHANGE_COLORS), f"frame {key}: {caption}", caption
    )


def _right(truth_HW: NDArray[np.uint8], prediction_HW: NDArray[np.uint8]) -> str:
    labelled = truth_HW != IGNORE
    if not labelled.any():
        return ""
    return f"{share(float((prediction_HW == truth_HW)[labelled].mean()))} of pixels right"
