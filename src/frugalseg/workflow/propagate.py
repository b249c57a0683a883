"""`propagate`: labels of a few frames of a video spread to the others, with confidence and where each comes from."""

import fcntl
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from frugalseg.core.artifact import content_hash
from frugalseg.core.classes import ClassSet
from frugalseg.core.config import load_config
from frugalseg.core.errors import ArtifactError, ConfigError, DataError, StageOrderError
from frugalseg.core.files import file_hash
from frugalseg.core.records import Manifest
from frugalseg.data.manifest import write_manifest
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
    REFINER,
    VIDEO,
    LabelSource,
    Plan,
    keeps_flows,
    stretches,
)
from frugalseg.workflow.propagate_prepare import calibrate, labelled_places, learn_refiner
from frugalseg.workflow.propagate_run import has_refiner, motion_folder, open_tools
from frugalseg.workflow.propagate_summary import made_of, summary
from frugalseg.workflow.propagate_unseen import caution, read_unseen, require_one_kind, unseen_for
from frugalseg.workflow.stage import Options, StageResult, run_stage

FLOWS, LOCK = "flows", ".lock"
_ALONE = """{name}: none of the {count} labelled frames has a neighbour in a video, so labels cannot spread.
Expected frames named by drive and number, like drive_000012.png, without gaps; where a folder's numbered files are a
video, write folder:PATH?sequence=folder, for video files and folders of such folders video:PATH (docs/readers.md)."""


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
        return {**spread_video(manifest, plan, out, jobs, options), "out": str(out)}


def spread_video(manifest: Manifest, plan: Plan, folder: Path, jobs: int, options: Options) -> dict[str, Any]:
    """Spread labels over a video, going on from what the folder holds, and return what came of it.

    Raises:
        ConfigError: the folder holds results of another plan.
        StageOrderError: no frame is labelled.
        DataError: no labelled frame is one of a video, or a stretch failed; the others are done.
    """
    source, runs = LabelSource(manifest, plan), stretches(manifest)
    whole = {frame.key for frame in manifest if source.has(frame)}
    labelled = whole | {frame.key for frame in manifest if source.has_points(frame) and not plan.config.joint}
    if not labelled:
        raise StageOrderError(
            f"{plan.labels or manifest.name}: none of {len(manifest)} frames has a label there. Label a frame first; "
            "label files are named like the frames' keys, KEY.png."
        )
    if not any(len(run.frames) > 1 and any(frame.key in labelled for frame in run.frames) for run in runs):
        raise DataError(_ALONE.format(name=manifest.name, count=len(labelled)))
    _begin(folder, manifest, plan)
    if plan.caution:
        options.say(plan.caution)
    began_s = time.monotonic()
    config = plan.config
    learn_motion(motion_folder(folder, plan), runs, config, options)
    tools, places = open_tools(folder, plan), labelled_places(runs, source)
    deep, semantic = config.reads_features, tools.semantic
    semantic_for = unseen_for(plan.unseen, whole, plan.classes, semantic, deep) if semantic else None
    if config.method == "warp_refine" and not has_refiner(folder):
        assert semantic_for is not None  # open_tools gives a network to all but `warp` and `oracle`
        learn_refiner(folder / REFINER, places, source, tools, config, semantic_for)
        tools = open_tools(folder, plan)
    calibrates = whole and config.method != "oracle" and config.calibration_frames
    if (calibrates or config.precision is not None) and not (folder / CONFIDENCE).is_file():
        calibrate(folder, places, source, tools, plan, semantic_for, options)
    numbers = [number for number, run in enumerate(runs) if any(frame.key in labelled for frame in run.frames)]
    wanted = sum(frame.key not in whole for number in numbers for frame in runs[number].frames)
    done_before, spread_s = _count(folder, numbers), time.monotonic()
    failed = run_stretches(folder, numbers, wanted, jobs, options)
    if failed:
        texts = [f"{runs[number].frames[0].key} …: {why}" for number, why in failed.items()]
        raise DataError(f"{len(failed)} of {len(numbers)} stretches failed:\n  " + "\n  ".join(texts))
    rate = (_count(folder, numbers) - done_before) / max(1e-9, time.monotonic() - spread_s)
    made = made_of(folder, numbers)
    found = summary(folder, manifest, runs, numbers, made, labelled, config.reach, options)
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
    if unseen is not None and not config.guesses:
        raise ConfigError(f"--unseen: for methods that ask a network what it guesses; {config.method} asks none.")
    models = read_unseen(unseen) if unseen is not None else {}
    if config.reads_features and checkpoint is not None:
        require_one_kind(checkpoint, models)
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
    warning = caution(config, checkpoint, unseen)
    return Plan(config.model_dump(mode="json"), classes, texts[0], texts[1], texts[2], inputs, models, warning)


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
