"""`frugalseg bench`: a comparison of methods on a project."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frugalseg.cli.options import DryRun, Json, ProjectFolder, Quiet, Settings, model_folder, options
from frugalseg.cli.output import Table, logs_on_stderr, show_stage
from frugalseg.core.errors import ConfigError

if TYPE_CHECKING:
    from frugalseg.workflow.stage import StageResult

EXAMPLES = (
    "frugalseg bench uda city --seeds 0,1,2 --jobs 2",
    "frugalseg bench uda city --methods advent,cbst --steps 450 --set batch_size=2 --json",
    "frugalseg bench self_training_grid city --grid 0.2/0.05,0.2/0.1 --rounds 3",
    "frugalseg bench point_da city --grid 0,1,2,3,5,10 --seeds 0,1,2",
    "frugalseg bench mada city --grid K=1,K=5,budget,selector",
    "frugalseg bench propagation drive --checkpoint city/runs/0002-… --tau 10,20,30,60 --set finest_scale=0",
    "frugalseg bench folds kitti --folds 4 --seeds 0 --allow-few",
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="uda, self_training_grid, point_da, mada, propagation, folds; see `frugalseg methods`"
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        metavar="A,B,…",
        help="only these methods; default: all the comparison knows. point_da, mada: the one that asks; default: "
        "the project's, and the paper's warm-up. folds: default source_only. propagation: warp is always there",
    ),
]
Seeds = Annotated[str, typer.Option("--seeds", metavar="0,1,2", help="seeds; each has a copy of the project")]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        min=1,
        help="training steps of each method, all its rounds together; point_da, mada: of each training with answers; "
        "propagation: of the refinement network. Default: uda: as many as source_only's, else the methods' own",
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", min=0, help="trainings at a time, a process with one thread each; 0: in this process")
]
Few = Annotated[bool, typer.Option("--allow-few", help="take fewer than three seeds")]
Grid = Annotated[
    str | None,
    typer.Option(
        "--grid",
        metavar="VALUES",
        help="self_training_grid: first share and growth, P0/STEP,…; default: figure 5's. "
        "point_da: cells a frame, K,…; default: table 3's. "
        "mada: sweeps besides the ablation: K, V, budget, selector, each alone (the paper's values) or K=5,…",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        min=2,
        help="folds: parts of the labelled source frames; default: 4. propagation: the network that guesses goes on "
        "learning from the half that is not scored, cross-fitted over so many folds of it; default: it does not",
    ),
]
Tau = Annotated[
    str | None,
    typer.Option("--tau", metavar="A,B,…", help="propagation: τ of warp_inpaint and warp_refine, a row each"),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="MODEL",
        help="propagation: the network that guesses, which has learned from no label of the video; default: the "
        "project's newest one trained without answers",
    ),
]
Rounds = Annotated[int | None, typer.Option("--rounds", min=1, help="self_training_grid: rounds; default: 6")]


def command(
    name: Name,
    project: ProjectFolder,
    methods: Methods = None,
    seeds: Seeds = "0,1,2",
    steps: Steps = None,
    jobs: Jobs = 1,
    allow_few: Few = False,
    grid: Grid = None,
    rounds: Rounds = None,
    folds: Folds = None,
    tau: Tau = None,
    checkpoint: Checkpoint = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare methods on a project: same network, start, steps and augmentation, several seeds.

    Each seed has a copy of the project in PROJECT/bench, and every run is an ordinary stage there. A comparison that
    was stopped goes on with the same command; what is done is not done again; what failed is reported, and tried again
    the next time. Exit code 2 says that something failed, 0 that nothing did.
    """
    with logs_on_stderr():
        from frugalseg.workflow import catalog
        from frugalseg.workflow.bench import BenchOptions
        from frugalseg.workflow.project import Project

        run = catalog.entry("comparison", name).load()
        asked = BenchOptions(
            methods=_names(methods),
            seeds=_numbers(seeds),
            steps=steps,
            jobs=jobs,
            allow_few=allow_few,
            settings=tuple(settings or ()),
            grid=_names(grid),
            rounds=rounds,
            folds=folds,
            tau=_positive(tau),
            checkpoint=None if checkpoint is None else model_folder(checkpoint),
        )
        result = run(Project.open(project), asked, options(dry_run=dry_run, quiet=quiet))
    _show(result, project, as_json)


def _show(result: "StageResult", project: Path, as_json: bool) -> None:
    if result.folder is None:
        show_stage(result, as_json)
        return
    show_stage(result, as_json, *_parts(result.found), *_tail(result.found["failed"], project / result.name))
    if result.found["failed"]:
        raise typer.Exit(2)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").replace(",", " ").split())


def _numbers(text: str) -> tuple[int, ...]:
    words = _names(text)
    if not words or not all(word.isdecimal() for word in words):
        raise ConfigError(f"--seeds {text!r}: expected whole numbers with commas between them, e.g. 0,1,2.")
    return tuple(map(int, words))


def _positive(text: str | None) -> tuple[float, ...]:
    try:
        found = tuple(map(float, _names(text)))
    except ValueError:
        found = (0.0,)
    if not all(0 < value < math.inf for value in found) or len(set(found)) < len(found):
        raise ConfigError(f"--tau {text!r}: expected different positive numbers with commas between them, e.g. 10,30.")
    return found


def _parts(found: dict[str, Any]) -> list[str | Table]:
    verdict = [found["verdict"]] if "verdict" in found else []
    if "rows" in found:
        return [*_carried_tables(found), *verdict]
    return [_methods_table(found), *_fold_tables(found), *verdict] if "methods" in found else _grid_tables(found)


def _fold_tables(found: dict[str, Any]) -> list[str | Table]:
    tables: list[str | Table] = []
    for method, seeds in found.get("by_fold", {}).items():
        rows = [
            (int(seed), *(100 * score if score is not None else None for score in scores))
            for seed, scores in seeds.items()
        ]
        tables.append(Table(rows, (f"{method}, seed", *(f"fold {fold}" for fold in range(len(rows[0]) - 1)))))
    return tables


def _methods_table(found: dict[str, Any]) -> Table:
    rows = []
    for row in found["methods"]:
        gain = row.get("gain") or {}
        scores = [100 * value if value is not None else None for value in (row.get("miou"), row.get("sd"))]
        gains = [100 * gain[key] if gain.get(key) is not None else None for key in ("value", "low", "high")]
        peak = row.get("peak_process_bytes")
        memory = round(peak / 2**20) if peak else None
        rows.append([row["method"], row["steps"], *scores, *gains, row.get("cpu_s"), row.get("wall_s"), memory])
    header = ("method", "steps", "mIoU %", "sd", "gain", "from", "to", "CPU s", "wall s", "peak MiB")
    return Table(rows, header)


def _carried_tables(found: dict[str, Any]) -> list[str | Table]:
    tables: list[str | Table] = []
    finished = [row for row in found["rows"] if "anchors" in row]
    for anchors in finished[0]["anchors"] if finished else ():
        scored = [(row["row"], row["anchors"][anchors]) for row in finished]
        rows = []
        for name, one in scored:
            gain = one["gain"] or {}
            gains = [100 * gain[key] if gain.get(key) is not None else None for key in ("value", "low", "high")]
            rows.append([name, *(100 * miou for miou in one["miou"].values()), 100 * one["mean"], *gains])
        heads = [f"k={k}" for k in scored[0][1]["miou"]]
        tables.append(Table(rows, (f"{anchors} labelled", *heads, "mean", "gain", "from", "to")))
    return tables


def _grid_tables(found: dict[str, Any]) -> list[str | Table]:
    tables: list[str | Table] = []
    for method, curves in found["miou"].items():
        rows = [[name, *(100 * sum(p) / len(p) if p else None for p in points)] for name, points in curves.items()]
        rounds = len(rows[0]) - 1
        tables.append(Table(rows, (method, "source", *(f"round {number}" for number in range(1, rounds)))))
    return tables


def _tail(failed: dict[str, str], published: Path) -> list[str]:
    failures = [f"Failed: {name}: {message}" for name, message in failed.items()]
    return [*failures, f"Page: {published}.html", f"Table: {published}.md"]
