"""`propagate`: labels of a few frames of a video spread to the others, with confidence and where each comes from."""

import csv
import fcntl
import hashlib
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.artifact import content_hash
from frugalseg.core.classes import ClassSet
from frugalseg.core.config import load_config
from frugalseg.core.errors import ArtifactError, ConfigError, DataError, StageOrderError
from frugalseg.core.files import file_hash, write_atomic
from frugalseg.core.records import Manifest
from frugalseg.data.manifest import write_manifest
from frugalseg.data.sequences import BEGINS, Run
from frugalseg.workflow.project import MODEL, PARTIAL, UNLISTED, Project, read_spec
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_files import read_rows
from frugalseg.workflow.propagate_jobs import run_stretches
from frugalseg.workflow.propagate_motion import learn_motion
from frugalseg.workflow.propagate_page import write_spread_page
from frugalseg.workflow.propagate_plan import (
    CONFIDENCE,
    FRAMES,
    PLAN,
    PROVENANCE,
    TABLE,
    VIDEO,
    LabelSource,
    Plan,
    keeps_flows,
    stretches,
)
from frugalseg.workflow.propagate_prepare import calibrate, learn_refiner
from frugalseg.workflow.propagate_run import has_refiner, motion_folder, open_tools
from frugalseg.workflow.propagate_unseen import read_unseen, unseen_for
from frugalseg.workflow.stage import Options, StageResult, run_stage

FLOWS, LOCK = "flows", ".lock"
COLUMNS = ("key", "before", "before_k", "after", "after_k", "known", "confidence", "accepted", "points")
NEXT = 5  # frames that it would help most to label, as named at the end


def propagate_project(
    project: Project,
    labels: Path | None,
    checkpoint: Path | None,
    jobs: int,
    options: Options,
    unseen: Path | None = None,
) -> StageResult:
    """Spread the answers of the newest `label` stage over the target's video, as a stage of the project.

    Raises:
        StageOrderError: there are no labels, or no network where the method needs one.
    """
    config = load_config(PropagateConfig, options.config, options.overrides)
    if labels is None:
        done = project.latest(("label",), "labels of some frames", f"frugalseg label {project.folder}")
        labels = done.folder / PARTIAL / "labels"
    if config.guesses and checkpoint is None:
        checkpoint = project.latest_model() / MODEL
    if config.method == "warp_refine" and unseen is None and taught(project, checkpoint):
        options.say(
            f"{checkpoint}: this network has learned from people's answers, perhaps these; what it guesses in the "
            "cycles of their frames is too good to learn from. Give --unseen a network that has not."
        )
    inputs = {"target": project.manifest_folder("target"), "labels": labels, "classes": project.folder / "classes.toml"}
    if (labels.parent / PROVENANCE).is_dir():
        inputs["provenance"] = labels.parent / PROVENANCE
    inputs |= {"model": checkpoint} if checkpoint else {}
    inputs |= {"unseen": unseen} if unseen else {}
    settings = config.model_dump(mode="json")
    if options.dry_run:
        return StageResult("propagate", None, {"inputs": {k: str(p) for k, p in inputs.items()}, "config": settings})

    def work(folder: Path) -> dict[str, Any]:
        flows = project.folder / "cache" / FLOWS if keeps_flows(config, labels) else None
        manifest = project.manifest("target")
        plan = _plan(config, project.classes, manifest, labels, checkpoint, flows, unseen)
        return spread_video(manifest, plan, folder, jobs, options)

    return run_stage(project, f"propagate-{config.method}", inputs, settings, work, options, seed=config.seed)


def taught(project: Project, model: Path | None) -> bool:
    """Tell whether a network is of a stage of this project that learned from answers."""
    if model is None:
        return False
    own = [run for run in project.list() if (run.folder / MODEL).resolve() == model.resolve()]
    return any(run.has_input("answers") for run in own)


def propagate_video(
    video: str,
    labels: Path | None,
    classes: ClassSet | None,
    checkpoint: Path | None,
    out: Path,
    jobs: int,
    options: Options,
    unseen: Path | None = None,
) -> dict[str, Any]:
    """Spread labels over the frames of a SPEC into a folder; the same command goes on where one was stopped.

    Raises:
        ConfigError: no class list, no network where the method needs one, or a folder that holds other results.
        DataError: nothing is labelled, or the frames cannot be read.
    """
    config = load_config(PropagateConfig, options.config, options.overrides)
    manifest = read_spec(video)
    classes = classes or manifest.classes
    if manifest.classes.name == UNLISTED:  # labels without a list of their own have these ids
        manifest = replace(manifest, classes=classes)
    if classes.name == UNLISTED:
        raise ConfigError(
            f"{video}: no class list. Give --classes FILE (or a name), or put classes.toml into its folder."
        )
    if config.guesses and checkpoint is None:
        raise ConfigError(f"{config.method} needs a network that predicts these classes: give --checkpoint MODEL.")
    flows = out / FLOWS if keeps_flows(config, labels) else None
    plan = _plan(config, classes, manifest, labels, checkpoint, flows, unseen)
    source = LabelSource(manifest, plan)
    if options.dry_run:
        labelled = sum(source.has(frame) or source.has_points(frame) for frame in manifest)
        return {"frames": len(manifest), "labelled": labelled, "stretches": len(stretches(manifest)), "out": str(out)}
    with _alone(out):
        return spread_video(manifest, plan, out, jobs, options)


def spread_video(manifest: Manifest, plan: Plan, folder: Path, jobs: int, options: Options) -> dict[str, Any]:
    """Spread labels over a video, going on from what the folder holds, and return what came of it.

    Raises:
        ConfigError: the folder holds results of another plan.
        StageOrderError: no frame is labelled.
        DataError: a stretch failed; the others are done.
    """
    source, runs = LabelSource(manifest, plan), stretches(manifest)
    whole = {frame.key for frame in manifest if source.has(frame)}
    labelled = whole | {frame.key for frame in manifest if source.has_points(frame) and not plan.config.joint}
    if not labelled:
        raise StageOrderError(
            f"{plan.labels or manifest.name}: none of {len(manifest)} frames has a label there. Label a frame first; "
            "label files are named like the frames' keys, KEY.png."
        )
    _begin(folder, manifest, plan)
    began_s = time.monotonic()
    config = plan.config
    learn_motion(motion_folder(folder, plan), runs, config, options)
    tools = open_tools(folder, plan)
    if config.method == "warp_refine" and not has_refiner(folder):
        assert tools.semantic is not None  # open_tools gives one to all but `warp`
        semantic_for = unseen_for(plan.unseen, labelled, plan.classes, tools.semantic)
        learn_refiner(folder, runs, source, tools, config, semantic_for)
        tools = open_tools(folder, plan)
    calibrates = whole and config.method != "oracle" and config.calibration_frames
    if (calibrates or config.precision is not None) and not (folder / CONFIDENCE).is_file():
        calibrate(folder, runs, source, tools, config, options)
    numbers = [number for number, run in enumerate(runs) if any(frame.key in labelled for frame in run.frames)]
    wanted = sum(frame.key not in whole for number in numbers for frame in runs[number].frames)
    done_before, spread_s = _count(folder, numbers), time.monotonic()
    failed = run_stretches(folder, numbers, wanted, jobs, options)
    if failed:
        texts = [f"{runs[number].frames[0].key} …: {why}" for number, why in failed.items()]
        raise DataError(f"{len(failed)} of {len(numbers)} stretches failed:\n  " + "\n  ".join(texts))
    rate = (_count(folder, numbers) - done_before) / max(1e-9, time.monotonic() - spread_s)
    made = _made(folder, numbers)
    found = _summary(folder, manifest, runs, numbers, made, labelled, options)
    write_spread_page(folder, manifest, plan, runs, made, found)
    return {**found, "frames_per_s": round(rate, 2), "seconds": round(time.monotonic() - began_s, 1)}


def _plan(
    config: PropagateConfig,
    classes: ClassSet,
    manifest: Manifest,
    labels: Path | None,
    checkpoint: Path | None,
    flows: Path | None,
    unseen: Path | None,
) -> Plan:
    if unseen is not None and config.method != "warp_refine":
        raise ConfigError(f"--unseen: for warp_refine, which learns from cycles; {config.method} has none.")
    models = read_unseen(unseen) if unseen is not None else {}
    given = {"labels": labels, "checkpoint": checkpoint, "raft_weights": config.raft_weights}
    given |= {"sdc_weights": config.sdc_weights}
    given |= {f"unseen {number}": Path(model) for number, model in enumerate(sorted(set(models.values())))}
    if labels is not None and (labels.parent / PROVENANCE).is_dir():
        given["provenance"] = labels.parent / PROVENANCE
    inputs = {name: content_hash(path) for name, path in given.items() if path is not None}
    lines = [f"{frame.key} {frame.index} {frame.sha256}" for frame in manifest]
    if labels is None or config.method == "oracle":  # those of the data set itself
        lines += [f"{frame.key} {file_hash(Path(frame.label))}" for frame in manifest if frame.label is not None]
    inputs["frames"] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    texts = [None if path is None else str(path.absolute()) for path in (labels, checkpoint, flows)]
    return Plan(config.model_dump(mode="json"), classes, texts[0], texts[1], texts[2], inputs, models)


def _begin(folder: Path, manifest: Manifest, plan: Plan) -> None:
    """Write the plan down, or check that the folder's is the same."""
    if (folder / PLAN).is_file():
        before = Plan.load(folder)
        same = vars(before) == vars(plan) and (folder / VIDEO / "manifest.parquet").is_file()
        other = [name for name, value in vars(plan).items() if value != vars(before)[name]]
        if not same:
            raise ConfigError(f"{folder} holds labels made with other {', '.join(other)}. Choose another folder.")
        return
    for part in (FRAMES, VIDEO):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_manifest(folder / VIDEO, manifest)
    plan.save(folder)


def _count(folder: Path, numbers: Sequence[int]) -> int:
    return sum("key" in row for number in numbers for row in read_rows(folder, number))


def _made(folder: Path, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row a frame that got a label, of whole frames and of points together."""
    by_key: dict[str, dict[str, Any]] = {}
    for number in numbers:
        for row in read_rows(folder, number):
            if "key" in row:
                by_key[row["key"]] = by_key.get(row["key"], {}) | row
    return list(by_key.values())


def _summary(
    folder: Path,
    manifest: Manifest,
    runs: Sequence[Run],
    numbers: Sequence[int],
    made: Sequence[dict[str, Any]],
    labelled: set[str],
    options: Options,
) -> dict[str, Any]:
    """Write frames.csv and return what is said at the end."""
    rows = [row for number in numbers for row in read_rows(folder, number)]
    breaks = {row["break"]: row["reason"] for row in rows if "break" in row}
    breaks |= {run.frames[0].key: run.before for run in runs if run.before != BEGINS}
    left_out = [f"{one.path}: {one.reason}" for one in manifest.refused]
    for text in left_out:
        options.say(f"left out: {text}")
    for key, reason in breaks.items():
        options.say(f"{key}: a new track begins: {reason}")
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, COLUMNS)
    table.writeheader()
    table.writerows(made)
    write_atomic(folder / TABLE, buffer.getvalue().encode())
    frames = sum(len(run.frames) for run in runs)
    whole = [row for row in made if "before" in row or "after" in row]
    measure = "known" if any(row["confidence"] is None for row in whole) else "confidence"
    doubted = sorted(whole, key=lambda row: (row[measure], row["key"]))
    return {
        "frames": frames,
        "labelled": len(labelled),
        "spread": len(made),
        "unreached": frames - len(labelled | {row["key"] for row in made}),
        "points": sum(row.get("points", 0) for row in made),
        "tracks_ended": breaks,
        "left_out": left_out,
        "known": _mean(made, "known"),
        "confidence": _mean(made, "confidence"),
        "accepted": _mean(made, "accepted"),
        "label_next": [row["key"] for row in doubted[:NEXT]],
        "out": str(folder),
    }


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return float(np.mean(values)) if values else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock.

    Raises:
        ArtifactError: another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArtifactError(f"{folder}: another process is at work here. Wait for it, or stop it.") from error
        yield
