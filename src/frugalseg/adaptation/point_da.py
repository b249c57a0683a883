"""point_da: domain adaptation with point supervision ("Labeling Where Adapting Fails", Pan et al.), stage 3.

A network G2 learns from labelled source images and from target images whose labels are people's answers at the asked
points and G1's predictions outside of the selected cells (equation 6); within a selected cell only the answered points
carry a label. Losses: cross entropy (equation 7) and, with `adv_weight` > 0, a fresh discriminator D2 that makes the
entropy maps of both domains alike (equations 8-10); each on both outputs where the network has two.

Differs from the paper: people's points are a term of their own, averaged over the answered points and weighted by
`human_weight` (equation 7's plain sum drowns 50 clicks among 100,000 pseudo-labelled pixels; `human_term = "merged"`
gives it back); sums over pixels are means; the target's terms weigh classes by their own counts, not by the source's;
without source data its terms are left out, so that a checkpoint is enough to start from; G2 goes on from G1
(`start = "pretrained"` for the paper's fresh start); no adversarial term unless asked for, and ADVENT's weights then
(equation 9 has none); equation 8 names D1 and lets G see the source's maps: we read D2, and G sees the target's only,
as public code does; `pseudo_ratio` < 1 keeps only the most confident share of each class; answers may be taken for
partly wrong (`human_loss`); answers spread through video are a term of their own (`training/propagated.py`).
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.records import HUMAN, SPREAD, PartialLabel, Provenance, Region
from frugalseg.data.batches import DomainBatch, DomainBatches, PartialLabelFolder
from frugalseg.data.masks import askable
from frugalseg.models.network import Network, Outputs
from frugalseg.training.adversarial import AdversarialConfig, Adversary
from frugalseg.training.class_weights import class_pixels
from frugalseg.training.composed_labels import compose_label, sample_points
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
from frugalseg.training.losses import (
    entropy_NCHW,
    human_only,
    machine_only,
    outputs_cross_entropy,
    over_outputs,
    spread_only,
)
from frugalseg.training.method import Phase
from frugalseg.training.propagated import PropagatedConfig, SpreadPixels, known_labels
from frugalseg.training.robust import annotator_confusion, label_loss
from frugalseg.training.settings import AnsweredConfig

LABELS = "labels.json"  # in the phase's folder: how many pixels of each class each term has
KINDS = {"human": HUMAN, "spread": SPREAD, "machine": (Provenance.PSEUDO_LABEL,)}  # whose labels each term learns


class PointDaConfig(AnsweredConfig, AdversarialConfig, PropagatedConfig):
    """Settings of point_da."""

    steps: int = Field(800, ge=1, description="training steps")
    adv_weight: float = Field(
        0.0, ge=0, description="weight of fooling the discriminator of the main output; 0: no discriminator at all"
    )
    pseudo_labels: Literal["cells", "points", "everywhere", "none"] = Field(
        "cells",
        description="where G1's predictions are labels: outside the selected cells (equation 6), at a few points of "
        "each cell there (section 4.1), at every pixel that nobody answered, or nowhere",
    )
    pseudo_rows: int = Field(8, ge=1, le=4096, description="points: grid rows over the frame")
    pseudo_columns: int = Field(16, ge=1, le=4096, description="points: grid columns over the frame")
    pseudo_points: int = Field(5, ge=1, description="points: N, pseudo-labelled pixels of each cell")
    pseudo_ratio: float = Field(1.0, gt=0, le=1, description="most confident share of each class's pseudo-labels kept")
    target_weight: float = Field(1.0, ge=0, description="weight of the pseudo-labels' cross entropy")
    human_term: Literal["own", "merged"] = Field(
        "own",
        description="people's pixels: a term of their own, or merged into the target's cross entropy (equation 7)",
    )
    human_weight: float = Field(5.0, ge=0, description="weight of people's term, averaged over the answered pixels")
    human_loss: Literal["ce", "gce", "forward", "annotators"] = Field(
        "ce",
        description="loss of people's term: cross entropy, generalised cross entropy, forward correction, or that with "
        "the confusions measured on gold and shared questions; the last three bear wrong answers",
    )
    gce_q: float = Field(0.7, gt=0, le=1, description="gce: q; near 0 cross entropy, 1 the mean absolute error")
    human_wrong_rate: float = Field(
        0.05, ge=0, lt=1, description="forward: share of answers taken to be wrong, each other class alike"
    )
    human_confusion: tuple[tuple[float, ...], ...] | None = Field(
        None, description="forward: how often each class (row) was answered as each (column), instead of that share"
    )

    @model_validator(mode="after")
    def _robust_terms_stand_alone(self) -> "PointDaConfig":
        if self.human_term == "merged" and self.human_loss != "ce":
            raise ValueError(
                f"human_loss = {self.human_loss} needs human_term = own: merged is one cross entropy for people's "
                "pixels and the machine's (equation 7)."
            )
        return self


class PointDa:
    """One phase of training on source labels, people's answers and pseudo-labels."""

    def __init__(self, network: Network, config: PointDaConfig, fabric: Fabric, data: DomainData) -> None:
        self.config, self._fabric = config, fabric
        self._source, self._target = data.source, data.need_target("point_da")
        self._human, self._teacher = data.need_human("point_da"), data.need_teacher("point_da")
        self._learner = Learner(network, config, fabric, data.pixels_C)
        aligns = config.adv_weight > 0 and self._source is not None
        self._adversary = Adversary(network, config, fabric, maps=entropy_NCHW) if aligns else None
        self._known = known_labels(self._human, data.propagated, "point_da")
        self._weights = dict.fromkeys((*KINDS, "merged"), self._learner.class_weights)
        measured = config.human_loss == "annotators"
        counts = self._human.need_confusion("point_da") if measured else config.human_confusion
        confusion_CC = annotator_confusion(len(network.classes), config.human_wrong_rate, counts)
        self._human_loss = label_loss(config.human_loss, config.gce_q, confusion_CC)

    def phases(self) -> list[Phase]:
        """Return the one phase; its preparation writes equation 6's labels."""
        return [Phase("points", self.config.steps, batches=self._batches, prepare=self._label_target)]

    def begin(self, phase: int) -> None:
        """Start the phase: a fresh optimizer, and a fresh D2."""
        self._learner.begin()
        if self._adversary:
            self._adversary.begin(phase)

    def set_rate(self, factor: float) -> None:
        """Set all learning rates to `factor` times their starting values."""
        self._learner.set_rate(factor)
        if self._adversary:
            self._adversary.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Equation 9: G2 learns the labels of both domains (7) and to fool D2, which learns to tell them apart (8)."""
        assert batch.target_images is not None
        losses: dict[str, Tensor] = {}
        if self._source:
            losses["source"] = self._learn_source(batch)
        target = self._learner.forward(batch.target_images, "target")
        losses |= self._target_losses(target, batch)
        total = self.config.target_weight * losses["target"]
        if "human" in losses:
            total = total + self.config.human_weight * losses["human"]
        if "spread" in losses:
            total = total + losses["spread"]
        said = {name: float(loss.detach()) for name, loss in losses.items()}
        if self._adversary:
            fooling, judged = self._adversary.judge(target)
            total, said = total + fooling, {**said, **judged}
        self._learner.add(total)
        self._learner.step()
        if self._adversary:
            self._adversary.learn()
        return said

    def _learn_source(self, batch: DomainBatch) -> Tensor:
        """Add the source's half of equation 7 to the step, and show D2 the source's maps."""
        assert batch.source_images is not None and batch.source_labels is not None
        source, weights_C = self._learner.forward(batch.source_images, "source"), self._learner.class_weights
        loss = outputs_cross_entropy(source, batch.source_labels, weights_C, self.config.aux_seg_weight)
        self._learner.add(loss)
        if self._adversary:
            self._adversary.judge_source(source)
        return loss

    def _target_losses(self, target: Outputs, batch: DomainBatch) -> dict[str, Tensor]:
        """Return the target's half of equation 7: one sum, or the machine's pixels and people's apart."""
        labels_NHW, provenance_NHW, aux = batch.target_labels, batch.target_provenance, self.config.aux_seg_weight
        assert labels_NHW is not None and provenance_NHW is not None
        if self.config.human_term == "merged":
            return {"target": outputs_cross_entropy(target, labels_NHW, self._weights["merged"], aux)}
        machine_NHW, human_NHW = machine_only(labels_NHW, provenance_NHW), human_only(labels_NHW, provenance_NHW)
        human_weights_C = self._weights["human"]
        losses = {
            "target": outputs_cross_entropy(target, machine_NHW, self._weights["machine"], aux),
            "human": over_outputs(
                target, lambda logits_NCHW: self._human_loss(logits_NCHW, human_NHW, human_weights_C), aux
            ),
        }
        if batch.target_confidence is not None:
            spread = SpreadPixels(
                spread_only(labels_NHW, provenance_NHW),
                provenance_NHW,
                batch.target_confidence,
                self._weights["spread"],
            )
            losses["spread"] = over_outputs(target, lambda logits_NCHW: spread.loss(logits_NCHW, self.config), aux)
        return losses

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        return {
            "learner": self._learner.state(),
            "adversary": self._adversary.state() if self._adversary else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._learner.load_state(state["learner"])
        if self._adversary:
            self._adversary.load_state(state["adversary"])

    def finish(self) -> Network:
        """Return the finished network."""
        return self._learner.finish(lambda: input_images(self.config, self._target, self.config.recompute_statistics))

    def _label_target(self, folder: Path) -> None:
        """Write equation 6's label of every target frame."""
        choosy = self.config.pseudo_labels != "none" and self.config.pseudo_ratio < 1
        thresholds = self._thresholds() if choosy else None
        pixels = {term: np.zeros(len(self._teacher.classes), np.int64) for term in KINDS}
        for frame, logits_CHW in predictions(self._teacher, self._target, self.config, self._fabric.device):
            pseudo = without_own_car(self._pseudo(logits_CHW, thresholds), frame)
            known_HW, source_HW, *sure = self._known(frame)
            label = compose_label(PartialLabel(frame.key, known_HW, source_HW), *self._kept(frame.key, pseudo))
            write_partial(folder, label, *sure)
            for term, kinds in KINDS.items():
                pixels[term] += class_pixels(label.label[np.isin(label.provenance, kinds)], len(pixels[term]))
        (folder / LABELS).write_text(
            json.dumps({f"{term}_pixels": count_C.tolist() for term, count_C in pixels.items()})
        )

    def _pseudo(self, logits_CHW: torch.Tensor, thresholds: Thresholds | None) -> NDArray[np.uint8]:
        if self.config.pseudo_labels == "none":
            return np.full(logits_CHW.shape[-2:], IGNORE, np.uint8)
        if thresholds is None:
            return logits_CHW.argmax(dim=0).to(torch.uint8).cpu().numpy()
        return balanced_labels(logits_CHW, thresholds, IGNORE).cpu().numpy()

    def _kept(self, key: str, pseudo_HW: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[Region, ...]]:
        """Return the pseudo-labels that the settings keep, and the cells where they are not labels."""
        if self.config.pseudo_labels == "everywhere":
            return pseudo_HW, ()
        if self.config.pseudo_labels == "points":
            grid = self.config.pseudo_rows, self.config.pseudo_columns
            rng = generator(self.config.seed, "pseudo_points", key)
            pseudo_HW = sample_points(pseudo_HW, grid, self.config.pseudo_points, rng)
        return pseudo_HW, self._human.cells.get(key, ())

    def _thresholds(self) -> Thresholds:
        histogram = ConfidenceHistogram(len(self._teacher.classes))
        for frame, logits_CHW in predictions(self._teacher, self._target, self.config, self._fabric.device):
            histogram.add(logits_CHW, askable(frame))
        return histogram.thresholds(self.config.pseudo_ratio)

    def _batches(self, folder: Path) -> DomainBatches:
        counts = json.loads((folder / LABELS).read_text())
        terms = {term: np.array(counts[f"{term}_pixels"], np.int64) for term in KINDS}
        terms["merged"] = sum(terms.values(), np.zeros_like(terms["human"]))
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
