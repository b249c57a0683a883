"""`report`: everything the project's stages wrote down, on one page."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.chance import key_hash
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Answer, Frame, Query
from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records
from frugalseg.data.batches import ImageCache
from frugalseg.data.labels import LabelReader
from frugalseg.evaluation.compare import CurvePoint
from frugalseg.evaluation.confusion import Confusions
from frugalseg.evaluation.report import (
    EvaluatedModel,
    LedgerRow,
    ReportData,
    Role,
    ShownFrame,
    StageRecord,
    write_report,
)
from frugalseg.models.store import load_model, read_model_info
from frugalseg.training.predict import Predictor
from frugalseg.workflow.adaptation_exhibits import adaptation_exhibits
from frugalseg.workflow.answered_exhibits import answered
from frugalseg.workflow.drawing import most_asked
from frugalseg.workflow.exhibits import coarse_scores, exhibits, reliabilities
from frugalseg.workflow.image_exhibits import image_exhibits
from frugalseg.workflow.project import ANSWERS, CONFUSIONS, MODEL, QUESTIONS, Project
from frugalseg.workflow.round_exhibits import round_exhibits
from frugalseg.workflow.rounds import EVERYTHING, chain, human_seconds, is_control, label_stages, strategy_of
from frugalseg.workflow.stage import Options, StageResult, run_stage

QUESTION_FRAMES, PREDICTION_FRAMES = 8, 4


def report_stage(project: Project, options: Options) -> StageResult:
    """Write `report.html` from all finished stages; the newest one is also at PROJECT/report.html."""
    runs = [run for run in project.list() if not run.name.startswith("report")]
    inputs = {run.folder.name: run.folder for run in runs}
    if options.dry_run:
        return StageResult("report", None, {"stages": sorted(inputs)})

    def work(folder: Path) -> dict[str, Any]:
        write_report(folder / "report.html", _collect(project, runs))
        return {"report": "report.html"}

    result = run_stage(project, "report", inputs, {"title": project.settings.name}, work, options)
    write_atomic(project.folder / "report.html", (result.where / "report.html").read_bytes())
    return result


@dataclass(frozen=True)
class _Scored:
    """A stage with a model, the stage that scored it, and what people had spent when it was trained."""

    run: RunInfo
    evaluation: RunInfo
    name: str
    human_seconds: float
    role: Role


def _collect(project: Project, runs: list[RunInfo]) -> ReportData:
    scored = _scored(project, runs)
    models = tuple(map(_measured, scored))
    evaluations = [(item.name, item.evaluation) for item in scored]
    last = _last_step(scored)
    asked = round_exhibits(project, {item.run.folder: item.name for item in scored}, last)
    whole = image_exhibits(project, runs)
    shown, adapted = exhibits(project, runs, last), adaptation_exhibits(project, runs)
    simulated = any(run.extra.get("simulated") for run in runs)
    note = "Answers were simulated from ground truth; the seconds are the cost model's, not measured."
    return ReportData(
        title=f"{project.settings.name}: what people's time bought",
        project=project.settings.name,
        classes=project.classes,
        models=models,
        curve=tuple(map(_curve_point, models)),
        frames=(*_question_frames(project, runs), *_prediction_frames(project, scored)),
        ledger=tuple(_ledger_row(project, run) for run in label_stages(runs)),
        stages=tuple(map(_stage_record, runs)),
        environment=runs[-1].versions if runs else {},
        budget=project.settings.budget,
        notes=(note,) if simulated else (),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        reliability=reliabilities(evaluations),
        coarse=coarse_scores(evaluations),
        gallery=shown.gallery,
        drift=shown.drift,
        check=shown.check,
        ranking=adapted.ranking,
        priors=adapted.priors,
        left_out=(*shown.left_out, *adapted.left_out, *asked.left_out, *whole.left_out),
        rounds=asked.rounds,
        slice=asked.slice,
        unsure=asked.unsure,
        forecast=asked.forecast,
        answered=answered(project, runs),
        chosen=whole.chosen,
    )


def _last_step(scored: list[_Scored]) -> tuple[str, RunInfo] | None:
    """Return name and evaluation of the model that the report's details are about."""
    steps = [item for item in scored if item.role is Role.STEP]
    return (steps[-1].name, steps[-1].evaluation) if steps else None


def _measured(item: _Scored) -> EvaluatedModel:
    confusions = Confusions.load(item.evaluation.folder / CONFUSIONS)
    note = item.run.folder.name
    return EvaluatedModel.measure(item.name, confusions, item.human_seconds, role=item.role, note=note)


def _curve_point(model: EvaluatedModel) -> CurvePoint:
    series = "this project" if model.role is Role.STEP else str(model.role)
    interval = model.miou
    return CurvePoint(model.human_seconds / 60, interval.value, interval.low, interval.high, model.name, series)


def _scored(project: Project, runs: list[RunInfo]) -> list[_Scored]:
    """Return scored models, the last evaluation of each, with names that differ."""
    by_model = {run.input("model").parent.name: run for run in runs if run.name.startswith("evaluate")}
    found, names = [], set()
    for run in runs:
        if run.folder.name not in by_model:
            continue
        strategy = strategy_of(run)
        name = run.name.partition("-")[2] + (f" ({strategy})" if strategy else "")
        name += f", round {number}" if (number := _round_number(run)) > 1 else ""
        name = name if name not in names else f"{name} {run.ordinal}"
        names.add(name)
        role = _role(strategy, project.settings.strategy)
        found.append(_Scored(run, by_model[run.folder.name], name, human_seconds(run.folder), role))
    return found


def _round_number(run: RunInfo) -> int:
    return len(chain(run.input("answers"))) if run.has_input("answers") else 0


def _role(strategy: str | None, own: str) -> Role:
    if strategy == EVERYTHING:
        return Role.UPPER_BOUND
    return Role.CONTROL if is_control(strategy, own) else Role.STEP


def _ledger_row(project: Project, run: RunInfo) -> LedgerRow:
    if not run.has_input("questions"):
        frames = int(run.extra["answers"])
        seconds = float(run.extra["human_seconds"])
        return LedgerRow(f"{run.folder.name}: {EVERYTHING}", frames, frames, 0, 0, 0, seconds, simulated=True)
    selection = project.run(str(run.input("questions")))
    row = LedgerRow.count(
        f"{run.folder.name}: {selection.name.partition('-')[2]}, {selection.config['budget']}",
        read_records(selection.folder / QUESTIONS, Query),
        read_records(run.folder / ANSWERS, Answer),
        simulated=bool(run.extra.get("simulated")),
        role=_role(selection.name.partition("-")[2], project.settings.strategy),
    )
    return replace(row, human_seconds=float(run.extra["human_seconds"]))  # with gold questions and decisions


def _stage_record(run: RunInfo) -> StageRecord:
    return StageRecord(
        name=run.folder.name,
        command=tuple(run.command),
        config=run.config,
        seed=run.seed,
        wall_s=run.wall_s,
        device_s=run.device_s,
        fingerprint=run.fingerprint,
    )


def _question_frames(project: Project, runs: list[RunInfo]) -> list[ShownFrame]:
    """Frames with the entropy map, cells, points and answers of the last answered round that was not a control.

    Those with most questions, and before all others those whose map was kept.
    """
    answered = [run for run in runs if run.name.startswith("label") and run.has_input("questions")]
    chosen = [
        run for run in answered if project.run(str(run.input("questions"))).name.endswith(project.settings.strategy)
    ]
    if not answered:
        return []
    run = (chosen or answered)[-1]
    selection = project.run(str(run.input("questions")))
    queries = read_records(selection.folder / QUESTIONS, Query)
    answers = read_records(run.folder / ANSWERS, Answer)
    target, cache = project.manifest("target"), ImageCache(0)
    reader = LabelReader(target.classes, project.classes)
    shown = []
    kept = {
        path.relative_to(selection.folder / "entropy").with_suffix("").as_posix(): path
        for path in sorted(selection.folder.rglob("entropy/**/*.png"))
    }
    points = [query for query in queries if query.point and query.key in target.by_key]  # some may be in quarantine now
    ranked = most_asked(points)
    for key in sorted(ranked, key=lambda key: key not in kept)[:QUESTION_FRAMES]:
        frame, asked = target.by_key[key], tuple(query for query in queries if query.key == key)
        ids = {query.id for query in asked}
        shown.append(
            ShownFrame(
                key=f"{key} (target)",
                image=cache.read(frame),
                truth=reader.read(frame) if frame.label else None,
                entropy_01=_entropy(kept[key], frame) if key in kept else None,
                queries=asked,
                answers=tuple(answer for answer in answers if answer.query in ids),
            )
        )
    return shown


def _entropy(path: Path, frame: Frame) -> NDArray[np.float32]:
    """Return a kept entropy map in 0-1 at the frame's size."""
    with Image.open(path) as small:
        map_HW = np.asarray(small.resize((frame.width, frame.height), Image.Resampling.NEAREST), np.float32)
    return map_HW / np.float32(255)


def _prediction_frames(project: Project, scored: list[_Scored]) -> list[ShownFrame]:
    """Validation frames with the truth and every scored model's prediction side by side."""
    if not scored:
        return []
    validation, cache = project.manifest("validation"), ImageCache()
    frames = sorted(validation.frames, key=lambda frame: key_hash(frame.key))[:PREDICTION_FRAMES]
    reader = LabelReader(validation.classes, project.classes)
    predictions: dict[str, dict[str, NDArray[np.uint8]]] = {frame.key: {} for frame in frames}
    for item in scored:
        for frame, ids in _predictions(item.run.folder / MODEL, frames, cache):
            predictions[frame.key][item.name] = ids
    return [
        ShownFrame(frame.key, cache.read(frame), truth=reader.read(frame), predictions=predictions[frame.key])
        for frame in frames
    ]


def _predictions(model: Path, frames: list[Frame], cache: ImageCache) -> list[tuple[Frame, NDArray[np.uint8]]]:
    info = read_model_info(model)
    predictor = Predictor(load_model(model), (info["input_height"], info["input_width"]))
    return [
        (frame, logits_CHW.argmax(dim=0).cpu().numpy().astype(np.uint8))
        for frame, logits_CHW in predictor.frames(frames, cache.read)
    ]
