"""Drawings of comparisons over seeds, as SVG in the page's colours: methods side by side, rounds, score and truth."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from frugalseg.evaluation.bench_table import BenchRow, Choice
from frugalseg.evaluation.plot import INK, LINE, MARKERS, PANEL, SERIES, SOFT, dress, svg_of
from frugalseg.evaluation.wording import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = ("-", (0, (5, 2)), (0, (1, 1.5)))  # beside colour and marker: 4 x 3 curves can be told apart


def methods_svg(rows: Sequence[BenchRow], size_in: tuple[float, float], salt: str) -> str:
    """Draw each method's seeds as small marks, their mean as a large one with ± sd, and the baseline as a line."""
    if not rows:
        return ""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.axvline(100 * rows[0].miou.mean, color=SOFT, linewidth=1, linestyle=(0, (4, 4)), zorder=1)
        for place, row in enumerate(rows):
            color = SERIES[3] if row.gain is None else SERIES[0] if row.gain.value > 0 else SERIES[1]
            mean, sd = 100 * row.miou.mean, 100 * row.miou.sd
            axes.plot([mean - sd, mean + sd], [place, place], color=color, alpha=0.4, linewidth=5, zorder=2)
            seeds = [100 * run.scores.miou for run in row.method.runs]
            axes.plot(seeds, [place] * len(seeds), "|", color=INK, markersize=9, zorder=3)
            axes.plot(mean, place, "o", color=color, markersize=9, markeredgecolor=PANEL, zorder=4)
        axes.set_yticks(range(len(rows)), [shorten(row.method.name, 22) for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("mIoU, %")
        _dress_across(axes)

    return svg_of(draw, size_in, salt, "mIoU of each method, each seed, mean and standard deviation")


def rounds_svg(
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], size_in: tuple[float, float], salt: str
) -> str:
    """Draw mIoU against rounds: a panel a method, a curve a setting (rounds from 0, each with its seeds' scores)."""
    if not any(panels.values()):
        return ""

    def draw(figure: "Figure") -> None:
        narrow = size_in[0] < 6
        shape = (len(panels), 1) if narrow else (1, len(panels))
        for axes, (title, curves) in zip(
            figure.subplots(*shape, sharex=True, sharey=True, squeeze=False).flat, panels.items(), strict=True
        ):
            for number, (name, points) in enumerate(curves.items()):
                _draw_curve(axes, name, points, number)
            axes.set_title(title, color=INK, fontsize=11)
            axes.set_xlabel("round")
            axes.set_ylabel("mIoU, %")
            dress(axes)
            axes.locator_params(axis="x", integer=True)
            legend = axes.legend(frameon=False, labelcolor=INK, title="p₀/Δp", fontsize=9)
            legend.get_title().set_color(SOFT)

    return svg_of(draw, size_in, salt, "mIoU after each round of self-training")


def _draw_curve(axes: "Axes", name: str, points: Sequence[Sequence[float]], number: int) -> None:
    color, marker = SERIES[number % 4], MARKERS[number % 4]
    x = [place for place, seeds in enumerate(points) if seeds]
    means = [100 * statistics.fmean(points[place]) for place in x]
    spreads = [100 * statistics.stdev(points[place]) if len(points[place]) > 1 else 0.0 for place in x]
    axes.plot(
        x, means, color=color, marker=marker, linestyle=LINES[number // 4 % 3], linewidth=1.6, markersize=6.5,
        markeredgecolor=PANEL, label=name, zorder=3,
    )  # fmt: skip
    for at, mean, spread in zip(x, means, spreads, strict=True):
        axes.plot([at, at], [mean - spread, mean + spread], color=color, alpha=0.3, linewidth=4, zorder=2)


def choice_svg(chosen: Sequence[Choice], size_in: tuple[float, float], salt: str) -> str:
    """Draw the label-free score of each model against its mIoU, a mark a model, a shape a seed."""
    if not chosen:
        return ""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for number, choice in enumerate(chosen):
            color, marker = SERIES[number % 4], MARKERS[number % 4]
            names = list(choice.scores)
            x, y = [choice.scores[name] for name in names], [100 * choice.mious[name] for name in names]
            label = f"seed {choice.seed}"
            axes.plot(
                x, y, linestyle="none", marker=marker, color=color, markersize=7, markeredgecolor=PANEL, label=label
            )
            at = (choice.scores[choice.chosen], 100 * choice.miou)
            axes.plot(*at, "o", markersize=14, markerfacecolor="none", markeredgecolor=color)
        axes.set_xlabel("label-free score (chosen: ringed)")
        axes.set_ylabel("mIoU, %")
        dress(axes)
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)

    return svg_of(draw, size_in, salt, "mIoU against the label-free score")


def _dress_across(axes: "Axes") -> None:
    """Dress axes whose values run from left to right."""
    axes.xaxis.label.set_color(SOFT)
    axes.tick_params(length=0, colors=SOFT, pad=6)
    axes.grid(True, axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
