"""Settings of `bench propagation`: those of `propagate`, and how the video is split and scored."""

from typing import Literal

from pydantic import Field

from frugalseg.workflow.bench_propagation_score import Protocol
from frugalseg.workflow.propagate_config import PropagateConfig

FIXED = ("method", "anchors", "seed", "precision", "calibration_frames")  # what the comparison decides itself


class BenchPropagationConfig(PropagateConfig):
    """How labels are spread, what is learned from, and which cases are scored."""

    extend: bool = Field(
        True,
        description="repeat the border's label where no labelled frame looks: a pixel without a label is a miss, so "
        "motion alone would lose for nothing",
    )
    split: Literal["parts", "sequences"] = Field(
        "parts", description="cut each stretch of video into parts that follow each other, or hold out whole sequences"
    )
    parts: int = Field(2, ge=2, description="parts; each is scored with what was learned from the others")
    gap: int = Field(10, ge=0, description="frames beside a scored part that nothing is learned from")
    spacing: int = Field(5, ge=1, description="frames from one labelled centre to the next")
    block_frames: int = Field(
        10, ge=1, description="neighbouring targets that are drawn together when intervals are made"
    )

    @property
    def protocol(self) -> Protocol:
        """Which cases are scored."""
        return Protocol(self.reach, self.spacing, self.block_frames)
