"""Whole images in the report: what was chosen and why, and a map of source, target, anchors and choices."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.evaluation import pictures
from frugalseg.evaluation.exhibits import ChosenImage, ChosenImages
from frugalseg.evaluation.panels import FramePanels, Panel
from frugalseg.evaluation.plot import INK, PANEL, SERIES, SOFT, dress, svg_of
from frugalseg.evaluation.vector_map import VectorMap
from frugalseg.evaluation.wording import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 420  # of a thumbnail, as in the gallery
MOST = 20  # thumbnails


def chosen_words(shown: ChosenImages) -> str:
    """Say in two sentences what was chosen."""
    scores = [one.score for one in shown.chosen]
    told = (
        f"{shown.strategy} chose {whole(len(shown.chosen))} of {whole(len(shown.scores_N))} target frames as wholes "
        f"({shown.stage}): scores from {min(scores):.3g} to {max(scores):.3g}, where all frames have "
        f"{float(np.median(shown.scores_N)):.3g} in the median."
    )
    last = max(one.rank for one in shown.chosen)
    if last == len(shown.chosen):
        return f"{told} These are the highest scores of those not labelled before."
    return f"{told} The least wanted of them is number {whole(last)} by score: others were too near to one before them."


def chosen_panels(shown: ChosenImages) -> list[FramePanels]:
    """Return thumbnails of the chosen frames, the highest score first; frames without an image are left out."""
    pictured = [one for one in shown.chosen if one.key in shown.images]
    return [_thumbnail(one, shown.images[one.key]) for one in pictured[:MOST]]


def map_words(drawn: VectorMap) -> str:
    """Say how the map came about and how far it is to be trusted."""
    return (
        f"Feature vectors of {whole(len(drawn.source_S2))} source and {whole(len(drawn.target_T2))} target frames in "
        f"the plane of their two principal components, which hold {100 * drawn.explained:.0f} % of the variance: what "
        "lies near each other here may lie apart in the other directions."
    )


def map_svg(drawn: VectorMap, size_in: tuple[float, float], salt: str) -> str:
    """Draw source, target, numbered anchors and the chosen frames; width and height in inches of 72 px."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        dress(axes)
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        chosen = drawn.chosen_T
        marks = (
            (drawn.source_S2, SERIES[3], "o", 4.0, 0.35),
            (drawn.target_T2[~chosen], SERIES[0], "o", 5.0, 0.55),
            (drawn.target_T2[chosen], SERIES[1], "D", 8.0, 1.0),
        )
        for layer, (places, color, marker, size, alpha) in enumerate(marks, 2):
            axes.plot(
                *places.T, linestyle="none", marker=marker, markersize=size, color=color, alpha=alpha,
                markeredgecolor=PANEL, markeredgewidth=0.5, zorder=layer,
            )  # fmt: skip
        axes.plot(*drawn.anchors_K2.T, linestyle="none", marker="P", markersize=11, color=INK, zorder=6)
        for number, place in enumerate(drawn.anchors_K2.tolist()):
            axes.annotate(str(number), place, (8, 6), textcoords="offset points", color=INK, zorder=7, parse_math=False)
        axes.set_xlabel("first component", color=SOFT)
        axes.set_ylabel("second component", color=SOFT)

    return svg_of(draw, size_in, salt, "map of feature vectors: source, target, anchors and chosen frames")


def _thumbnail(one: ChosenImage, image: NDArray[Any]) -> FramePanels:
    near = "" if one.anchor is None else f", anchor {one.anchor}"
    caption = f"{one.score:.3g}{near}"
    alt = f"target frame {one.key}, number {one.rank} by score: {caption}"
    panel = Panel(one.key, pictures.photo_uri(image, 80, SIDE), alt, caption)
    return FramePanels(one.key, image.shape[0], image.shape[1], (panel,))
