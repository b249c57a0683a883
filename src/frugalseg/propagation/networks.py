"""Settings of the parts that are networks, apart from the networks: what needs none of them loads no torch."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from frugalseg.core.config import Config

REFINE, SDC = "refine", "sdc"  # what the files of a trained network begin with


def is_stored(folder: Path, name: str) -> bool:
    """Tell whether a trained network lies in a folder; this file of it is written last."""
    return (folder / f"{name}.json").is_file()


class RaftConfig(Config):
    """Which RAFT, and how long it refines."""

    raft_weights: Path | None = Field(None, description="its weights, a file of torchvision's raft_large or raft_small")
    raft_size: Literal["large", "small"] = Field("large", description="which of torchvision's two networks")
    raft_updates: int = Field(12, ge=1, description="refinement steps")


class RefineConfig(Config):
    """How wide Ω is, and how it is trained."""

    channels: int = Field(24, ge=4, le=256, description="channels at full size; twice and thrice as many deeper down")
    deep: bool = Field(
        True,
        description="let it read what the last layer of the network that guesses sees; off where --unseen names "
        "networks whose features mean something else: of another kind, or from another start",
    )
    overrule: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="in use motion's label stays unless another is likelier by this, and where labelled frames agree",
    )
    longest_cycle: int = Field(6, ge=1, description="longest cycle, in frames each way; lengths are drawn from 1 on")
    steps: int = Field(400, ge=0, description="training steps")
    batch_size: int = Field(4, ge=1, description="crops a step")
    crop_px: int = Field(160, ge=16, multiple_of=4, description="height and width of a crop, a multiple of 4")
    lr: float = Field(2e-3, gt=0, description="AdamW's rate at the start; it falls to 0 along a half cosine")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's")
    cycles: int = Field(4, ge=1, description="cycles, or labels from elsewhere, drawn for each labelled frame")
    pairs: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of a labelled frame's drafts that other labelled frames' labels give, where some are within "
        "reach; the others are cycles. 0 = cycles alone, as the paper",
    )
    seed: int = Field(0, ge=0, description="of lengths, sides, crops and first weights")


class SdcConfig(Config):
    """How the reconstruction network looks for motion, and how it is trained."""

    sdc_weights: Path | None = Field(
        None, description="a network trained before (a folder with sdc.json); none = train one on this video"
    )
    sdc_start: Literal["dis", "still"] = Field(
        "dis", description="the motion that it mends: dis's, with its settings, or none at all"
    )
    sdc_channels: int = Field(16, ge=4, le=256, description="channels of what pictures are compared by")
    sdc_levels: int = Field(3, ge=1, le=7, description="sizes it looks at: half the frame, a quarter, and so on")
    sdc_steps: int = Field(300, ge=0, description="training steps")
    sdc_batch_size: int = Field(2, ge=1, description="pairs of crops a step")
    sdc_crop_px: int = Field(160, ge=32, description="height and width of a crop")
    sdc_pairs: int = Field(96, ge=1, description="pairs of neighbouring frames that it learns from at most")
    sdc_lr: float = Field(3e-3, gt=0, description="AdamW's rate at the start; it falls to 0 along a half cosine")
    sdc_smoothness: float = Field(0.3, ge=0, description="weight of smooth motion beside pictures that fit")
    seed: int = Field(0, ge=0, description="of pairs, crops and first weights")
