"""MinEnt: direct entropy minimisation (Vu et al., ADVENT, CVPR 2019), sections 3.1 and 3.3, equations 2–4 and 8.

The network learns the source's labels and to be certain on the target: the mean over pixels of the normalised entropy
is added to the loss. Two options of the paper: entropy on the most uncertain pixels only (`hardest_share`, "+ER"), and
a class-ratio prior that keeps classes from vanishing (`prior_weight`, "+CP").

Differs from the paper: sums over pixels are means, as in its public code; source and target pass with BatchNorm
statistics of their own (`batch_statistics = "shared"` for the paper's single set); starts from a network trained on the
source (`start = "pretrained"` for the paper's ImageNet trunk); AdamW, class weights and a moving average of the weights
as everywhere in this product (`optimizer = "sgd"`, `class_weighting = 0`, `ema = 0`). Public code has no prior; ours
acts on the main output only.
"""

from typing import Any

import torch
from lightning.fabric import Fabric
from pydantic import Field
from torch import Tensor

from frugalseg.data.batches import DomainBatch
from frugalseg.models.network import Network
from frugalseg.training.domain_data import DomainData, batches, input_images
from frugalseg.training.learner import Learner
from frugalseg.training.losses import entropy_NHW, outputs_cross_entropy
from frugalseg.training.method import Phase
from frugalseg.training.settings import TrainConfig


class MinEntConfig(TrainConfig):
    """Settings of MinEnt."""

    aux_seg_weight: float = Field(0.1, ge=0, description="weight of the auxiliary output's cross entropy")
    entropy_weight: float = Field(1e-3, ge=0, description="weight of the main output's entropy on the target")
    aux_entropy_weight: float = Field(2e-4, ge=0, description="weight of the auxiliary output's entropy on the target")
    hardest_share: float = Field(
        1.0, gt=0, le=1, description="share of each image's pixels, the most uncertain ones, whose entropy counts"
    )
    prior_weight: float = Field(0.0, ge=0, description="weight of the class-ratio prior (equation 8); 0 = off")
    prior_relaxation: float = Field(
        0.5, ge=0, le=1, description="μ: a class is wanted on this part of its share in the source's labels"
    )


class MinEnt:
    """Learns the source's labels and certainty on the target."""

    def __init__(self, network: Network, config: MinEntConfig, fabric: Fabric, data: DomainData) -> None:
        self.config = config
        self._source, self._target = data.need_source("minent"), data.need_target("minent")
        assert data.pixels_C is not None  # need_source has seen to it
        self._learner = Learner(network, config, fabric, data.pixels_C)
        share_C = data.pixels_C / max(int(data.pixels_C.sum()), 1)
        self._prior_C = torch.as_tensor(share_C, dtype=torch.float32, device=fabric.device)

    def phases(self) -> list[Phase]:
        """Return the one phase."""
        return [Phase("certainty", self.config.steps, lambda folder: batches(self.config, self._source, self._target))]

    def begin(self, phase: int) -> None:
        """Start the phase."""
        self._learner.begin()

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to `factor` times its starting value."""
        self._learner.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Equation 4: cross entropy on source labels plus entropy on the target; and equation 8, if wanted."""
        assert batch.source_images is not None and batch.source_labels is not None and batch.target_images is not None
        config, weights_C = self.config, self._learner.class_weights
        source = self._learner.forward(batch.source_images, "source")
        losses = {"source": outputs_cross_entropy(source, batch.source_labels, weights_C, config.aux_seg_weight)}
        self._learner.add(losses["source"])
        target = self._learner.forward(batch.target_images, "target")
        losses["entropy"] = mean_entropy(target.logits, config.hardest_share)
        total = config.entropy_weight * losses["entropy"]
        if target.aux_logits is not None:
            losses["aux_entropy"] = mean_entropy(target.aux_logits, config.hardest_share)
            total = total + config.aux_entropy_weight * losses["aux_entropy"]
        if config.prior_weight:
            losses["prior"] = class_ratio_loss(target.logits, self._prior_C, config.prior_relaxation)
            total = total + config.prior_weight * losses["prior"]
        self._learner.add(total)
        self._learner.step()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        return self._learner.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._learner.load_state(state)

    def finish(self) -> Network:
        """Return the finished network."""
        return self._learner.finish(lambda: input_images(self.config, self._target, self.config.recompute_statistics))


def mean_entropy(logits_NCHW: Tensor, hardest_share: float = 1.0) -> Tensor:
    """Return the mean normalised entropy, 0–1, over all pixels or over the most uncertain share of each image's."""
    entropy_NP = entropy_NHW(logits_NCHW).flatten(1)
    if hardest_share < 1:
        entropy_NP = entropy_NP.topk(max(1, round(hardest_share * entropy_NP.shape[1])), dim=1).values
    return entropy_NP.mean()


def class_ratio_loss(logits_NCHW: Tensor, prior_C: Tensor, relaxation: float) -> Tensor:
    """Return equation 8, the mean over images of Σ_c max(0, μ prior_c - mean over pixels of p_c)."""
    share_NC = logits_NCHW.softmax(dim=1).mean(dim=(2, 3))
    return (relaxation * prior_C - share_NC).relu().sum(dim=1).mean()
