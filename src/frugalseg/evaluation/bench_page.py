"""The page of a comparison: one HTML file in the report's look, without script and without anything from outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugalseg.evaluation import wording
from frugalseg.evaluation.bench_plot import choice_svg, methods_svg, rounds_svg
from frugalseg.evaluation.bench_table import BenchData, BenchRow, bench_rows, choices
from frugalseg.evaluation.bench_text import MEBI, correlation_text, mean_sd, settings_text
from frugalseg.evaluation.compare import CurvePoint
from frugalseg.evaluation.page import fill, write_html
from frugalseg.evaluation.plot import curve_svg

NARROW_IN = 4.8
WIDE_IN = 11.0


@dataclass(frozen=True, eq=False)
class GridPage:
    """The scores of a grid: for each method and setting the scores of the seeds after each round, round 0 first."""

    project: str
    network: str
    seeds: tuple[int, ...]
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
    shared: Mapping[str, Any]
    failed: Mapping[str, str]
    created: str = ""
    command: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def write_bench_page(path: Path, data: BenchData) -> None:
    """Write the comparison of methods as one self-contained HTML file."""
    write_html(path, render_bench(data))


def render_bench(data: BenchData) -> str:
    """Return the page's HTML; the same data give the same text."""
    return fill("bench.html.j2", bench_context(data))


def bench_context(data: BenchData) -> dict[str, Any]:
    """Return what the template shows of a comparison of methods."""
    from markupsafe import Markup

    rows, chosen = bench_rows(data), choices(data)
    height = 1.2 + 0.42 * len(rows)
    return {
        "title": f"{data.project}: methods compared",
        "page": data,
        "verdict": verdict(data, rows),
        "rows": rows,
        "plots": [Markup(methods_svg(rows, (width, height), f"methods-{width:.0f}")) for width in (WIDE_IN, NARROW_IN)],
        "choices": chosen,
        "choice_plot": Markup(choice_svg(chosen, (NARROW_IN + 1, NARROW_IN), "choice")),
        "failed": [(f"{m.name}, seed {seed}", text) for m in data.methods for seed, text in m.failed.items()],
        "on_device": any(row.device_bytes is not None for row in rows),
        "grid": None,
        "asked": None,
        **_words(),
    }


def asked_section(lead: str, table: Sequence[Sequence[str]], points: Sequence[CurvePoint]) -> dict[str, Any]:
    """Return what the template shows of questions: a lead, a table whose first row is the header, and the curve."""
    from markupsafe import Markup

    sizes = ((WIDE_IN, 4.6), (NARROW_IN, 4.6))
    plots = [Markup(curve_svg(points, size, f"asked-{size[0]:.0f}")) for size in sizes]
    return {"lead": lead, "table": table, "plots": plots}


def write_grid_page(path: Path, grid: GridPage) -> None:
    """Write a grid as one self-contained HTML file."""
    write_html(path, render_grid(grid))


def render_grid(grid: GridPage) -> str:
    """Return the page's HTML; the same data give the same text."""
    from markupsafe import Markup

    sizes = ((WIDE_IN, 4.6), (NARROW_IN, 3.8 * max(1, len(grid.panels))))
    return fill(
        "bench.html.j2",
        {
            "title": f"{grid.project}: self-training, round by round",
            "page": grid,
            "verdict": "How much each round labels, and what that does: p₀ is the share of pixels that get a "
            "pseudo-label in the first round, Δp its growth from round to round.",
            "rows": (),
            "plots": [Markup(rounds_svg(grid.panels, size, f"rounds-{size[0]:.0f}")) for size in sizes],
            "choices": (),
            "choice_plot": "",
            "failed": list(grid.failed.items()),
            "on_device": False,
            "grid": grid.panels,
            "asked": None,
            **_words(),
        },
    )


def _words() -> dict[str, Any]:
    return {
        "mean_sd": mean_sd,
        "seeds_text": seeds_text,
        "correlation": correlation_text,
        "settings": settings_text,
        "mebi": MEBI,
    }


def seeds_text(scores: Sequence[float]) -> str:
    """Mean ± sd of a round's seeds in per cent, or a dash."""
    from frugalseg.evaluation.bench_table import MeanSd

    return mean_sd(MeanSd.of(scores)) if scores else wording.NOTHING


def verdict(data: BenchData, rows: Sequence[BenchRow]) -> str:
    """Say which method is ahead, by how much, and whether that is told from chance."""
    gained = [(row.gain.value, row) for row in rows if row.gain is not None]
    if not gained:
        return "Nothing finished that could be compared."
    _, first = max(gained, key=lambda pair: pair[0])
    assert first.gain is not None  # only such rows are in `gained`
    if first.gain.value <= 0:
        return f"No method is better than {data.baseline.name} here."
    seeds = [gain.value for gain in (first.gains or {}).values()]
    up = sum(value > 0 for value in seeds)
    head = f"{first.method.name} is ahead: {wording.points(first.gain.value)} points over {data.baseline.name}"
    tail = f"better with {up} of {len(seeds)} seeds, 95 % interval over frames {wording.signed_span(first.gain)}."
    return f"{head}, {tail}"
