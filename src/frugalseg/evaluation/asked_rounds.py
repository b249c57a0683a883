"""What the report is told of the rounds of questions; the scores are those of its models."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AskedRound:
    """One round: `number` in its series, how it chose, what was asked and what it cost; NaN where unknown.

    `entropy_01` is the model's mean entropy over the target when it asked. `model` and `before` name the models of the
    report that learned from this round and that asked; empty where they were not scored.
    """

    number: int
    strategy: str
    asked: int
    control: int
    planned_s: float
    spent_s: float
    entropy_01: float
    model: str = ""
    before: str = ""


@dataclass(frozen=True)
class UnsureFrame:
    """A target frame and the last model's mean entropy over it."""

    key: str
    entropy_01: float


@dataclass(frozen=True)
class StillUnsure:
    """The target frames that the model `model` is least sure of, out of `looked_at`, and the mean over those."""

    model: str
    frames: tuple[UnsureFrame, ...]
    looked_at: int
    mean_01: float
