"""`bench propagation`: labels carried through labelled video by motion alone, by a network alone, and by both.

The target's labelled frames are split (`data.halves`): what is learned from one half (the refinement network's cycles)
is scored on the other, then the other way round; every method is scored on the same cases. The network that guesses has
learned from no label of this video (`--checkpoint`; default the project's newest one trained without answers), or, with
`--folds`, goes on from that one on the half that is learned from, and in the cycles of a labelled frame guesses one
that has not learned from that frame's fold.
"""

import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from frugalseg.core.config import load_config
from frugalseg.core.errors import ConfigError, StageOrderError
from frugalseg.core.records import Manifest
from frugalseg.core.runs import RunInfo
from frugalseg.data.halves import halves
from frugalseg.evaluation.bench_propagation import CarriedData, CarriedRow, carried_json, carried_markdown
from frugalseg.evaluation.carried import CarriedCounts, merged
from frugalseg.propagation.spread import ORIGINS
from frugalseg.workflow.bench import FOLDER, BenchOptions, publish, refuse_options, run_mistakes, seed_project
from frugalseg.workflow.bench_jobs import alone, run_jobs
from frugalseg.workflow.bench_propagation_config import FIXED, BenchPropagationConfig
from frugalseg.workflow.bench_propagation_guess import guesses
from frugalseg.workflow.bench_propagation_page import write_carried_page
from frugalseg.workflow.bench_propagation_unit import (
    INPAINT,
    METHODS,
    MOTION,
    REFINE,
    SEMANTIC_ONLY,
    UNITS,
    Unit,
)
from frugalseg.workflow.bench_result import Pages
from frugalseg.workflow.project import MODEL, Project
from frugalseg.workflow.propagate import FLOWS
from frugalseg.workflow.propagate_plan import stretches
from frugalseg.workflow.propagate_unseen import taught
from frugalseg.workflow.stage import Options, StageResult, run_stage
from frugalseg.workflow.start import import_model

STAGE, COPY = "bench-propagation", "propagation"
SUMMARIES = {
    MOTION: "the label, carried along the motion of the pictures",
    SEMANTIC_ONLY: "the network's guess, no label is carried",
    INPAINT: "motion, and the network's guess where the warped picture does not fit",
    REFINE: "warp_inpaint, mended by a network that learns from labels that went away and came back",
}
LEARNED = (REFINE,)  # rows with a training of their own, so with seeds


def propagation(project: Project, bench: BenchOptions, options: Options) -> StageResult:
    """Score the methods; the result is a stage of the project: bench.html, bench.md, bench.json.

    Raises:
        ConfigError: an option or setting that does not fit, or a network that has learned from this video's labels.
        StageOrderError: no labels to score against, or no network.
    """
    refuse_options(bench, "propagation", "folds", "tau", "checkpoint")
    plan = Plan(project, bench)
    if options.dry_run:
        return StageResult(STAGE, None, plan.told())
    with alone(project.folder.resolve() / FOLDER, options) as lock:
        found = plan.run(lock, options)
    return plan.result(found, options)


@dataclass(frozen=True)
class Row:
    """A row of the table: a method, with one τ where it has one."""

    name: str
    method: str
    tau: float | None


class Plan:
    """What is scored, what is learned before, and how it is put together."""

    def __init__(self, project: Project, bench: BenchOptions) -> None:
        self._project, self._bench = project, bench
        self._config = _config(bench)
        self._video = _labelled_video(project)
        self._rows = _rows(bench, self._config)
        self._guesses = any(row.method != MOTION for row in self._rows)

    def told(self) -> dict[str, Any]:
        """Return what would be run."""
        cut = halves(stretches(self._video), self._config.parts, self._config.gap, self._config.split)
        return {
            "rows": [row.name for row in self._rows],
            "seeds": list(self._bench.seeds),
            "scored_frames": [sum(len(run.frames) for run in half.scored) for half in cut],
            "learned_frames": [sum(len(run.frames) for run in half.learned) for half in cut],
            "folds": self._bench.folds or 0,
            "network": str(self._model(None)) if self._guesses else None,
            "settings": self._shared(),
        }

    def run(self, lock: IO[str], options: Options) -> Mapping[Unit, RunInfo | str]:
        """Train what guesses, if it is to be trained, then learn and score whatever is not done."""
        model = self._model(options)
        copy = seed_project(self._project, self._bench.seeds[0], COPY)
        given = guesses(self._project, self._bench, self._config, self._video, model, lock, options)
        kept = self._config.cache is not False  # its rows need the same ones
        flows = str(self._project.folder.resolve() / "cache" / FLOWS) if kept else None
        units, failed = [], dict[Unit, RunInfo | str]()
        for row in self._rows:
            for part in range(self._config.parts):
                for seed in self._seeds(row):
                    unit = self._unit(row, part, seed, copy, flows)
                    if row.method == MOTION:
                        units.append(unit)
                    elif isinstance(network := given[part], str):
                        failed[unit] = network
                    else:
                        folds = tuple(map(str, network.folds)) if row.method == REFINE else ()
                        units.append(replace(unit, model=str(network.scoring), folds=folds))
        finished = run_jobs(lock, units, self._bench.jobs, options, UNITS)
        return {**finished, **failed}

    def result(self, found: Mapping[Unit, RunInfo | str], options: Options) -> StageResult:
        """Write the result of what finished and what failed; the same again is a no-op."""
        done = {unit: run for unit, run in found.items() if isinstance(run, RunInfo)}
        failed = {unit.title: run for unit, run in found.items() if isinstance(run, str)}
        inputs = {f"{unit.name}/{unit.part}/{unit.seed}": run.folder for unit, run in done.items()}
        inputs |= {"target": self._project.manifest_folder("target"), "classes": self._project.folder / "classes.toml"}
        told = {**self.told(), "failed": failed}
        data = self._data(found)
        pages = Pages(
            carried_json, carried_markdown, lambda path, data: write_carried_page(path, data, self._video, done)
        )

        def work(folder: Path) -> dict[str, Any]:
            return {**pages.write(folder, data), "failed": failed}

        return publish(self._project, run_stage(self._project, STAGE, inputs, told, work, options))

    def _model(self, options: Options | None) -> Path | None:
        """Return the folder of the network that guesses; a checkpoint that is not imported yet is, given options."""
        if not self._guesses:
            return None
        if self._bench.checkpoint is not None:
            _refuse_taught(self._bench.checkpoint)
            return self._bench.checkpoint
        found = [run for run in self._project.list() if run.name.startswith(("import", "adapt"))]
        if found:
            return found[-1].folder / MODEL
        if self._project.settings.checkpoint is None:
            raise StageOrderError(
                f"{self._project.folder}: no network that has not learned from this video. Give --checkpoint MODEL, "
                f"train one (frugalseg adapt {self._project.folder}), or score --methods {MOTION} alone."
            )
        if options is None:
            return Path(self._project.settings.checkpoint)
        return import_model(self._project, options).where / MODEL

    def _seeds(self, row: Row) -> tuple[int, ...]:
        return self._bench.seeds if row.method in LEARNED else self._bench.seeds[:1]

    def _unit(self, row: Row, part: int, seed: int, copy: Project, flows: str | None) -> Unit:
        steps = (f"steps={self._bench.steps}",) if self._bench.steps else ()
        tau = (f"tau={row.tau}",) if row.tau is not None else ()
        overrides = (*self._bench.settings, *steps, *tau)
        return Unit(row.name, row.method, part, seed, str(copy.folder), overrides, flows)

    def _shared(self) -> dict[str, Any]:
        steps = {"steps": self._bench.steps} if self._bench.steps else {}
        dumped = {**self._config.model_dump(mode="json"), **steps}
        return {name: value for name, value in dumped.items() if name not in FIXED}

    def _data(self, found: Mapping[Unit, RunInfo | str]) -> CarriedData:
        versions = [run.versions for run in found.values() if isinstance(run, RunInfo)]
        return CarriedData(
            project=self._project.settings.name,
            network=self._network(),
            classes=self._project.classes,
            seeds=self._bench.seeds,
            rows=tuple(self._row(row, found) for row in self._rows),
            origins=ORIGINS,
            split=self._split(),
            shared=self._shared(),
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            command=("frugalseg", *sys.argv[1:]),
            versions=versions[-1] if versions else {},
        )

    def _network(self) -> str:
        if (model := self._model(None)) is None:
            return "no network"
        from frugalseg.models.store import read_model_info

        return str(read_model_info(model)["network"])

    def _row(self, row: Row, found: Mapping[Unit, RunInfo | str]) -> CarriedRow:
        runs = []
        mine = {unit: run for unit, run in found.items() if unit.name == row.name}
        for seed in self._seeds(row):
            of_seed = [run for unit, run in mine.items() if unit.seed == seed]
            parts = [CarriedCounts.load(run.folder) for run in of_seed if isinstance(run, RunInfo)]
            if len(parts) == self._config.parts:
                runs.append(merged(parts))
        failed = {f"part {u.part}, seed {u.seed}": run for u, run in mine.items() if isinstance(run, str)}
        told = [run.extra for run in mine.values() if isinstance(run, RunInfo)]
        means = {
            name: statistics.fmean(one[name] for one in told) if told else 0.0 for name in ("learning_s", "scoring_s")
        }
        return CarriedRow(row.name, SUMMARIES[row.method], tuple(runs), failed, **means)

    def _split(self) -> str:
        config, told = self._config, self.told()
        how = (
            f"{config.parts} parts of each stretch"
            if config.split == "parts"
            else f"{config.parts} groups of sequences"
        )
        apart = f", {config.gap} frames or more away" if config.split == "parts" else ""
        frames = " and ".join(map(str, told["scored_frames"]))
        learned = (
            f"what is learned for it comes from {' and '.join(map(str, told['learned_frames']))} frames of the others"
        )
        cases = f"labels are carried up to {config.reach} frames from a labelled one every {config.spacing} frames"
        return (
            f"{how} ({frames} frames) are scored one after the other; {learned}{apart}. Within the scored part {cases}."
        )


def _config(bench: BenchOptions) -> BenchPropagationConfig:
    mistakes = run_mistakes(bench)
    given = [setting.partition("=")[0].strip() for setting in bench.settings]
    if fixed := [name for name in given if name in FIXED]:
        mistakes.append(f"{', '.join(fixed)}: the comparison decides this itself (see --methods, --seeds).")
    if "tau" in given and bench.tau:
        mistakes.append("tau stands in --set and in --tau; give one of them.")
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    for tau in bench.tau:
        load_config(BenchPropagationConfig, None, [f"tau={tau}"])
    return load_config(BenchPropagationConfig, None, bench.settings)


def _rows(bench: BenchOptions, config: BenchPropagationConfig) -> tuple[Row, ...]:
    """Return the rows, motion alone first."""
    if other := [name for name in bench.methods if name not in METHODS]:
        raise ConfigError(f"{', '.join(other)}: not in this comparison. Methods in it: {', '.join(METHODS)}.")
    chosen = [name for name in METHODS if name == MOTION or not bench.methods or name in bench.methods]
    rows: list[Row] = []
    for name in chosen:
        if name in (INPAINT, REFINE) and len(bench.tau) > 1:
            rows += [Row(f"{name}, tau {tau:g}", name, tau) for tau in bench.tau]
        else:
            one = (bench.tau or (config.tau,))[0] if name in (INPAINT, REFINE) else None
            rows.append(Row(name, name, one))
    return tuple(rows)


def _labelled_video(project: Project) -> Manifest:
    """Return the target's frames.

    Raises:
        StageOrderError: none has a label.
        ConfigError: the source, from which networks learn, has frames of the video.
    """
    video = project.manifest("target")
    if not any(frame.label is not None for frame in video):
        raise StageOrderError(
            f"{project.folder}: no target frame has a label on disk, so nothing can be scored.\n"
            "Give the labelled video as the target: frugalseg init PROJECT --target folder:VIDEO"
        )
    if project.has("source"):
        known = {frame.sha256 for frame in project.manifest("source")}
        if both := [frame.key for frame in video if frame.sha256 in known]:
            raise ConfigError(
                f"{project.folder}: {len(both)} frames of the video are source frames too, e.g. {both[0]}, so the "
                "network has learned from what is scored. Take them out of the source."
            )
    return video


def _refuse_taught(model: Path) -> None:
    """Refuse a network that has learned from answers, or goes on from one that has.

    Raises:
        ConfigError: it has.
    """
    if taught(model):
        raise ConfigError(
            f"{model}: this network has learned from answers about the target's frames, which are scored here. "
            "Give one that has not, such as an adapt stage's."
        )
