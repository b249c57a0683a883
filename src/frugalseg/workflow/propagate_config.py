"""Settings of `propagate`: method, motion, and those of each part, in one flat table."""

from typing import Literal, TypeVar

from pydantic import Field, model_validator

from frugalseg.core.config import Config
from frugalseg.propagation.dis import DisConfig
from frugalseg.propagation.networks import RaftConfig, RefineConfig, SdcConfig
from frugalseg.propagation.spread import SpreadConfig

Part = TypeVar("Part", bound=Config)


class PropagateConfig(SpreadConfig, DisConfig, RaftConfig, RefineConfig, SdcConfig):
    """How labels spread through video."""

    method: Literal["warp", "warp_inpaint", "warp_refine", "semantic", "oracle"] = Field(
        "warp",
        description="motion alone; with a network's guess where it fails; with a network that mends that; the guess "
        "alone; the data's own labels, to compare with",
    )
    sure: float = Field(0.9, ge=0, le=1, description="semantic: probability from which a guess is a label")
    motion: Literal["dis", "raft", "sdc"] = Field(
        "dis", description="what estimates motion; dis needs no weights, sdc learns on the video itself"
    )
    precision: float | None = Field(
        None, gt=0, le=1, description="keep pixels in labels/ from the confidence on that is right so often; none = all"
    )
    calibration_frames: int = Field(
        12, ge=0, description="labelled frames that confidence is calibrated on; 0 = no confidence"
    )
    cache: bool | None = Field(
        None,
        description="keep flows of neighbouring frames, so that another run needs not make them; none = only where "
        "this run needs them again, or motion is not dis",
    )

    @property
    def guesses(self) -> bool:
        """Whether a network is asked."""
        return self.method not in ("warp", "oracle")

    @property
    def reads_features(self) -> bool:
        """Whether what the network's last layer sees is wanted."""
        return self.method == "warp_refine" and self.deep

    @model_validator(mode="after")
    def _one_picture_is_warped(self) -> "PropagateConfig":
        if self.joint and (self.method != "warp" or self.anchors != 1 or self.quality or self.extend):
            raise ValueError(
                "joint = true warps one labelled frame's picture with its label: it goes with method = warp, anchors = "
                "1, quality = false and extend = false."
            )
        return self

    @model_validator(mode="after")
    def _drift_is_of_composed_flows(self) -> "PropagateConfig":
        if self.quality and self.recursion == "paper":
            raise ValueError(
                "quality = true mends composed flows, and the paper's recursion has none. Leave one of them out."
            )
        return self

    def part(self, kind: type[Part]) -> Part:
        """Return the settings of one part."""
        return kind(**{name: getattr(self, name) for name in kind.model_fields})
