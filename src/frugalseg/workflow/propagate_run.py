"""One unbroken stretch of a video: read frames by time, spread labels, write each frame whole or not at all.

What is written: `labels/KEY.png` and `provenance/KEY.png` (a partial label, as people's answers are), `origin/KEY.png`
(numbers of `propagation.spread.ORIGINS`), `confidence/KEY.png` (255ths). A line in `frames/NUMBER.jsonl`, written last,
says that a frame is done.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.errors import ConfigError
from frugalseg.core.records import Frame, Provenance
from frugalseg.data.manifest import read_manifest
from frugalseg.data.sequences import Run
from frugalseg.propagation.confidence import Confidence
from frugalseg.propagation.motion import Neighbours
from frugalseg.propagation.networks import REFINE, is_stored
from frugalseg.propagation.semantic import Semantic
from frugalseg.propagation.spread import (
    NOTHING,
    TRUTH,
    Break,
    Event,
    Spread,
    SpreadConfig,
    Spreader,
    Tools,
    Unreached,
)
from frugalseg.workflow.propagate_files import StretchLog, opened_log, read_rows, shots
from frugalseg.workflow.propagate_motion import open_motion, trained_folder
from frugalseg.workflow.propagate_plan import (
    ACCEPT,
    CONFIDENCE,
    PICTURES,
    PROVENANCE,
    REFINER,
    VIDEO,
    LabelSource,
    Plan,
    stretches,
)
from frugalseg.workflow.propagate_points import follow_run

UNKNOWN, PROPAGATED = np.uint8(Provenance.UNKNOWN), np.uint8(Provenance.PROPAGATED)


def has_refiner(folder: Path) -> bool:
    """Tell whether a folder's refinement network has been trained."""
    return is_stored(folder / REFINER, REFINE)


def motion_folder(folder: Path, plan: Plan) -> Path:
    """Return where the motion network that the plan's video is learned by is kept."""
    return trained_folder(folder, plan.flows, plan.config, plan.inputs["frames"])


def open_tools(folder: Path, plan: Plan) -> Tools:
    """Return what labels are spread with."""
    config = plan.config
    motion = open_motion(config, motion_folder(folder, plan))
    neighbours = Neighbours(motion, Path(plan.flows) if plan.flows else None)
    semantic = refiner = None
    if config.guesses:
        assert plan.checkpoint is not None
        semantic = open_guess(Path(plan.checkpoint), plan.classes, config.reads_features)
    if config.method == "warp_refine" and has_refiner(folder):
        from frugalseg.propagation.refine import load_refiner

        refiner = load_refiner(folder / REFINER, config.overrule)
    confidence = Confidence.load(folder / CONFIDENCE) if (folder / CONFIDENCE).is_file() else None
    alone = config.sure if config.method == "semantic" else None
    return Tools(neighbours, len(plan.classes), motion, semantic, refiner, confidence, alone)


def open_guess(model: Path, classes: ClassSet, deep: bool) -> Semantic:
    """Return the network of a model folder as what guesses, with `deep` bringing what its last layer sees.

    Raises:
        ConfigError: it predicts other classes.
    """
    from frugalseg.models.store import load_model, read_model_info
    from frugalseg.propagation.network import NetworkGuess
    from frugalseg.training.predict import Predictor

    info, network = read_model_info(model), load_model(model)
    if network.classes.names != classes.names:
        raise ConfigError(
            f"{model}: this network predicts {', '.join(network.classes.names)}, but the labels are of "
            f"{', '.join(classes.names)}.\nGive a network with the same classes in the same order."
        )
    return NetworkGuess(Predictor(network, (info["input_height"], info["input_width"])), deep)


class Stretches:
    """The stretches of the video that a folder's plan is about; what they share is read and opened once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._plan, manifest = folder, Plan.load(folder), read_manifest(folder / VIDEO)
        self._runs, self._source = stretches(manifest), LabelSource(manifest, self._plan)
        self._tools = open_tools(folder, self._plan)

    def spread(self, number: int) -> None:
        """Spread labels over the stretch `number`; what is done is left out.

        First those of whole frames, then single points; these by motion alone, and not where pictures are warped.
        """
        folder, plan, run = self._folder, self._plan, self._runs[number]
        _spread_frames(folder, number, plan, run, self._source, self._tools)
        if not plan.config.joint:
            follow_run(folder, number, plan, run, self._source, self._tools.neighbours)


def _spread_frames(folder: Path, number: int, plan: Plan, run: Run, source: LabelSource, tools: Tools) -> None:
    rows = read_rows(folder, number)
    done = {row["key"] for row in rows if "known" in row and "points" not in row}
    settled = done | {row["unreached"] for row in rows if "unreached" in row}
    accept = json.loads((folder / ACCEPT).read_text())["threshold"] if (folder / ACCEPT).is_file() else 0.0
    labelled = {frame.key: frame for frame in run.frames if source.has(frame)}
    if not labelled:
        return
    by_key = {frame.key: frame for frame in run.frames}
    wanted = shots(open_gaps(run.frames, labelled, settled), source.read_if_any)
    with opened_log(folder, number) as log:
        for event in Spreader(tools, plan.config.part(SpreadConfig)).run(wanted):
            if isinstance(event, Spread):
                if event.key in done:
                    continue
                if plan.config.method == "oracle":
                    event = _true(event, source.truth(by_key[event.key]))
                _write(log, event, accept)
            log.add(_row(event, accept))


def _true(event: Spread, truth_HW: NDArray[np.uint8]) -> Spread:
    origin_HW = np.where(truth_HW == IGNORE, NOTHING, TRUTH).astype(np.uint8)
    return replace(event, label_HW=truth_HW, origin_HW=origin_HW, confidence_HW=None)


def open_gaps(frames: Sequence[Frame], labelled: Collection[str], settled: Collection[str]) -> list[Frame]:
    """Return the frames without those between two labelled ones that are all settled: done, or out of reach."""
    kept: list[Frame] = []
    gap: list[Frame] = []
    for frame in frames:
        if frame.key not in labelled:
            gap.append(frame)
            continue
        kept += [] if all(one.key in settled for one in gap) else gap
        kept.append(frame)
        gap = []
    return kept + ([] if all(one.key in settled for one in gap) else gap)


def _row(event: Event, accept: float) -> dict[str, Any]:
    if isinstance(event, Break):
        return {"break": event.key, "reason": event.reason}
    if isinstance(event, Unreached):
        return {"unreached": event.key}
    known_HW = event.label_HW != IGNORE
    confidence_HW = event.confidence_HW
    sure = None if confidence_HW is None else float(confidence_HW.mean())
    kept = known_HW if confidence_HW is None else known_HW & (confidence_HW >= accept)
    known, accepted = (np.count_nonzero(part_HW) / part_HW.size for part_HW in (known_HW, kept))
    row: dict[str, Any] = {"key": event.key, "known": known, "confidence": sure, "accepted": accepted}
    row |= dict(zip(("before", "before_k"), event.before or (), strict=False))
    return row | dict(zip(("after", "after_k"), event.after or (), strict=False))


def _write(log: StretchLog, event: Spread, accept: float) -> None:
    """Write a frame's files, each whole or not at all."""
    label_HW, files = event.label_HW, {"origin": event.origin_HW}
    if event.confidence_HW is not None:
        label_HW = np.where(event.confidence_HW >= accept, label_HW, np.uint8(IGNORE))
        files["confidence"] = np.rint(event.confidence_HW * 255).astype(np.uint8)
    files["labels"] = label_HW
    files[PROVENANCE] = np.where(label_HW == IGNORE, UNKNOWN, PROPAGATED)
    if event.warped_HWC is not None:
        files[PICTURES] = event.warped_HWC
    log.write(event.key, files)
