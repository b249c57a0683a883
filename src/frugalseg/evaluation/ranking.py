"""IntraDA's ranking in the report: how unsure the network was of each target frame, and what both ends look like."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frugalseg.evaluation import pictures
from frugalseg.evaluation.exhibits import Ranking
from frugalseg.evaluation.panels import FramePanels, Panel
from frugalseg.evaluation.plot import INK, PANEL, SERIES, SOFT, dress, svg_of
from frugalseg.evaluation.wording import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 420  # of a thumbnail, as in the gallery
MOST_BINS = 40


def ranking_words(ranking: Ranking) -> str:
    """Say in two sentences what was ranked and what became of the two sides."""
    many, values = len(ranking.keys), ranking.entropy_01_N
    return (
        f"Mean entropy of the {whole(many)} target frames, from {values[0]:.2f} to {values[-1]:.2f}. "
        f"The {whole(ranking.easy)} surest ({100 * ranking.easy / many:.0f} %) are easy: the network's predictions on "
        f"them became labels, and the other {whole(many - ranking.easy)} were aligned with them ({ranking.stage})."
    )


def ranking_panels(ranking: Ranking) -> list[tuple[str, list[FramePanels]]]:
    """Return the pictures of both ends; frames without an image are left out."""
    return [
        (title, [_thumbnail(ranking, place) for place in places if ranking.keys[place] in ranking.images])
        for title, places in zip(("Easiest", "Hardest"), ranking.ends, strict=True)
    ]


def ranking_svg(ranking: Ranking, size_in: tuple[float, float], salt: str) -> str:
    """Draw the histogram of the mean entropies, easy and hard apart, with the line between them."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        values, easy = ranking.entropy_01_N, ranking.easy
        edges = _edges(values)
        for number, side in enumerate((values[:easy], values[easy:])):
            counts, _ = np.histogram(side, edges)
            below = np.histogram(values[:easy], edges)[0] if number else None
            axes.bar(edges[:-1], counts, np.diff(edges), below, align="edge", color=SERIES[number], edgecolor=PANEL)
        dress(axes)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel("mean entropy of a frame (0 certain, 1 all classes alike)")
        axes.set_ylabel("frames")
        _draw_cut(axes, ranking)

    return svg_of(draw, size_in, salt, "histogram of the target frames' mean entropy")


def _edges(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of equal bins; about two a square root of frames, so that few frames give few bins."""
    low, high = float(values_N[0]), float(values_N[-1])
    bins = int(min(MOST_BINS, max(5, 2 * np.sqrt(len(values_N)))))
    return np.linspace(low, high if high > low else low + 1e-3, bins + 1)


def _draw_cut(axes: "Axes", ranking: Ranking) -> None:
    top = axes.get_ylim()[1]
    axes.set_ylim(0, 1.16 * top)  # room for the words
    axes.plot([ranking.cut_01] * 2, [0, 1.16 * top], color=INK, linewidth=1.4, linestyle=(0, (4, 3)))
    share = f"{100 * ranking.easy / len(ranking.keys):.0f} %"
    for side, text, align in ((-1, f"{share} easy", "right"), (1, "hard", "left")):
        at = (ranking.cut_01, 1.13 * top)
        axes.annotate(text, at, (6 * side, 0), textcoords="offset points", ha=align, va="top", color=SOFT)


def _thumbnail(ranking: Ranking, place: int) -> FramePanels:
    key, entropy = ranking.keys[place], f"entropy {ranking.entropy_01_N[place]:.3f}"
    image = ranking.images[key]
    panel = Panel(key, pictures.photo_uri(image, 80, SIDE), f"target frame {key}; mean {entropy}", entropy)
    return FramePanels(key, image.shape[0], image.shape[1], (panel,))
