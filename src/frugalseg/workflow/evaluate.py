"""`evaluate`: predict labelled frames, count, score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from frugalseg.core.classes import ClassSet
from frugalseg.core.codec import read_label_png
from frugalseg.core.config import load_config
from frugalseg.core.errors import MissingPairError
from frugalseg.data.labels import LabelReader
from frugalseg.evaluation.compare import bootstrap_interval
from frugalseg.evaluation.confusion import Confusions, Counts, confusion, scores
from frugalseg.evaluation.objects import object_scores
from frugalseg.training.predict import PredictConfig
from frugalseg.workflow.look import Viewer
from frugalseg.workflow.measure import DRIFT, Measured, ObjectCounter, find_drift, measure, require_labels
from frugalseg.workflow.project import DOMAINS, MODEL, Project, read_spec
from frugalseg.workflow.stage import Options, StageResult, run_stage


class EvaluateConfig(PredictConfig):
    """How frames are looked at, and what is kept for the report."""

    gallery_frames: int = Field(4, ge=0, description="worst, best and most uncertain frames kept for the report, each")
    drift_frames: int = Field(
        200, ge=0, description="frames of each domain that the drift score looks at; 0 = no score"
    )


def evaluate_stage(project: Project, model: Path | None, options: Options) -> StageResult:
    """Score the model of a stage (the newest by default) on the project's validation frames, and measure drift.

    Raises:
        StageOrderError: there is no model, or no validation data.
    """
    if model is None:
        model = project.latest_model()
    validation = project.manifest("validation")
    config = load_config(EvaluateConfig, options.config, options.overrides)
    inputs = {
        "model": model / MODEL,
        "validation": project.manifest_folder("validation"),
        "classes": project.folder / "classes.toml",
    }
    if config.drift_frames:
        inputs |= {domain: project.manifest_folder(domain) for domain in DOMAINS if project.has(domain)}
    if options.dry_run:
        planned = {name: str(path) for name, path in inputs.items()}
        return StageResult("evaluate", None, {"inputs": planned, "config": config.model_dump(mode="json")})

    def work(folder: Path) -> dict[str, Any]:
        viewer = Viewer(model / MODEL, config)
        measured = measure(viewer, validation, config.gallery_frames, config.drift_frames, options)
        measured.save(folder)
        found = _found(measured, project.classes)
        if not config.drift_frames:
            return found
        drift = find_drift(project, viewer, {"validation": measured.sample}, config.drift_frames, folder, options)
        drift.save(folder / DRIFT)
        return {**found, "drift": drift.brief()}

    return run_stage(project, "evaluate", inputs, config.model_dump(mode="json"), work, options)


def evaluate_model(model: Path, data: str, options: Options) -> dict[str, Any]:
    """Score a model folder on the frames of a SPEC."""
    manifest = read_spec(data)
    config = load_config(EvaluateConfig, options.config, options.overrides)
    viewer = Viewer(model, config)
    measured = measure(viewer, manifest, 0, 0, options)
    return _found(measured, viewer.classes)


def evaluate_folder(predictions: Path, data: str, classes: ClassSet | None) -> dict[str, Any]:
    """Score a folder of predicted label PNGs (class ids, named like the frames' keys) on the frames of a SPEC.

    Raises:
        MissingPairError: a frame without a prediction.
    """
    manifest = read_spec(data)
    class_set = classes or manifest.classes
    missing = [frame.key for frame in manifest if not (predictions / f"{frame.key}.png").is_file()]
    if missing:
        raise MissingPairError(
            f"{predictions}: {len(missing)} of {len(manifest)} frames lack a prediction, first {missing[0]}.png.\n"
            "Name each prediction like its frame's key, e.g. with `frugalseg predict`."
        )
    require_labels(manifest)
    reader, confusions = LabelReader(manifest.classes, class_set), Confusions(len(class_set))
    objects = ObjectCounter(manifest, class_set)
    for frame in manifest:
        prediction_HW = read_label_png(predictions / f"{frame.key}.png")
        confusions.add(frame.key, confusion(reader.read(frame), prediction_HW, len(class_set)))
        objects.see(frame, prediction_HW)
    return summary(confusions, class_set, objects)


def _found(measured: Measured, classes: ClassSet) -> dict[str, Any]:
    found = summary(measured.confusions, classes, measured.objects)
    return {**found, "ece": _number(measured.reliability.curve().ece)}


def summary(confusions: Confusions, classes: ClassSet, objects: ObjectCounter) -> dict[str, Any]:
    """Return what `evaluate --json` prints; fractions 0–1, None for a class that does not occur."""
    total = confusions.total()
    result = scores(total)
    interval = bootstrap_interval(confusions)
    return {
        "miou": result.miou,
        "miou_low": interval.low,
        "miou_high": interval.high,
        "iou": _named(classes.names, result.iou_C),
        "pixel_accuracy": result.pixel_accuracy,
        "mean_accuracy": result.mean_accuracy,
        "subsets": {name: scores(total, classes.subset_ids(name)).miou for name in classes.subsets},
        "frames": len(confusions),
        **_coarse_and_fine(total, classes, objects),
    }


def _coarse_and_fine(total: Counts, classes: ClassSet, objects: ObjectCounter) -> dict[str, Any]:
    """Return scores of whole categories, and of single objects, where the data set has them."""
    grouping, found = objects.grouping, dict[str, Any]()
    scored = object_scores(total, objects.hits, grouping)
    if grouping.categories:
        found["category_iou"] = _named(grouping.categories, scored.category_iou_K)
        found["category_miou"] = _number(scored.category_miou)
    if objects.hits:
        by_object = {name: iou for name, iou in _named(classes.names, scored.iiou_C).items() if iou is not None}
        found |= {"objects": len(objects.hits), "iiou": by_object, "miiou": _number(scored.miiou)}
        of_category = _named(grouping.categories, scored.category_iiou_K)
        found["category_iiou"] = {name: iou for name, iou in of_category.items() if iou is not None}
        found["category_miiou"] = _number(scored.category_miiou)
    return found


def _named(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in zip(names, values, strict=True)}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
