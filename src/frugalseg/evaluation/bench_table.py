"""What a comparison over seeds found, and what follows from it: means, spreads, differences, the label-free choice.

A run is one method trained with one seed. Scores and differences are fractions 0–1; spreads are sample standard
deviations over seeds, 0 for one seed.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from frugalseg.core.classes import ClassSet
from frugalseg.evaluation.compare import Interval, paired_bootstrap, paired_bootstrap_mean
from frugalseg.evaluation.confusion import Confusions, Scores, scores
from frugalseg.evaluation.label_free import Judgement, best, rank_scores, spearman


@dataclass(frozen=True, eq=False)
class BenchRun:
    """A method with one seed: its counts on the validation frames and what its training took."""

    seed: int
    confusions: Confusions
    wall_s: float
    cpu_s: float
    process_bytes: int
    device_bytes: int | None = None
    judgement: Judgement | None = None
    stage: str = ""

    @cached_property
    def scores(self) -> Scores:
        """Scores on the validation frames."""
        return scores(self.confusions.total())


@dataclass(frozen=True, eq=False)
class BenchMethod:
    """A row: a method's runs in the order of their seeds, what failed (message by seed), and its own settings."""

    name: str
    summary: str
    steps: int
    runs: tuple[BenchRun, ...]
    failed: Mapping[int, str] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class BenchData:
    """A whole comparison; the first method is what the others are compared with."""

    project: str
    network: str
    classes: ClassSet
    seeds: tuple[int, ...]
    methods: tuple[BenchMethod, ...]
    shared: Mapping[str, Any]
    created: str = ""
    command: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def baseline(self) -> BenchMethod:
        """What all others are compared with."""
        return self.methods[0]

    @property
    def finished(self) -> tuple[BenchMethod, ...]:
        """Methods with at least one run."""
        return tuple(method for method in self.methods if method.runs)


@dataclass(frozen=True)
class MeanSd:
    """Mean and sample standard deviation over seeds."""

    mean: float
    sd: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "MeanSd":
        """Return both; one value has no spread."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)


@dataclass(frozen=True, eq=False)
class BenchRow:
    """One line of the table. `gains` by seed and `gain` over seeds are None for the baseline.

    A seed whose baseline failed has no gain.
    """

    method: BenchMethod
    miou: MeanSd
    gains: Mapping[int, Interval] | None
    gain: Interval | None
    gain_sd: float
    wall_s: float
    cpu_s: float
    process_bytes: int
    device_bytes: int | None
    iou_C: tuple[float, ...]


@dataclass(frozen=True)
class Choice:
    """What the label-free rule chose with one seed, and how its scores go with the truth."""

    seed: int
    chosen: str
    miou: float
    best: str
    best_miou: float
    correlation: float | None
    scores: Mapping[str, float]
    mious: Mapping[str, float]


def bench_rows(data: BenchData) -> tuple[BenchRow, ...]:
    """Return one row for each method with a finished run, in the data's order: none is left out for losing."""
    before = {run.seed: run.confusions for run in data.baseline.runs}
    return tuple(_row(method, before if method is not data.baseline else None) for method in data.finished)


def _row(method: BenchMethod, before: Mapping[int, Confusions] | None) -> BenchRow:
    runs = method.runs
    gains: dict[int, Interval] | None = None
    gain, spread = None, 0.0
    if before is not None:
        pairs = {run.seed: (before[run.seed], run.confusions) for run in runs if run.seed in before}
        gains = {seed: paired_bootstrap(*pair) for seed, pair in pairs.items()}
        gain = paired_bootstrap_mean(list(pairs.values())) if pairs else None
        spread = MeanSd.of([one.value for one in gains.values()]).sd if gains else 0.0
    iou_RC = np.stack([run.scores.iou_C for run in runs])
    on_device = [run.device_bytes for run in runs if run.device_bytes is not None]
    return BenchRow(
        method=method,
        miou=MeanSd.of([run.scores.miou for run in runs]),
        gains=gains,
        gain=gain,
        gain_sd=spread,
        wall_s=statistics.fmean(run.wall_s for run in runs),
        cpu_s=statistics.fmean(run.cpu_s for run in runs),
        process_bytes=max(run.process_bytes for run in runs),
        device_bytes=max(on_device) if on_device else None,
        iou_C=tuple(_mean_known(column) for column in iou_RC.T),
    )


def _mean_known(values: Any) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def choices(data: BenchData) -> tuple[Choice, ...]:
    """Return what would have been chosen without target labels, seed by seed, among the methods that finished."""
    found = []
    for seed in data.seeds:
        judged = [
            (method.name, run, run.judgement)
            for method in data.finished
            for run in method.runs
            if run.seed == seed and run.judgement is not None
        ]
        if judged:
            judgements = [judgement for _, _, judgement in judged]
            by_name = dict(zip((name for name, _, _ in judged), rank_scores(judgements), strict=True))
            truth = {name: run.scores.miou for name, run, _ in judged}
            chosen, winner = judged[best(judgements)][0], max(truth, key=lambda name: truth[name])
            correlation = spearman(list(by_name.values()), list(truth.values()))
            found.append(Choice(seed, chosen, truth[chosen], winner, truth[winner], correlation, by_name, truth))
    return tuple(found)
