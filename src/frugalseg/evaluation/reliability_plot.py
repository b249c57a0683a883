"""The reliability diagram: how many pixels are right, bin by bin of confidence, and how many pixels there are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from frugalseg.evaluation.plot import MARKERS, PANEL, SERIES, SOFT, dress, svg_of
from frugalseg.evaluation.reliability import BINS, ReliabilityCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGES = 100 * np.arange(BINS + 1) / BINS
THIN = 1e-3  # of all pixels: a bin with fewer is drawn as a small, pale mark


def reliability_svg(curves: Sequence[ReliabilityCurve], size_in: tuple[float, float], salt: str) -> str:
    """Draw curves into one diagram, the last one in the first colour of SERIES; without any pixel an empty text."""
    drawn = [curve for curve in curves if curve.pixels_B.any()]
    if not drawn:
        return ""

    def draw(figure: "Figure") -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        top.plot([0, 100], [0, 100], color=SOFT, linewidth=1, linestyle=(0, (4, 4)), zorder=1)
        top.annotate("as sure as right", (7, 7), (4, -4), textcoords="offset points", color=SOFT, va="top", fontsize=9)
        for number, curve in enumerate(reversed(drawn)):
            _draw_curve(top, curve, number)
            _draw_shares(bottom, curve, number)
        _label(top, bottom)

    return svg_of(draw, size_in, salt, "share of pixels that are right against confidence")


def _draw_curve(axes: "Axes", curve: ReliabilityCurve, number: int) -> None:
    color, marker = SERIES[number], MARKERS[number]
    share_B = curve.pixels_B / curve.pixels_B.sum()
    x_B, y_B = 100 * curve.confidence_B, 100 * curve.accuracy_B
    filled = curve.pixels_B > 0
    axes.plot(x_B[filled], y_B[filled], color=color, linewidth=1.8, zorder=3 - number, alpha=1 if number == 0 else 0.75)
    for chosen, size, alpha in ((filled & (share_B >= THIN), 7.5, 1.0), (filled & (share_B < THIN), 4.5, 0.45)):
        axes.plot(
            x_B[chosen], y_B[chosen], linestyle="none", marker=marker, markersize=size, color=color, alpha=alpha,
            markeredgecolor=PANEL, zorder=5 - number,
        )  # fmt: skip


def _draw_shares(axes: "Axes", curve: ReliabilityCurve, number: int) -> None:
    share_B = 100 * curve.pixels_B / curve.pixels_B.sum()
    if number == 0:
        axes.bar(EDGES[:-1], share_B, width=EDGES[1], align="edge", color=SERIES[0], alpha=0.55, edgecolor=PANEL)
    else:
        axes.stairs(share_B, EDGES, color=SERIES[number], linewidth=1.6)


def _label(top: "Axes", bottom: "Axes") -> None:
    top.set_ylabel("right, %")
    bottom.set_ylabel("pixels, %")
    bottom.set_xlabel("confidence, %")
    for axes in (top, bottom):
        dress(axes)
    bottom.locator_params(axis="y", nbins=3)
    top.set_xlim(0, 101)
    top.set_ylim(0, 103)
    top.set_yticks(range(0, 101, 20))
    bottom.set_xticks(range(0, 101, 20))
