"""`bench mada`: the ablation of MADA (Ning et al., ICCV 2021, table 3) by name, with sweeps for its other tables.

For each seed a source model and the paper's warm-up, m0: `adaptsegnet` with MADA's discriminator. It asks for 5 % of
the frames, in full, and from it learn m1 (cross entropy on them), m2 (soft alignment), m3 (anchors that follow), m4
(pseudo-labels), m1_teacher and m4_teacher (a mean teacher on the frames nobody labelled), and mu (all frames in full).
All rows take the same number of steps. The oracle answers, with the settings of `label --simulate`.

`--grid` adds sweeps, one value (`K=5`) or the paper's (`K`): K, anchors of the selection, and `budget` in per cent of
the frames, both at m1 (figure 4a, table 5); V, target anchors, at m4 (figure 4b); `selector` at m1 (table 4).
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from frugalseg.core.errors import ConfigError
from frugalseg.evaluation.bench_images import AskedImages, ImagesData, images_json, images_markdown, write_images_page
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

STAGE, METHOD, WARM_UP = "bench-mada", "mada", "adaptsegnet"
PAPER_WARM_UP = ("discriminator=mada", "adv_weight=0.01")  # section 4.2
PSEUDO = ("unlabelled=pseudo",)  # M(4), whatever the project's own settings of mada are
STRATEGY, PERCENT = "multi_anchor", "5"  # section 4
ANCHOR_COUNTS = ("1", "2", "5", "10", "20", "50", "100")  # figure 4 shows 1 to 100
SWEEPS = {"K": ANCHOR_COUNTS, "V": ANCHOR_COUNTS, "budget": ("1", "2", "5", "10", "20"), "selector": ()}
SUMMED_UP = "labels, by budget"  # the curve of table 5


@dataclass(frozen=True)
class Row:
    """One row that learns: what it adds to the row `over`, in words; its questions, and its settings of mada."""

    over: str
    summary: str
    ask: Ask
    settings: tuple[str, ...]
    series: str


def mada(project: Project, bench: BenchOptions, options: Options) -> StageResult:
    """Run and compare the rows; the result is a stage of the project: bench.html, bench.md, bench.json.

    Raises:
        ConfigError: what is asked for is no fair comparison, or a sweep that is none.
        StageOrderError: source, labelled validation frames, or the truth that the oracle answers from are missing.
    """
    refuse_options(bench, "mada", "grid")
    require_fair(project, bench)
    need_truth(project)
    plan = _Plan(project, bench)
    if options.dry_run:
        return StageResult(STAGE, None, plan.told())
    return plan.result(carry_out(project, bench, plan.jobs, options), options)


def read_sweeps(texts: tuple[str, ...], images: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Return the values of each sweep that `--grid` names: `K` all of the paper's that there can be, `K=5` one.

    `images` says how many images there are to make anchors of: the source's for K, the target's for V.

    Raises:
        ConfigError: no such sweep, or a value that it cannot have.
    """
    selectors = catalog.IMAGE_SELECTORS
    known, found = {**SWEEPS, "selector": tuple(selectors)}, dict[str, dict[str, None]]()
    for text in texts:
        name, given, value = text.partition("=")
        numeric = name in ("K", "V", "budget")
        fits = value in selectors if name == "selector" else value.isdecimal() and int(value) > 0
        fits = fits and not (name == "budget" and int(value) > 100)
        if name not in known or (given and not fits):
            values = "a whole number from 1 on" if numeric else f"one of {', '.join(selectors)}"
            raise ConfigError(
                f"--grid {text}: expected {', '.join(known)}, each alone or with a value, e.g. K=5,budget=2"
                + (f"; a value of {name} is {values}." if name in known else ".")
            )
        if given and int(value if name in images else 0) > images.get(name, 0):
            raise ConfigError(f"--grid {text}: more anchors than the {images[name]} images that they are made of.")
        every = [one for one in known[name] if name not in images or int(one) <= images[name]]
        found.setdefault(name, {}).update(dict.fromkeys((value,) if given else every))
    return {name: tuple(values) for name, values in found.items()}


def rows_of(strategy: str, sweeps: Mapping[str, tuple[str, ...]], anchors: Mapping[str, str]) -> dict[str, Row]:
    """Return the paper's rows and those of the sweeps, by name; `anchors` are the K and V of the paper's rows."""
    ask = Ask(strategy, f"{PERCENT}%images")
    fine_tuned = ("unlabelled=none", "align_weight=0.0")
    m1 = Row("m0", f"cross entropy on {PERCENT} % of the frames, chosen by {strategy}", ask, fine_tuned, SUMMED_UP)
    rows = {
        "m1": m1,
        "m2": replace(
            m1, over="m1", summary="and soft alignment", settings=("unlabelled=none", "anchor_ema=1.0"), series="m2"
        ),
        "m3": replace(m1, over="m2", summary="and anchors follow", settings=("unlabelled=none",), series="m3"),
        "m4": replace(m1, over="m3", summary="and pseudo-labels: all of MADA", settings=PSEUDO, series="m4"),
        "m1_teacher": replace(
            m1,
            over="m1",
            summary="m1 and a mean teacher on the other frames",
            settings=("unlabelled=mean_teacher", "align_weight=0.0"),
            series="m1_teacher",
        ),
        "mu": replace(m1, over="m1", summary="cross entropy on all frames", ask=Ask(everything=True)),
    }
    rows["m4_teacher"] = replace(
        rows["m1_teacher"], over="m4", summary="m4 with a mean teacher's labels", settings=("unlabelled=mean_teacher",)
    )
    return {**rows, **_swept(rows, sweeps, anchors)}


def _swept(rows: dict[str, Row], sweeps: Mapping[str, tuple[str, ...]], anchors: Mapping[str, str]) -> dict[str, Row]:
    """Return the rows of the sweeps; a value that a row of the paper has already is not run again."""
    found, m1 = dict[str, Row](), rows["m1"]
    for value in sweeps.get("budget", ()):
        if value != PERCENT:
            ask = replace(m1.ask, budget=f"{value}%images")
            found[f"m1_{value}%"] = replace(m1, over="m1", summary=f"m1 with {value} % of the frames", ask=ask)
    for value in sweeps.get("K", ()):
        if value != anchors.get("K"):
            ask = replace(m1.ask, overrides=(f"anchors={value}",))
            row = replace(m1, over="m1", summary=f"m1 with K = {value} source anchors", ask=ask, series="K")
            found[f"m1_K{value}"] = row
    for value in sweeps.get("selector", ()):
        if value != m1.ask.strategy:
            ask = replace(m1.ask, strategy=value)
            found[f"m1_{value}"] = replace(
                m1, over="m1", summary=f"m1, frames chosen by {value}", ask=ask, series=value
            )
    for value in sweeps.get("V", ()):
        if value != anchors.get("V"):
            row = replace(rows["m4"], over="m4", summary=f"m4 with V = {value} target anchors", series="V")
            found[f"m4_V{value}"] = replace(row, settings=(*PSEUDO, f"anchors={value}"))
    return found


def even_steps(project: Project, given: tuple[str, ...], own: tuple[str, ...], steps: int | None) -> tuple[str, ...]:
    """Return a row's `own` settings and the steps of its stages that make `steps` in all (None: what M(4) takes).

    `given` are the settings of every row, beside the project's.
    """
    full, config = (project.stage_config("method", METHOD, None, [*given, *more]) for more in (PSEUDO, own))
    return (*own, f"steps={max(1, (steps or full.repeats * full.steps) // config.repeats)}")


def require_parts(config: Any) -> None:
    """Make sure that M(2), M(3) and M(4) each add something.

    Raises:
        ConfigError: a setting of mada makes one of them the row before it.
    """
    same = {
        "align_weight = 0 leaves no soft alignment for m2, m3 and m4 to add": not config.align_weight,
        "anchor_ema = 1 keeps the anchors of m3 and m4 where m2's are": config.anchor_ema == 1,
        "pseudo_weight = 0 leaves no pseudo-labels for m4 to add": not config.pseudo_weight,
    }
    if found := [meaning for meaning, holds in same.items() if holds]:
        raise ConfigError(f"mada's settings (settings/mada.toml, or --set): {'; '.join(found)}. Change them.")


def _images(project: Project) -> dict[str, int]:
    return {"K": len(project.manifest("source")), "V": len(project.manifest("target"))}


class _Plan:
    """What is run, with which settings, and how it is put together."""

    def __init__(self, project: Project, bench: BenchOptions) -> None:
        self._project, self._bench = project, bench
        asking = chosen_methods(bench, label_free_methods()[1:], (WARM_UP,))  # the baseline is what it starts from
        if len(asking) != 1:
            raise ConfigError(f"--methods {', '.join(asking)}: one method warms up the network that asks.")
        self._asking = asking[0]
        self._warm_up = PAPER_WARM_UP if self._asking == WARM_UP else ()
        whole = self._config(METHOD, PSEUDO)
        require_parts(whole)
        self._rows = self._rows_with(read_sweeps(bench.grid, _images(project)), whole)
        self._steps = bench.steps or whole.repeats * whole.steps

    def _rows_with(self, sweeps: Mapping[str, tuple[str, ...]], whole: TrainConfig) -> dict[str, Row]:
        own = self._project.settings.strategy
        strategy = own if own in catalog.IMAGE_SELECTORS else STRATEGY
        selector = self._project.stage_config("selector", strategy, None, [])
        made = {"K": getattr(selector, "anchors", None), "V": getattr(whole, "anchors", None)}
        if "K" in sweeps and made["K"] is None:
            raise ConfigError(
                f"--grid K: the project asks by {strategy}, which has no anchors. Give it another strategy "
                f"(project.toml: strategy = {STRATEGY}), or sweep something else."
            )
        return rows_of(strategy, sweeps, {name: str(count) for name, count in made.items() if count})

    def _config(self, method: str, more: tuple[str, ...]) -> TrainConfig:
        overrides = [*self._bench.settings, *more]
        config: TrainConfig = self._project.stage_config("method", method, None, overrides)
        return config

    def _settings(self, row: str) -> tuple[str, ...]:
        """Return a row's settings, among them the steps of a stage that make the steps of all rows the same."""
        return even_steps(self._project, self._bench.settings, self._rows[row].settings, self._steps)

    def told(self) -> dict[str, Any]:
        """Return what would be run."""
        settings = {BASELINE: own_settings(self._config(BASELINE, ()), {})}
        settings["m0"] = {"method": self._asking, **own_settings(self._config(self._asking, self._warm_up), {})}
        settings[METHOD] = own_settings(self._config(METHOD, ()), {})
        settings["annotator"] = annotator(self._project, Options()).model_dump(mode="json", exclude_none=True)
        return {
            "seeds": list(self._bench.seeds),
            "asks": self._asking,
            "steps": self._steps,
            "rows": {name: self._row_told(name) for name in self._rows},
            "settings": settings,
        }

    def _row_told(self, name: str) -> dict[str, Any]:
        ask = self._rows[name].ask
        asked = {"strategy": ask.strategy, "budget": ask.budget, "selection": list(ask.overrides)}
        return {**({"everything": True} if ask.everything else asked), "settings": list(self._settings(name))}

    def jobs(self, project: Project, seed: int) -> list[Job]:
        """Return a seed's jobs: the source model, the warm-up, and what is learned from the frames it asks for."""
        folder, common = str(project.folder), (*self._bench.settings, f"seed={seed}")
        source = Job(BASELINE, BASELINE, seed, folder, (*common, "start=pretrained"))
        warm = Job("m0", self._asking, seed, folder, (*common, *self._warm_up), source)
        learned = [
            Job(name, METHOD, seed, folder, (*common, *self._settings(name)), warm, ask=row.ask)
            for name, row in self._rows.items()
        ]
        return [source, warm, *learned]

    def result(self, found: Found, options: Options) -> StageResult:
        """Write the result of what finished and what failed; the same again is a no-op."""
        pages = Pages(images_json, images_markdown, write_images_page)
        return bench_stage(self._project, STAGE, found, self.told(), options, self._data(found), pages)

    def _data(self, found: Found) -> ImagesData:
        methods = tuple(self._method(name, found) for name in ("m0", BASELINE, *self._rows))
        bench = bench_data(self._project, self._bench, methods, self.told()["settings"], found)
        return ImagesData(bench, {name: self._asked(name, found) for name in self._rows})

    def _method(self, name: str, found: Found) -> BenchMethod:
        if name in self._rows:
            summary, steps, own = self._rows[name].summary, self._steps, self._row_told(name)
        else:
            method = BASELINE if name == BASELINE else self._asking
            config = self._config(method, ())
            summary, steps, own = catalog.METHODS[method].summary, config.steps * config.repeats, {}
        return bench_method(name, summary, steps, own, found, self._bench.seeds)

    def _asked(self, name: str, found: Found) -> AskedImages:
        """Return what was asked for a row, as the answers' stages of its finished jobs say."""
        finished = [outcome for job, outcome in found.items() if job.name == name and isinstance(outcome, Done)]
        said = [outcome.answers.extra for outcome in finished if outcome.answers]
        frames, seconds = (
            statistics.fmean(float(one[key]) for one in said) if said else 0.0 for key in ("answers", "human_seconds")
        )
        return AskedImages(frames, seconds, self._rows[name].over, self._rows[name].series)
