"""point_da: domain adaptation with point supervision ("Labeling Where Adapting Fails", Pan et al.), plain form.

Stage 3 of the paper: a network G2 learns from labelled source images and from target images whose labels are people's
answers at the asked points and G1's predictions outside of the selected cells (equation 6); within a selected cell only
the answered points carry a label. Losses: equation 7.

Differs from the paper: people's points are a term of their own, averaged over the answered points and weighted by
`human_weight` (equation 7's plain sum drowns 50 clicks among 100,000 pseudo-labelled pixels; `human_term = "merged"`
gives it back); the target's terms weigh classes by their own counts, not by the source's; without source data its term
is left out, so that a checkpoint is enough to start from; G2 goes on from G1 (`start = "pretrained"` for the paper's
fresh start); `pseudo_ratio` < 1 keeps only the most confident share of each class; the adversarial term (equation 8) is
not in the plain form.
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from frugalseg.core.classes import IGNORE
from frugalseg.core.records import HUMAN, PartialLabel, Provenance, Region
from frugalseg.data.batches import DomainBatch, DomainBatches, PartialLabelFolder
from frugalseg.data.masks import askable
from frugalseg.models.network import Network
from frugalseg.training.confidence_histogram import ConfidenceHistogram, Thresholds, balanced_labels
from frugalseg.training.domain_data import (
    DomainData,
    batches,
    input_images,
    predictions,
    without_own_car,
    write_partial,
)
from frugalseg.training.learner import Learner
from frugalseg.training.losses import cross_entropy, human_only, machine_only
from frugalseg.training.method import Phase
from frugalseg.training.settings import TrainConfig

LABELS = "labels.json"  # in the phase's folder: how many pixels people and the machine labelled as each class


class PointDaConfig(TrainConfig):
    """Settings of point_da."""

    steps: int = Field(800, ge=1, description="training steps")
    lr: float = Field(2e-3, gt=0, description="learning rate of the encoder")
    zoom_min: float = Field(0.8, gt=0, description="smallest zoom into a frame; below 1 shows IGNORE around it")
    target_zoom_min: float = Field(0.8, gt=0, description="smallest zoom into a target frame")
    zoom_max: float = Field(1.5, gt=0, description="largest zoom into a frame")
    color_jitter: float = Field(0.3, ge=0, lt=1, description="brightness, contrast, saturation: factor within 1 ± this")
    hue_jitter: float = Field(0.03, ge=0, le=0.5, description="hue: turns of the colour wheel, ± this")
    pseudo_labels: Literal["cells", "none"] = Field(
        "cells",
        description="cells: G1's predictions outside the selected cells (equation 6); none: people's answers only",
    )
    pseudo_ratio: float = Field(1.0, gt=0, le=1, description="most confident share of each class's pseudo-labels kept")
    target_weight: float = Field(1.0, ge=0, description="weight of the pseudo-labels' cross entropy")
    human_term: Literal["own", "merged"] = Field(
        "own",
        description="people's pixels: a term of their own, or merged into the target's cross entropy (equation 7)",
    )
    target_class_weights: Literal["own", "source", "none"] = Field(
        "own", description="class weights of the target's terms: by each term's own labels, the source's, or none"
    )
    human_weight: float = Field(5.0, ge=0, description="weight of people's term, averaged over the answered pixels")


class PointDa:
    """One phase of training on source labels, people's answers and pseudo-labels."""

    def __init__(self, network: Network, config: PointDaConfig, fabric: Fabric, data: DomainData) -> None:
        self.config, self._fabric = config, fabric
        self._source, self._target = data.source, data.need_target("point_da")
        self._human, self._teacher = data.need_human("point_da"), data.need_teacher("point_da")
        self._learner = Learner(network, config, fabric, data.pixels_C)
        self._weights = dict.fromkeys(("human", "machine", "merged"), self._learner.class_weights)

    def phases(self) -> list[Phase]:
        """Return the one phase; its preparation writes equation 6's labels."""
        return [Phase("points", self.config.steps, batches=self._batches, prepare=self._label_target)]

    def begin(self, phase: int) -> None:
        """Start the phase."""
        self._learner.begin()

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to `factor` times its starting value."""
        self._learner.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Equation 7: cross entropy on source labels plus cross entropy on the new target labels."""
        assert batch.target_images is not None and batch.target_labels is not None
        assert batch.target_provenance is not None
        losses = {"source": self._source_loss(batch)} if self._source else {}
        target_NCHW = self._learner.forward(batch.target_images, "target").logits
        total = losses.get("source", torch.zeros(()))
        if self.config.human_term == "merged":
            losses["target"] = cross_entropy(target_NCHW, batch.target_labels, self._weights["merged"])
            total = total + self.config.target_weight * losses["target"]
        else:
            machine_NHW = machine_only(batch.target_labels, batch.target_provenance)
            human_NHW = human_only(batch.target_labels, batch.target_provenance)
            losses["target"] = cross_entropy(target_NCHW, machine_NHW, self._weights["machine"])
            losses["human"] = cross_entropy(target_NCHW, human_NHW, self._weights["human"])
            total = total + self.config.target_weight * losses["target"] + self.config.human_weight * losses["human"]
        self._learner.minimize(total)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _source_loss(self, batch: DomainBatch) -> Tensor:
        assert batch.source_images is not None and batch.source_labels is not None
        source_NCHW = self._learner.forward(batch.source_images, "source").logits
        return cross_entropy(source_NCHW, batch.source_labels, self._learner.class_weights)

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        return self._learner.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._learner.load_state(state)

    def finish(self) -> Network:
        """Return the finished network."""
        return self._learner.finish(lambda: input_images(self.config, self._target, self.config.recompute_statistics))

    def _label_target(self, folder: Path) -> None:
        """Write equation 6's label of every target frame."""
        read_human = PartialLabelFolder(self._human.labels)
        choosy = self.config.pseudo_labels == "cells" and self.config.pseudo_ratio < 1
        thresholds = self._thresholds() if choosy else None
        human_C, machine_C = np.zeros((2, len(self._teacher.classes)), np.int64)
        for frame, logits_CHW in predictions(self._teacher, self._target, self.config, self._fabric.device):
            pseudo = without_own_car(self._pseudo(logits_CHW, thresholds), frame)
            human = PartialLabel(frame.key, *read_human(frame))
            partial = compose_label(human, pseudo, self._human.cells.get(frame.key, ()))
            write_partial(folder, partial)
            answered_HW = np.isin(partial.provenance, HUMAN)
            human_C += _pixels(partial.label[answered_HW], len(human_C))
            machine_C += _pixels(partial.label[~answered_HW], len(machine_C))
        counts = {"human_pixels": human_C.tolist(), "machine_pixels": machine_C.tolist()}
        (folder / LABELS).write_text(json.dumps(counts))

    def _pseudo(self, logits_CHW: torch.Tensor, thresholds: Thresholds | None) -> NDArray[np.uint8]:
        if self.config.pseudo_labels == "none":
            return np.full(logits_CHW.shape[-2:], IGNORE, np.uint8)
        if thresholds is None:
            return logits_CHW.argmax(dim=0).to(torch.uint8).cpu().numpy()
        return balanced_labels(logits_CHW, thresholds, IGNORE).cpu().numpy()

    def _thresholds(self) -> Thresholds:
        histogram = ConfidenceHistogram(len(self._teacher.classes))
        for frame, logits_CHW in predictions(self._teacher, self._target, self.config, self._fabric.device):
            histogram.add(logits_CHW, askable(frame))
        return histogram.thresholds(self.config.pseudo_ratio)

    def _batches(self, folder: Path) -> DomainBatches:
        counts = {
            name: np.array(pixels, np.int64) for name, pixels in json.loads((folder / LABELS).read_text()).items()
        }
        terms = {"human": counts["human_pixels"], "machine": counts["machine_pixels"]}
        terms["merged"] = terms["human"] + terms["machine"]
        self._weights = {term: self._target_weights(pixels_C) for term, pixels_C in terms.items()}
        labelled = self._target.with_labels(PartialLabelFolder(folder))
        return batches(self.config, self._source, labelled)

    def _target_weights(self, pixels_C: NDArray[np.int64]) -> Tensor | None:
        """Return the class weights of a target term.

        People's answers and pseudo-labels have other frequencies than the source's labels: a simulator with hardly a
        sign would otherwise make a sign of every tenth wall.
        """
        if self.config.target_class_weights == "own":
            return self._learner.weights_for(pixels_C)
        return self._learner.class_weights if self.config.target_class_weights == "source" else None


def _pixels(labels: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    return np.bincount(labels.ravel(), minlength=256)[:classes]


def compose_label(human: PartialLabel, pseudo_HW: NDArray[np.uint8], cells: tuple[Region, ...]) -> PartialLabel:
    """Return equation 6's label: people's answers, pseudo-labels outside `cells`, IGNORE elsewhere."""
    label = pseudo_HW.copy()
    for cell in cells:
        label[cell.slices] = IGNORE
    provenance = np.where(label == IGNORE, Provenance.UNKNOWN, Provenance.PSEUDO_LABEL).astype(np.uint8)
    answered = human.provenance != Provenance.UNKNOWN
    label[answered] = human.label[answered]
    provenance[answered] = human.provenance[answered]
    return PartialLabel(human.key, label, provenance)
