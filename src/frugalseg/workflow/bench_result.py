"""What becomes of a comparison's jobs: all of them run, rows of scores and costs, and the stage that tells of them."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from frugalseg.core.runs import RunInfo
from frugalseg.evaluation.bench_table import BenchData, BenchMethod, BenchRun
from frugalseg.evaluation.confusion import Confusions
from frugalseg.workflow.bench import FOLDER, BenchOptions, publish, seed_project
from frugalseg.workflow.bench_job import TRAININGS, Done, Job
from frugalseg.workflow.bench_jobs import alone, run_jobs
from frugalseg.workflow.choose_model import judgement_of
from frugalseg.workflow.project import CONFUSIONS, Project
from frugalseg.workflow.stage import Options, StageResult, run_stage

Data = TypeVar("Data")
Found = Mapping[Job, Done | str]  # each job's stages, or why it failed


def carry_out(
    project: Project, bench: BenchOptions, jobs_of: Callable[[Project, int], list[Job]], options: Options
) -> Found:
    """Run the jobs of every seed, in its copy of the project; what others start from first."""
    with alone(project.folder.resolve() / FOLDER, options) as lock:
        jobs = [job for seed in bench.seeds for job in jobs_of(seed_project(project, seed), seed)]
        return run_jobs(lock, sorted(jobs, key=_depth), bench.jobs, options, TRAININGS)


def _depth(job: Job) -> int:
    return 0 if job.after is None else 1 + _depth(job.after)


def bench_data(
    project: Project, bench: BenchOptions, methods: Iterable[BenchMethod], shared: Mapping[str, Any], found: Found
) -> BenchData:
    """Return a whole comparison of these rows, with the command and the time of now."""
    return BenchData(
        project=project.settings.name,
        network=project.settings.network,
        classes=project.classes,
        seeds=bench.seeds,
        methods=tuple(methods),
        shared=shared,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=("frugalseg", *sys.argv[1:]),
        versions=versions_of(found),
    )


def bench_method(
    name: str, summary: str, steps: int, own: Mapping[str, Any], found: Found, seeds: tuple[int, ...]
) -> BenchMethod:
    """Return the row of the jobs called `name`, in the order of the seeds."""
    by_seed = {job.seed: (job, outcome) for job, outcome in found.items() if job.name == name}
    ordered = [by_seed[seed] for seed in seeds if seed in by_seed]
    return BenchMethod(
        name=name,
        summary=summary,
        steps=steps,
        runs=tuple(bench_run(job, outcome) for job, outcome in ordered if isinstance(outcome, Done)),
        failed={job.seed: outcome for job, outcome in ordered if isinstance(outcome, str)},
        own=own,
    )


def bench_run(job: Job, outcome: Done) -> BenchRun:
    """Return what a finished job found."""
    training, evaluation = outcome.training, outcome.evaluations[-1]
    peak = training.extra["peak_memory"]
    return BenchRun(
        seed=job.seed,
        confusions=confusions_of(evaluation),
        wall_s=training.wall_s,
        cpu_s=training.device_s,
        process_bytes=int(peak["process_bytes"]),
        device_bytes=peak.get("device_bytes"),
        judgement=judgement_of(outcome.judgement.extra) if outcome.judgement else None,
        stage=f"{FOLDER}/seed-{job.seed}/runs/{training.folder.name}",
    )


def confusions_of(evaluation: RunInfo) -> Confusions:
    """Return the counts of an evaluation."""
    return Confusions.load(evaluation.folder / CONFUSIONS)


def failed_of(found: Found) -> dict[str, str]:
    """Return why each job that failed did."""
    return {job.title: outcome for job, outcome in found.items() if isinstance(outcome, str)}


def inputs_of(found: Found) -> dict[str, Path]:
    """Return all finished stages, as the inputs of the comparison's own."""
    return {
        f"seed-{job.seed}/{job.name}/{number}": run.folder
        for job, outcome in found.items()
        if isinstance(outcome, Done)
        for number, run in enumerate(outcome.stages)
    }


def versions_of(found: Found) -> dict[str, str]:
    """Return the versions that the last finished training noted."""
    done = [outcome for outcome in found.values() if isinstance(outcome, Done)]
    return done[-1].training.versions if done else {}


@dataclass(frozen=True)
class Pages(Generic[Data]):
    """How a comparison's data become bench.json, bench.md and bench.html."""

    to_json: Callable[[Data], Mapping[str, Any]]
    to_markdown: Callable[[Data], str]
    write_html: Callable[[Path, Data], None]

    def write(self, folder: Path, data: Data) -> Mapping[str, Any]:
        """Write all three and return the JSON."""
        text = self.to_json(data)
        (folder / "bench.json").write_text(json.dumps(text, indent=1, ensure_ascii=False), encoding="utf-8")
        (folder / "bench.md").write_text(self.to_markdown(data), encoding="utf-8")
        self.write_html(folder / "bench.html", data)
        return text


def bench_stage(
    project: Project,
    stage: str,
    found: Found,
    told: Mapping[str, Any],
    options: Options,
    data: Data,
    pages: Pages[Data],
) -> StageResult:
    """Write what a comparison found as a stage of the project; the same again is a no-op."""
    failed, inputs = failed_of(found), {**inputs_of(found), "classes": project.folder / "classes.toml"}

    def work(folder: Path) -> dict[str, Any]:
        return {**pages.write(folder, data), "failed": failed}

    return publish(project, run_stage(project, stage, inputs, {**told, "failed": failed}, work, options))
