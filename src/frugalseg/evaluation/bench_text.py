"""A comparison as JSON for machines and as Markdown for people."""

import json
import math
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from frugalseg.evaluation import wording
from frugalseg.evaluation.bench_table import BenchData, BenchMethod, BenchRow, Choice, MeanSd, bench_rows, choices
from frugalseg.evaluation.compare import Interval

MEBI = 1 << 20


def bench_json(data: BenchData) -> dict[str, Any]:
    """Return everything as plain JSON; scores are fractions, what has no value is None."""
    rows = {row.method.name: row for row in bench_rows(data)}
    return {
        "project": data.project,
        "network": data.network,
        "seeds": list(data.seeds),
        "compared_with": data.baseline.name,
        "shared": dict(data.shared),
        "methods": [_method_json(method, rows.get(method.name), data) for method in data.methods],
        "label_free": [
            {
                "seed": choice.seed,
                "chosen": choice.chosen,
                "miou": choice.miou,
                "best": choice.best,
                "best_miou": choice.best_miou,
                "spearman": choice.correlation,
                "scores": dict(choice.scores),
            }
            for choice in choices(data)
        ],
    }


def _method_json(method: BenchMethod, row: BenchRow | None, data: BenchData) -> dict[str, Any]:
    found: dict[str, Any] = {"method": method.name, "steps": method.steps, "own": dict(method.own)}
    found["failed"] = {str(seed): message for seed, message in method.failed.items()}
    if row is None:
        return found
    found |= {"miou": row.miou.mean, "sd": row.miou.sd, "gain": interval_json(row.gain), "gain_sd": row.gain_sd}
    found |= {"wall_s": row.wall_s, "cpu_s": row.cpu_s}
    found |= {"peak_process_bytes": row.process_bytes, "peak_device_bytes": row.device_bytes}
    found["iou"] = {name: number(iou) for name, iou in zip(data.classes.names, row.iou_C, strict=True)}
    found["runs"] = [
        {
            "seed": run.seed,
            "miou": run.scores.miou,
            "gain": interval_json((row.gains or {}).get(run.seed)),
            "wall_s": run.wall_s,
            "cpu_s": run.cpu_s,
            "peak_process_bytes": run.process_bytes,
            "peak_device_bytes": run.device_bytes,
            "stage": run.stage,
        }
        for run in method.runs
    ]
    return found


def bench_markdown(data: BenchData) -> str:
    """Return the tables: scores and costs, classes, the label-free choice, settings, failures."""
    rows, chosen = bench_rows(data), choices(data)
    lines = [f"# {data.project}: methods compared", "", *_lead(data), "", *_score_table(data, rows), ""]
    lines += [f"IoU of each class, mean over seeds{_frames(data)}:", "", *_class_table(data, rows), ""]
    lines += [*_choice_lines(chosen), ""] if chosen else []
    failed = [(m.name, seed, text) for m in data.methods for seed, text in m.failed.items()]
    if failed:
        lines += [
            "Failed:",
            "",
            *(f"* {name}, seed {seed}: {' '.join(text.split())}" for name, seed, text in failed),
            "",
        ]
    lines += [
        "Shared by all: " + settings_text(data.shared) + ".",
        "",
        "A method's own, where not the default of all:",
        "",
    ]
    lines += [f"* {method.name}: {settings_text(method.own) or 'nothing'}" for method in data.methods]
    lines += ["", f"Command: `{shlex.join(data.command)}`."] if data.command else []
    versions = ", ".join(f"{name} {version}" for name, version in data.versions.items())
    return "\n".join([*lines, versions and f"Versions: {versions}.", ""])


def _lead(data: BenchData) -> list[str]:
    return [
        f"mIoU in per cent{_frames(data)}, mean ± sd over seeds {', '.join(map(str, data.seeds))}; `{data.network}`,",
        f"last checkpoint. Gain: points over {data.baseline.name} of the same seed, mean ± sd over seeds, and its 95 %",
        "interval from resampling frames. Time and memory are the training's own (mean seconds, highest peak).",
    ]


def _frames(data: BenchData) -> str:
    counts = {len(run.confusions) for method in data.methods for run in method.runs}
    return f" on {max(counts)} validation frames" if counts else ""


def _score_table(data: BenchData, rows: Sequence[BenchRow]) -> list[str]:
    on_device = any(row.device_bytes is not None for row in rows)
    header = ["method", "steps", "mIoU", "each seed", "gain", "gain of each seed", "CPU s", "wall s", "peak MiB"]
    table = [[*header, "GPU MiB"] if on_device else header]
    for row in rows:
        seeds = " · ".join(f"{run.seed}: {wording.percent(run.scores.miou)}" for run in row.method.runs)
        cells = [row.method.name, str(row.method.steps), mean_sd(row.miou), seeds, gain_text(row), seed_gains(row)]
        cells += [f"{row.cpu_s:.0f}", f"{row.wall_s:.0f}", f"{row.process_bytes / MEBI:.0f}"]
        cells += [f"{row.device_bytes / MEBI:.0f}" if row.device_bytes else wording.NOTHING] if on_device else []
        table.append(cells)
    none = [method for method in data.methods if not method.runs]
    table += [[method.name, str(method.steps), "failed", *[wording.NOTHING] * (len(table[0]) - 3)] for method in none]
    return markdown_table(table)


def _class_table(data: BenchData, rows: Sequence[BenchRow]) -> list[str]:
    table = [["method", *data.classes.names]]
    return markdown_table(table + [[row.method.name, *(wording.percent(iou, 0) for iou in row.iou_C)] for row in rows])


def _choice_lines(chosen: Sequence[Choice]) -> list[str]:
    table = [["seed", "chosen without labels", "its mIoU", "best in truth", "its mIoU", "rank correlation"]]
    for choice in chosen:
        scores = [wording.percent(choice.miou), choice.best, wording.percent(choice.best_miou)]
        table.append([str(choice.seed), choice.chosen, *scores, correlation_text(choice.correlation)])
    known = [choice.correlation for choice in chosen if choice.correlation is not None]
    mean = f" (mean rank correlation {statistics.fmean(known):+.2f})" if known else ""
    return [f"The label-free choice among these models{mean}:", "", *markdown_table(table)]


def gain_text(row: BenchRow) -> str:
    """Mean ± sd over seeds and the interval over frames: "+2.1 ± 0.4 (+0.9 to +3.2)"."""
    if row.gain is None:
        return wording.NOTHING
    return f"{wording.points(row.gain.value)} ± {100 * row.gain_sd:.1f} ({wording.signed_span(row.gain)})"


def seed_gains(row: BenchRow) -> str:
    """Each seed's gain with its interval."""
    gains = (row.gains or {}).items()
    return " · ".join(f"{wording.points(g.value)} ({wording.signed_span(g)})" for _, g in gains) or wording.NOTHING


def mean_sd(score: MeanSd) -> str:
    """Mean ± sd in per cent."""
    return f"{100 * score.mean:.1f} ± {100 * score.sd:.1f}"


def correlation_text(correlation: float | None) -> str:
    """Two digits with a sign, or a dash."""
    return wording.NOTHING if correlation is None else f"{correlation:+.2f}".replace("-", wording.MINUS)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings on one line."""
    return ", ".join(f"{name} = {json.dumps(value, default=str)}" for name, value in settings.items())


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table whose first row is the header."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"

    return [line(rows[0]), "|---" * len(rows[0]) + "|", *map(line, rows[1:])]


def interval_json(interval: Interval | None) -> dict[str, float | None] | None:
    """Return value and bounds, or None."""
    if interval is None:
        return None
    return {"value": number(interval.value), "low": number(interval.low), "high": number(interval.high)}


def number(value: float) -> float | None:
    """Return a float that JSON holds, or None."""
    return float(value) if math.isfinite(value) else None
