"""The curve over k: a score against the distance that labels were carried, as SVG in the page's colours."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from frugalseg.evaluation.bench_plot import LINES
from frugalseg.evaluation.plot import INK, MARKERS, PANEL, SERIES, dress, svg_of
from frugalseg.evaluation.wording import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[int, float]]  # by name: a fraction at each k


def distance_svg(
    panels: Mapping[str, Curves], what: str, size_in: tuple[float, float], salt: str, legend: bool = True
) -> str:
    """Draw a panel for each entry, a curve a method; `what` is the scale of the ordinate, e.g. "mIoU, %"."""
    if not any(panels.values()):
        return ""

    def draw(figure: "Figure") -> None:
        shape = (len(panels), 1) if size_in[0] < 6 else (1, len(panels))
        axes_of = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
        for axes, (title, curves) in zip(axes_of.flat, panels.items(), strict=True):
            for number, (name, curve) in enumerate(curves.items()):
                _draw(axes, name, curve, number)
            axes.set_title(title, color=INK, fontsize=11)
            axes.set_xlabel("k, frames from a labelled one")
            axes.set_ylabel(what)
            dress(axes)
            axes.locator_params(axis="x", integer=True)
            if legend:
                axes.legend(frameon=False, labelcolor=INK, fontsize=9)

    return svg_of(draw, size_in, salt, f"{what} against the distance in frames")


def _draw(axes: "Axes", name: str, curve: Mapping[int, float], number: int) -> None:
    axes.plot(
        list(curve), [100 * value for value in curve.values()], color=SERIES[number % 4], marker=MARKERS[number % 4],
        linestyle=LINES[number // 4 % 3], linewidth=1.6, markersize=6, markeredgecolor=PANEL, label=shorten(name, 26),
        zorder=3,
    )  # fmt: skip
