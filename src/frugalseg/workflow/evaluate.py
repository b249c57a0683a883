"""`evaluate`: predict labelled frames, count, score."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import ClassSet
from frugalseg.core.codec import read_label_png
from frugalseg.core.config import load_config
from frugalseg.core.errors import MissingPairError
from frugalseg.core.records import Frame, Manifest
from frugalseg.data.batches import ImageCache
from frugalseg.data.labels import LabelReader
from frugalseg.evaluation.compare import bootstrap_interval
from frugalseg.evaluation.confusion import Confusions, confusion, scores
from frugalseg.models.store import load_model, read_model_info
from frugalseg.training.predict import PredictConfig, Predictor
from frugalseg.workflow.project import CONFUSIONS, MODEL, Project, read_spec
from frugalseg.workflow.stage import Options, StageResult, run_stage


def evaluate_stage(project: Project, model: Path | None, options: Options) -> StageResult:
    """Score the model of a stage (the newest by default) on the project's validation frames.

    Raises:
        StageOrderError: there is no model, or no validation data.
    """
    if model is None:
        model = project.latest(("adapt", "retrain"), "a trained model", f"frugalseg adapt {project.folder}").folder
    validation = project.manifest("validation")
    config = load_config(PredictConfig, options.config, options.overrides)
    inputs = {
        "model": model / MODEL,
        "validation": project.manifest_folder("validation"),
        "classes": project.folder / "classes.toml",
    }
    if options.dry_run:
        return StageResult("evaluate", None, {"inputs": {name: str(path) for name, path in inputs.items()}})

    def work(folder: Path) -> dict[str, Any]:
        predicted = _predicted(model / MODEL, validation, config, options)
        confusions = _count(predicted, validation, project.classes)
        confusions.save(folder / CONFUSIONS)
        return summary(confusions, project.classes)

    return run_stage(project, "evaluate", inputs, config.model_dump(mode="json"), work, options)


def evaluate_model(model: Path, data: str, options: Options) -> dict[str, Any]:
    """Score a model folder on the frames of a SPEC."""
    manifest, classes = read_spec(data), load_model(model).classes
    config = load_config(PredictConfig, options.config, options.overrides)
    return summary(_count(_predicted(model, manifest, config, options), manifest, classes), classes)


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
    predicted = ((frame, read_label_png(predictions / f"{frame.key}.png")) for frame in manifest)
    return summary(_count(predicted, manifest, class_set), class_set)


def summary(confusions: Confusions, classes: ClassSet) -> dict[str, Any]:
    """Return what `evaluate --json` prints; fractions 0–1, None for a class that does not occur."""
    total = confusions.total()
    result = scores(total)
    interval = bootstrap_interval(confusions)
    return {
        "miou": result.miou,
        "miou_low": interval.low,
        "miou_high": interval.high,
        "iou": {name: _number(iou) for name, iou in zip(classes.names, result.iou_C, strict=True)},
        "pixel_accuracy": result.pixel_accuracy,
        "mean_accuracy": result.mean_accuracy,
        "subsets": {name: scores(total, classes.subset_ids(name)).miou for name in classes.subsets},
        "frames": len(confusions),
    }


def _predicted(
    model: Path, manifest: Manifest, config: PredictConfig, options: Options
) -> Iterator[tuple[Frame, NDArray[np.uint8]]]:
    info = read_model_info(model)
    predictor = Predictor(load_model(model), (info["input_height"], info["input_width"]), config)
    for number, (frame, logits_CHW) in enumerate(predictor.frames(manifest.frames, ImageCache(0).read), 1):
        if number % 100 == 0:
            options.say(f"evaluate {number}/{len(manifest)}")
        yield frame, logits_CHW.argmax(dim=0).cpu().numpy().astype(np.uint8)


def _count(predicted: Any, manifest: Manifest, classes: ClassSet) -> Confusions:
    if not manifest.labelled:
        raise MissingPairError(
            f"{manifest.name}: not every frame has a label, so nothing can be scored. Give labelled data."
        )
    reader = LabelReader(manifest.classes, classes)
    confusions = Confusions(len(classes))
    for frame, prediction in predicted:
        confusions.add(frame.key, confusion(reader.read(frame), prediction, len(classes)))
    return confusions


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
