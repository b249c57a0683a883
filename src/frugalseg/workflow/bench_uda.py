"""`bench uda`: every method without answers on one project, as alike as they can be made, over several seeds.

Shared: the network, the source model each seed's methods start from, the number of steps, the size and variation of the
frames, the batch, and the seed. A method's own: optimizer and rates, averaging, BatchNorm, class weights, and all that
makes it the method; its file PROJECT/settings/METHOD.toml counts. `cbst+mean_teacher` is the second method going on
from the first one's network, each for the steps all take. `source_only_long` is the source model trained for as many
steps as source model and adaptation together, so that nobody takes more training for adaptation.
"""

from dataclasses import replace
from typing import Any

from frugalseg.core.errors import ConfigError
from frugalseg.evaluation.bench_page import write_bench_page
from frugalseg.evaluation.bench_table import BenchData, BenchMethod
from frugalseg.evaluation.bench_text import bench_json, bench_markdown
from frugalseg.training.settings import TrainConfig
from frugalseg.workflow import catalog
from frugalseg.workflow.bench import (
    BASELINE,
    BenchOptions,
    as_overrides,
    chosen_methods,
    label_free_methods,
    own_settings,
    refuse_options,
    require_fair,
    shared_settings,
)
from frugalseg.workflow.bench_job import Job
from frugalseg.workflow.bench_result import Found, Pages, bench_data, bench_method, bench_stage, carry_out
from frugalseg.workflow.project import Project
from frugalseg.workflow.stage import Options, StageResult

LONG = "source_only_long"
THEN = "+"  # between two methods of which the second goes on from the first one's network
STAGE = "bench-uda"


def uda(project: Project, bench: BenchOptions, options: Options) -> StageResult:
    """Run and compare the methods; the result is a stage of the project: bench.html, bench.md, bench.json.

    Raises:
        ConfigError: what is asked for is no fair comparison, or does not exist.
        StageOrderError: source or labelled validation frames are missing.
    """
    refuse_options(bench, "uda")
    require_fair(project, bench)
    plan = Plan(project, bench, _rows(bench))
    if options.dry_run:
        return StageResult(STAGE, None, plan.told())
    return plan.result(carry_out(project, bench, plan.jobs, options), options)


def _rows(bench: BenchOptions) -> tuple[str, ...]:
    """Return the methods that start from the source model, then the chains of them, each after what it goes on from."""
    known = label_free_methods()
    chains = [name.split(THEN) for name in bench.methods if THEN in name]
    parts = tuple(dict.fromkeys(part for name in bench.methods for part in name.split(THEN)))
    singles = [name for name in chosen_methods(replace(bench, methods=parts), known, known) if name != BASELINE]
    if any(BASELINE in chain for chain in chains):
        raise ConfigError(f"{BASELINE} is what every method starts from; leave it out of chains such as cbst+advent.")
    begun = [THEN.join(chain[:length]) for chain in chains for length in range(2, len(chain) + 1)]
    return tuple(dict.fromkeys((*singles, *begun)))


class Plan:
    """What is run, with which settings, and how it is put together."""

    def __init__(self, project: Project, bench: BenchOptions, methods: tuple[str, ...]) -> None:
        self._project, self._bench = project, bench
        self._shared = shared_settings(project, bench)
        source = self._config(BASELINE, ())
        self._source_steps, self._steps = source.steps, bench.steps or source.steps
        last = {name: name.rpartition(THEN)[2] for name in methods}
        self._rows = {BASELINE: (BASELINE, ()), **{name: (last[name], self._settings(last[name])) for name in methods}}
        self._rows[LONG] = (BASELINE, ("start=pretrained", f"steps={self._source_steps + self._steps}"))

    def _config(self, method: str, more: tuple[str, ...]) -> TrainConfig:
        overrides = [*as_overrides(self._shared), *more]
        config: TrainConfig = self._project.stage_config("method", method, None, overrides)
        return config

    def _settings(self, method: str) -> tuple[str, ...]:
        """Return the settings by which a method starts from the source model and takes the steps all take."""
        repeats = self._config(method, ()).repeats
        return ("start=checkpoint", f"steps={max(1, self._steps // repeats)}")

    def told(self) -> dict[str, Any]:
        """Return what would be run."""
        rows = {name: self._row_config(name) for name in self._rows}
        return {
            "methods": {name: {"steps": self._row_steps(name)} for name in rows},
            "seeds": list(self._bench.seeds),
            "shared": self._shared,
            "own": {name: own_settings(config, self._shared) for name, config in rows.items()},
        }

    def _row_config(self, name: str) -> TrainConfig:
        method, more = self._rows[name]
        return self._config(method, more)

    def _row_steps(self, name: str) -> int:
        """Return a row's training steps after the source model, those of the methods it goes on from among them."""
        config, before = self._row_config(name), name.rpartition(THEN)[0]
        return config.steps * config.repeats + (self._row_steps(before) if before else 0)

    def jobs(self, project: Project, seed: int) -> list[Job]:
        """Return a seed's jobs, the one that all others start from or wait for first."""
        folder, common = str(project.folder), (*as_overrides(self._shared), f"seed={seed}")
        first = Job(BASELINE, BASELINE, seed, folder, (*common, "start=pretrained"), judge=True)
        found = {BASELINE: first}
        for name, (method, more) in self._rows.items():
            if name != BASELINE:
                after = found.get(name.rpartition(THEN)[0], first)
                found[name] = Job(name, method, seed, folder, (*common, *more), after, judge=True, afresh=name == LONG)
        return list(found.values())

    def result(self, found: Found, options: Options) -> StageResult:
        """Write the result of what finished and what failed; the same again is a no-op."""
        pages = Pages(bench_json, bench_markdown, write_bench_page)
        return bench_stage(self._project, STAGE, found, self.told(), options, self._data(found), pages)

    def _data(self, found: Found) -> BenchData:
        methods = tuple(self._method(name, found) for name in self._rows)
        return bench_data(self._project, self._bench, methods, self._shared, found)

    def _method(self, name: str, found: Found) -> BenchMethod:
        config, before = self._row_config(name), name.rpartition(THEN)[0]
        summary = catalog.METHODS[self._rows[name][0]].summary
        if name == LONG:
            summary = "the source alone, for as many steps as source and adaptation together"
        if before:
            summary = f"going on from {before}: {summary}"
        own = own_settings(config, self._shared)
        return bench_method(name, summary, self._row_steps(name), own, found, self._bench.seeds)
