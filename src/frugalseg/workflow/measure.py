"""One prediction pass over labelled frames, and all that is kept of it: counts, frame scores, a gallery, drift.

Everything is counted as frames stream by, so memory is bounded: the gallery keeps a few frames, a domain's sample a few
hundred short rows.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.classes import ClassSet
from frugalseg.core.codec import write_label_png
from frugalseg.core.errors import ImageFileError, MissingPairError
from frugalseg.core.records import Frame, Manifest
from frugalseg.core.table import write_records
from frugalseg.data.labels import LabelReader
from frugalseg.data.objects import ObjectReader
from frugalseg.evaluation.confusion import Confusions, confusion
from frugalseg.evaluation.domain_sample import DomainSample, sampled
from frugalseg.evaluation.drift import LEAST, measure_drift
from frugalseg.evaluation.drift_findings import DriftFindings
from frugalseg.evaluation.frame_scores import FrameScore, Keeper
from frugalseg.evaluation.objects import Grouping, ObjectHits, object_hits
from frugalseg.evaluation.reliability import Reliability
from frugalseg.workflow.look import Look, Viewer
from frugalseg.workflow.project import CONFUSIONS, DOMAINS, Project
from frugalseg.workflow.stage import Options

RELIABILITY = "reliability.npz"  # these five in an evaluate stage's folder, beside CONFUSIONS
FRAMES = "frames.parquet"
GALLERY = "gallery"  # prediction/KEY.png and entropy/KEY.png of the frames in `extremes`
SAMPLES = "domains"  # DOMAIN.npz: what the network says of each domain's frames
DRIFT = "drift.json"
OBJECTS = "objects.parquet"  # where the data set tells single objects apart: hits of each


class ObjectCounter:
    """Hits of the single objects, where every frame of a data set has a file of them; else there are none."""

    def __init__(self, manifest: Manifest, project: ClassSet) -> None:
        self.grouping, self.hits = Grouping.of(manifest.classes, project), list[ObjectHits]()
        self._reader = ObjectReader(manifest.classes, project)
        self._there = all(frame.instances for frame in manifest)

    def see(self, frame: Frame, prediction_HW: NDArray[np.uint8]) -> None:
        """Count a frame's objects."""
        if self._there:
            objects = self._reader.read(frame)
            self.hits += object_hits(frame.key, objects.numbers_HW, objects.class_of, prediction_HW, self.grouping)


@dataclass(eq=False)
class Measured:
    """What is known of the frames seen so far."""

    confusions: Confusions
    reliability: Reliability
    sample: DomainSample
    keeper: Keeper[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    objects: ObjectCounter
    scores: list[FrameScore] = field(default_factory=list)

    def see(self, look: Look, truth_HW: NDArray[np.uint8], classes: int) -> None:
        """Count one frame."""
        key = look.frame.key
        matrix = confusion(truth_HW, look.prediction_HW, classes)
        counted = Reliability.count(truth_HW, look.prediction_HW, look.confidence_HW, classes)
        self.confusions.add(key, matrix)
        self.reliability = self.reliability.merge(counted)
        self.sample.add(look.summary)
        self.objects.see(look.frame, look.prediction_HW)
        self.scores.append(FrameScore.of(key, matrix, look.summary.entropy))
        entropy_HW = np.rint(look.entropy_HW.clip(0, 1) * 255).astype(np.uint8)
        self.keeper.see(self.scores[-1], (look.prediction_HW, entropy_HW))

    def save(self, folder: Path) -> None:
        """Write everything but the sample."""
        self.confusions.save(folder / CONFUSIONS)
        self.reliability.save(folder / RELIABILITY)
        write_records(folder / FRAMES, sorted(self.scores, key=lambda score: score.key), FrameScore)
        if self.objects.hits:
            write_records(folder / OBJECTS, self.objects.hits, ObjectHits)
        for key, (prediction_HW, entropy_HW) in self.keeper.kept().items():
            for kind, map_HW in (("prediction", prediction_HW), ("entropy", entropy_HW)):
                path = folder / GALLERY / kind / f"{key}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_label_png(path, map_HW)


def measure(viewer: Viewer, manifest: Manifest, gallery: int, drift: int, options: Options) -> Measured:
    """Predict and count every frame of labelled data; keep `gallery` frames of each kind and a sample of `drift`.

    Raises:
        MissingPairError: a frame without a label.
    """
    require_labels(manifest)
    count = len(viewer.classes)
    reader = LabelReader(manifest.classes, viewer.classes)
    objects = ObjectCounter(manifest, viewer.classes)
    measured = Measured(Confusions(count), Reliability.empty(count), DomainSample(drift), Keeper(gallery), objects)
    for number, frame in enumerate(manifest, 1):
        measured.see(viewer.look(frame), reader.read(frame), count)
        if number % 100 == 0:
            options.say(f"evaluate {number}/{len(manifest)}")
    return measured


def find_drift(
    project: Project, viewer: Viewer, known: dict[str, DomainSample], limit: int, folder: Path, options: Options
) -> DriftFindings:
    """Look at a sample of each domain that is not `known`, and compare: target with source, others with the target.

    The samples are kept in `folder`. A frame that cannot be read is refused by name, the rest goes on.
    """
    samples, refused = dict(known), []
    for domain in DOMAINS:
        if domain not in samples and project.has(domain):
            samples[domain], problems = _sample(viewer, project.manifest(domain), domain, limit, options)
            refused += problems
    (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
    for domain, sample in samples.items():
        sample.save(folder / SAMPLES / f"{domain}.npz")
    pairs, left_out = [], []
    others = [("target", name) for name in DOMAINS if name not in ("source", "target")]
    for reference, other in [("source", "target"), *others]:
        found = [len(samples[name]) if name in samples else 0 for name in (reference, other)]
        if min(found) >= LEAST:
            pairs.append(measure_drift((reference, other), samples[reference], samples[other]))
        else:
            left_out.append(
                f"{other} against {reference}: at least {LEAST} frames of each are needed, there are {found[1]} and "
                f"{found[0]}."
            )
    return DriftFindings(tuple(pairs), tuple(left_out), tuple(refused))


def require_labels(manifest: Manifest) -> None:
    """Refuse data without labels.

    Raises:
        MissingPairError: a frame has no label.
    """
    if not manifest.labelled:
        raise MissingPairError(
            f"{manifest.name}: not every frame has a label, so nothing can be scored. Give labelled data."
        )


def _sample(
    viewer: Viewer, manifest: Manifest, domain: str, limit: int, options: Options
) -> tuple[DomainSample, list[str]]:
    sample, refused = DomainSample(limit), []
    options.say(f"drift: a look at {min(limit, len(manifest))} of {len(manifest)} {domain} frames")
    for key in sampled(manifest.by_key, limit):
        try:
            sample.add(viewer.look(manifest.by_key[key]).summary)
        except ImageFileError as error:
            refused.append(f"{domain}: {error}")
    return sample, refused
