"""ST, CBST, ST-SP and CBST-SP: self-training (Zou et al., ECCV 2018), equations 3–9, algorithms 1 and 2.

Each round takes the most confident share p of the pixels as pseudo-labels (a) and learns from source labels and
pseudo-labels (b, equation 6); p grows from round to round (section 4.3). Starts from a network trained on the source.

st      one threshold for all classes (equation 5, algorithm 1);
cbst    one for each class, and a class wins a pixel by its normalised confidence (equation 8, algorithm 2);
*_sp    the same on the potential q·p, q being how often the source shows a class at that place (equation 9).

Differs from the paper: thresholds come from one histogram a class, so memory does not grow with the data; a normalised
confidence of exactly 1 is kept (equation 8 asks for > 1, which with ties selects nothing); source and target pass with
BatchNorm statistics of their own (`batch_statistics = "shared"` for the paper's single set); hard-sample mining looks
for the classes predicted on less than `mining_share`, or the three rarest where there are none, and centres windows on
their pseudo-labels, not on all their predictions. The paper self-trains on the very frames it is scored on
(`target_split = "val"`); ours on the target's own (`"train"`).
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

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.data.batches import DomainBatch, DomainBatches, FramePool, Mining, PartialLabelFolder
from frugalseg.data.masks import askable
from frugalseg.models.network import Network
from frugalseg.training.class_weights import class_pixels
from frugalseg.training.confidence_histogram import ConfidenceHistogram, Thresholds
from frugalseg.training.domain_data import (
    DomainData,
    batches,
    input_images,
    predictions,
    without_own_car,
    write_pseudo_label,
)
from frugalseg.training.learner import Learner
from frugalseg.training.losses import cross_entropy
from frugalseg.training.method import Phase
from frugalseg.training.potential_histogram import PotentialHistogram
from frugalseg.training.settings import TrainConfig
from frugalseg.training.spatial_prior import SpatialCounts, log_prior_at

PRIOR = "prior.npz"  # in the first round's folder
PRIOR_STRIDE = 8  # input pixels a cell of its grid


class SelfTrainingConfig(TrainConfig):
    """Settings of the four; p, its growth and the mining are the paper's."""

    shared_threshold: bool = Field(False, description="one threshold for all classes (algorithm 1), not one for each")
    spatial_prior: bool = Field(False, description="rank by q·p: the source's class frequencies at each place (eq. 9)")
    prior_sigma: float = Field(0.0183, ge=0, description="smoothing of the prior, share of the frame's width (35/1914)")
    target_split: Literal["train", "val"] = Field(
        "train", description="frames to learn from: the target's, or, as the paper does, the validation frames"
    )
    source_share: float = Field(1.0, gt=0, le=1, description="share of the source frames in the first round")
    source_share_step: float = Field(0.0, ge=0, le=1, description="growth of that share from round to round")
    max_source_share: float = Field(1.0, gt=0, le=1, description="largest share of the source frames")

    steps: int = Field(150, ge=1, description="training steps of each round")
    zoom_min: float = Field(1.0, gt=0, description="smallest zoom into a frame; below 1 shows IGNORE around it")
    lr: float = Field(5e-4, gt=0, description="learning rate of the encoder in the first round")
    rounds: int = Field(3, ge=1, description="rounds of pseudo-labelling and training")
    start_ratio: float = Field(0.20, gt=0, le=1, description="p of the first round: share of each class to label")
    ratio_step: float = Field(0.05, ge=0, le=1, description="growth of p from round to round")
    max_ratio: float = Field(0.50, gt=0, le=1, description="largest p")
    target_weight: float = Field(1.0, ge=0, description="weight of the pseudo-labels' cross entropy")
    target_class_weights: Literal["own", "source", "none"] = Field(
        "own", description="class weights of the pseudo-labels' term: by their own counts, the source's, or none"
    )
    mining_ratio: float = Field(0.8, ge=0, le=1, description="how often a target window is centred on a rare class")
    mining_share: float = Field(0.001, ge=0, le=1, description="a class predicted less often than this is rare")
    round_lr_factor: float = Field(0.70711, gt=0, description="learning rate relative to the round before (1/√2)")

    @property
    def repeats(self) -> int:
        """How often `steps` are taken: once a round."""
        return self.rounds

    def ratio(self, number: int) -> float:
        """Return p in round `number`, counted from 0."""
        return min(self.start_ratio + number * self.ratio_step, self.max_ratio)

    def source_ratio(self, number: int) -> float:
        """Return the share of the source frames that round `number`, counted from 0, learns from."""
        return min(self.source_share + number * self.source_share_step, self.max_source_share)


class StConfig(SelfTrainingConfig):
    """Settings of ST."""

    shared_threshold: bool = Field(True, description="one threshold for all classes (algorithm 1), not one for each")


class CbstConfig(SelfTrainingConfig):
    """Settings of CBST."""


class StSpConfig(StConfig):
    """Settings of ST-SP."""

    spatial_prior: bool = Field(True, description="rank by q·p: the source's class frequencies at each place (eq. 9)")


class CbstSpConfig(SelfTrainingConfig):
    """Settings of CBST-SP."""

    spatial_prior: bool = Field(True, description="rank by q·p: the source's class frequencies at each place (eq. 9)")


class SelfTraining:
    """Rounds of pseudo-labelling and training."""

    def __init__(self, network: Network, config: SelfTrainingConfig, fabric: Fabric, data: DomainData) -> None:
        self.config, self._fabric = config, fabric
        self._source, self._target = data.need_source("self-training"), data.need_target("self-training")
        self._learner = Learner(network, config, fabric, data.pixels_C)
        self._target_weights: Tensor | None = None

    def phases(self) -> list[Phase]:
        """Return the rounds: a) pseudo-labels, b) training."""
        return [
            Phase(
                f"round-{number + 1}",
                self.config.steps,
                batches=partial(self._batches, number=number),
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
        source_loss = cross_entropy(source_NCHW, batch.source_labels, self._learner.class_weights)
        self._learner.add(source_loss)
        target_NCHW = self._learner.forward(batch.target_images, "target").logits
        target_loss = cross_entropy(target_NCHW, batch.target_labels, self._target_weights)
        self._learner.add(self.config.target_weight * target_loss)
        self._learner.step()
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
        """Step a: one pass for the thresholds (algorithms 1, 2), one for the labels (equations 5, 8, 9)."""
        network = self._learner.best_network()
        histogram = self._histogram(folder, len(network.classes))
        for frame, logits_CHW in predictions(network, self._target, self.config, self._fabric.device):
            histogram.add(logits_CHW, askable(frame))
        thresholds = histogram.thresholds(ratio, self.config.shared_threshold)
        labelled_C = np.zeros(len(network.classes), np.int64)
        for frame, logits_CHW in predictions(network, self._target, self.config, self._fabric.device):
            label = without_own_car(histogram.labels(logits_CHW, thresholds, IGNORE).cpu().numpy(), frame)
            write_pseudo_label(folder, frame, label)
            labelled_C += class_pixels(label, len(labelled_C))
        summary = _summary(network.classes.names, ratio, thresholds, labelled_C)
        (folder / "pseudo_labels.json").write_text(json.dumps(summary, indent=1))

    def _histogram(self, folder: Path, classes: int) -> ConfidenceHistogram | PotentialHistogram:
        if not self.config.spatial_prior:
            return ConfidenceHistogram(classes)
        prior_Chw = self._prior(folder, classes)
        return PotentialHistogram(classes, lambda size_HW, device: log_prior_at(prior_Chw, size_HW, device))

    def _prior(self, folder: Path, classes: int) -> NDArray[np.float32]:
        """Return q: counted on the source before the first round, kept for the others and for the report."""
        kept = folder.parent / "round-1" / PRIOR
        if kept.is_file():
            prior_Chw: NDArray[np.float32] = np.load(kept)["prior_Chw"]
            return prior_Chw
        height, width = self.config.input_hw
        counts = SpatialCounts(classes, (max(1, height // PRIOR_STRIDE), max(1, width // PRIOR_STRIDE)))
        assert self._source.labels is not None
        for frame in self._source.frames:
            counts.add(self._source.labels(frame)[0])
        prior_Chw = counts.prior(self.config.prior_sigma)
        np.savez_compressed(folder / PRIOR, prior_Chw=prior_Chw)
        return prior_Chw

    def _source_subset(self, number: int) -> FramePool:
        """Return the source frames of a round: all, or a share drawn anew in each (the public code's 3 % to 6 %)."""
        frames = self._source.frames
        count = max(1, round(self.config.source_ratio(number) * len(frames)))
        order = generator(self.config.seed, "source-subset", number).permutation(len(frames))[:count]
        chosen = tuple(frames[index] for index in sorted(order.tolist()))
        return FramePool(chosen, self._source.labels, self._source.cache)

    def _batches(self, folder: Path, number: int) -> DomainBatches:
        summary = json.loads((folder / "pseudo_labels.json").read_text())
        predicted_C = np.array([row["predicted_pixels"] for row in summary["classes"]], np.int64)
        mining = Mining(rare_classes(predicted_C, self.config.mining_share), self.config.mining_ratio)
        labelled_C = np.array([row["labelled_pixels"] for row in summary["classes"]], np.int64)
        choices = {"own": self._learner.weights_for(labelled_C), "source": self._learner.class_weights, "none": None}
        self._target_weights = choices[self.config.target_class_weights]
        labelled = self._target.with_labels(PartialLabelFolder(folder))
        return batches(self.config, self._source_subset(number), labelled, mining if self.config.mining_ratio else None)


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
