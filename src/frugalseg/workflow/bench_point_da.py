"""`bench point_da`: the rows of "Labeling Where Adapting Fails" by name, and its ablation over K (tables 1 to 3).

A source model and an adapted one (G1) for each seed; then point_da from G1 once for each row: self_training (K = 0, not
a question), random (10 random cells), active (the 10 of highest entropy), full_labeling (all cells), and active_K for
each other K. All cells get the same number of points, N. The oracle answers, with the settings of `label --simulate`.
"""

import statistics
from typing import Any

from frugalseg.core.errors import ConfigError
from frugalseg.evaluation.bench_points import Asked, PointsData, points_json, points_markdown, write_points_page
from frugalseg.evaluation.bench_table import BenchMethod
from frugalseg.training.settings import TrainConfig
from frugalseg.workflow import catalog
from frugalseg.workflow.bench import (
    BASELINE,
    BenchOptions,
    chosen_methods,
    label_free_methods,
    own_settings,
    refuse_options,
    require_fair,
)
from frugalseg.workflow.bench_job import Ask, Done, Job
from frugalseg.workflow.bench_result import Found, Pages, bench_data, bench_method, bench_stage, carry_out
from frugalseg.workflow.label import annotator, need_truth
from frugalseg.workflow.project import Project
from frugalseg.workflow.stage import Options, StageResult

STAGE, METHOD = "bench-point_da", "point_da"
ACTIVE, RANDOM = "entropy_patches", "random_patches"
CELLS = 10  # K of the paper's rows
ABLATION = (0, 1, 2, 3, 5, 10)  # table 3, whose last K is all cells


def point_da(project: Project, bench: BenchOptions, options: Options) -> StageResult:
    """Run and compare the rows; the result is a stage of the project: bench.html, bench.md, bench.json.

    Raises:
        ConfigError: what is asked for is no fair comparison, or a K that is none.
        StageOrderError: source, labelled validation frames, or the truth that the oracle answers from are missing.
    """
    refuse_options(bench, "point_da", "grid")
    require_fair(project, bench)
    need_truth(project)
    plan = _Plan(project, bench)
    if options.dry_run:
        return StageResult(STAGE, None, plan.told())
    return plan.result(carry_out(project, bench, plan.jobs, options), options)


def read_cells(texts: tuple[str, ...], most: int) -> tuple[int, ...]:
    """Return the K of `--grid`, or the paper's.

    Raises:
        ConfigError: one that is no number of cells.
    """
    if wrong := [text for text in texts if not text.isdecimal() or int(text) > most]:
        raise ConfigError(f"--grid {', '.join(wrong)}: expected numbers of cells from 0 to {most}, e.g. 0,1,2,3,5,10.")
    given = tuple(map(int, texts)) or ABLATION
    return tuple(sorted({*given, 0, CELLS, most}))


class _Plan:
    """What is run, with which settings, and how it is put together."""

    def __init__(self, project: Project, bench: BenchOptions) -> None:
        self._project, self._bench = project, bench
        known = label_free_methods()
        asking = chosen_methods(bench, known, (project.settings.adapt_method,))
        if len(asking) != 1:
            raise ConfigError(f"--methods {', '.join(asking)}: one method adapts the network that asks.")
        self._asking = asking[0]
        self._grid = project.stage_config("selector", ACTIVE, None, [])
        most = self._grid.rows * self._grid.columns
        if most <= CELLS:
            raise ConfigError(f"{ACTIVE}: {most} cells in a frame; the paper's rows take {CELLS} of more than that.")
        names = {0: "self_training", CELLS: "active", most: "full_labeling"}
        self._cells = {names.get(cells, f"active_{cells}"): cells for cells in read_cells(bench.grid, most)}
        self._cells = {**self._cells, "random": self._cells["active"]}
        self._more = () if bench.steps is None else (f"steps={bench.steps}",)

    @property
    def _rows(self) -> tuple[str, ...]:
        """The rows that learn from answers, the paper's first."""
        paper = ("self_training", "random", "active", "full_labeling")
        return tuple(dict.fromkeys((*paper, *self._cells)))

    def _ask(self, row: str) -> Ask:
        points, cells = self._grid.points_per_cell, self._cells[row]
        if not cells:
            return Ask()
        same = {name: getattr(self._grid, name) for name in ("rows", "columns", "points_per_cell")}
        overrides = (*(f"{name}={value}" for name, value in same.items()), "control_share=0")  # rows are not mixed
        return Ask(RANDOM if row == "random" else ACTIVE, f"{cells * points}points/image", overrides)

    def _config(self, method: str) -> TrainConfig:
        more = self._more if method == METHOD else ()
        overrides = [*self._bench.settings, *more]
        config: TrainConfig = self._project.stage_config("method", method, None, overrides)
        return config

    def told(self) -> dict[str, Any]:
        """Return what would be run."""
        methods = dict.fromkeys((BASELINE, self._asking, METHOD))
        settings = {name: own_settings(self._config(name), {}) for name in methods}
        settings["annotator"] = annotator(self._project, Options()).model_dump(mode="json", exclude_none=True)
        return {
            "seeds": list(self._bench.seeds),
            "asks": self._asking,
            "rows": {row: {"cells": self._cells[row], "budget": self._ask(row).budget} for row in self._rows},
            "settings": settings,
        }

    def jobs(self, project: Project, seed: int) -> list[Job]:
        """Return a seed's jobs: the source model, the one that asks, and what is learned from the answers."""
        folder, common = str(project.folder), (*self._bench.settings, f"seed={seed}")
        source = Job(BASELINE, BASELINE, seed, folder, (*common, "start=pretrained"))
        asking = source if self._asking == BASELINE else Job(self._asking, self._asking, seed, folder, common, source)
        learned = [
            Job(row, METHOD, seed, folder, (*common, *self._more), asking, ask=self._ask(row)) for row in self._rows
        ]
        return [*dict.fromkeys((source, asking)), *learned]

    def result(self, found: Found, options: Options) -> StageResult:
        """Write the result of what finished and what failed; the same again is a no-op."""
        pages = Pages(points_json, points_markdown, write_points_page)
        return bench_stage(self._project, STAGE, found, self.told(), options, self._data(found), pages)

    def _data(self, found: Found) -> PointsData:
        names = dict.fromkeys((self._asking, BASELINE, *self._rows))
        methods = tuple(self._method(name, found) for name in names)
        bench = bench_data(self._project, self._bench, methods, self.told()["settings"], found)
        asked = {row: self._asked(row, found) for row in self._rows}
        return PointsData(bench, asked, active="active", random="random")

    def _method(self, name: str, found: Found) -> BenchMethod:
        config = self._config(METHOD if name in self._cells else name)
        if name in self._cells:
            summary, own = self._summary(name), self.told()["rows"][name]
        else:
            summary, own = catalog.METHODS[name].summary, {}
        return bench_method(name, summary, config.steps * config.repeats, own, found, self._bench.seeds)

    def _summary(self, row: str) -> str:
        cells, points = self._cells[row], self._grid.points_per_cell
        if not cells:
            return "pseudo-labels only, nobody is asked"
        which = "random cells" if row == "random" else "cells of highest entropy"
        return f"{cells} {which} a frame, {points} points in each"

    def _asked(self, row: str, found: Found) -> Asked:
        """Return what was asked for a row, as the answers' stages of its finished jobs say."""
        frames = len(self._project.manifest("target"))
        finished = [outcome for job, outcome in found.items() if job.name == row and isinstance(outcome, Done)]
        said = [outcome.answers.extra for outcome in finished if outcome.answers]

        def mean(name: str) -> float:
            return statistics.fmean(float(one.get(name, 0)) for one in said) if said else 0.0

        series = {"series": "random cells"} if row == "random" else {}
        return Asked(self._cells[row], mean("answers") / frames, mean("human_seconds"), mean("wrong"), **series)
