"""The tables and the plot of points.py, from its runs."""

import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _paired import Control, Gain, Run, gain, spread_of_draws
from _seeds import mean_sd

from frugalseg.evaluation.compare import gap_closed

CONTROL = "random_points"
SOURCE, START, NOTHING, EVERYTHING = "source only", "start", "nobody asked (K = 0)", "all labels"
EVIDENCE = {  # column: (key, factor, digits)
    "near edge %": ("near_edge", 100, 0),
    "ambiguous %": ("ambiguous", 100, 0),
    "≠ prediction %": ("surprise", 100, 0),
    "entropy": ("entropy_01", 1, 2),
    "classes": ("effective_classes", 1, 1),
    "off true classes %": ("classes_off", 100, 0),
    "neighbour px": ("neighbour_px", 1, 0),
    "look-alikes %": ("alike", 100, 0),
    "bits a click": ("bits", 1, 2),
    "bits a minute": ("bits_a_minute", 1, 1),
}
LEGEND = (
    "*Near edge*: clicks within 2 px of a true edge. *≠ prediction*: of the answers that name a class, those that "
    "contradict the start. *Entropy*: the start's, 0 to 1. *Classes*: as how many equally frequent ones the answers "
    "spread. *Off true classes*: part of the answers that would have to name another class to mirror the target. "
    "*Neighbour*: distance to the nearest other click in the frame. *Look-alikes*: clicks in frames predicted like "
    "another asked one of the same drive. *Bits*: what answers add to the start's prediction, H(answer | prediction)."
)


def groups(runs: Iterable[Run]) -> dict[tuple[str, int], list[Run]]:
    """Return the runs of each selector and number of points, the fewest points first."""
    found: dict[tuple[str, int], list[Run]] = defaultdict(list)
    for run in sorted((run for run in runs if run.points), key=lambda run: run.points):
        found[run.selector, run.points].append(run)
    return dict(found)


def reference(runs: Iterable[Run], name: str, seeds: Collection[int] | None = None) -> float:
    """Return the mean mIoU of a floor or ceiling over seeds: all, or those of a row that has not all."""
    return statistics.fmean(run.miou for run in runs if run.selector == name and (seeds is None or run.seed in seeds))


def summary(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return a row for each selector and number of points: scores, costs, gains over the control, evidence."""
    control = Control(run for run in runs if run.selector == CONTROL)
    rows = []
    for (selector, points), group in groups(runs).items():
        seeds = {run.seed for run in group}
        source, start, full = (reference(runs, name, seeds) for name in (SOURCE, START, EVERYTHING))
        miou = statistics.fmean(run.miou for run in group)
        row = {
            "selector": selector,
            "points": points,
            "runs": len(group),
            "miou": miou,
            "miou_sd": statistics.stdev([run.miou for run in group]) if len(group) > 1 else math.nan,
            "clicks": statistics.fmean(run.clicks for run in group),
            "minutes": statistics.fmean(run.minutes for run in group),
            "from_start_to_all_labels": gap_closed(start, miou, full),
            "from_source_to_all_labels": gap_closed(source, miou, full),
            "evidence": mean_evidence(group),
        }
        if selector != CONTROL:
            row["equal_clicks"] = gain([(run.seed, run.miou - control.at_clicks(run)) for run in group])
            row["equal_seconds"] = gain([(run.seed, run.miou - control.at_minutes(run)) for run in group])
        rows.append(row)
    return rows


def mean_evidence(group: Sequence[Run]) -> dict[str, Any]:
    """Return the means over runs of what the answers were like; runs where a number is not defined do not count."""
    each = [run.evidence for run in group if run.evidence]
    found: dict[str, Any] = {key: known_mean(one[key] for one in each) for key, _, _ in EVIDENCE.values()}
    names = each[0]["classes"]
    return {**found, "classes": {name: statistics.fmean(one["classes"][name] for one in each) for name in names}}


def known_mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: records as objects, NaN as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def tables(runs: Sequence[Run], true: dict[str, float], where: str, start: str) -> list[str]:
    """Return the lines of the result: what each row scored, and what its answers were like."""
    rows, seeds = summary(runs), sorted({run.seed for run in runs})
    return [
        f"# Which points to ask about, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"mIoU of {len(true)} classes on {where}, mean ± sd over runs of seeds {', '.join(map(str, seeds))}; the start",
        f"is {start} after source_only; all retrainings of a seed differ in their labels only.",
        f"*Δ*: mIoU points over {CONTROL}, its mean over draws in the same seed, at the same number of clicks and at",
        "the same seconds (the control's curve over budgets, straight in log minutes). [95 % t interval over seed-and-",
        "draw pairs], ⟨over the seeds' means⟩. *Way*: share of the way from start (from source only) to all",
        "labels, of the same seeds.",
        "",
        *score_table(runs, rows),
        "",
        *noise(runs),
        "## What the answers were like",
        "",
        *evidence_table(rows),
        "",
        LEGEND,
        "",
        "## Classes of the answers, %",
        "",
        *class_table(rows, true),
        "",
    ]


def noise(runs: Sequence[Run]) -> list[str]:
    """Say how far draws of the control lie apart: what a difference of one pair has to be held against."""
    spread = spread_of_draws(run for run in runs if run.selector == CONTROL)
    if math.isnan(spread):
        return []
    return [f"Draws of {CONTROL} in one seed differ by a standard deviation of {100 * spread:.1f} points.", ""]


def score_table(runs: Sequence[Run], rows: Sequence[dict[str, Any]]) -> list[str]:
    subsets = list(runs[0].subsets)
    head = ["asked", "points", "mIoU", *subsets, "runs", "minutes", "Δ at equal clicks", "Δ at equal seconds", "way"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in (SOURCE, START, NOTHING):
        lines.append(reference_line(runs, name, subsets))
    for row in rows:
        group = groups(runs)[row["selector"], row["points"]]
        gains = [gain_text(row[key]) if key in row else "control" for key in ("equal_clicks", "equal_seconds")]
        way = f"{share(row['from_start_to_all_labels'])} ({share(row['from_source_to_all_labels'])})"
        cells = [row["selector"], str(row["points"]), *score_cells(group, subsets), str(row["runs"])]
        cells += [str(round(row["minutes"])), *gains, way]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, reference_line(runs, EVERYTHING, subsets)]


def reference_line(runs: Sequence[Run], name: str, subsets: Sequence[str]) -> str:
    group = [run for run in runs if run.selector == name]
    minutes = statistics.fmean(run.minutes for run in group)
    cells = [name, "", *score_cells(group, subsets), str(len(group)), f"{minutes:.0f}", "", "", ""]
    return f"| {' | '.join(cells)} |"


def score_cells(group: Sequence[Run], subsets: Sequence[str]) -> list[str]:
    means = [f"{100 * statistics.fmean(run.subsets[name] for run in group):.1f}" for name in subsets]
    return [mean_sd([100 * run.miou for run in group]), *means]


def gain_text(found: Gain) -> str:
    if not found.pairs:
        return "–"
    pairs, seeds = found.over_pairs, found.over_seeds
    if math.isnan(pairs.low):
        return f"{100 * pairs.value:+.1f} (1 pair)"
    text = f"{100 * pairs.value:+.1f} [{100 * pairs.low:+.1f}, {100 * pairs.high:+.1f}] ({found.pairs} pairs)"
    return text if found.seeds < 2 else f"{text} ⟨{100 * seeds.low:+.1f}, {100 * seeds.high:+.1f}⟩"


def share(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.0f} %"


def evidence_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [f"| selector | points | {' | '.join(EVIDENCE)} |", "|---|" + "---:|" * (len(EVIDENCE) + 1)]
    for row in rows:
        cells = [f"{factor * row['evidence'][key]:.{digits}f}" for key, factor, digits in EVIDENCE.values()]
        lines.append(f"| {row['selector']} | {row['points']} | {' | '.join(cells)} |")
    return lines


def class_table(rows: Sequence[dict[str, Any]], true: dict[str, float]) -> list[str]:
    lines = [f"| selector | points | {' | '.join(true)} |", "|---|" + "---:|" * (len(true) + 1)]
    lines.append(f"| (the target's pixels) | | {' | '.join(f'{100 * part:.1f}' for part in true.values())} |")
    for row in rows:
        parts = [f"{100 * row['evidence']['classes'][name]:.1f}" for name in true]
        lines.append(f"| {row['selector']} | {row['points']} | {' | '.join(parts)} |")
    return lines


def draw_plot(path: Path, runs: Sequence[Run]) -> None:
    """Draw mIoU against people's minutes: a line a selector, floor and ceiling across.

    Bars are ± one standard error of the difference to the control in the same seed; seeds differ by more than that.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.add_subplot()
    colors, markers = matplotlib.colormaps["tab10"].colors, "os^Dv<>Xp*"
    for name, dashes in ((START, ":"), (NOTHING, "-."), (EVERYTHING, "--")):
        axes.axhline(100 * reference(runs, name), color="0.4", linewidth=1, linestyle=dashes, label=name)
    control = Control(run for run in runs if run.selector == CONTROL)
    ticks: dict[float, str] = {}
    for number, selector in enumerate(dict.fromkeys(run.selector for run in runs if run.points)):
        own = [group for (name, _), group in groups(runs).items() if name == selector]
        minutes = [statistics.fmean(run.minutes for run in group) for group in own]
        if selector == CONTROL:
            ticks = {at: f"{at:.0f}\n{group[0].points} a frame" for at, group in zip(minutes, own, strict=True)}
        axes.errorbar(
            minutes, [100 * statistics.fmean(run.miou for run in group) for group in own],
            [standard_error([100 * (run.miou - control.at_clicks(run)) for run in group]) for group in own],
            label=selector, color=colors[number % len(colors)], marker=markers[number % len(markers)],
            linewidth=2.5 if selector == CONTROL else 1.4, capsize=2, linestyle=("-", "--")[number // len(colors) % 2],
        )  # fmt: skip
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlabel(f"people's minutes, simulated (logarithmic; marked: {CONTROL})")
    axes.set_ylabel("mIoU, %")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, metadata={"Date": None})


def standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
