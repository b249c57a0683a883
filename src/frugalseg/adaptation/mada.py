"""MADA: multi-anchor active domain adaptation (Ning et al., ICCV 2021), its second stage: section 3.3, equations 6-11.

1. `fine_tuning`: cross entropy on labelled source frames and on the target frames that people labelled (equation 6).
2. Between the stages the network looks at every target frame: K-means among their class means (equation 4) gives V
   anchors, its predictions are the labels of the frames that nobody labelled.
3. `semi_supervised`: equation 6 again; soft alignment, which draws target frames towards the anchors (9); cross entropy
   on the predictions (10). The anchors follow the frames (8).

The first stage is other verbs: warm-up is `adaptsegnet` with `discriminator = "mada"`, selection is `multi_anchor`.
`unlabelled` and `align_weight` switch the parts off, so that the ablation is M(1): `none` and 0; M(2): `none`,
`anchor_ema = 1`; M(3): `none`; M(4): the defaults. M(0) is the warm-up, M(u) is M(1) on labels of all frames.

Differs from the paper: distances are means over features and shared classes (see `training/alignment.py`); an anchor
keeps what it knows of a class that a frame lacks, and all frames of a batch move anchors; each term weighs classes by
its own labels; source and target pass with BatchNorm statistics of their own; without source data its term is left out.
Instead of fixed predictions a mean teacher may label the frames nobody labelled, half the classes of labelled ones
pasted over them (`unlabelled = "mean_teacher"`; ClassMix, Olsson et al., WACV 2021). Frames that labels were spread to
through video are drawn among the labelled ones (`training/propagated.py`).

Axis legend: N images, V anchors, C classes, F feature channels, H x W pixels.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.fabric import Fabric
from pydantic import Field
from torch import Tensor

from frugalseg.core.anchors import ImageVectors, fit_anchors
from frugalseg.core.classes import IGNORE
from frugalseg.core.records import Frame, Provenance
from frugalseg.data.batches import DomainBatch, DomainBatches, FramePool, LabelSource, PartialLabelFolder
from frugalseg.data.transforms import Labels
from frugalseg.models.network import Network, Outputs
from frugalseg.training.alignment import follow, soft_alignment
from frugalseg.training.class_weights import class_pixels
from frugalseg.training.domain_data import (
    DomainData,
    batches,
    input_images,
    looks,
    sure_classes,
    without_own_car,
    write_pseudo_label,
)
from frugalseg.training.image_vectors import LEAST_PX, Means, image_vectors
from frugalseg.training.learner import Learner
from frugalseg.training.losses import outputs_cross_entropy, over_outputs
from frugalseg.training.method import Phase
from frugalseg.training.mixing import Lesson, class_mix, draws, pseudo_labels, trusted_cross_entropy, varied
from frugalseg.training.propagated import Labelled, MixingConfig, SpreadPixels, labelled_frames
from frugalseg.training.settings import AnsweredConfig

FINE_TUNING, SEMI_SUPERVISED = "fine_tuning", "semi_supervised"
COUNTS, ANCHORS = "labels.json", "anchors.npz"  # in the phases' folders


class MadaConfig(AnsweredConfig, MixingConfig):
    """Settings of mada; weights, V and the decay are the paper's and its public code's."""

    steps: int = Field(400, ge=1, description="training steps of each of the two stages")
    aux_seg_weight: float = Field(0.1, ge=0, description="weight of the auxiliary output's cross entropy")
    selected_weight: float = Field(1.0, ge=0, description="weight of the cross entropy on the frames people labelled")
    unlabelled: Literal["none", "pseudo", "mean_teacher"] = Field(
        "pseudo",
        description="what teaches on the frames nobody labelled: nothing, the first stage's predictions (equation 10), "
        "or a teacher that follows the student",
    )
    pseudo_weight: float = Field(1.0, ge=0, description="weight of the unlabelled frames' cross entropy")
    pseudo_threshold: float = Field(
        0.0, ge=0, lt=1, description="pseudo: probability below which a prediction is no label; 0: all are (the paper)"
    )
    teacher_threshold: float = Field(
        0.968, ge=0, le=1, description="mean_teacher: probability above which the teacher is sure of a pixel (DACS)"
    )
    align_weight: float = Field(0.7, ge=0, description="weight of the soft alignment (equation 9); 0 = off")
    anchors: int = Field(10, ge=1, description="V, number of target anchors")
    anchor_ema: float = Field(0.999, ge=0, le=1, description="decay of the anchors (equation 8); 1: they stay")
    paper_zeros: bool = Field(
        False, description="absent classes as zeros, as the public code has it; otherwise they take no part"
    )
    least_feature_px: int = Field(
        LEAST_PX, ge=1, description="feature pixels below which a class counts as absent from an image"
    )

    @property
    def repeats(self) -> int:
        """How often `steps` are taken: twice, unless the second stage has nothing to add."""
        return 1 if self.unlabelled == "none" and not self.align_weight else 2


class Mada:
    """Fine-tuning on labelled frames, then semi-supervised adaptation with target anchors."""

    def __init__(self, network: Network, config: MadaConfig, fabric: Fabric, data: DomainData) -> None:
        self.config, self._fabric = config, fabric
        self._source, self._target, self._data = data.source, data.need_target("mada"), data
        self._human = data.need_human("mada")
        self._learner = Learner(network, config, fabric, data.pixels_C)
        self._classes = len(network.classes)
        self._weights: dict[str, Tensor | None] = {}  # class weights of the target's terms
        self._first_anchors: Means | None = None
        self._anchors: Means | None = None

    def phases(self) -> list[Phase]:
        """Return the stages; the second one's preparation is step 2."""
        tuning = Phase(FINE_TUNING, self.config.steps, self._labelled_batches, self._count_labels)
        semi = Phase(SEMI_SUPERVISED, self.config.steps, self._all_batches, self._look_at_target)
        return [tuning, semi][: self.config.repeats]

    def begin(self, phase: int) -> None:
        """Start a stage: a fresh optimizer, and in the second the anchors of step 2."""
        self._learner.begin()
        self._anchors = _copied(self._first_anchors)

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to `factor` times its starting value."""
        self._learner.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Go down equation 11 (in the first stage, 6), then let the anchors follow (8)."""
        assert batch.selected_images is not None
        losses: dict[str, Tensor] = {}
        if self._source:
            assert batch.source_images is not None and batch.source_labels is not None
            source = self._learner.forward(batch.source_images, "source")
            losses["source"] = self._cross_entropy(source, batch.source_labels, self._learner.class_weights)
            self._learner.add(losses["source"])
        selected = self._learner.forward(batch.selected_images, "target")
        losses["selected"] = self._selected_loss(selected, batch)
        self._learner.add(self.config.selected_weight * losses["selected"])
        seen = None
        if batch.target_images is not None:
            found, seen = self._target_losses(batch)
            losses |= found
        self._learner.step()
        if seen and self._anchors:
            follow(self._anchors, seen, self.config.anchor_ema)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _cross_entropy(self, outputs: Outputs, labels_NHW: Tensor, weights_C: Tensor | None) -> Tensor:
        return outputs_cross_entropy(outputs, labels_NHW, weights_C, self.config.aux_seg_weight)

    def _selected_loss(self, selected: Outputs, batch: DomainBatch) -> Tensor:
        """Return the cross entropy on labelled frames (6); spread ones count by their trust."""
        labels_NHW, weights_C, aux_weight = batch.selected_labels, self._weights["selected"], self.config.aux_seg_weight
        assert labels_NHW is not None and batch.selected_provenance is not None
        if batch.selected_confidence is None:
            return self._cross_entropy(selected, labels_NHW, weights_C)
        pixels = SpreadPixels(labels_NHW, batch.selected_provenance, batch.selected_confidence, weights_C)
        return over_outputs(selected, lambda logits_NCHW: pixels.loss(logits_NCHW, self.config), aux_weight)

    def _target_losses(self, batch: DomainBatch) -> tuple[dict[str, Tensor], Means | None]:
        """Add what target frames teach beyond people's labels; return the losses, and the class means where needed."""
        assert batch.target_images is not None and batch.target_labels is not None
        config, losses, seen = self.config, dict[str, Tensor](), None
        if config.unlabelled == "mean_teacher":
            losses["taught"] = self._taught_loss(batch)
            self._learner.add(config.pseudo_weight * losses["taught"])
        if config.unlabelled != "pseudo" and not self._anchors:
            return losses, None
        target = self._learner.forward(batch.target_images, "target")
        total = target.logits.new_zeros(())
        if config.unlabelled == "pseudo":
            losses["pseudo"] = self._cross_entropy(target, batch.target_labels, self._weights["pseudo"])
            total = total + config.pseudo_weight * losses["pseudo"]
        if self._anchors:
            seen = self._class_means(target, batch)
            losses["alignment"] = soft_alignment(seen, self._anchors)
            total = total + config.align_weight * losses["alignment"]
        self._learner.add(total)
        return losses, seen

    def _class_means(self, target: Outputs, batch: DomainBatch) -> Means:
        """Return equation 4 with the network's present classes, without what lies outside the frame or is its car."""
        assert batch.target_provenance is not None
        outside_NHW = batch.target_provenance == Provenance.UNKNOWN
        classes_NHW = target.logits.detach().argmax(dim=1).masked_fill(outside_NHW, IGNORE)
        means = image_vectors(self._learner.network, target, classes_NHW, self.config.least_feature_px)
        return means.zeros_for_absent if self.config.paper_zeros else means

    def _taught_loss(self, batch: DomainBatch) -> Tensor:
        """Return the cross entropy of a teacher's labels, half the classes of a labelled frame pasted over them."""
        assert batch.target_images is not None and batch.target_labels is not None
        assert batch.selected_images is not None and batch.selected_labels is not None
        logits_NCHW, usable_NHW = self._learner.ask(batch.target_images), batch.target_labels != IGNORE
        labels_NHW, trust_NHW = pseudo_labels(logits_NCHW, usable_NHW, self.config.teacher_threshold, "image")
        rank = self._fabric.global_rank
        mix, colours = (draws(self.config, purpose, batch.step, rank) for purpose in ("class mix", "colours"))
        taught = Lesson(batch.target_images, labels_NHW, trust_NHW)
        lesson = class_mix(batch.selected_images, batch.selected_labels, taught, mix)
        logits_NCHW = self._learner.forward(varied(lesson.images_NBHW, self.config, colours), "target").logits
        return trusted_cross_entropy(logits_NCHW, lesson.labels_NHW, lesson.trust_NHW)

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        anchors = self._anchors._asdict() if self._anchors else None
        return {"learner": self._learner.state(), "anchors": anchors}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._learner.load_state(state["learner"])
        anchors, device = state["anchors"], self._fabric.device
        resumed = Means(*(anchors[part].to(device) for part in Means._fields)) if anchors else None
        self._anchors = resumed or _copied(self._first_anchors)

    def finish(self) -> Network:
        """Return the finished network."""
        return self._learner.finish(lambda: input_images(self.config, self._target, self.config.recompute_statistics))

    @cached_property
    def _labelled(self) -> Labelled:
        """The frames with labels: people's, and in between those that labels were spread to."""
        return labelled_frames(self._target, self._human, self._data.propagated, self.config, "mada")

    def _count_labels(self, folder: Path, **more: Any) -> None:
        """Write how many pixels of each class are labelled: for the class weights, and for readers of run.json."""
        pixels_C, frames = np.zeros(self._classes, np.int64), self._labelled.frames
        for frame, labels in frames:
            pixels_C += class_pixels(labels(frame)[0], self._classes)
        found = {"selected_frames": len(self._labelled.selected.frames), "selected_pixels": pixels_C.tolist(), **more}
        found |= {"propagated_frames": len(frames) - found["selected_frames"]} if self._data.propagated else {}
        (folder / COUNTS).write_text(json.dumps(found, indent=1))

    def _look_at_target(self, folder: Path) -> None:
        """Step 2: write the predictions as labels of the frames that nobody labelled, and the anchors of all frames."""
        labelled = self._labelled.keys
        network, device, least_px = self._learner.best_network(), self._fabric.device, self.config.least_feature_px
        pixels_C, keys, means = np.zeros(self._classes, np.int64), list[str](), list[Means]()
        for frame, logits_CHW, vectors in looks(network, self._target, self.config, device, least_px):
            keys.append(frame.key)
            means.append(vectors)
            if self.config.unlabelled == "pseudo" and frame.key not in labelled:
                label_HW = sure_classes(logits_CHW, frame, self.config.pseudo_threshold)
                pixels_C += class_pixels(label_HW, self._classes)
                write_pseudo_label(folder, frame, label_HW)
        found: dict[str, Any] = {"pseudo_pixels": pixels_C.tolist()}
        if self.config.align_weight:
            vectors_NCF, present_NC = (torch.cat(part).cpu().numpy() for part in zip(*means, strict=True))
            images = ImageVectors(tuple(keys), vectors_NCF, present_NC)
            images = images.zeros_for_absent if self.config.paper_zeros else images
            anchors = fit_anchors(images, self.config.anchors, seed=self.config.seed)
            np.savez(folder / ANCHORS, vectors=anchors.vectors_KCF, present=anchors.present_KC)
            found["frames_of_anchors"] = anchors.members_K.tolist()
        self._count_labels(folder, **found)

    def _labelled_batches(self, folder: Path) -> DomainBatches:
        self._weigh(folder)
        return self._batches(None)

    def _all_batches(self, folder: Path) -> DomainBatches:
        self._weigh(folder)
        if self.config.align_weight:
            device = self._fabric.device
            with np.load(folder / ANCHORS) as saved:
                self._first_anchors = Means(*(torch.from_numpy(saved[part]).to(device) for part in Means._fields))
            self._anchors = self._anchors or _copied(self._first_anchors)  # resumed ones have followed already
        return self._batches(self._target.with_labels(self._unlabelled(folder)))

    def _batches(self, target: FramePool | None) -> DomainBatches:
        own = self._labelled
        return batches(self.config, self._source, target, selected=own.selected, mixture=own.mixture)

    def _weigh(self, folder: Path) -> None:
        """Set the class weights of the target's terms."""
        counts = json.loads((folder / COUNTS).read_text())
        for term in ("selected", "pseudo"):
            pixels_C = np.array(counts.get(f"{term}_pixels", []), np.int64)
            own = self._learner.weights_for(pixels_C) if pixels_C.any() else None
            weights = {"own": own, "source": self._learner.class_weights, "none": None}
            self._weights[term] = weights[self.config.target_class_weights]

    def _unlabelled(self, folder: Path) -> LabelSource:
        """Return what target frames teach besides people's labels, and (as a provenance) which pixels show the scene.

        IGNORE in the frames that people labelled; for a mean teacher, 0 where it may label.
        """
        labelled, read = self._labelled.keys, PartialLabelFolder(folder)

        def labels(frame: Frame) -> Labels:
            usable_HW = without_own_car(np.zeros((frame.height, frame.width), np.uint8), frame)
            seen_HW = np.where(usable_HW == IGNORE, Provenance.UNKNOWN, Provenance.PSEUDO_LABEL).astype(np.uint8)
            if frame.key in labelled or self.config.unlabelled == "none":
                return np.full_like(usable_HW, IGNORE), seen_HW
            return (read(frame)[0] if self.config.unlabelled == "pseudo" else usable_HW), seen_HW

        return labels


def _copied(anchors: Means | None) -> Means | None:
    return Means(*(part.clone() for part in anchors)) if anchors else None
