"""`bench folds`: cross-validation over the labelled frames of the source, for data sets too small to be split once.

Each fold is scored by a network that has seen neither it nor any frame of its sequences (`data.folds`); then all frames
have been scored once, and mIoU comes from all of them together. Every fold of every seed is an ordinary project in
PROJECT/bench/seed-N-fold-F, whose source are the other folds and whose validation is this one. The target stays as it
is: methods that adapt see its images without labels, those of the fold among them if they are there.
"""

import csv
import functools
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ConfigError
from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records
from frugalseg.data.folds import fold_of
from frugalseg.data.manifest import write_manifest
from frugalseg.data.quarantine import write_quarantine
from frugalseg.evaluation.bench_page import write_bench_page
from frugalseg.evaluation.bench_table import BenchData, BenchMethod, BenchRun
from frugalseg.evaluation.bench_text import bench_json, bench_markdown, markdown_table, number
from frugalseg.evaluation.confusion import Confusions
from frugalseg.evaluation.objects import Grouping, ObjectHits, object_scores
from frugalseg.training.settings import TrainConfig
from frugalseg.workflow import catalog
from frugalseg.workflow.bench import (
    BASELINE,
    FOLDER,
    BenchOptions,
    as_overrides,
    chosen_methods,
    label_free_methods,
    own_settings,
    publish,
    refuse_options,
    require_fair,
    seed_project,
    shared_settings,
)
from frugalseg.workflow.bench_job import TRAININGS, Done, Job
from frugalseg.workflow.bench_jobs import alone, run_jobs
from frugalseg.workflow.bench_result import Found, bench_data, confusions_of, failed_of, inputs_of
from frugalseg.workflow.measure import OBJECTS
from frugalseg.workflow.project import Project
from frugalseg.workflow.stage import Options, StageResult, run_stage

STAGE = "bench-folds"
USUAL = 4  # folds, as KITTI's 200 labelled images are usually cut


def folds(project: Project, bench: BenchOptions, options: Options) -> StageResult:
    """Cross-validate; the result is a stage of the project: bench.html, bench.md, bench.json, folds.csv.

    Raises:
        ConfigError: what is asked for is not fair, or does not exist.
        DataError: the labelled frames cannot be shared out.
        StageOrderError: there is no source or no target.
    """
    refuse_options(bench, "folds", "folds")
    require_fair(project, bench, ("source", "target"))
    plan = Plan(project, bench)
    if options.dry_run:
        return StageResult(STAGE, None, plan.told())
    with alone(project.folder.resolve() / FOLDER, options) as lock:
        jobs = [job for seed in bench.seeds for fold in range(plan.count) for job in plan.jobs(seed, fold)]
        found = run_jobs(lock, sorted(jobs, key=lambda job: job.after is not None), bench.jobs, options, TRAININGS)
    return plan.result(found, options)


class Plan:
    """Which frames are in which fold, what is trained on the others, and how it is put together."""

    def __init__(self, project: Project, bench: BenchOptions) -> None:
        self._project, self._bench = project, bench
        self.count = bench.folds or USUAL
        self._source = project.manifest("source")
        self._frames = [frame for frame in self._source if frame.label is not None]
        if not self._frames:
            raise ConfigError(f"{project.folder}: no source frame has a label, so there is nothing to cross-validate.")
        self.fold = fold_of(self._frames, self.count)
        self._shared = shared_settings(project, bench)
        self._methods = chosen_methods(bench, label_free_methods(), (BASELINE,))

    def told(self) -> dict[str, Any]:
        """Return what would be run."""
        sizes = [sum(fold == number for fold in self.fold.values()) for number in range(self.count)]
        return {
            "folds": self.count,
            "frames": sizes,
            "methods": {name: {"steps": self._config(name).steps} for name in self._methods},
            "seeds": list(self._bench.seeds),
            "shared": self._shared,
        }

    def jobs(self, seed: int, fold: int) -> list[Job]:
        """Return what is trained without a fold: the source model, and what goes on from it."""
        folder = str(self._copy(seed, fold).folder)
        steps = (f"steps={self._bench.steps}",) if self._bench.steps else ()
        common = (*as_overrides(self._shared), *steps, f"seed={seed}")
        first = Job(_name(BASELINE, fold), BASELINE, seed, folder, (*common, "start=pretrained"))
        others = [name for name in self._methods if name != BASELINE]
        later = [Job(_name(name, fold), name, seed, folder, (*common, "start=checkpoint"), first) for name in others]
        return [first, *later]

    def result(self, found: Found, options: Options) -> StageResult:
        """Write the result of what finished and what failed; the same again is a no-op."""
        data, failed = self._data(found), failed_of(found)
        inputs = {**inputs_of(found), "source": self._project.manifest_folder("source")}
        config = {**self.told(), "failed": failed}

        def work(folder: Path) -> dict[str, Any]:
            by_fold = self._by_fold(found)
            text = {**bench_json(data), "folds": self.told()["frames"], "by_fold": by_fold}
            text["coarse_and_fine"] = self._coarse_and_fine(found)
            (folder / "bench.json").write_text(json.dumps(text, indent=1, ensure_ascii=False), encoding="utf-8")
            tables = "\n".join([bench_markdown(data), "mIoU in per cent of each fold:", "", *_fold_table(by_fold), ""])
            (folder / "bench.md").write_text(tables, encoding="utf-8")
            (folder / "folds.csv").write_text(self._table(), encoding="utf-8")
            write_bench_page(folder / "bench.html", data)
            return {**text, "failed": failed}

        return publish(self._project, run_stage(self._project, STAGE, inputs, config, work, options))

    def _config(self, method: str) -> TrainConfig:
        config: TrainConfig = self._project.stage_config("method", method, None, list(as_overrides(self._shared)))
        return config

    def _copy(self, seed: int, fold: int) -> Project:
        """Return the project's copy in which a fold is the validation data and the others are the source."""
        copy = seed_project(self._project, seed, f"seed-{seed}-fold-{fold}")
        for domain, wanted in (("source", False), ("validation", True)):
            frames = tuple(frame for frame in self._frames if (self.fold[frame.key] == fold) is wanted)
            write_manifest(copy.folder / "manifests" / domain, replace(self._source, frames=frames, refused=()))
            write_quarantine(copy.folder / "manifests" / domain, {})
        return copy

    def _data(self, found: Found) -> BenchData:
        methods = [self._method(name, found) for name in self._methods]
        return bench_data(self._project, self._bench, methods, self._shared, found)

    def _method(self, name: str, found: Found) -> BenchMethod:
        config, runs, failed = self._config(name), [], {}
        for seed in self._bench.seeds:
            outcomes = self._outcomes(name, seed, found)
            if wrong := {fold: text for fold, text in enumerate(outcomes) if isinstance(text, str)}:
                failed[seed] = "; ".join(f"fold {fold}: {text}" for fold, text in wrong.items())
            else:
                runs.append(_all_folds(seed, [outcome for outcome in outcomes if isinstance(outcome, Done)]))
        summary, own = catalog.METHODS[name].summary, own_settings(config, self._shared)
        return BenchMethod(name, summary, config.steps * config.repeats, tuple(runs), failed, own)

    def _outcomes(self, name: str, seed: int, found: Found) -> list[Done | str]:
        """Return what became of each fold."""
        by_name = {job.name: outcome for job, outcome in found.items() if job.seed == seed}
        return [by_name[_name(name, fold)] for fold in range(self.count)]

    def _by_fold(self, found: Found) -> dict[str, dict[str, list[float | None]]]:
        """Return mIoU of each fold, by method and seed; None where it failed."""
        return {
            name: {
                str(seed): [
                    outcome.evaluations[-1].extra["miou"] if isinstance(outcome, Done) else None
                    for outcome in self._outcomes(name, seed, found)
                ]
                for seed in self._bench.seeds
            }
            for name in self._methods
        }

    def _coarse_and_fine(self, found: Found) -> dict[str, dict[str, dict[str, float | None]]]:
        """Return scores of categories and of single objects over all folds, by method and seed, where there are any."""
        grouping = Grouping.of(self._source.classes, self._project.classes)
        told: dict[str, dict[str, dict[str, float | None]]] = {}
        for name in self._methods:
            for seed in self._bench.seeds:
                done = [outcome for outcome in self._outcomes(name, seed, found) if isinstance(outcome, Done)]
                if len(done) == self.count:
                    evaluations = [outcome.evaluations[-1] for outcome in done]
                    hits = [hit for evaluation in evaluations for hit in _hits(evaluation.folder / OBJECTS)]
                    scored = object_scores(_merged(evaluations).total(), hits, grouping)
                    values = {key: number(getattr(scored, key)) for key in ("category_miou", "miiou", "category_miiou")}
                    told.setdefault(name, {})[str(seed)] = values
        return told

    def _table(self) -> str:
        """Return which frame is in which fold, as CSV."""
        text = io.StringIO(newline="")
        table = csv.writer(text)
        table.writerow(("key", "sequence", "fold"))
        table.writerows((frame.key, frame.sequence, self.fold[frame.key]) for frame in self._frames)
        return text.getvalue()


def _name(method: str, fold: int) -> str:
    return f"{method}/fold-{fold}"


def _merged(evaluations: Sequence[RunInfo]) -> Confusions:
    """Return the counts of all folds, whose frames are all different."""
    counts = [confusions_of(evaluation) for evaluation in evaluations]
    return functools.reduce(Confusions.merge, counts)


def _all_folds(seed: int, done: list[Done]) -> BenchRun:
    """Return the folds of a seed as one run: counts and seconds added up, the highest peak of memory."""
    peaks = [outcome.training.extra["peak_memory"] for outcome in done]
    on_device = [peak["device_bytes"] for peak in peaks if peak.get("device_bytes") is not None]
    return BenchRun(
        seed=seed,
        confusions=_merged([outcome.evaluations[-1] for outcome in done]),
        wall_s=sum(outcome.training.wall_s for outcome in done),
        cpu_s=sum(outcome.training.device_s for outcome in done),
        process_bytes=max(int(peak["process_bytes"]) for peak in peaks),
        device_bytes=max(on_device) if on_device else None,
        stage=f"{FOLDER}/seed-{seed}-fold-*",
    )


def _hits(path: Path) -> list[ObjectHits]:
    return read_records(path, ObjectHits) if path.is_file() else []


def _fold_table(by_fold: dict[str, dict[str, list[float | None]]]) -> list[str]:
    rows = [
        [method, seed, *("failed" if score is None else f"{100 * score:.1f}" for score in scores)]
        for method, seeds in by_fold.items()
        for seed, scores in seeds.items()
    ]
    return markdown_table([["method", "seed", *(f"fold {fold}" for fold in range(len(rows[0]) - 2))], *rows])
