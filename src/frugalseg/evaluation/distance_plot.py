"""The curve over k: a score against the distance that labels were carried, as SVG in the page's colours.

Drawn by hand: loading a plotting library for a few lines takes longer than anything else at the end of a `propagate`.
"""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from frugalseg.evaluation.plot import CSS_OF, SERIES
from frugalseg.evaluation.wording import shorten

Curves = Mapping[str, Mapping[int, float]]  # by name: a fraction at each k
PX_PER_IN = 72
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 22, 42  # px around a panel's axes
LETTER_PX, LINE_PX, SAMPLE_PX = 6, 16, 34  # of the legend
MARGIN = 0.05  # of the range of values, beyond either end
STEPS = (1, 2, 5, 10, 20, 25, 50)
DASHES = ("", "8 3", "2 3")  # beside colour and marker: 4 x 3 curves can be told apart
MARKERS = (
    '<circle cx="{x}" cy="{y}" r="3.2"/>',
    '<path d="M{x} {y}m-3 -3h6v6h-6z"/>',
    '<path d="M{x} {y}m0 -4l4 4l-4 4l-4 -4z"/>',
    '<path d="M{x} {y}m0 -4l3.8 6.8h-7.6z"/>',
)


def distance_svg(panels: Mapping[str, Curves], what: str, size_in: tuple[float, float], legend: bool = True) -> str:
    """Draw a panel for each entry, a curve a method; `what` is the scale of the ordinate, e.g. "mIoU, %"."""
    points = [(k, 100 * value) for curves in panels.values() for curve in curves.values() for k, value in curve.items()]
    points = [point for point in points if math.isfinite(point[1])]
    if not points:
        return ""
    width, height = (round(side * PX_PER_IN) for side in size_in)
    columns = 1 if size_in[0] < 6 else len(panels)
    cell = width / columns, height / math.ceil(len(panels) / columns)
    parts: list[str] = []
    for number, (title, curves) in enumerate(panels.items()):
        left, top = number % columns * cell[0], number // columns * cell[1]
        rows = _legend_rows(list(curves), cell[0] - LEFT - RIGHT) if legend else []
        box = (left + LEFT, top + TOP + LINE_PX * len(rows), left + cell[0] - RIGHT, top + cell[1] - BOTTOM)
        axes = _Axes(_range([k for k, _ in points]), _range([value for _, value in points]), box)
        parts += [*_frame(axes, title, what, top), *_legend(rows, left + LEFT, top + TOP), *_curves(axes, curves)]
    label = html.escape(f"{what} against the distance in frames")
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}" font-size="11">{"".join(parts)}</svg>'


@dataclass(frozen=True)
class _Axes:
    """Ranges of k and of the score, and where they are drawn: left, top, right, bottom in px."""

    k: tuple[float, float]
    score: tuple[float, float]
    box: tuple[float, float, float, float]

    def x(self, k: float) -> float:
        left, _, right, _ = self.box
        return round(left + (k - self.k[0]) / (self.k[1] - self.k[0]) * (right - left), 1)

    def y(self, score: float) -> float:
        _, top, _, bottom = self.box
        return round(bottom - (score - self.score[0]) / (self.score[1] - self.score[0]) * (bottom - top), 1)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    beyond = MARGIN * (high - low) or 0.5
    return low - beyond, high + beyond


def _ticks(ends: tuple[float, float], most: int) -> list[int]:
    """Return whole numbers between two ends, evenly spaced, at most so many."""
    step = next((step for step in STEPS if (ends[1] - ends[0]) / step <= most), STEPS[-1])
    return [*range(math.ceil(ends[0] / step) * step, math.floor(ends[1]) + 1, step)]


def _text(x: float, y: float, text: str, color: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" style="fill: var({color})" {more}>{html.escape(text)}</text>'


def _frame(axes: _Axes, title: str, what: str, cell_top: float) -> Iterator[str]:
    left, top, right, bottom = axes.box
    middle = 'text-anchor="middle"'
    for tick in _ticks(axes.score, 6):
        yield f'<path d="M{left:.1f} {axes.y(tick)}H{right:.1f}" style="stroke: var(--line)" stroke-width="0.8"/>'
        yield _text(left - 6, axes.y(tick) + 4, str(tick), "--soft", 'text-anchor="end"')
    yield f'<path d="M{left:.1f} {bottom:.1f}H{right:.1f}" style="stroke: var(--line)"/>'
    for tick in _ticks(axes.k, 10):
        yield _text(axes.x(tick), bottom + 16, str(tick), "--soft", middle)
    yield _text((left + right) / 2, bottom + 33, "k, frames from a labelled one", "--soft", middle)
    yield _text((left + right) / 2, cell_top + 13, title, "--ink", middle)
    x, y = left - LEFT + 12, (top + bottom) / 2
    yield _text(x, y, what, "--soft", f'{middle} transform="rotate(-90 {x:.1f} {y:.1f})"')


def _curves(axes: _Axes, curves: Curves) -> Iterator[str]:
    for number, curve in enumerate(curves.values()):
        there = [(axes.x(k), axes.y(100 * value)) for k, value in curve.items() if math.isfinite(value)]
        yield _line(there, number)


def _line(places: Sequence[tuple[float, float]], number: int) -> str:
    """Return a curve's line and marks at places in px."""
    color = CSS_OF[SERIES[number % 4]]
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dashes = f'stroke-dasharray="{DASHES[number // 4 % 3]}"' if DASHES[number // 4 % 3] else ""
    marks = "".join(MARKERS[number % 4].format(x=f"{x:.1f}", y=f"{y:.1f}") for x, y in places)
    return (
        f'<polyline points="{way}" fill="none" style="stroke: var({color})" stroke-width="1.6" {dashes}/>'
        f'<g style="fill: var({color}); stroke: var(--panel)">{marks}</g>'
    )


def _legend_rows(names: Sequence[str], width: float) -> list[list[tuple[float, int, str]]]:
    """Return the rows of a legend: where each name begins, its curve's number, and the name."""
    rows: list[list[tuple[float, int, str]]] = []
    at = math.inf
    for number, name in enumerate(names):
        name = shorten(name, 26)
        needs = SAMPLE_PX + LETTER_PX * len(name) + LINE_PX
        if at + needs > width:
            rows.append([])
            at = 0.0
        rows[-1].append((at, number, name))
        at += needs
    return rows


def _legend(rows: Sequence[Sequence[tuple[float, int, str]]], left: float, top: float) -> Iterator[str]:
    for row, entries in enumerate(rows):
        y = top + LINE_PX * (row + 0.5)
        for at, number, name in entries:
            yield _line([(left + at, y), (left + at + SAMPLE_PX - 8, y)], number)
            yield _text(left + at + SAMPLE_PX, y + 4, name, "--ink")
