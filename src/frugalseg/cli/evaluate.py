"""`frugalseg evaluate`: score a project, a model or a folder of predictions."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from frugalseg.cli.options import (
    RUN,
    ConfigFile,
    DryRun,
    Json,
    Quiet,
    Settings,
    find_model,
    model_folder,
    options,
    stage_folder,
)
from frugalseg.cli.output import Table, logs_on_stderr, show, show_stage
from frugalseg.core.errors import ConfigError

FACTS = ("miou", "miou_low", "miou_high", "pixel_accuracy", "mean_accuracy", "frames")
COARSE_AND_FINE = ("category_miou", "miiou", "category_miiou", "objects")  # where the data set has them
EXAMPLES = (
    "frugalseg evaluate city --json",
    "frugalseg evaluate city/runs/0004-adapt-cbst-1a2b3c4d --data folder:data/street-labelled",
    "frugalseg evaluate predictions --data folder:data/street-labelled --classes city/classes.toml",
)


Target = Annotated[
    Path,
    typer.Argument(metavar="PROJECT|CHECKPOINT|DIR", help="a project, a model's folder, or a folder of label PNGs"),
]
Data = Annotated[
    str | None, typer.Option("--data", metavar="SPEC", help="labelled frames; a project has its validation frames")
]
Model = Annotated[
    str | None, typer.Option("--model", metavar="RUN", help=f"of a project, {RUN}; default: the newest model")
]
Classes = Annotated[
    Path | None,
    typer.Option("--classes", metavar="FILE", help="what ids in a folder of PNGs mean; default: the data's"),
]


def command(
    path: Target,
    data: Data = None,
    model: Model = None,
    classes: Classes = None,
    config: ConfigFile = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a project's model, any model, or a folder of predictions: IoU of each class, mIoU, accuracies.

    Numbers are fractions from 0 to 1 with a 95 % interval from resampling the frames. A project's score is kept as a
    stage of its own, for the report; the score of a checkpoint or a folder, or with --data, is only printed.
    """
    flags = {"config": config, "settings": settings, "dry_run": dry_run, "quiet": quiet}
    is_project = (path / "project.toml").is_file()
    if is_project and data is None:
        _refuse({"--classes": classes}, "a project has its classes")
        _evaluate_project(path, model, flags, as_json)
        return
    has_model = is_project or find_model(path) is not None
    kind = "a model" if has_model else "a folder of predictions"
    if data is None:
        raise ConfigError(f"{path} is {kind}: say what to score it on with --data SPEC, e.g. --data folder:labelled")
    with logs_on_stderr():
        if has_model:
            _refuse(
                {"--classes": classes, "--model": None if is_project else model}, f"{path} is {kind} with its classes"
            )
            found = _score_model(_of_project(path, model) if is_project else model_folder(path), data, flags)
        else:
            _refuse({"--model": model, "--config": config, "--set": settings}, f"{path} is {kind}")
            found = _score_folder(path, data, classes, dry_run)
    show(found, as_json, *_tables(found))


def _evaluate_project(path: Path, model: str | None, flags: dict[str, Any], as_json: bool) -> None:
    with logs_on_stderr():
        from frugalseg.workflow.evaluate import evaluate_stage
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import next_command

        opened = Project.open(path)
        result = evaluate_stage(opened, stage_folder(opened, model), options(**flags))
    show_stage(result, as_json, *_tables(result.found), next_command=next_command(opened))


def _of_project(path: Path, model: str | None) -> Path:
    from frugalseg.workflow.project import Project

    opened = Project.open(path)
    chosen = stage_folder(opened, model)
    if chosen is None:
        chosen = opened.latest_model()
    return model_folder(chosen)


def _score_model(model: Path, data: str, flags: dict[str, Any]) -> dict[str, Any]:
    from frugalseg.workflow.evaluate import evaluate_model

    if flags["dry_run"]:
        return {"dry_run": True, "model": model, "data": data}
    return evaluate_model(model, data, options(**flags))


def _score_folder(folder: Path, data: str, classes: Path | None, dry_run: bool) -> dict[str, Any]:
    from frugalseg.core.classes import ClassSet
    from frugalseg.workflow.evaluate import evaluate_folder

    if dry_run:
        return {"dry_run": True, "predictions": folder, "data": data}
    return evaluate_folder(folder, data, ClassSet.from_toml(classes) if classes else None)


def _refuse(given: dict[str, Any], reason: str) -> None:
    wrong = [flag for flag, value in given.items() if value]
    if wrong:
        raise ConfigError(f"{', '.join(wrong)}: not here, {reason}.")


def _tables(found: dict[str, Any]) -> list[str | Table]:
    if "miou" not in found:
        return [Table(list(found.items()))]
    facts = [(name, found.get(name)) for name in FACTS]
    facts += [(name, found[name]) for name in COARSE_AND_FINE if name in found]
    facts += [("ece", found["ece"])] if "ece" in found else []  # a folder of predictions has no confidences
    facts += [(f"miou, {name}", value) for name, value in found.get("subsets", {}).items()]
    facts += [(f"drift, {pair}", _drift(**measured)) for pair, measured in found.get("drift", {}).items()]
    tables: list[str | Table] = [Table(facts), _scored("class", found["iou"], found.get("iiou"))]
    if "category_iou" in found:
        tables.append(_scored("category", found["category_iou"], found.get("category_iiou")))
    return tables


def _scored(kind: str, iou: dict[str, Any], iiou: dict[str, Any] | None) -> Table:
    """Return the table of IoU, and of iIoU where there are objects; some classes have none."""
    if iiou is None:
        return Table(list(iou.items()), (kind, "IoU"))
    return Table([(name, value, iiou.get(name)) for name, value in iou.items()], (kind, "IoU", "iIoU"))


def _drift(score: float | None, certain: bool) -> str:
    """Say a drift score; None is infinite, from a reference whose frames are all alike."""
    times = "–" if score is None or not math.isfinite(score) else f"{score:.1f}"
    return times if certain else f"{times} (no more than chance)"
