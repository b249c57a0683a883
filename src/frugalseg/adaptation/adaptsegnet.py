"""AdaptSegNet: adaptation of the structured output space (Tsai et al., CVPR 2018), equations 1–6.

A discriminator tells softmax maps of source and target images apart; the network learns the source's labels and to make
target maps that pass for the source's. Networks with two outputs are adapted at both levels (equation 5).

Differs from the paper: sums over pixels are means; source and target pass with BatchNorm statistics of their own
(`batch_statistics = "shared"` for the paper's single set); starts from a network trained on the source
(`start = "pretrained"` for the paper's ImageNet trunk); AdamW, class weights and a moving average of the weights as
everywhere in this product (`optimizer = "sgd"`, `class_weighting = 0`, `ema = 0`); the discriminator's answers are
not upsampled, which changes no mean by much.
"""

from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from frugalseg.data.batches import DomainBatch
from frugalseg.models.network import Network
from frugalseg.training.adversarial import AdversarialConfig, Adversary
from frugalseg.training.discriminators import DISCRIMINATOR, MAPS, save_discriminator
from frugalseg.training.domain_data import DomainData, batches, input_images
from frugalseg.training.learner import Learner
from frugalseg.training.losses import outputs_cross_entropy
from frugalseg.training.method import Phase

LOOKS_AT = "softmax"  # what the discriminator sees


class AdaptSegNetConfig(AdversarialConfig):
    """Settings of AdaptSegNet."""


class AdaptSegNet:
    """Learns the source's labels while its softmax maps of both domains become alike."""

    def __init__(self, network: Network, config: AdaptSegNetConfig, fabric: Fabric, data: DomainData) -> None:
        self.config = config
        self._source, self._target = data.need_source("adaptsegnet"), data.need_target("adaptsegnet")
        self._learner = Learner(network, config, fabric, data.pixels_C)
        self._adversary = Adversary(network, config, fabric, maps=MAPS[LOOKS_AT])

    def phases(self) -> list[Phase]:
        """Return the one phase."""
        return [Phase("alignment", self.config.steps, lambda folder: batches(self.config, self._source, self._target))]

    def begin(self, phase: int) -> None:
        """Start the phase."""
        self._learner.begin()
        self._adversary.begin(phase)

    def set_rate(self, factor: float) -> None:
        """Set all learning rates to `factor` times their starting values."""
        self._learner.set_rate(factor)
        self._adversary.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Equation 6: the network learns labels (3) and to fool the discriminator (4), which learns to tell (2)."""
        assert batch.source_images is not None and batch.source_labels is not None and batch.target_images is not None
        weights_C = self._learner.class_weights
        source = self._learner.forward(batch.source_images, "source")
        labelled = outputs_cross_entropy(source, batch.source_labels, weights_C, self.config.aux_seg_weight)
        self._learner.add(labelled)
        self._adversary.judge_source(source)
        del source  # makes room for the target's
        fooling, losses = self._adversary.judge(self._learner.forward(batch.target_images, "target"))
        self._learner.add(fooling)
        self._learner.step()
        self._adversary.learn()
        return {"source": float(labelled.detach()), **losses}

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

    def keep(self, folder: Path) -> None:
        """Write the discriminator, which tells later how much a frame looks like the source."""
        save_discriminator(folder / DISCRIMINATOR, self._adversary.main, LOOKS_AT)
