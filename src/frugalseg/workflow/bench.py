"""What comparisons share: a copy of the project for each seed, what every run has in common, and the options.

The copies lie in PROJECT/bench/seed-N and are ordinary projects: every run in them is an ordinary stage, so that it can
be looked at with every verb, is done once, and goes on after a kill. The project itself gets only the result.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalseg.core.config import describe, load_config, to_toml
from frugalseg.core.errors import ConfigError, StageOrderError
from frugalseg.core.files import write_atomic
from frugalseg.core.toml import toml_value
from frugalseg.data.manifest import read_manifest, write_manifest
from frugalseg.data.quarantine import read_quarantine, write_quarantine
from frugalseg.data.transforms import AugmentConfig
from frugalseg.training.settings import TrainConfig
from frugalseg.workflow import catalog
from frugalseg.workflow.project import DOMAINS, Project
from frugalseg.workflow.stage import StageResult

FOLDER = "bench"
FEWEST_SEEDS = 3
SHARED = (*AugmentConfig.model_fields, "height", "width", "batch_size", "precision", "loader_threads")
FIXED = ("seed", "start", "steps", "keep_networks")  # what a comparison decides itself
BASELINE = "source_only"
OF_SOME = ("grid", "rounds", "folds", "tau", "checkpoint")  # options that only some comparisons take


@dataclass(frozen=True)
class BenchOptions:
    """What a comparison is asked for.

    `methods` empty: all it knows. `steps` None: its own default. `jobs` 0: one after the other in this process.
    """

    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int | None = None
    jobs: int = 1
    allow_few: bool = False
    settings: tuple[str, ...] = ()  # key=value for every run
    grid: tuple[str, ...] = ()
    rounds: int | None = None
    folds: int | None = None
    tau: tuple[float, ...] = ()
    checkpoint: Path | None = None  # a model's folder


def label_free_methods() -> tuple[str, ...]:
    """Return every method that learns without people's answers, the baseline first."""
    others = [name for name in catalog.METHODS if name not in catalog.WITH_ANSWERS and name != BASELINE]
    return (BASELINE, *others)


def require_fair(
    project: Project, bench: BenchOptions, domains: tuple[str, ...] = ("source", "target", "validation")
) -> None:
    """Refuse what cannot be compared; `domains` are the data that are needed.

    Raises:
        ConfigError: too few seeds, one twice, no job at all, or a setting that is not everybody's.
        StageOrderError: data that are needed are not there, or validation frames without labels.
    """
    mistakes = run_mistakes(bench)
    given = [setting.partition("=")[0].strip() for setting in bench.settings]
    if fixed := [name for name in given if name in FIXED]:
        mistakes.append(f"{', '.join(fixed)}: the comparison decides this itself (see --seeds, --steps).")
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    load_config(TrainConfig, None, bench.settings)
    for domain in domains:
        project.manifest_folder(domain)
    if "validation" in domains and not project.manifest("validation").labelled:
        raise StageOrderError(f"{project.folder}: not every validation frame has a label, so nothing can be compared.")


def run_mistakes(bench: BenchOptions) -> list[str]:
    """Return what is wrong with the seeds and the number of jobs."""
    mistakes = []
    if len(set(bench.seeds)) != len(bench.seeds):
        mistakes.append(f"seeds {', '.join(map(str, bench.seeds))}: one stands there twice.")
    if len(bench.seeds) < FEWEST_SEEDS and not bench.allow_few:
        mistakes.append(
            f"{len(bench.seeds)} seed(s): a difference between methods is not told from chance by fewer than "
            f"{FEWEST_SEEDS}. Give more with --seeds, or --allow-few for a first look."
        )
    if bench.jobs < 0 or any(seed < 0 for seed in bench.seeds):
        mistakes.append("jobs and seeds are whole numbers from 0 on.")
    return mistakes


def seed_project(project: Project, seed: int, name: str | None = None) -> Project:
    """Return the project's copy for a seed: its data, classes and settings as they are now, and no stage of its own.

    `name` is that of its folder; default: seed-N.
    """
    folder = project.folder.resolve() / FOLDER / (name or f"seed-{seed}")
    for domain in DOMAINS:
        if project.has(domain):
            here = project.folder.resolve() / "manifests" / domain
            write_manifest(folder / "manifests" / domain, read_manifest(here))
            write_quarantine(folder / "manifests" / domain, read_quarantine(here))
    shutil.rmtree(folder / "settings", ignore_errors=True)
    if (project.folder / "settings").is_dir():
        shutil.copytree(project.folder / "settings", folder / "settings")
    write_atomic(folder / "classes.toml", project.classes.to_toml().encode())
    settings = project.settings.model_copy(update={"seed": seed})
    write_atomic(folder / "project.toml", to_toml(settings).encode())
    return Project.open(folder)


def shared_settings(project: Project, bench: BenchOptions) -> dict[str, Any]:
    """Return what is the same for all: the source model's input size, batch and augmentation, and --set."""
    config = project.stage_config("method", BASELINE, None, list(bench.settings)).model_dump(mode="json")
    given = [setting.partition("=")[0].strip() for setting in bench.settings]
    return {name: config[name] for name in dict.fromkeys((*SHARED, *given))}


def as_overrides(settings: dict[str, Any]) -> tuple[str, ...]:
    """Return settings as `key=value`."""
    return tuple(f"{name}={'none' if value is None else toml_value(value)}" for name, value in settings.items())


def own_settings(config: TrainConfig, shared: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a method that it does not share and that are not every method's default."""
    common = {row.name: TrainConfig.model_fields[row.name].default for row in describe(TrainConfig)}
    dumped = config.model_dump(mode="json")
    nobody = object()
    return {
        name: value
        for name, value in dumped.items()
        if name not in shared and name not in FIXED and value != common.get(name, nobody)
    }


def chosen_methods(bench: BenchOptions, known: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the methods to compare, in the catalog's order.

    Raises:
        UnknownNameError: one that is no method.
        ConfigError: one that this comparison is not for.
    """
    for name in bench.methods:
        catalog.entry("method", name)
    if other := [name for name in bench.methods if name not in known]:
        raise ConfigError(f"{', '.join(other)}: not in this comparison. Methods in it: {', '.join(known)}.")
    return tuple(name for name in known if name in (bench.methods or default))


def refuse_options(bench: BenchOptions, name: str, *taken: str) -> None:
    """Refuse the options of single comparisons but those that this one takes.

    Raises:
        ConfigError: naming them.
    """
    if given := [f"--{flag}" for flag in OF_SOME if flag not in taken and getattr(bench, flag)]:
        raise ConfigError(f"{', '.join(given)}: not for `bench {name}`.")


def publish(project: Project, result: StageResult) -> StageResult:
    """Copy a result's files to PROJECT, under the stage's name, as `report` does; return the result."""
    for path in sorted(result.where.glob("bench.*")):
        write_atomic(project.folder / f"{result.name}{path.suffix}", path.read_bytes())
    return result
