"""IntraDA: unsupervised intra-domain adaptation through self-supervision (Pan et al., CVPR 2020).

1. Inter-domain: ADVENT from source to target.
2. Ranking: the target's frames sorted by their mean entropy; the lowest `easy_ratio` are easy, the others hard.
3. Intra-domain: a second network learns all argmax predictions of the first on the easy frames as labels, and ADVENT's
   adversarial loss aligns hard with easy frames. The source is not seen again.

Differs from the paper: sums over pixels are means, as in its public code; the ranking leaves the camera's own car out;
both stages start from the weights of `start` (pretrained: the paper's ImageNet trunk), or the second from the first's
(`second_start = "adapted"`); an adapted network may take the first stage's place (`first_stage = "given"`), no source
needed then; source and target pass with BatchNorm statistics of their own, easy and hard with the target's
(`batch_statistics = "shared"` for the paper's single set); pseudo-labels weigh classes by their own counts; AdamW and a
moving average of the weights, which also ranks (`optimizer = "sgd"`, `class_weighting = 0`, `ema = 0`). The paper's
variant that normalises the entropy by the rare classes predicted is not here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from frugalseg.core.errors import TrainingError
from frugalseg.core.table import read_records, write_records
from frugalseg.data.batches import DomainBatch, DomainBatches, FramePool, PartialLabelFolder
from frugalseg.data.masks import askable
from frugalseg.models.network import Network
from frugalseg.training.adversarial import AdversarialConfig, Adversary
from frugalseg.training.class_weights import class_pixels
from frugalseg.training.domain_data import (
    DomainData,
    batches,
    input_images,
    predictions,
    sure_classes,
    write_pseudo_label,
)
from frugalseg.training.learner import Domain, Learner
from frugalseg.training.losses import entropy_NCHW, entropy_NHW, outputs_cross_entropy
from frugalseg.training.method import Phase

INTER, INTRA = "inter", "intra"
RANKING, SUMMARY = "ranking.parquet", "ranking.json"  # in the second phase's folder


class IntraDaConfig(AdversarialConfig):
    """Settings of IntraDA; the share of easy frames is the paper's."""

    start: Literal["checkpoint", "pretrained"] = Field(
        "pretrained", description="first weights of both stages: the pretrained trunk's, or those of the checkpoint"
    )
    steps: int = Field(600, ge=1, description="training steps of each stage")
    first_stage: Literal["advent", "given"] = Field(
        "advent", description="what ranks and labels: ADVENT trained here, or the adapted network given with --start"
    )
    second_start: Literal["start", "adapted"] = Field(
        "start", description="first weights of the second stage: those of `start` again, or the adapted network's"
    )
    easy_ratio: float = Field(0.67, gt=0, lt=1, description="share of the target's frames that are easy")
    target_class_weights: Literal["own", "source", "none"] = Field(
        "own", description="class weights of the pseudo-labels: by their own counts, the source's, or none"
    )

    @property
    def repeats(self) -> int:
        """How often `steps` are taken: in one stage, or in both."""
        return 2 if self.first_stage == "advent" else 1


@dataclass(frozen=True)
class RankedFrame:
    """One line of the ranking: a target frame, its mean normalised entropy (0–1), and which side it is on."""

    key: str
    entropy_01: float
    easy: bool


class IntraDa:
    """Two stages of adversarial entropy minimisation: source to target, then easy to hard."""

    def __init__(self, network: Network, config: IntraDaConfig, fabric: Fabric, data: DomainData) -> None:
        self.config, self._fabric, self._data = config, fabric, data
        self._target = data.need_target("intrada")
        if len(self._target.frames) < 2:
            raise TrainingError("intrada splits the target into easy and hard frames: it needs two frames or more.")
        if config.first_stage == "advent":
            data.need_source("intrada with first_stage = advent")
        self._ranker = data.need_teacher("intrada with first_stage = given") if config.first_stage == "given" else None
        self._first_weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        self._learner = Learner(network, config, fabric, data.pixels_C)
        self._adversary = Adversary(network, config, fabric, maps=entropy_NCHW)
        self._weights_C: Tensor | None = None
        self._domain: Domain = "source"  # which statistics the labelled frames pass with

    def phases(self) -> list[Phase]:
        """Return the stages: source to target, unless an adapted network was given, and easy to hard."""
        steps = self.config.steps
        inter = Phase(INTER, steps, lambda folder: batches(self.config, self._data.source, self._target))
        intra = Phase(INTRA, steps, self._intra_batches, self._rank)
        return [intra] if self._ranker else [inter, intra]

    def begin(self, phase: int) -> None:
        """Start a stage: fresh optimizers and discriminators; the second stage with the weights it is to start from."""
        stage = self.phases()[phase].name
        if stage == INTER:
            self._learner.begin()
            self._domain, self._weights_C = "source", self._learner.class_weights
        else:
            self._begin_second()
            self._domain = "target"
        self._adversary.begin(phase)

    def set_rate(self, factor: float) -> None:
        """Set all learning rates to `factor` times their starting values."""
        self._learner.set_rate(factor)
        self._adversary.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """ADVENT's step on labelled and unlabelled frames: source and target in stage 1, easy and hard in stage 2."""
        assert batch.source_images is not None and batch.source_labels is not None and batch.target_images is not None
        labelled = self._learner.forward(batch.source_images, self._domain)
        loss = outputs_cross_entropy(labelled, batch.source_labels, self._weights_C, self.config.aux_seg_weight)
        self._learner.add(loss)
        self._adversary.judge_source(labelled)
        del labelled  # makes room for the target's
        fooling, losses = self._adversary.judge(self._learner.forward(batch.target_images, "target"))
        self._learner.add(fooling)
        self._learner.step()
        self._adversary.learn()
        return {"labelled": float(loss.detach()), **losses}

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        return {"learner": self._learner.state(), "adversary": self._adversary.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._learner.load_state(state["learner"])
        self._adversary.load_state(state["adversary"])

    def finish(self) -> Network:
        """Return the finished network."""
        return self._learner.finish(lambda: input_images(self.config, self._target, self.config.recompute_statistics))

    def _begin_second(self) -> None:
        network = self._learner.network
        adapted = self._ranker or self._learner.best_network()
        weights = self._first_weights if self.config.second_start == "start" else adapted.state_dict()
        network.load_state_dict(weights)
        # Anew, for the statistics of each domain and the moving average must forget the first stage too.
        self._learner = Learner(network, self.config, self._fabric, self._data.pixels_C)

    def _rank(self, folder: Path) -> None:
        """Write the ranking, and the argmax predictions as labels of the easy frames."""
        network = self._ranker or self._learner.best_network()
        entropy_by_key: dict[str, float] = {}
        for frame, logits_CHW in predictions(network, self._target, self.config, self._fabric.device):
            usable_HW = askable(frame)
            entropy_HW = entropy_NHW(logits_CHW[None])[0].cpu().numpy()
            entropy_by_key[frame.key] = mean_over(entropy_HW, usable_HW)
            write_pseudo_label(folder, frame, sure_classes(logits_CHW, frame))
        ranking = rank(entropy_by_key, self.config.easy_ratio)
        labelled_C = self._keep_easy(folder, ranking, len(network.classes))
        write_records(folder / RANKING, ranking, RankedFrame)
        summary = _summary(ranking, dict(zip(network.classes.names, labelled_C.tolist(), strict=True)))
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1))

    def _keep_easy(self, folder: Path, ranking: Iterable[RankedFrame], classes: int) -> NDArray[np.int64]:
        """Remove the hard frames' labels, and return how many pixels of each class the easy ones label."""
        labelled_C = np.zeros(classes, np.int64)
        frames = {frame.key: frame for frame in self._target.frames}
        for ranked in ranking:
            if ranked.easy:
                label, _ = PartialLabelFolder(folder)(frames[ranked.key])
                labelled_C += class_pixels(label, classes)
            else:
                for kind in ("labels", "provenance"):
                    (folder / kind / f"{ranked.key}.png").unlink()
        return labelled_C

    def _intra_batches(self, folder: Path) -> DomainBatches:
        """Return batches of easy frames with labels (in the source's place) and hard ones without."""
        ranking = {ranked.key: ranked.easy for ranked in read_records(folder / RANKING, RankedFrame)}
        labelled_C = np.array(list(json.loads((folder / SUMMARY).read_text())["labelled_pixels"].values()), np.int64)
        weights = {"own": self._learner.weights_for(labelled_C), "source": self._learner.class_weights, "none": None}
        self._weights_C = weights[self.config.target_class_weights]
        easy, hard = (
            FramePool(tuple(f for f in self._target.frames if ranking[f.key] is side), cache=self._target.cache)
            for side in (True, False)
        )
        vary = self.config.for_target()  # the easy frames take the source's place, but are the target's
        return batches(vary, easy.with_labels(PartialLabelFolder(folder)), hard)


def mean_over(values_HW: NDArray[np.float32], usable_HW: NDArray[np.bool_] | None) -> float:
    """Return the mean over all pixels, or over the usable ones; 1, the least certain, where none is usable."""
    values = values_HW if usable_HW is None else values_HW[usable_HW]
    return float(values.mean(dtype=np.float64)) if values.size else 1.0


def rank(entropy_by_key: dict[str, float], easy_ratio: float) -> list[RankedFrame]:
    """Return the frames from the most certain to the least; ties by key; at least one on either side."""
    order = sorted(entropy_by_key, key=lambda key: (entropy_by_key[key], key))
    easy = min(max(1, round(easy_ratio * len(order))), len(order) - 1)
    return [RankedFrame(key, entropy_by_key[key], place < easy) for place, key in enumerate(order)]


def _summary(ranking: list[RankedFrame], labelled_pixels: dict[str, int]) -> dict[str, Any]:
    easy = [ranked for ranked in ranking if ranked.easy]
    return {
        "easy_frames": len(easy),
        "hard_frames": len(ranking) - len(easy),
        "lowest_entropy": ranking[0].entropy_01,
        "highest_easy_entropy": easy[-1].entropy_01,
        "highest_entropy": ranking[-1].entropy_01,
        "labelled_pixels": labelled_pixels,
    }
