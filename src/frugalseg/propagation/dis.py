"""Dense inverse search (Kroeger et al., ECCV 2016), OpenCV's implementation: motion that needs no weights."""

from typing import Literal

import cv2
import numpy as np
from pydantic import Field

from frugalseg.core.config import Config
from frugalseg.core.errors import DataError
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.motion import Picture, check_sizes

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
LEAST_PX = 16  # smaller frames leave the search no patch at its coarser scales


class DisConfig(Config):
    """How finely DIS looks."""

    preset: Literal["ultrafast", "fast", "medium"] = Field("medium", description="OpenCV's preset")
    finest_scale: int | None = Field(
        None,
        ge=0,
        le=4,
        description="the finest scale, halvings of the frame; 0 = its own size, "
        "thin things move better, two to three times the time; none = the preset's",
    )


class Dis:
    """DIS as a motion source. One object serves one thread: OpenCV keeps its buffers in it."""

    def __init__(self, config: DisConfig | None = None) -> None:
        self._config = config or DisConfig()
        self._dis = cv2.DISOpticalFlow.create(PRESETS[self._config.preset])
        if self._config.finest_scale is not None:
            self._dis.setFinestScale(self._config.finest_scale)

    @property
    def identity(self) -> str:
        """Preset, finest scale, and OpenCV's version."""
        return f"dis {self._config.preset} finest {self._dis.getFinestScale()} opencv {cv2.__version__}"

    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        """Return the flow target → source, searched for around `start` where one is given.

        Raises:
            DataError: the pictures differ in size, or are smaller than 16 pixels.
        """
        check_sizes(target, source)
        if min(target.size_HW) < LEAST_PX:
            raise DataError(
                f"{target.key} is {target.size_HW} (height x width); DIS needs at least {LEAST_PX} pixels each way."
            )
        guess = np.zeros((*target.size_HW, 2), np.float32) if start is None else start.px_HW2.copy()  # overwritten
        return Flow.of(np.asarray(self._dis.calc(target.grey_HW, source.grey_HW, guess), np.float32), copy=False)
