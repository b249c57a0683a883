"""Learning from labels that were spread through video: which frames, how much each pixel counts, soft borders.

Frames that nobody labelled make 70 % of those drawn and people's 30 %, at 2, 4, 6 and 8 frames from a labelled one
(Warp-Refine Propagation, Ganeshan et al., ICCV 2021, section 4.2). The steps of a training are given, so spread labels
make it no longer: what the paper's epochs of a fixed size are for. Boundary label relaxation (Zhu et al., CVPR 2019):
near a border of the label the likelihood is that of all classes around, L = -log Σ_{c ∈ N} p_c.

Differs: a spread pixel counts `propagated_weight` x confidence ^ `confidence_power` (ours); only spread labels are
relaxed, people drew theirs; class weights are those of the pixel's own label.

Axis legend: N images, C classes, H x W pixels.
"""

from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from frugalseg.core.classes import IGNORE
from frugalseg.core.config import Config
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import HUMAN, Frame
from frugalseg.data.batches import FramePool, LabelSource, Mixture, PartialLabelFolder
from frugalseg.data.joined import JoinedLabels
from frugalseg.training.domain_data import Human, Propagated
from frugalseg.training.losses import spread_mask


class PropagatedConfig(Config):
    """How labels spread through video are learned; without any these settings change nothing."""

    propagated_weight: float = Field(1.0, ge=0, description="what a label spread through video counts beside people's")
    confidence_power: float = Field(
        1.0, ge=0, description="a spread label counts its confidence to this power; 0: all alike"
    )
    relaxed_px: int = Field(
        1, ge=0, le=16, description="pixels around a pixel whose spread classes all count as right (Zhu et al.); 0: off"
    )


class MixingConfig(PropagatedConfig):
    """The same for methods that draw labelled frames apart from the others."""

    propagated_ratio: float = Field(
        0.7, ge=0, le=1, description="of labelled frames drawn, the share whose labels were spread through video"
    )
    propagated_steps: tuple[int, ...] = Field(
        (2, 4, 6, 8), description="how far from a labelled frame frames are taken whose labels were spread; (): any"
    )


@dataclass(frozen=True)
class Labelled:
    """Frames that people labelled, and those drawn in between whose labels were spread."""

    selected: FramePool
    mixture: Mixture | None

    @property
    def keys(self) -> set[str]:
        """The names of all of them."""
        return {frame.key for frame, _ in self.frames}

    @property
    def frames(self) -> tuple[tuple[Frame, LabelSource], ...]:
        """All of them with what reads their labels."""
        pools = [self.selected, *([self.mixture.pool] if self.mixture else [])]
        return tuple((frame, pool.labels) for pool in pools for frame in pool.frames if pool.labels is not None)


def known_labels(human: Human, propagated: Propagated | None, method: str) -> LabelSource:
    """Return what is known of each target frame, for a method that looks at the frames themselves.

    Raises:
        TrainingError: labels were spread together with their pictures, and fit these only.
    """
    if propagated is None:
        return PartialLabelFolder(human.labels)
    if propagated.pictures is not None:
        raise TrainingError(
            f"{propagated.pictures}: these labels fit the pictures that were warped with them (joint = true), and "
            f"{method} looks at the frames.\nSpread them without `joint`, or learn with mada."
        )
    return JoinedLabels(human.labels, propagated.labels)


def labelled_frames(
    target: FramePool, human: Human, propagated: Propagated | None, config: MixingConfig, method: str
) -> Labelled:
    """Return the target frames that `method` draws as labelled ones.

    Raises:
        TrainingError: people labelled none, or of those reached by labels none is as far away as the settings want.
    """
    answers = PartialLabelFolder(human.labels)
    frames = tuple(frame for frame in target.frames if np.isin(answers(frame)[1], HUMAN).any())
    if not frames:
        raise TrainingError(
            f"{human.labels}: people labelled none of the {len(target.frames)} target frames, and {method} learns from "
            "such. Run `frugalseg select` with a budget such as 5%images, then `label`."
        )
    if propagated is None:
        return Labelled(FramePool(frames, answers, target.cache), None)
    labels, own = JoinedLabels(human.labels, propagated.labels), {frame.key for frame in frames}
    others = _reached(target, propagated, own, config.propagated_steps)
    mixture = None
    if others and config.propagated_ratio:
        pool = FramePool(others, labels) if propagated.pictures else FramePool(others, labels, target.cache)
        mixture = Mixture(pool, config.propagated_ratio)
    return Labelled(FramePool(frames, labels, target.cache), mixture)


def _reached(
    target: FramePool, propagated: Propagated, labelled: set[str], steps: tuple[int, ...]
) -> tuple[Frame, ...]:
    """Return the frames of the target that nobody labelled and labels were spread to, as far away as is wanted."""
    there = [
        frame
        for frame in target.frames
        if frame.key not in labelled and (propagated.labels / "labels" / f"{frame.key}.png").is_file()
    ]
    kept = [frame for frame in there if not steps or propagated.steps.get(frame.key, steps[0]) in steps]
    if there and not kept:
        away = sorted({propagated.steps[frame.key] for frame in there})
        raise TrainingError(
            f"{propagated.labels}: its {len(there)} frames are {', '.join(map(str, away))} frames from a labelled one; "
            f"propagated_steps = {list(steps)} wants none of them.\nGive others, [] for all, or propagated_ratio = 0."
        )
    if propagated.pictures is None:
        return tuple(kept)
    pictures = propagated.pictures
    return tuple(replace(frame, image=str(pictures / f"{frame.key}.png"), sha256="", pts=None) for frame in kept)


def trust(provenance_NHW: Tensor, confidence_NHW: Tensor, config: PropagatedConfig) -> Tensor:
    """Return how much each pixel counts: 1 where people answered, else its weight by confidence (given in 255ths)."""
    weight_NHW = config.propagated_weight * (confidence_NHW.float() / 255) ** config.confidence_power
    return weight_NHW.masked_fill(~spread_mask(provenance_NHW), 1.0)


@dataclass(frozen=True, eq=False)
class SpreadPixels:
    """Labels of a batch as its loss takes them: ids, provenance, confidence in 255ths, class weights if any."""

    labels_NHW: Tensor
    provenance_NHW: Tensor
    confidence_NHW: Tensor
    class_weights_C: Tensor | None

    def loss(self, logits_NCHW: Tensor, config: PropagatedConfig) -> Tensor:
        """Return their cross entropy, relaxed near borders of what was spread, each pixel with its trust."""
        trust_NHW = trust(self.provenance_NHW, self.confidence_NHW, config)
        relaxed_NHW = spread_mask(self.provenance_NHW)
        return relaxed_cross_entropy(
            logits_NCHW, self.labels_NHW, trust_NHW, relaxed_NHW, config.relaxed_px, self.class_weights_C
        )


def relaxed_cross_entropy(
    logits_NCHW: Tensor,
    labels_NHW: Tensor,
    trust_NHW: Tensor,
    relaxed_NHW: Tensor,
    radius_px: int,
    class_weights_C: Tensor | None = None,
) -> Tensor:
    """Return Σ t w_y (-log Σ_{c ∈ N} p_c) / Σ w_y over labelled pixels.

    N are the classes of the label within `radius_px` (a square) where `relaxed_NHW`, elsewhere y alone. Little trust
    makes the loss small, not the pixels few. Where every pixel is IGNORE the loss is 0 with a zero gradient.
    """
    known_NHW, classes = labels_NHW != IGNORE, logits_NCHW.shape[1]
    ids_NHW = labels_NHW.masked_fill(~known_NHW, 0)
    own_NCHW = functional.one_hot(ids_NHW, classes).movedim(-1, 1).bool() & known_NHW[:, None]
    near_NCHW = functional.max_pool2d(own_NCHW.to(logits_NCHW.dtype), 2 * radius_px + 1, 1, radius_px) > 0
    right_NCHW = (near_NCHW & relaxed_NHW[:, None]) | own_NCHW | ~known_NHW[:, None]  # unknown: anything, log 1
    log_prob_NCHW = logits_NCHW.float().log_softmax(dim=1)
    loss_NHW = -log_prob_NCHW.masked_fill(~right_NCHW, -float("inf")).logsumexp(dim=1)
    weights_NHW = known_NHW.float() if class_weights_C is None else class_weights_C[ids_NHW] * known_NHW
    return (loss_NHW * weights_NHW * trust_NHW).sum() / weights_NHW.sum().clamp_min(1e-12)
