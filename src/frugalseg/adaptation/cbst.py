"""CBST: class-balanced self-training (Zou et al., ECCV 2018), equations 6–8, algorithm 2, self-paced as in section 4.3.

Each round takes the most confident share p of the pixels predicted as each class as pseudo-labels (a, equation 8) and
learns from source labels and pseudo-labels (b, equation 6); p grows from round to round. Starts from a network trained
on the source.

Differs from the paper: thresholds come from one histogram a class, so memory does not grow with the data; a normalised
confidence of exactly 1 is kept (equation 8 asks for > 1, which with ties selects nothing); source and target pass with
BatchNorm statistics of their own (`batch_statistics = "shared"` for the paper's single set); hard-sample mining looks
for the classes predicted on less than `mining_share`, or the three rarest where there are none, and centres windows on
their pseudo-labels, not on all their predictions.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from frugalseg.core.classes import IGNORE
from frugalseg.core.records import PartialLabel, Provenance
from frugalseg.data.batches import DomainBatch, DomainBatches, Mining, PartialLabelFolder
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
from frugalseg.training.losses import cross_entropy
from frugalseg.training.method import Phase
from frugalseg.training.settings import TrainConfig


class CbstConfig(TrainConfig):
    """Settings of CBST; p, its growth and the mining are the paper's."""

    steps: int = Field(150, ge=1, description="training steps of each round")
    lr: float = Field(2e-4, gt=0, description="learning rate of the encoder in the first round")
    rounds: int = Field(3, ge=1, description="rounds of pseudo-labelling and training")
    start_ratio: float = Field(0.20, gt=0, le=1, description="p of the first round: share of each class to label")
    ratio_step: float = Field(0.05, ge=0, le=1, description="growth of p from round to round")
    max_ratio: float = Field(0.50, gt=0, le=1, description="largest p")
    target_weight: float = Field(1.0, ge=0, description="weight of the pseudo-labels' cross entropy")
    target_class_weights: Literal["own", "source", "none"] = Field(
        "source", description="class weights of the pseudo-labels' term: by their own counts, the source's, or none"
    )
    mining_ratio: float = Field(0.8, ge=0, le=1, description="how often a target window is centred on a rare class")
    mining_share: float = Field(0.001, ge=0, le=1, description="a class predicted less often than this is rare")
    round_lr_factor: float = Field(0.70711, gt=0, description="learning rate relative to the round before (1/√2)")

    def ratio(self, number: int) -> float:
        """Return p in round `number`, counted from 0."""
        return min(self.start_ratio + number * self.ratio_step, self.max_ratio)


class Cbst:
    """Rounds of class-balanced pseudo-labelling and training."""

    def __init__(self, network: Network, config: CbstConfig, fabric: Fabric, data: DomainData) -> None:
        self.config, self._fabric = config, fabric
        self._source, self._target = data.need_source("cbst"), data.need_target("cbst")
        self._learner = Learner(network, config, fabric, data.pixels_C)
        self._target_weights: Tensor | None = None

    def phases(self) -> list[Phase]:
        """Return the rounds: a) pseudo-labels, b) training."""
        return [
            Phase(
                f"round-{number + 1}",
                self.config.steps,
                batches=self._batches,
                prepare=partial(self._label_target, ratio=self.config.ratio(number)),
            )
            for number in range(self.config.rounds)
        ]

    def begin(self, phase: int) -> None:
        """Start round number `phase`."""
        self._learner.begin(lr_factor=self.config.round_lr_factor**phase)

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to `factor` times the round's."""
        self._learner.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Step b: cross entropy on source labels plus cross entropy on pseudo-labels (equation 6 at fixed labels)."""
        assert batch.source_images is not None and batch.source_labels is not None
        assert batch.target_images is not None and batch.target_labels is not None
        source_NCHW = self._learner.forward(batch.source_images, "source").logits
        target_NCHW = self._learner.forward(batch.target_images, "target").logits
        source_loss = cross_entropy(source_NCHW, batch.source_labels, self._learner.class_weights)
        target_loss = cross_entropy(target_NCHW, batch.target_labels, self._target_weights)
        self._learner.minimize(source_loss + self.config.target_weight * target_loss)
        return {"source": float(source_loss.detach()), "target": float(target_loss.detach())}

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        return self._learner.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._learner.load_state(state)

    def finish(self) -> Network:
        """Return the finished network."""
        return self._learner.finish(lambda: input_images(self.config, self._target, self.config.recompute_statistics))

    def _label_target(self, folder: Path, ratio: float) -> None:
        """Step a: one pass for the thresholds (algorithm 2), one for the labels (equation 8)."""
        network = self._learner.best_network()
        histogram = ConfidenceHistogram(len(network.classes))
        for frame, logits_CHW in predictions(network, self._target, self.config, self._fabric.device):
            histogram.add(logits_CHW, askable(frame))
        thresholds = histogram.thresholds(ratio)
        labelled_C = np.zeros(len(network.classes), np.int64)
        for frame, logits_CHW in predictions(network, self._target, self.config, self._fabric.device):
            label = without_own_car(balanced_labels(logits_CHW, thresholds, IGNORE).cpu().numpy(), frame)
            provenance = np.where(label == IGNORE, Provenance.UNKNOWN, Provenance.PSEUDO_LABEL).astype(np.uint8)
            write_partial(folder, PartialLabel(frame.key, label, provenance))
            labelled_C += np.bincount(label.ravel(), minlength=256)[: len(labelled_C)]
        summary = _summary(network.classes.names, ratio, thresholds, labelled_C)
        (folder / "pseudo_labels.json").write_text(json.dumps(summary, indent=1))

    def _batches(self, folder: Path) -> DomainBatches:
        summary = json.loads((folder / "pseudo_labels.json").read_text())
        predicted_C = np.array([row["predicted_pixels"] for row in summary["classes"]], np.int64)
        mining = Mining(rare_classes(predicted_C, self.config.mining_share), self.config.mining_ratio)
        labelled_C = np.array([row["labelled_pixels"] for row in summary["classes"]], np.int64)
        choices = {"own": self._learner.weights_for(labelled_C), "source": self._learner.class_weights, "none": None}
        self._target_weights = choices[self.config.target_class_weights]
        labelled = self._target.with_labels(PartialLabelFolder(folder))
        return batches(self.config, self._source, labelled, mining if self.config.mining_ratio else None)


def rare_classes(predicted_C: NDArray[np.int64], share: float, at_least: int = 3) -> tuple[int, ...]:
    """Return the predicted classes with less than `share` of all pixels; where those are none, the `at_least` rarest.

    The paper mines classes whose predicted portion is below 0.1 % (section 5); METHODS names the fallback.
    """
    present = [c for c in np.argsort(predicted_C, kind="stable").tolist() if predicted_C[c]]
    rare = [c for c in present if predicted_C[c] < share * predicted_C.sum()]
    return tuple(rare or present[:at_least])


def _summary(
    names: tuple[str, ...], ratio: float, thresholds: Thresholds, labelled_C: NDArray[np.int64]
) -> dict[str, Any]:
    return {
        "ratio": ratio,
        "classes": [
            {
                "name": name,
                "predicted_pixels": int(thresholds.pixels[c]),
                "labelled_pixels": int(labelled_C[c]),
                "threshold": float(1 - thresholds.doubt[c]) if thresholds.bits[c] >= 0 else None,
            }
            for c, name in enumerate(names)
        ],
    }
