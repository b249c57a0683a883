"""The tables and the plot of images.py, from its runs."""

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _paired import Control, Run, gain, spread_of_draws
from _points_page import EVERYTHING, SOURCE, START, gain_text, groups, reference, score_cells, share, standard_error

from frugalseg.core.cost import CostModel
from frugalseg.evaluation.compare import gap_closed

CONTROL = "random_images"


def summary(runs: Sequence[Run], judged: str) -> list[dict[str, Any]]:
    """Return a row for each selector or part and share of frames: scores, cost, what it is worth over its control.

    Selectors are compared with the mean of the control's draws in the same seed; parts with M(1) on the same frames.
    """
    control = Control(run for run in runs if run.selector == CONTROL)
    plain = {(run.seed, run.draw, run.points): run.miou for run in runs if run.selector == judged}
    start, full = (reference(runs, name) for name in (START, EVERYTHING))
    rows = []
    for (name, percent), group in groups(runs).items():
        row = {
            "name": name,
            "percent": percent,
            "runs": len(group),
            "frames": statistics.fmean(run.clicks for run in group),
            "miou": statistics.fmean(run.miou for run in group),
            "hours": statistics.fmean(run.minutes for run in group) / 60,
            "from_start_to_all_labels": gap_closed(start, statistics.fmean(run.miou for run in group), full),
        }
        if is_part(name):
            row["over_m1"] = gain([(run.seed, run.miou - plain[run.seed, run.draw, percent]) for run in group])
        elif name != CONTROL:
            row["over_random"] = gain([(run.seed, run.miou - control.at_clicks(run)) for run in group])
        rows.append(row)
    return rows


def is_part(name: str) -> bool:
    """Return whether a row is a part of mada (m2, m1_teacher, …), not a selector."""
    return name[:1] == "m" and name[1:2].isdecimal()


def tables(runs: Sequence[Run], where: str, start: Sequence[str], judged: str, critic: str | None) -> list[str]:
    """Return the lines of the result: selectors at M(1), then the parts of mada on the judged selector's frames."""
    rows, seeds = summary(runs, judged), sorted({run.seed for run in runs})
    spread = 100 * spread_of_draws(run for run in runs if run.selector == CONTROL)
    asked = f"adversarial and aada ask {critic} after source_only; all learn from the same start." if critic else ""
    noise = [f"Draws of {CONTROL} in one seed differ by a standard deviation of {spread:.1f} points.", ""]
    return [
        f"# Which frames to label, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"mIoU on {where}, mean ± sd over runs of seeds {', '.join(map(str, seeds))}; the start is",
        f"{' + '.join(start)} after source_only. Fine-tuning on source and labelled frames, M(1) of mada: trainings of",
        f"a seed differ in their frames only. *Δ*: mIoU points over {CONTROL}, its mean over draws in the same seed",
        "[95 % t interval over pairs], ⟨over the seeds' means⟩. *Way*: share of the way from start to all labels.",
        *([asked] if asked else []),
        "",
        *_table(runs, [row for row in rows if not is_part(row["name"])], "over_random", f"Δ to {CONTROL}", "frames by"),
        "",
        *([] if math.isnan(spread) else noise),
        "## What each part of mada adds",
        "",
        f"On the same frames, those of {judged}, in as many steps. *Δ*: over M(1) in the same seed and draw.",
        "",
        *_table(runs, [row for row in rows if is_part(row["name"])], "over_m1", "Δ to m1", "learned with"),
        "",
    ]  # fmt: skip


def _table(runs: Sequence[Run], rows: Sequence[dict[str, Any]], key: str, delta: str, what: str) -> list[str]:
    subsets = list(runs[0].subsets)
    head = [what, "%", "frames", "mIoU", *subsets, "runs", "hours", delta, "way"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [_reference_line(runs, name, subsets) for name in (SOURCE, START)]
    for row in rows:
        scores = score_cells(groups(runs)[row["name"], row["percent"]], subsets)
        cells = [row["name"], str(row["percent"]), f"{row['frames']:.0f}", *scores, str(row["runs"])]
        cells.append(f"{row['hours']:.1f}")
        cells += [gain_text(row[key]) if key in row else "control", share(row["from_start_to_all_labels"])]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, _reference_line(runs, EVERYTHING, subsets)]


def _reference_line(runs: Sequence[Run], name: str, subsets: Sequence[str]) -> str:
    group = [run for run in runs if run.selector == name]
    hours = statistics.fmean(run.minutes for run in group) / 60
    return f"| {' | '.join([name, '', '', *score_cells(group, subsets), str(len(group)), f'{hours:.1f}', '', ''])} |"


def draw_hours(
    path: Path,
    runs: Sequence[Run],
    points: Sequence[Run],
    image_minutes: Sequence[float],
    point_seconds: Sequence[float],
) -> None:
    """Draw mIoU against people's hours, single points and whole frames on one graph.

    A marker stands at the cost model's price; its horizontal line, and the band that joins those of one row, reach from
    the low to the high price of one answer. Vertical bars are one standard error over runs.
    """
    import matplotlib
    from matplotlib.figure import Figure

    cost = CostModel()
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.add_subplot()
    colors = [*matplotlib.colormaps["tab10"].colors, *matplotlib.colormaps["Dark2"].colors]
    markers = "os^Dv<>Xp*"
    for name, dashes in ((START, ":"), (EVERYTHING, "--")):
        axes.axhline(100 * reference(runs, name), color="0.4", linewidth=1, linestyle=dashes, label=name)
    number = 0
    for unit, some, factors in (
        ("points", points, [seconds / cost.point_s for seconds in point_seconds]),
        ("frames", [run for run in runs if run.points], [60 * minutes / cost.image_s for minutes in image_minutes]),
    ):
        for name in dict.fromkeys(run.selector for run in some):
            own = [group for (row, _), group in groups(some).items() if row == name]
            hours = [statistics.fmean(run.minutes for run in group) / 60 for group in own]
            mious = [100 * statistics.fmean(run.miou for run in group) for group in own]
            low, high = ([factor * hour for hour in hours] for factor in factors)
            color = colors[number % len(colors)]
            axes.fill([*low, *high[::-1]], [*mious, *mious[::-1]], color=color, alpha=0.12, linewidth=0)
            axes.errorbar(
                hours, mious, [standard_error([100 * run.miou for run in group]) for group in own],
                [[hour - least for hour, least in zip(hours, low, strict=True)],
                 [most - hour for hour, most in zip(hours, high, strict=True)]],
                label=f"{unit}: {name}", color=color, marker=markers[number % len(markers)], linewidth=1.2, capsize=2,
                linestyle="-" if unit == "points" else "--",
            )  # fmt: skip
            number += 1
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(
        f"people's hours, simulated (logarithmic); bands: {point_seconds[0]:g}–{point_seconds[1]:g} s a point, "
        f"{image_minutes[0]:g}–{image_minutes[1]:g} min a frame"
    )
    axes.set_ylabel("mIoU, %")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, metadata={"Date": None})
