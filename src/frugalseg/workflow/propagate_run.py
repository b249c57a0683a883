"""One unbroken stretch of a video: read frames by time, spread labels, write each frame whole or not at all.

What is written: `labels/KEY.png` and `provenance/KEY.png` (a partial label, as people's answers are), `origin/KEY.png`
(numbers of `propagation.spread.ORIGINS`), `confidence/KEY.png` (255ths). A line in `frames/NUMBER.jsonl`, written last,
says that a frame is done.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.codec import read_label_png, write_label_png
from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Frame, Manifest, Provenance
from frugalseg.data.labels import LabelReader
from frugalseg.data.manifest import read_manifest
from frugalseg.data.pixels import read_frame
from frugalseg.data.sequences import Run, Sequences
from frugalseg.propagation.confidence import Confidence
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.networks import REFINE, is_stored
from frugalseg.propagation.semantic import Semantic
from frugalseg.propagation.spread import Break, Event, Shot, Spread, SpreadConfig, Spreader, Tools, Unreached
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_motion import open_motion, trained_folder

PLAN, FRAMES, VIDEO = "propagate.json", "frames", "video"
CONFIDENCE, REFINER, ACCEPT = "confidence.json", "refiner", "accept.json"
KINDS = ("labels", "provenance", "origin", "confidence")


@dataclass(frozen=True)
class Plan:
    """What `propagate` was asked for, as it lies in the folder that it writes to.

    `labels` is a folder of label PNGs (class ids) by frame key; None: the labels that the data set itself has. `flows`
    is where flows are kept, if they are. `inputs` are hashes of everything that labels are made from. `unseen` are the
    networks that guess in cycles, as `propagate_unseen.read_unseen` gives them.
    """

    settings: dict[str, Any]
    classes: ClassSet
    labels: str | None
    checkpoint: str | None
    flows: str | None
    inputs: dict[str, str]
    unseen: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> PropagateConfig:
        """The settings."""
        return PropagateConfig.model_validate(self.settings)

    def save(self, folder: Path) -> None:
        """Write it."""
        content = {**vars(self), "classes": self.classes.to_dict()}
        write_atomic(folder / PLAN, json.dumps(content, indent=1, ensure_ascii=False).encode())

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read what `save` wrote."""
        content = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return cls(**{**content, "classes": ClassSet.from_dict(content["classes"], str(folder / PLAN))})


class LabelSource:
    """Class ids of the labelled frames of a video."""

    def __init__(self, manifest: Manifest, plan: Plan) -> None:
        self._folder = None if plan.labels is None else Path(plan.labels)
        self._reader = LabelReader(manifest.classes, plan.classes)
        self._classes = len(plan.classes)

    def has(self, frame: Frame) -> bool:
        """Tell whether a frame has a label."""
        return frame.label is not None if self._folder is None else self._path(frame).is_file()

    def read(self, frame: Frame) -> NDArray[np.uint8]:
        """Return a frame's class ids, IGNORE where unknown.

        Raises:
            DataError: it is damaged, of another size, or holds ids that are no class.
        """
        if self._folder is None:
            return self._reader.read(frame)
        label_HW = read_label_png(self._path(frame))
        if (strange := label_HW[(label_HW >= self._classes) & (label_HW != IGNORE)]).size:
            raise DataError(
                f"{self._path(frame)}: {strange.size} pixels hold ids that are no class, e.g. {strange[0]}; expected "
                f"0–{self._classes - 1}, or {IGNORE} where nothing is known."
            )
        return label_HW

    def _path(self, frame: Frame) -> Path:
        assert self._folder is not None
        return self._folder / f"{frame.key}.png"


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
    if config.method != "warp":
        assert plan.checkpoint is not None
        semantic = open_guess(Path(plan.checkpoint), plan.classes)
    if config.method == "warp_refine" and has_refiner(folder):
        from frugalseg.propagation.refine import load_refiner

        refiner = load_refiner(folder / REFINER)
    confidence = Confidence.load(folder / CONFIDENCE) if (folder / CONFIDENCE).is_file() else None
    return Tools(neighbours, len(plan.classes), motion, semantic, refiner, confidence)


def open_guess(model: Path, classes: ClassSet) -> Semantic:
    """Return the network of a model folder as what guesses.

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
    return NetworkGuess(Predictor(network, (info["input_height"], info["input_width"])))


def spread_run(folder: Path, number: int) -> None:
    """Spread labels over the stretch `number` of the video that a folder's plan is about; what is done is left out."""
    plan, manifest = Plan.load(folder), read_manifest(folder / VIDEO)
    run, source = stretches(manifest)[number], LabelSource(manifest, plan)
    rows = read_rows(folder, number)
    done = {row["key"] for row in rows if "key" in row}
    settled = done | {row["unreached"] for row in rows if "unreached" in row}
    accept = json.loads((folder / ACCEPT).read_text())["threshold"] if (folder / ACCEPT).is_file() else 0.0
    wanted = open_gaps(run.frames, {frame.key for frame in run.frames if source.has(frame)}, settled)
    spreader = Spreader(open_tools(folder, plan), plan.config.part(SpreadConfig))
    log = folder / FRAMES / f"{number}.jsonl"
    whole = log.read_text(encoding="utf-8") if log.is_file() else ""
    with open(log, "a", encoding="utf-8") as file:
        if whole and not whole.endswith("\n"):  # cut off by a kill
            file.write("\n")
        for event in spreader.run(shots(wanted, source)):
            row = _row(event, accept)
            if isinstance(event, Spread):
                if event.key in done:
                    continue
                _write(folder, event, accept)
            file.write(json.dumps(row) + "\n")
            file.flush()


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


def shots(frames: Sequence[Frame], source: LabelSource) -> Iterator[Shot]:
    """Yield frames with their pictures, and labels where there are any.

    A frame that cannot be read ends the track and is named; a label that cannot be read is an error.
    """
    for frame in frames:
        try:
            picture = Picture(frame.key, read_frame(frame))
        except DataError as error:
            yield Shot(frame.key, None, reason=str(error))
            continue
        yield Shot(frame.key, picture, source.read(frame) if source.has(frame) else None)


def read_rows(folder: Path, number: int) -> list[dict[str, Any]]:
    """Return what is written down of a stretch; a line cut off by a kill is left out."""
    path = folder / FRAMES / f"{number}.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def _row(event: Event, accept: float) -> dict[str, Any]:
    if isinstance(event, Break):
        return {"break": event.key, "reason": event.reason}
    if isinstance(event, Unreached):
        return {"unreached": event.key}
    known_HW = event.label_HW != IGNORE
    confidence_HW = event.confidence_HW
    sure = None if confidence_HW is None else float(confidence_HW.mean())
    kept = known_HW if confidence_HW is None else known_HW & (confidence_HW >= accept)
    row: dict[str, Any] = {"key": event.key, "known": float(known_HW.mean()), "confidence": sure}
    row["accepted"] = float(kept.mean())
    row |= dict(zip(("before", "before_k"), event.before or (), strict=False))
    return row | dict(zip(("after", "after_k"), event.after or (), strict=False))


def _write(folder: Path, event: Spread, accept: float) -> None:
    """Write a frame's files, each whole or not at all."""
    label_HW, files = event.label_HW, {"origin": event.origin_HW}
    if event.confidence_HW is not None:
        label_HW = np.where(event.confidence_HW >= accept, label_HW, np.uint8(IGNORE))
        files["confidence"] = np.rint(event.confidence_HW * 255).astype(np.uint8)
    files["labels"] = label_HW
    files["provenance"] = np.where(label_HW == IGNORE, Provenance.UNKNOWN, Provenance.PROPAGATED).astype(np.uint8)
    for kind, image_HW in files.items():
        write_label_png(folder / kind / f"{event.key}.png", image_HW, durable=True)


def stretches(manifest: Manifest) -> list[Run]:
    """Return the unbroken stretches of a video in the order that their numbers count."""
    return list(Sequences(manifest.frames).runs())
