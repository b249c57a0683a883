"""Source only: cross entropy on labelled source images, the start of every other method.

`recompute_statistics` > 0 gives AdaBN (Li et al. 2017): the same weights with BatchNorm statistics of the target.
"""

from typing import Any, Literal

from lightning.fabric import Fabric
from pydantic import Field

from frugalseg.data.batches import DomainBatch
from frugalseg.models.network import Network
from frugalseg.training.domain_data import DomainData, batches, input_images
from frugalseg.training.learner import Learner
from frugalseg.training.losses import cross_entropy
from frugalseg.training.method import Phase
from frugalseg.training.settings import TrainConfig


class SourceOnlyConfig(TrainConfig):
    """Settings of source_only."""

    start: Literal["checkpoint", "pretrained"] = Field(
        "pretrained", description="first weights: the pretrained trunk's"
    )
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the weights' moving average; 0 = off")
    batch_statistics: Literal["shared", "per_domain"] = Field(
        "shared", description="only source images pass, so the statistics are the source's"
    )


class SourceOnly:
    """Learns the source and nothing else."""

    def __init__(self, network: Network, config: SourceOnlyConfig, fabric: Fabric, data: DomainData) -> None:
        self.config, self._data = config, data
        self._source = data.need_source("source_only")
        if config.recompute_statistics:
            data.need_target("source_only with recompute_statistics")
        self._learner = Learner(network, config, fabric, data.pixels_C, home="source")

    def phases(self) -> list[Phase]:
        """Return the one phase."""
        return [Phase("source", self.config.steps, lambda folder: batches(self.config, self._source, None))]

    def begin(self, phase: int) -> None:
        """Start the phase."""
        self._learner.begin()

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to `factor` times its starting value."""
        self._learner.set_rate(factor)

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Learn from one batch of source images."""
        assert batch.source_images is not None and batch.source_labels is not None
        logits_NCHW = self._learner.forward(batch.source_images, "source").logits
        loss = cross_entropy(logits_NCHW, batch.source_labels, self._learner.class_weights)
        self._learner.minimize(loss)
        return {"source": float(loss.detach())}

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""
        return self._learner.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._learner.load_state(state)

    def finish(self) -> Network:
        """Return the finished network."""
        count = self.config.recompute_statistics
        return self._learner.finish(
            lambda: input_images(self.config, self._data.need_target("recompute_statistics"), count)
        )
