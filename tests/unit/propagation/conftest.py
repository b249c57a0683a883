"""A short clip of the toy city with its true flow, and a motion source that knows it."""

import numpy as np
import pytest

from frugalseg.data.toycity import ToyFrame, render
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.motion import Picture

SIZE_HW = (90, 120)
FRAMES = 6


class TrueMotion:
    """Flow to the frame before, as the toy city knows it; to the frame after, none."""

    def __init__(self, clip: list[ToyFrame]) -> None:
        self._by_key = {frame.key: frame for frame in clip}

    @property
    def identity(self) -> str:
        return "truth"

    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        frame = self._by_key[target.key]
        assert self._by_key[source.key].index == frame.index - 1 and frame.flow_px is not None
        return Flow.of(frame.flow_px)


class Shift:
    """Everything moves by the same whole pixels each frame: the target's (c, r) was at (c + dx, r + dy)."""

    def __init__(self, columns: float, rows: float) -> None:
        self._px = (columns, rows)
        self.calls = 0

    @property
    def identity(self) -> str:
        return f"shift {self._px}"

    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        self.calls += 1
        return Flow.of(np.broadcast_to(np.array(self._px, np.float32), (*target.size_HW, 2)))


@pytest.fixture(scope="session")
def clip() -> list[ToyFrame]:
    return [render("street", 0, 3, index, SIZE_HW, flow=index > 20) for index in range(20, 20 + FRAMES)]


@pytest.fixture
def true_motion(clip: list[ToyFrame]) -> TrueMotion:
    return TrueMotion(clip)


@pytest.fixture
def shift() -> type[Shift]:
    return Shift


@pytest.fixture(scope="session")
def pictures(clip: list[ToyFrame]) -> list[Picture]:
    return [Picture(frame.key, frame.image) for frame in clip]


@pytest.fixture
def noise():
    """Smooth random pictures of a seed."""
    import cv2

    def make(seed: int, size_HW=(48, 64)) -> Picture:
        rough = np.random.default_rng(seed).integers(0, 256, (*size_HW, 3), np.uint8)
        return Picture(f"noise {seed}", cv2.GaussianBlur(rough, (7, 7), 0))

    return make
