"""The gallery's pictures: the worst, the best and the most uncertain frames of a model, each frame once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.evaluation import pictures
from frugalseg.evaluation.confusion import Confusions
from frugalseg.evaluation.exhibits import Gallery, GalleryFrame
from frugalseg.evaluation.panels import FramePanels, Panel
from frugalseg.evaluation.wording import percent, share

SIDE = 420  # of a thumbnail: sharp at 280 CSS px on a dense screen, and 60 of them stay far below 10 MB
TITLES = {"worst": "Worst", "best": "Best", "uncertain": "Most uncertain"}


@dataclass(frozen=True)
class Place:
    """A frame's place in the page: `panels` where it is shown first, None where it was shown before."""

    anchor: str
    key: str
    summary: str
    panels: FramePanels | None


@dataclass(frozen=True)
class GalleryGroup:
    """One group of the gallery."""

    title: str
    places: tuple[Place, ...]


def gallery_groups(gallery: Gallery, confusions: Confusions | None, classes: ClassSet) -> tuple[GalleryGroup, ...]:
    """Return the groups that have frames; a frame that is in two groups has its pictures in the first."""
    anchors: dict[str, str] = {}
    found = []
    for name, title in TITLES.items():
        keys = [key for key in getattr(gallery.groups, name) if key in gallery.frames]
        places = tuple(_places(gallery, keys, anchors, confusions, classes))
        if places:
            found.append(GalleryGroup(title, places))
    return tuple(found)


def spread(gallery: Gallery) -> str:
    """Say how the frames' scores are spread, and how many frames have none."""
    scored = [score.miou for score in gallery.scores if score.miou is not None]
    bare = len(gallery.scores) - len(scored)
    without = f" {bare} without any labelled pixel {'has' if bare == 1 else 'have'} no score." if bare else ""
    if not scored:
        return without.strip()
    low, middle, high = (percent(float(value), 0) for value in np.quantile(scored, (0.25, 0.5, 0.75)))
    if len(scored) < 4:
        return f"The median frame scores {middle} %.{without}"
    return f"Half of the {len(scored)} frames score between {low} and {high} %, the median is {middle} %.{without}"


def _places(
    gallery: Gallery, keys: list[str], anchors: dict[str, str], confusions: Confusions | None, classes: ClassSet
) -> Iterator[Place]:
    for key in keys:
        new = key not in anchors
        anchor = anchors.setdefault(key, f"frame-{len(anchors) + 1}")  # never the key itself: it is a stranger's text
        frame = gallery.frames[key]
        summary = _summary(frame, confusions, classes)
        yield Place(anchor, key, summary, _panels(frame, classes, summary) if new else None)


def _panels(frame: GalleryFrame, classes: ClassSet, summary: str) -> FramePanels:
    key, colors = frame.score.key, classes.colors
    height, width = frame.image.shape[:2]
    panels = [Panel("frame", pictures.photo_uri(frame.image, 80, SIDE), f"frame {key}")]
    if frame.truth is not None:
        uri = pictures.label_uri(frame.truth, colors, SIDE)
        panels.append(Panel("ground truth", uri, f"ground truth of frame {key}"))
    panels.append(
        Panel(
            "prediction", pictures.label_uri(frame.prediction, colors, SIDE), f"prediction for frame {key}; {summary}"
        )
    )
    if frame.truth is not None:
        uri = pictures.error_uri(frame.image, frame.truth, frame.prediction, SIDE)
        panels.append(Panel("errors", uri, f"wrong pixels of frame {key}", _wrong(frame)))
    if frame.entropy_01 is not None:
        alt = f"entropy of the prediction for frame {key}"
        panels.append(Panel("uncertainty", pictures.entropy_uri(frame.entropy_01, SIDE), alt, _mean_entropy(frame)))
    return FramePanels(key, height, width, tuple(panels), summary)


def _summary(frame: GalleryFrame, confusions: Confusions | None, classes: ClassSet) -> str:
    score = frame.score
    if score.miou is None:
        return f"no labelled pixel; {_mean_entropy(frame)}"
    parts = [f"mIoU {percent(score.miou)} %", f"{share(score.accuracy or 0.0)} of pixels right", _mean_entropy(frame)]
    mistake = _mistake(score.key, confusions, classes)
    return "; ".join([*parts, mistake] if mistake else parts)


def _mistake(key: str, confusions: Confusions | None, classes: ClassSet) -> str:
    """Name the confusion that costs the frame the most pixels."""
    if confusions is None or key not in confusions.keys:
        return ""
    matrix = confusions[key][:, : len(classes)].copy()
    whole = max(1, int(confusions[key].sum()))
    np.fill_diagonal(matrix, 0)
    truth, predicted = divmod(int(matrix.argmax()), len(classes))
    if not matrix[truth, predicted]:
        return ""
    return f"most lost: {classes.names[truth]} → {classes.names[predicted]}, {share(matrix[truth, predicted] / whole)}"


def _wrong(frame: GalleryFrame) -> str:
    assert frame.truth is not None  # the caller's filter
    labelled = frame.truth != IGNORE
    if not labelled.any():
        return ""
    return f"{share(float((frame.truth != frame.prediction)[labelled].mean()))} wrong"


def _mean_entropy(frame: GalleryFrame) -> str:
    return f"entropy {frame.score.entropy_01:.2f}"
