"""`bench self_training_grid`: how many pixels self-training labels at first, and how fast that grows (CBST, figure 5).

The score after every round comes from one training a setting: `keep_networks` keeps the network after each round, as it
would be had training ended there. Trainings of 1, 2, … rounds would give the same networks (rounds do not depend on how
many follow) at (R + 1) / 2 times the cost.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ConfigError
from frugalseg.evaluation.bench_page import GridPage, seeds_text, write_grid_page
from frugalseg.evaluation.bench_text import markdown_table
from frugalseg.workflow import catalog
from frugalseg.workflow.bench import (
    BASELINE,
    BenchOptions,
    chosen_methods,
    publish,
    refuse_options,
    require_fair,
)
from frugalseg.workflow.bench_job import Done, Job
from frugalseg.workflow.bench_result import Found, carry_out, failed_of, inputs_of, versions_of
from frugalseg.workflow.project import Project
from frugalseg.workflow.stage import Options, StageResult, run_stage

STAGE = "bench-self_training_grid"
DEFAULT_METHODS = ("st_sp", "cbst_sp")
FIGURE_5 = ("0.1/0.05", "0.15/0.05", "0.2/0.05", "0.2/0.025", "0.2/0.1")
ROUNDS = 6


def self_training_grid(project: Project, bench: BenchOptions, options: Options) -> StageResult:
    """Score methods of self-training after every round for each p₀/Δp; the result is a stage of the project.

    Raises:
        ConfigError: a point of the grid that is none, a method without rounds of pseudo-labels, too few seeds.
        StageOrderError: source or labelled validation frames are missing.
    """
    require_fair(project, bench)
    methods = chosen_methods(bench, _known(), DEFAULT_METHODS)
    plan = _Grid(project, bench, methods)
    if options.dry_run:
        return StageResult(STAGE, None, plan.told())
    return plan.result(carry_out(project, bench, plan.jobs, options), options)


def _known() -> tuple[str, ...]:
    """Return the methods whose rounds label a share that grows."""
    kin = catalog.METHODS["cbst"].target
    return tuple(name for name, entry in catalog.METHODS.items() if entry.target == kin)


def read_point(text: str) -> tuple[float, float]:
    """Return p₀ and Δp of "0.2/0.05".

    Raises:
        ConfigError: it is none.
    """
    try:
        first, step = map(float, text.split("/"))
        if 0 < first <= 1 and 0 <= step <= 1:
            return first, step
    except ValueError:
        pass
    raise ConfigError(f"--grid {text!r}: expected p0/step, both as fractions of 1, e.g. 0.2/0.05.")


class _Grid:
    def __init__(self, project: Project, bench: BenchOptions, methods: tuple[str, ...]) -> None:
        refuse_options(bench, "self_training_grid", "grid", "rounds")
        self._project, self._bench, self._methods = project, bench, methods
        self._points = tuple(dict.fromkeys(bench.grid or FIGURE_5))
        self._rounds = ROUNDS if bench.rounds is None else bench.rounds
        if self._rounds < 1:
            raise ConfigError(f"--rounds {self._rounds}: expected at least one round.")

    def _settings(self, method: str, point: str) -> tuple[str, ...]:
        first, step = read_point(point)
        more = () if self._bench.steps is None else (f"steps={max(1, self._bench.steps // self._rounds)}",)
        ratios = (f"start_ratio={first!r}", f"ratio_step={step!r}", f"rounds={self._rounds}")
        return (*self._bench.settings, *more, *ratios, "keep_networks=true")

    def _config(self, method: str, settings: tuple[str, ...]) -> dict[str, Any]:
        config: dict[str, Any] = self._project.stage_config("method", method, None, list(settings)).model_dump(
            mode="json"
        )
        return config

    def told(self) -> dict[str, Any]:
        """Return what would be run: each method's settings, those of the grid left out."""
        varied = ("start_ratio", "ratio_step", "seed")
        configs = {name: self._config(name, self._settings(name, self._points[0])) for name in self._methods}
        own = {name: {k: v for k, v in config.items() if k not in varied} for name, config in configs.items()}
        points = {
            f"{method} {point}": self._settings(method, point) for method in self._methods for point in self._points
        }
        source = self._config(BASELINE, self._bench.settings)
        return {"seeds": list(self._bench.seeds), "grid": points, BASELINE: source, "settings": own}

    def jobs(self, project: Project, seed: int) -> list[Job]:
        """Return a seed's jobs, the source model first."""
        folder, seeded = str(project.folder), f"seed={seed}"
        first = Job(BASELINE, BASELINE, seed, folder, (*self._bench.settings, "start=pretrained", seeded))
        return [first] + [
            Job(f"{method} {point}", method, seed, folder, (*self._settings(method, point), seeded), first)
            for method in self._methods
            for point in self._points
        ]

    def result(self, found: Found, options: Options) -> StageResult:
        """Write the result of what finished and what failed; the same again is a no-op."""
        page = self._page(found)

        def work(folder: Path) -> dict[str, Any]:
            text = {
                "seeds": page.seeds,
                "miou": page.panels,
                "failed": page.failed,
                "settings": self.told()["settings"],
            }
            (folder / "bench.json").write_text(json.dumps(text, indent=1, ensure_ascii=False), encoding="utf-8")
            (folder / "bench.md").write_text(grid_markdown(page), encoding="utf-8")
            write_grid_page(folder / "bench.html", page)
            return {"miou": page.panels, "seeds": list(page.seeds), "failed": dict(page.failed)}

        config = {**self.told(), "failed": dict(page.failed)}
        return publish(self._project, run_stage(self._project, STAGE, inputs_of(found), config, work, options))

    def _page(self, found: Found) -> GridPage:
        scores = {
            (job.name, job.seed): [float(run.extra["miou"]) for run in outcome.evaluations]
            for job, outcome in found.items()
            if isinstance(outcome, Done)
        }
        return GridPage(
            project=self._project.settings.name,
            network=self._project.settings.network,
            seeds=self._bench.seeds,
            panels={
                method: {point: self._curve(f"{method} {point}", scores) for point in self._points}
                for method in self._methods
            },
            shared={**self.told()["settings"]},
            failed=failed_of(found),
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            command=("frugalseg", *sys.argv[1:]),
            versions=versions_of(found),
        )

    def _curve(self, name: str, scores: dict[tuple[str, int], list[float]]) -> list[list[float]]:
        """Return the scores of the seeds that finished, after each round; round 0 is their source model's."""
        seeds = [seed for seed in self._bench.seeds if (name, seed) in scores]
        rounds = [[scores[name, seed][number] for seed in seeds] for number in range(self._rounds)]
        return [[scores[BASELINE, seed][-1] for seed in seeds], *rounds]


def grid_markdown(page: GridPage) -> str:
    """Return the table: a row a setting, a column a round, mean ± sd over seeds in per cent."""
    lines = [
        f"# {page.project}: self-training, round by round",
        "",
        "mIoU in per cent on the validation frames after each round, mean ± sd over seeds "
        f"{', '.join(map(str, page.seeds))};",
        f"`{page.network}`. p₀ is the share labelled in the first round, Δp its growth a round.",
    ]
    for method, curves in page.panels.items():
        rounds = max(len(points) for points in curves.values())
        table = [[f"{method}, p₀/Δp", "source", *(f"round {number}" for number in range(1, rounds))]]
        lines += ["", *markdown_table(table + [[name, *map(seeds_text, points)] for name, points in curves.items()])]
    lines += ["", *(f"* failed: {name}: {' '.join(text.split())}" for name, text in page.failed.items())]
    return "\n".join([*lines, ""])
