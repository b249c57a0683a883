"""Mean teacher with ClassMix (DACS, Tranheden et al., WACV 2021) and what was built on it.

The teacher, a moving average of the student (Tarvainen & Valpola 2017), labels plain target images. The student learns

source   labelled source images, some drawn by rare class (DAFormer, Hoyer et al., CVPR 2022, section 3.3), in the
         look of target images (FDA, Yang & Soatto, CVPR 2020);
things   and to keep the features that its trunk had of things before it saw the source (DAFormer, section 3.3);
mixed    target images with half the classes of a source image pasted over them (DACS, algorithm 1);
masked   target images with most of their blocks hidden (MIC, Hoyer et al., CVPR 2023).

How much the teacher's labels count is the share of pixels it is sure of. Every part can be switched off alone:
`look_ratio = 0`, `rare_ratio = 0`, `things = []`, `mixing = "none"` (then whole target images), `mixed_weight = 0`,
`mask_weight = 0`; `things` and masks are off by default: things must be named, and masks did not pay for a small
network in a short run.

Differs from the papers: starts from a source-trained network (`start = "pretrained"` for theirs); BatchNorm keeps
running statistics of mixed images, which teacher and model use, apart from those of source and masked ones (DACS
normalises the teacher by its own batch); the share of sure pixels is each image's own, as DAFormer writes it
(`quality = "batch"` for public code's); labels' terms are averaged over labelled pixels; the teacher is the model; one
setting of colours holds for all views; who is rare is decided as `data/rare_classes.py` says.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from frugalseg.core.classes import IGNORE
from frugalseg.core.records import Frame, Provenance
from frugalseg.data.batches import DomainBatch, DomainBatches
from frugalseg.data.rare_classes import RareClassSampler
from frugalseg.data.transforms import Labels
from frugalseg.models.network import Network
from frugalseg.training.batch_statistics import batch_norms
from frugalseg.training.class_weights import class_pixels
from frugalseg.training.domain_data import DomainData, batches, input_images, without_own_car
from frugalseg.training.feature_distance import FeatureDistance
from frugalseg.training.learner import Domain, Learner
from frugalseg.training.losses import cross_entropy
from frugalseg.training.method import Phase
from frugalseg.training.mixing import (
    Lesson,
    Quality,
    class_mix,
    draws,
    hidden,
    kept_blocks,
    pseudo_labels,
    trusted_cross_entropy,
    varied,
)
from frugalseg.training.settings import TrainConfig
from frugalseg.training.target_look import with_target_looks

COUNTS, SUMMARY = "class_pixels.npy", "rare_classes.json"  # in the phase's folder
PLAIN = {"color_jitter": 0.0, "hue_jitter": 0.0, "blur_ratio": 0.0}


class MeanTeacherConfig(TrainConfig):
    """Settings of mean_teacher; thresholds, ratios and weights are the papers' unless a description says otherwise."""

    steps: int = Field(450, ge=1, description="training steps")
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the teacher (DAFormer: .999); 0 = the student teaches")
    threshold: float = Field(0.968, ge=0, le=1, description="probability above which the teacher is sure of a pixel")
    quality: Quality = Field(
        "image", description="trust: share of sure pixels of an image or of the batch, or 1 for each sure pixel, else 0"
    )
    mixing: Literal["classes", "none"] = Field(
        "classes", description="classes: half of a source image's pasted over a target image; none: target images"
    )
    mixed_weight: float = Field(1.0, ge=0, description="weight of the mixed images' cross entropy; 0 = off")
    mixed_statistics: Literal["target", "source", "own"] = Field(
        "target", description="running BatchNorm statistics that mixed images move: own leaves both domains' alone"
    )
    target_class_weights: Literal["source", "none"] = Field(
        "none", description="class weights of the terms with the teacher's labels: the source's, or none"
    )
    mask_weight: float = Field(0.0, ge=0, description="weight of the masked images' cross entropy (MIC: 1); 0 = off")
    mask_ratio: float = Field(0.7, ge=0, le=1, description="share of a masked image's blocks that is hidden")
    mask_block: float = Field(
        0.125, gt=0, le=1, description="side of a block, share of the input's shorter side (MIC: 64 of 512)"
    )
    rare_ratio: float = Field(
        0.5, ge=0, le=1, description="share of source frames drawn by rare class (DAFormer: all); 0 = off"
    )
    rare_temperature: float = Field(
        0.05, gt=0, description="how sharply rare classes are preferred (DAFormer: .01, with 19 classes)"
    )
    rare_share: float = Field(
        0.005, ge=0, le=1, description="share of pixels that frame and window should show of the class they came for"
    )
    look_ratio: float = Field(
        1.0, ge=0, le=1, description="share of source images shown with a target image's light and colours; 0 = off"
    )
    look_band: float = Field(
        0.05, gt=0, le=0.5, description="slowest waves that make the look, share of the input's shorter side (FDA's β)"
    )
    things: tuple[str, ...] = Field(
        (), description="classes whose features stay near the pretrained trunk's; none = off"
    )
    feature_weight: float = Field(0.005, ge=0, description="weight of the feature distance; 0 = off")
    feature_share: float = Field(0.75, gt=0, le=1, description="share of a feature cell's pixels a thing must have")
    predict_with: Literal["teacher", "student"] = Field("teacher", description="which of the two becomes the model")


class MeanTeacher:
    """One phase of learning from source labels and from a teacher that follows."""

    def __init__(self, network: Network, config: MeanTeacherConfig, fabric: Fabric, data: DomainData) -> None:
        self.config, self._fabric = config, fabric
        self._source, self._target = data.need_source("mean_teacher"), data.need_target("mean_teacher")
        self._learner = Learner(network, config, fabric, data.pixels_C, domains=("source", "target", "mixed"))
        self._features: FeatureDistance | None = None
        if config.things and config.feature_weight:
            pretrained = data.pretrained() if data.pretrained else None
            self._features = FeatureDistance(network, pretrained, config.things, config.feature_share)
        # Nothing but plain target images tells what the target's statistics are, unless mixed images count as such.
        told_by_mixed = config.mixed_weight > 0 and config.mixed_statistics == "target"
        apart = config.batch_statistics == "per_domain"
        self._statistics_pass = apart and not told_by_mixed and bool(batch_norms(network))

    def phases(self) -> list[Phase]:
        """Return the one phase; its preparation counts the source's classes, frame by frame."""
        return [Phase("lessons", self.config.steps, batches=self._batches, prepare=self._count_classes)]

    def begin(self, phase: int) -> None:
        """Start the phase."""
        self._learner.begin()

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to `factor` times its starting value."""
        self._learner.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Let the teacher label the target images, and the student learn from all views (DACS, algorithm 1)."""
        assert batch.target_images is not None and batch.target_labels is not None
        config = self.config
        labels_NHW, trust_NHW = pseudo_labels(
            self._ask_teacher(batch.target_images), batch.target_labels != IGNORE, config.threshold, config.quality
        )
        taught = Lesson(batch.target_images, labels_NHW, trust_NHW)
        batch = self._in_target_looks(batch)
        losses = self._source_losses(batch)
        self._learner.add(losses["source"] + config.feature_weight * losses.get("features", 0))
        if config.mixed_weight:
            losses["mixed"] = self._mixed_loss(batch, taught)
            self._learner.add(config.mixed_weight * losses["mixed"])
        if config.mask_weight:
            losses["masked"] = self._masked_loss(batch.step, taught)
            self._learner.add(config.mask_weight * losses["masked"])
        self._learner.step()
        return {name: float(loss.detach()) for name, loss in losses.items()} | {"trust": float(trust_NHW.mean())}

    def _in_target_looks(self, batch: DomainBatch) -> DomainBatch:
        """Return the batch with the looks of its target images on its source images, pasted parts among them."""
        assert batch.source_images is not None and batch.target_images is not None
        if not self.config.look_ratio:
            return batch
        looks, generators = batch.target_images, self._draws("look", batch.step)
        images = with_target_looks(
            batch.source_images, looks, self.config.look_ratio, self.config.look_band, generators
        )
        return replace(batch, source_images=images)

    @torch.no_grad()
    def _ask_teacher(self, target_NBHW: Tensor) -> Tensor:
        if self._statistics_pass:
            self._learner.forward(target_NBHW, "target")
        return self._learner.ask(target_NBHW)

    def _source_losses(self, batch: DomainBatch) -> dict[str, Tensor]:
        assert batch.source_images is not None and batch.source_labels is not None
        images_NBHW = self._varied(batch.source_images, "source", batch.step)
        with self._features.listen() if self._features else nullcontext():
            logits_NCHW = self._learner.forward(images_NBHW, "source").logits
        losses = {"source": cross_entropy(logits_NCHW, batch.source_labels, self._learner.class_weights)}
        if self._features:
            losses["features"] = self._features.loss(batch.source_labels)
        return losses

    def _mixed_loss(self, batch: DomainBatch, taught: Lesson) -> Tensor:
        assert batch.source_images is not None and batch.source_labels is not None
        mixed = taught
        if self.config.mixing == "classes":
            generators = self._draws("class mix", batch.step)
            mixed = class_mix(batch.source_images, batch.source_labels, taught, generators)
        shown = mixed._replace(images_NBHW=self._varied(mixed.images_NBHW, "mixed", batch.step))
        statistics: dict[str, Domain] = {"target": "target", "source": "source", "own": "mixed"}
        return self._taught_loss(shown, statistics[self.config.mixed_statistics])

    def _masked_loss(self, step: int, taught: Lesson) -> Tensor:
        size_HW = (taught.images_NBHW.shape[-2], taught.images_NBHW.shape[-1])
        block_px = self.config.mask_block * min(size_HW)
        kept_NHW = torch.stack(
            [kept_blocks(size_HW, block_px, self.config.mask_ratio, rng) for rng in self._draws("mask", step)]
        )
        varied_NBHW = self._varied(taught.images_NBHW, "masked", step)
        masked = taught._replace(images_NBHW=hidden(varied_NBHW, kept_NHW, self._learner.network))
        return self._taught_loss(masked, "mixed")

    def _taught_loss(self, lesson: Lesson, domain: Domain) -> Tensor:
        logits_NCHW = self._learner.forward(lesson.images_NBHW, domain).logits
        weights_C = self._learner.class_weights if self.config.target_class_weights == "source" else None
        return trusted_cross_entropy(logits_NCHW, lesson.labels_NHW, lesson.trust_NHW, weights_C)

    def _varied(self, images_NBHW: Tensor, view: str, step: int) -> Tensor:
        return varied(images_NBHW, self.config, self._draws(f"colours {view}", step))

    def _draws(self, purpose: str, step: int) -> list[np.random.Generator]:
        return draws(self.config, purpose, step, self._fabric.global_rank)

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        return self._learner.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._learner.load_state(state)

    def finish(self) -> Network:
        """Return the teacher, or the student."""
        return self._learner.finish(
            lambda: input_images(self.config, self._target, self.config.recompute_statistics),
            average=self.config.predict_with == "teacher",
        )

    def _count_classes(self, folder: Path) -> None:
        """Count the labelled pixels of each class in each source frame: what drawing by class needs."""
        if not self.config.rare_ratio:
            return
        with ThreadPoolExecutor(self.config.loader_threads) as threads:
            pixels_FC = np.stack(list(threads.map(self._pixels, self._source.frames)))
        np.save(folder / COUNTS, pixels_FC)
        names = self._learner.network.classes.names
        (folder / SUMMARY).write_text(json.dumps(_summary(names, self._sampler(pixels_FC)), indent=1))

    def _pixels(self, frame: Frame) -> NDArray[np.int64]:
        assert self._source.labels is not None  # the source is labelled
        label_HW, _ = self._source.labels(frame)
        return class_pixels(label_HW, len(self._learner.network.classes))

    def _sampler(self, pixels_FC: NDArray[np.int64]) -> RareClassSampler:
        config = self.config
        return RareClassSampler(pixels_FC, config.rare_temperature, config.rare_ratio, config.rare_share, config.seed)

    def _batches(self, folder: Path) -> DomainBatches:
        """Return frames in their own colours: the views differ in theirs, and the teacher sees them as they are."""
        rare = self._sampler(np.load(folder / COUNTS)) if self.config.rare_ratio else None
        plain = self.config.model_copy(update=PLAIN)
        return batches(plain, self._source, self._target.with_labels(_usable), rare=rare)


def _usable(frame: Frame) -> Labels:
    """Return a map of the pixels the teacher may label: 0, and IGNORE on the own car (and, once cut, off the frame)."""
    label_HW = without_own_car(np.zeros((frame.height, frame.width), np.uint8), frame)
    return label_HW, np.full_like(label_HW, Provenance.UNKNOWN)


def _summary(names: tuple[str, ...], sampler: RareClassSampler) -> dict[str, Any]:
    """Return how often each class is asked for, and among how many frames the source's draws are spread."""
    probability_F = sampler.probability_F[sampler.probability_F > 0]
    return {
        "frames": len(sampler.pixels_FC),
        "effective_frames": float(np.exp(-(probability_F * np.log(probability_F)).sum())),
        "classes": [
            {"name": name, "probability": float(sampler.probability_C[c]), "frames": len(sampler.frames_of_class[c])}
            for c, name in enumerate(names)
        ],
    }
