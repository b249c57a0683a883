"""What `propagate` was asked for, as it lies in the folder it writes to, and where the labels it spreads are read."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import IGNORE, ClassSet
from frugalseg.core.codec import read_label_png
from frugalseg.core.errors import DataError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Frame, Manifest, Provenance
from frugalseg.data.labels import LabelReader
from frugalseg.data.sequences import Run, Sequences
from frugalseg.workflow.propagate_config import PropagateConfig

PLAN, FRAMES, VIDEO = "propagate.json", "frames", "video"
CONFIDENCE, REFINER, ACCEPT = "confidence.json", "refiner", "accept.json"
PROVENANCE, PICTURES, TABLE = "provenance", "images", "frames.csv"


@dataclass(frozen=True)
class Plan:
    """What `propagate` was asked for, as it lies in the folder that it writes to.

    `labels` is a folder of label PNGs (class ids) by frame key; None: the labels that the data set itself has. `flows`
    is where flows are kept, if they are. `inputs` are hashes of everything that labels are made from. `unseen` are the
    networks that guess on the labelled frames themselves, as `propagate_unseen.read_unseen` gives them; `caution` says
    why what is learned there may be too kind, where it may.
    """

    settings: dict[str, Any]
    classes: ClassSet
    labels: str | None
    checkpoint: str | None
    flows: str | None
    inputs: dict[str, str]
    unseen: dict[str, str] = field(default_factory=dict)
    caution: str = ""

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
    """Class ids of the labelled frames of a video: of whole frames, and of single points.

    In a folder of partial labels (`provenance/` beside it) the provenance tells the two apart; a frame that nobody was
    asked about, or answered, has neither.
    """

    def __init__(self, manifest: Manifest, plan: Plan) -> None:
        self._folder = None if plan.labels is None else Path(plan.labels)
        self._reader = LabelReader(manifest.classes, plan.classes)
        self._classes = len(plan.classes)
        self._kinds: dict[str, tuple[bool, bool]] = {}

    def has(self, frame: Frame) -> bool:
        """Tell whether a frame has a label of more than points."""
        return self._has(frame)[0]

    def has_points(self, frame: Frame) -> bool:
        """Tell whether people answered points of a frame."""
        return self._has(frame)[1]

    def points(self, frame: Frame) -> NDArray[np.uint8] | None:
        """Return the class ids of a frame's answered points, IGNORE elsewhere; None where there are none."""
        if not self.has_points(frame):
            return None
        answered_HW = read_label_png(self._beside(frame)) == Provenance.HUMAN_POINT
        return np.where(answered_HW, self.read(frame), np.uint8(IGNORE))

    def read_if_any(self, frame: Frame) -> NDArray[np.uint8] | None:
        """Return what `read` does, None for a frame without a label."""
        return self.read(frame) if self.has(frame) else None

    def truth(self, frame: Frame) -> NDArray[np.uint8]:
        """Return the label that the data set itself has of a frame.

        Raises:
            DataError: it has none, or one that does not fit.
        """
        return self._reader.read(frame)

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

    def _has(self, frame: Frame) -> tuple[bool, bool]:
        if self._folder is None:
            return frame.label is not None, False
        if frame.key not in self._kinds:
            there, beside = self._path(frame).is_file(), self._beside(frame)
            if there and beside.is_file():
                kinds = set(np.unique(read_label_png(beside)).tolist())
                more = kinds - {Provenance.UNKNOWN, Provenance.HUMAN_POINT}
                self._kinds[frame.key] = (bool(more), Provenance.HUMAN_POINT in kinds)
            else:
                self._kinds[frame.key] = (there, False)
        return self._kinds[frame.key]

    def _path(self, frame: Frame) -> Path:
        assert self._folder is not None
        return self._folder / f"{frame.key}.png"

    def _beside(self, frame: Frame) -> Path:
        assert self._folder is not None
        return self._folder.parent / PROVENANCE / f"{frame.key}.png"


def stretches(manifest: Manifest) -> list[Run]:
    """Return the unbroken stretches of a video in the order that their numbers count."""
    return list(Sequences(manifest.frames).runs())


def keeps_flows(config: PropagateConfig, labels: Path | None) -> bool:
    """Tell whether flows are kept: to warp whole frames each is needed once, and writing and knowing it costs as well.

    Calibration, cycles and points need the same ones again.
    """
    points = labels is not None and (labels.parent / PROVENANCE).is_dir() and not config.joint
    again = config.calibration_frames > 0 or config.method == "warp_refine" or points
    return config.cache if config.cache is not None else again or config.motion != "dis"
