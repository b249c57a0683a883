"""What carried labels are worth, method by method: the rows of `bench propagation`, their gains, where they fail."""

import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import ClassSet
from frugalseg.evaluation import wording
from frugalseg.evaluation.bench_text import interval_json, markdown_table, number, settings_text
from frugalseg.evaluation.carried import CarriedCounts, gain, mean_over
from frugalseg.evaluation.compare import Interval

ANCHORS = {1: "one labelled frame", 2: "two, one on each side"}
REFINED = "warp_refine"  # the paper's method, compared with every other row
LOSSES = 3  # classes named as a method's worst
SMALL = 0.005  # of IoU: smaller losses are not named


@dataclass(frozen=True, eq=False)
class CarriedRow:
    """A method: its counts on all parts, one for each seed; why it failed, by run; seconds of learning and scoring."""

    name: str
    summary: str
    runs: tuple[CarriedCounts, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    learning_s: float = 0.0
    scoring_s: float = 0.0

    def miou(self, anchors: int) -> dict[int, float]:
        """Return mIoU by k, mean over seeds."""
        found = [run.miou(anchors) for run in self.runs]
        return {k: statistics.fmean(one[k] for one in found) for k in found[0]}

    def sd(self, anchors: int) -> float:
        """Return the sample standard deviation over seeds of mIoU's mean over k; NaN for a method without chance."""
        means = [mean_over(run.miou(anchors)) for run in self.runs]
        return statistics.stdev(means) if len(means) > 1 else math.nan

    def class_iou(self, anchors: int) -> NDArray[np.float64]:
        """Return IoU averaged over k and seeds, Ignore as a class last."""
        stacked = np.stack([run.class_iou(anchors) for run in self.runs])
        return np.asarray(stacked.mean(axis=0))


@dataclass(frozen=True, eq=False)
class CarriedData:
    """A whole comparison; the first row is motion alone, which all others are compared with.

    `origins` names what a pixel's label may come from; `split` says in a sentence what was scored, and learned from.
    """

    project: str
    network: str
    classes: ClassSet
    seeds: tuple[int, ...]
    rows: tuple[CarriedRow, ...]
    origins: tuple[str, ...]
    split: str
    shared: Mapping[str, Any]
    created: str = ""
    command: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def finished(self) -> tuple[CarriedRow, ...]:
        """Rows that have a result."""
        return tuple(row for row in self.rows if row.runs)

    @property
    def base(self) -> CarriedRow | None:
        """Motion alone; None if it failed."""
        return self.rows[0] if self.rows[0].runs else None

    @cached_property
    def anchors(self) -> tuple[int, ...]:
        """Numbers of labelled frames that were scored."""
        return tuple(anchors for anchors in ANCHORS if self.finished and self.finished[0].runs[0].distances(anchors))

    @cached_property
    def gains(self) -> dict[tuple[str, int], Interval]:
        """MIoU minus motion alone's, mean over k, by row and number of labelled frames."""
        return {(row.name, n): gain(self.base.runs[0], row.runs, n) for row, n in self._compared() if self.base}

    @cached_property
    def gains_by_k(self) -> dict[tuple[str, int], dict[int, Interval]]:
        """The same at each k."""
        base = self.base
        return {
            (row.name, n): {k: gain(base.runs[0], row.runs, n, (k,)) for k in row.runs[0].distances(n)}
            for row, n in self._compared()
            if base
        }

    @cached_property
    def refined(self) -> dict[tuple[str, str, int], dict[int | None, Interval]]:
        """MIoU of each warp_refine row minus each other method's with its τ or none, by k (None: the mean over k).

        The keys are both names and the number of labelled frames. Seeds are paired where both have as many; rows of
        another number of seeds are left out.
        """
        found: dict[tuple[str, str, int], dict[int | None, Interval]] = {}
        for row, other, n in product(self.finished, self.finished, self.anchors):
            alike = other.name.partition(", ")[2] in ("", row.name.partition(", ")[2])
            paired = len(other.runs) in (1, len(row.runs))
            if row.name.startswith(REFINED) and not other.name.startswith(REFINED) and alike and paired:
                base = other.runs[0] if len(other.runs) == 1 else other.runs
                ks: list[int | None] = [*other.runs[0].distances(n), None]
                found[row.name, other.name, n] = {k: gain(base, row.runs, n, None if k is None else (k,)) for k in ks}
        return found

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, and Ignore."""
        return (*self.classes.names, "Ignore")

    def _compared(self) -> list[tuple[CarriedRow, int]]:
        return [(row, n) for row in self.finished if row is not self.rows[0] for n in self.anchors]


def verdict(data: CarriedData) -> str:
    """Say which method is ahead of motion alone, by how much, and whether that is told from chance."""
    if data.base is None or not data.gains:
        return "Nothing finished that could be compared with motion alone."
    name, n = max(data.gains, key=lambda key: data.gains[key].value)
    best = data.gains[name, n]
    if best.value <= 0:
        return "No method is better than motion alone here."
    sure = "told from chance" if best.low > 0 else "not told from chance"
    return (
        f"{name} gains most over motion alone: {wording.points(best.value)} points with {ANCHORS[n]}, mean over "
        f"distances ({wording.signed_span(best)}, {sure})."
    )


def failings(data: CarriedData) -> list[tuple[str, str]]:
    """Say of each method where it is worse than motion alone: at which distances, and in which classes."""
    found = []
    for row, n in data._compared():
        if data.base is None:
            continue
        below = [(k, one) for k, one in data.gains_by_k[row.name, n].items() if one.value < 0]
        parts = [
            f"below it at k = {', '.join(str(k) for k, _ in below)}"
            + _surely([k for k, one in below if one.high < 0], len(below))
        ] * bool(below)
        change_C = row.class_iou(n) - data.base.class_iou(n)
        worst = [c for c in np.argsort(change_C, kind="stable")[:LOSSES] if change_C[c] < -SMALL]
        losses = ", ".join(f"{data.class_names[c]} {wording.points(float(change_C[c]))}" for c in worst)
        parts += [f"loses most on {losses}"] * bool(losses)
        found.append((f"{row.name}, {ANCHORS[n]}", "; ".join(parts) or "nowhere below motion alone"))
    return found


def _surely(sure: list[int], below: int) -> str:
    if not sure:
        return " (none told from chance)"
    return " (all told from chance)" if len(sure) == below else f" (told from chance at {', '.join(map(str, sure))})"


def score_rows(data: CarriedData, anchors: int) -> list[list[str]]:
    """Return mIoU by k as text, the header first."""
    base = data.finished[0].runs[0]
    table = [["method", *(f"k = {k}" for k in base.distances(anchors)), "mean", "minus motion alone", "sd of seeds"]]
    for row in data.finished:
        miou = row.miou(anchors)
        gained = data.gains.get((row.name, anchors))
        change = f"{wording.points(gained.value)} ({wording.signed_span(gained)})" if gained else wording.NOTHING
        cells = [*(wording.percent(one) for one in miou.values()), wording.percent(mean_over(miou)), change]
        table.append([row.name, *cells, wording.percent(row.sd(anchors))])
    return table


def gain_rows(data: CarriedData, anchors: int) -> list[list[str]]:
    """Return what each method gains over motion alone at each k as text, the header first."""
    base = data.finished[0].runs[0]
    table = [["method", *(f"k = {k}" for k in base.distances(anchors))]]
    for row in data.finished:
        if by_k := data.gains_by_k.get((row.name, anchors)):
            cells = [f"{wording.points(one.value)} ({wording.signed_span(one)})" for one in by_k.values()]
            table.append([row.name, *cells])
    return table


def refined_rows(data: CarriedData, anchors: int) -> list[list[str]]:
    """Return what warp_refine gains over each other method at each k as text, the header first; none without it."""
    shown = {f"{row} minus {other}": by_k for (row, other, n), by_k in data.refined.items() if n == anchors}
    if not shown:
        return []
    table = [["methods", *("mean" if k is None else f"k = {k}" for k in next(iter(shown.values())))]]
    for name, by_k in shown.items():
        table.append([name, *(f"{wording.points(one.value)} ({wording.signed_span(one)})" for one in by_k.values())])
    return table


def class_rows(data: CarriedData, anchors: int) -> list[list[str]]:
    """Return IoU of each class, averaged over k, as text, the header first."""
    rows = [[row.name, *(wording.percent(float(iou)) for iou in row.class_iou(anchors))] for row in data.finished]
    return [["method", *data.class_names], *rows]


def origin_rows(data: CarriedData) -> list[list[str]]:
    """Return where pixels come from and how many of those are right, as text, the header first."""
    table = [["method", *data.origins]]
    for row in data.finished:
        pixels, right = np.sum([run.origins for run in row.runs], axis=0)
        cells = [
            f"{wording.share(many / pixels.sum())}, {wording.share(good / many)} right" if many else wording.NOTHING
            for many, good in zip(pixels.tolist(), right.tolist(), strict=True)
        ]
        table.append([row.name, *cells])
    return table


def carried_json(data: CarriedData) -> dict[str, Any]:
    """Return everything as plain JSON; scores are fractions, what has no value is None."""
    return {
        "project": data.project,
        "network": data.network,
        "seeds": list(data.seeds),
        "compared_with": data.rows[0].name,
        "split": data.split,
        "settings": dict(data.shared),
        "verdict": verdict(data),
        "rows": [_row_json(row, data) for row in data.rows],
        "failings": [{"row": name, "where": where} for name, where in failings(data)],
    }


def _row_json(row: CarriedRow, data: CarriedData) -> dict[str, Any]:
    found: dict[str, Any] = {"row": row.name, "summary": row.summary, "failed": dict(row.failed)}
    if not row.runs:
        return found
    found |= {"learning_s": row.learning_s, "scoring_s": row.scoring_s, "anchors": {}}
    for n in data.anchors:
        miou, gained = row.miou(n), data.gains_by_k.get((row.name, n), {})
        found["anchors"][str(n)] = {
            "cases": sum(case.anchors == n for case in row.runs[0].cases.values()),
            "blocks": len(row.runs[0].blocks),
            "miou": {str(k): number(one) for k, one in miou.items()},
            "mean": number(mean_over(miou)),
            "sd": number(row.sd(n)),
            "gain": interval_json(data.gains.get((row.name, n))),
            "gain_by_k": {str(k): interval_json(one) for k, one in gained.items()},
            "gain_over": {
                other: {"mean" if k is None else str(k): interval_json(one) for k, one in by_k.items()}
                for (refined, other, frames), by_k in data.refined.items()
                if (refined, frames) == (row.name, n)
            },
            "class_iou": dict(zip(data.class_names, map(number, row.class_iou(n).tolist()), strict=True)),
        }
    pixels, right = np.sum([run.origins for run in row.runs], axis=0).tolist()
    found["origins"] = {
        name: {"pixels": many, "right": good} for name, many, good in zip(data.origins, pixels, right, strict=True)
    }
    return found


def carried_markdown(data: CarriedData) -> str:
    """Return the tables: scores over k, gains, classes, origins, failings, settings."""
    lines = [f"# {data.project}: labels carried through video", "", verdict(data), "", data.split, ""]
    for n in data.anchors:
        lines += [f"## With {ANCHORS[n]}", "", "mIoU in per cent; truth 255 not counted, a propagated 255 a miss:", ""]
        lines += [*markdown_table(score_rows(data, n)), "", "Minus motion alone at each distance:", ""]
        lines += [*markdown_table(gain_rows(data, n)), ""]
        if refined := refined_rows(data, n):
            lines += [f"{REFINED} against each other method:", "", *markdown_table(refined), ""]
        lines += ["IoU averaged over k, Ignore as a class:", ""]
        lines += [*markdown_table(class_rows(data, n)), ""]
    if data.finished:
        lines += ["## Where pixels come from, and how many of them are right", "", *markdown_table(origin_rows(data))]
    lines += ["", "## Where a method is worse than motion alone", ""]
    lines += [f"* {name}: {where}" for name, where in failings(data)]
    failed = [(row.name, run, text) for row in data.rows for run, text in row.failed.items()]
    lines += ["", "Failed:", ""] * bool(failed)
    lines += [f"* {name}, {run}: {' '.join(text.split())}" for name, run, text in failed]
    lines += ["", INTERVALS, "", f"Settings: {settings_text(data.shared)}."]
    lines += ["", f"Command: `{shlex.join(data.command)}`."] * bool(data.command)
    versions = ", ".join(f"{name} {version}" for name, version in data.versions.items())
    return "\n".join([*lines, versions and f"Versions: {versions}.", ""])


INTERVALS = (
    "Intervals are 95 % and paired: blocks of neighbouring targets are drawn with replacement, the same ones for both "
    "methods, for every distance and for all seeds. Single frames are not drawn, because neighbours are nearly the "
    "same picture and go wrong together; with few blocks the intervals are rough."
)


def seeds_words(seeds: Sequence[int]) -> str:
    """Return `seed 0`, or `seeds 0, 1, 2`."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
