"""The networks that guess in `bench propagation`: one that has learned from no label of the video, or cross-fitted.

With folds, the given network goes on learning (`source_only`) from the labelled frames that a part may learn from: all
of them for the scored part, and all but a fold and its neighbours for the cycles of that fold's frames. So no label is
ever guessed by a network that has seen it. Every one is an ordinary training in PROJECT/bench/propagation-part-P and
-part-P-fold-F, scored on what it has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from frugalseg.core.config import to_toml
from frugalseg.core.errors import ConfigError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Manifest
from frugalseg.data.halves import Half, halves
from frugalseg.data.manifest import write_manifest
from frugalseg.data.quarantine import write_quarantine
from frugalseg.data.sequences import Run
from frugalseg.workflow.bench import BASELINE, BenchOptions, seed_project
from frugalseg.workflow.bench_job import TRAININGS, Done, Job
from frugalseg.workflow.bench_jobs import run_jobs
from frugalseg.workflow.bench_propagation_config import BenchPropagationConfig
from frugalseg.workflow.project import MODEL, Project
from frugalseg.workflow.propagate_plan import stretches
from frugalseg.workflow.stage import Options
from frugalseg.workflow.start import checkpoint_settings, import_model


@dataclass(frozen=True)
class Guesses:
    """Model folders: of the network for a scored part, and of those for each fold of what is learned from."""

    scoring: Path
    folds: tuple[Path, ...] = ()


def guesses(
    project: Project,
    bench: BenchOptions,
    config: BenchPropagationConfig,
    video: Manifest,
    model: Path | None,
    lock: IO[str],
    options: Options,
) -> list[Guesses | str]:
    """Return the networks of each part, trained where they are not yet, or why they could not be.

    Args:
        project: The project.
        bench: With how many folds, and which seeds.
        config: How the video is split.
        video: The labelled frames.
        model: The network that has learned from none of them; None where nothing guesses.
        lock: What `bench_jobs.alone` gave.
        options: Whether to be quiet.
    """
    if model is None:
        return ["no network"] * config.parts
    if not bench.folds:
        return [Guesses(model)] * config.parts
    cut = halves(stretches(video), config.parts, config.gap, config.split)
    jobs = [_jobs(project, bench, config, video, half, part, model) for part, half in enumerate(cut)]
    found = run_jobs(lock, [job for own in jobs for job in own], bench.jobs, options, TRAININGS)
    return [_trained([found[job] for job in own]) for own in jobs]


def _trained(outcomes: Sequence[Done | str]) -> Guesses | str:
    if failed := [outcome for outcome in outcomes if isinstance(outcome, str)]:
        return f"the network that guesses: {failed[0]}"
    first, *others = (one.training.folder / MODEL for one in outcomes if isinstance(one, Done))
    return Guesses(first, tuple(others))


def _jobs(
    project: Project,
    bench: BenchOptions,
    config: BenchPropagationConfig,
    video: Manifest,
    half: Half,
    part: int,
    model: Path,
) -> list[Job]:
    """Return the trainings for a part: without it, then without it and each fold."""
    assert bench.folds is not None
    seed, jobs = bench.seeds[0], []
    folds = halves(half.learned, bench.folds, config.gap, "parts")
    for name, cut in ((f"part-{part}", half), *((f"part-{part}-fold-{n}", fold) for n, fold in enumerate(folds))):
        copy, start = _copy(project, seed, f"propagation-{name}", video, cut, model)
        settings = ("start=checkpoint", f"seed={seed}")
        jobs.append(Job(f"guess/{name}", BASELINE, seed, str(copy), settings, origin=str(start)))
    return jobs


def _copy(project: Project, seed: int, name: str, video: Manifest, cut: Half, model: Path) -> tuple[Path, Path]:
    """Return the project's copy that knows, with labels, what it may learn from alone, and the stage it starts from."""
    copy = seed_project(project, seed, name)
    learned, scored = _labelled(video, cut.learned), _labelled(video, cut.scored)
    if not learned.frames or not scored.frames:
        raise ConfigError(
            f"{name}: {len(learned.frames)} labelled frames to learn from and {len(scored.frames)} to leave out; "
            "expected some of each. Take fewer --folds, or a smaller --set gap=N."
        )
    for domain, manifest in (("source", learned), ("target", learned), ("validation", scored)):
        write_manifest(copy.folder / "manifests" / domain, manifest)
        write_quarantine(copy.folder / "manifests" / domain, {})
    given, _ = checkpoint_settings(model)
    settings = copy.settings.model_copy(update=given)
    write_atomic(copy.folder / "project.toml", to_toml(settings).encode())
    return copy.folder, import_model(Project.open(copy.folder), Options(quiet=True)).where


def _labelled(video: Manifest, runs: Sequence[Run]) -> Manifest:
    frames = tuple(frame for run in runs for frame in run.frames if frame.label is not None)
    return replace(video, frames=frames, refused=())
