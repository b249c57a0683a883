"""The curve of mIoU against human time, as SVG that takes its colours and font from the page around it."""

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from frugalseg.evaluation.compare import CurvePoint
from frugalseg.evaluation.wording import duration, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import BboxBase

# matplotlib writes these; we replace them by CSS variables, so one drawing serves light, dark and paper
INK, SOFT, LINE, PANEL = "#0a0001", "#0a0002", "#0a0003", "#0a0004"
SERIES = ("#0b0001", "#0b0002", "#0b0003", "#0b0004")
CSS_OF = {INK: "--ink", SOFT: "--soft", LINE: "--line", PANEL: "--panel"}
CSS_OF |= dict(zip(SERIES, ("--blue", "--orange", "--green", "--soft"), strict=True))
MARKERS = ("o", "s", "D", "^")  # shape beside colour, for colour-blind eyes
STEPS_MIN = (1 / 6, 1 / 2, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_200, 3_000, 6_000, 12_000, 30_000, 60_000, 120_000)
LABELLED_POINTS = 10  # with more, only the last point of each series bears a name
CEILING = "upper bound"  # the series of models that learned from every label
DPI = 100  # pixels below are matplotlib's, at this many an inch
SAME_X_PX, DODGE_PX, GAP_PX = 6, 13, 14
LETTER_PX, HALF_LINE_PX = 8, 10  # about the size of a letter of 11 points
UP_PX = (0, -16, 16, -28, 28, -42, 42, -58, 58, -76, 76)
Box = tuple[float, float, float, float]  # left, bottom, right, top
Places = dict[int, tuple[float, float]]  # id of a point → where it is drawn, in the axes' data coordinates


def curve_svg(points: Sequence[CurvePoint], size_in: tuple[float, float], salt: str) -> str:
    """Draw the curve; width and height in inches of 72 px. `salt` keeps the ids of two drawings on one page apart.

    Points without a score (NaN) are left out; without any point there is no drawing but an empty text.
    """
    points = [point for point in points if math.isfinite(point.miou + point.human_minutes)]
    if not points:
        return ""
    narrow = size_in[0] < 6

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        _scale(axes, points, narrow)
        _dress(axes)
        figure.draw_without_rendering()  # settles the layout, so that data and pixels correspond
        places = _dodge(axes, points)
        _draw_ceiling(axes, points)
        for number, series in enumerate(dict.fromkeys(point.series for point in points)):
            members = sorted((p for p in points if p.series == series), key=lambda point: point.human_minutes)
            _draw_series(axes, members, places, SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)])
        _name_points(axes, _named(points), places, letters=26 if narrow else 40)

    return svg_of(draw, size_in, salt, "mIoU against people's time")


def svg_of(draw: Callable[["Figure"], None], size_in: tuple[float, float], salt: str, label: str) -> str:
    """Return what `draw` draws as SVG for the page; `label` says what it is to those who cannot see it."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    text = io.StringIO()
    bare = {"Date": None, "Creator": None, "Format": None, "Type": None}
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 11.0}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name in a script the measuring font lacks is drawn by the browser's
        figure = Figure(figsize=size_in, dpi=DPI, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        figure.savefig(text, format="svg", transparent=True, metadata=bare)
    return _for_page(text.getvalue(), label)


def _scale(axes: "Axes", points: Sequence[CurvePoint], narrow: bool) -> None:
    positive = [point.human_minutes for point in points if point.human_minutes > 0]
    last, most = max(positive, default=1.0), 4 if narrow else 7
    if positive and last / min(positive) > 12:  # clicks beside whole masks: minutes beside hundreds of hours
        axes.set_xlabel("people's time (logarithmic)")
        axes.set_xscale("symlog", linthresh=min(positive) / 2, linscale=0.5)
        axes.set_xlim(-min(positive) / 8, last * 2)
        ticks = [tick for tick in STEPS_MIN if min(positive) / 2.5 <= tick <= last * 2]
        ticks = [0.0, *ticks[:: math.ceil(len(ticks) / most)]]
    else:
        axes.set_xlabel("people's time")
        axes.set_xlim(-0.04 * last, 1.12 * last)
        step = next((step for step in STEPS_MIN if last / step <= most - 1), last)
        ticks = [step * number for number in range(int(1.12 * last / step) + 1)]
    axes.set_xticks(ticks, [duration(60 * tick) if tick else "0" for tick in ticks])
    bounds = [100 * value for p in points for value in (p.miou, p.low, p.high) if not math.isnan(value)]
    margin = max(2.0, 0.12 * (max(bounds) - min(bounds)))
    axes.set_ylim(max(0, min(bounds) - margin), min(100, max(bounds) + margin))


def _dress(axes: "Axes") -> None:
    axes.set_ylabel("mIoU, %")
    dress(axes)


def dress(axes: "Axes") -> None:
    """Draw the axes quietly: names and numbers in soft ink, thin lines across, none at the sides."""
    axes.xaxis.label.set_color(SOFT)
    axes.yaxis.label.set_color(SOFT)
    axes.minorticks_off()
    axes.locator_params(axis="y", integer=True, nbins=6)
    axes.tick_params(length=0, colors=SOFT, pad=6)
    axes.grid(True, axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)


def _draw_ceiling(axes: "Axes", points: Sequence[CurvePoint]) -> None:
    """Draw a line at the score that all labels would give, to be read at any time."""
    for point in points:
        if point.series == CEILING:
            axes.axhline(100 * point.miou, color=SOFT, linewidth=1, linestyle=(0, (4, 4)), zorder=1)


def _dodge(axes: "Axes", points: Sequence[CurvePoint]) -> Places:
    """Move points at the same time apart sideways where their intervals would cover each other."""
    places: Places = {}
    taken: list[tuple[float, CurvePoint]] = []
    for point in points:
        x_px, y_px = axes.transData.transform((point.human_minutes, 100 * point.miou))
        while any(abs(x_px - x) < SAME_X_PX and _overlap(point, other) for x, other in taken):
            x_px += DODGE_PX
        taken.append((x_px, point))
        x, y = axes.transData.inverted().transform((x_px, y_px))
        places[id(point)] = float(x), float(y)
    return places


def _overlap(one: CurvePoint, other: CurvePoint) -> bool:
    (low, high), (other_low, other_high) = _extent(one), _extent(other)
    return low <= other_high and other_low <= high


def _extent(point: CurvePoint) -> tuple[float, float]:
    marker = 0.01  # of mIoU: about its size
    low, high = (value if math.isfinite(value) else point.miou for value in (point.low, point.high))
    return min(low, point.miou - marker), max(high, point.miou + marker)


def _draw_series(axes: "Axes", points: Sequence[CurvePoint], places: Places, color: str, marker: str) -> None:
    x, y = zip(*(places[id(point)] for point in points), strict=True)
    axes.plot(x, y, color=color, linewidth=1.6, zorder=2)
    for point, at in zip(points, x, strict=True):
        bounds = [100 * point.low, 100 * point.high]
        axes.plot([at, at], bounds, color=color, alpha=0.4, linewidth=5, solid_capstyle="round", zorder=3)
    axes.plot(x, y, linestyle="none", marker=marker, markersize=8, color=color, markeredgecolor=PANEL, zorder=4)


def _named(points: Sequence[CurvePoint]) -> list[tuple[CurvePoint, str]]:
    if len(points) <= LABELLED_POINTS:
        return [(point, point.name) for point in points]
    last = {point.series: point for point in sorted(points, key=lambda point: point.human_minutes)}
    return [(point, series) for series, point in last.items()]


def _name_points(axes: "Axes", named: Sequence[tuple[CurvePoint, str]], places: Places, letters: int) -> None:
    """Write each name beside its point: right or left, a little up or down, wherever it covers least."""
    frame = axes.get_window_extent()
    bars = [_interval_box(axes, point, places) for point, _ in named]
    names: list[Box] = []
    for point, name in sorted(named, key=lambda pair: -pair[0].miou):
        name = shorten(name, letters)
        x_px, y_px = axes.transData.transform(places[id(point)])
        choices = [(side, up, _name_box((x_px, y_px), side, up, len(name))) for up in UP_PX for side in (1, -1)]
        side, up, box = min(choices, key=lambda choice: _crowding(choice[2], bars, names, frame) + abs(choice[1]))
        names.append(box)
        axes.annotate(
            name,
            places[id(point)],
            (side * GAP_PX * 72 / DPI, up * 72 / DPI),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            color=INK,
            parse_math=False,  # a "$" in a name is a dollar sign
        )


def _crowding(box: Box, bars: Sequence[Box], names: Sequence[Box], frame: "BboxBase") -> float:
    """Say how bad it is to write in `box`: worst over another name, bad over a bar or outside the frame."""
    outside = max(0.0, frame.x0 - box[0]) + max(0.0, box[2] - frame.x1)
    return 300 * sum(_meet(box, name) for name in names) + 40 * sum(_meet(box, bar) for bar in bars) + outside


def _name_box(at_px: tuple[float, float], side: int, up: int, letters: int) -> Box:
    near, far = at_px[0] + side * GAP_PX, at_px[0] + side * (GAP_PX + LETTER_PX * letters)
    return min(near, far), at_px[1] + up - HALF_LINE_PX, max(near, far), at_px[1] + up + HALF_LINE_PX


def _interval_box(axes: "Axes", point: CurvePoint, places: Places) -> Box:
    low, high = _extent(point)
    x, bottom = axes.transData.transform((places[id(point)][0], 100 * low))
    _, top = axes.transData.transform((places[id(point)][0], 100 * high))
    return x - GAP_PX / 2, bottom, x + GAP_PX / 2, top


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _for_page(svg: str, label: str) -> str:
    """Keep the <svg> element alone, without its size, its style sheet and its namespaces, in the page's colours."""
    head, body = svg[svg.index("<svg") :].split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    svg = f'<svg role="img" aria-label="{label}" {view_box[0] if view_box else ""}>{body}'
    for color, variable in CSS_OF.items():
        svg = svg.replace(f": {color}", f": var({variable})")
    return svg.replace("xlink:href", "href").strip()
