"""The contract between the loop and a method: the method owns gradients, the loop owns time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from frugalseg.data.batches import DomainBatch, DomainBatches
from frugalseg.models.network import Network
from frugalseg.training.settings import TrainConfig


@dataclass(frozen=True)
class Phase:
    """A stretch of training over one stream of batches.

    `prepare` writes whatever the phase needs (pseudo-labels) into a folder, once; `batches` opens that folder.
    """

    name: str
    steps: int
    batches: Callable[[Path], DomainBatches]
    prepare: Callable[[Path], None] = lambda folder: None


@runtime_checkable
class Keeps(Protocol):
    """A method that leaves more behind than its network, such as the discriminator that it was adapted against."""

    def keep(self, folder: Path) -> None:
        """Write it into the stage's folder, once training is done."""


class Method(Protocol):
    """What the loop asks of a method."""

    @property
    def config(self) -> TrainConfig:
        """Return the settings."""

    def phases(self) -> Sequence[Phase]:
        """Return what is to be done, in order."""

    def begin(self, phase: int) -> None:
        """Start phase number `phase`: fresh optimizers."""

    def set_rate(self, factor: float) -> None:
        """Set every learning rate to `factor` times its starting value."""

    def step(self, batch: DomainBatch) -> dict[str, float]:
        """Learn from one batch and return its losses by name."""

    def state(self) -> dict[str, Any]:
        """Return all that resume needs."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""

    def finish(self) -> Network:
        """Return the finished network."""
