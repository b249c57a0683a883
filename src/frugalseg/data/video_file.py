"""A video as random access: any frame by its presentation time, the same pixels however one comes to it."""

from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from frugalseg.core.errors import ImageFileError
from frugalseg.data.upright import Upright, rgb
from frugalseg.data.video import Way, opened

KEPT_BYTES = 64 << 20  # decoded frames that were passed unread: reading backwards finds them
AHEAD_S = 2.0  # what lies so far ahead is reached by decoding on; beyond, a seek is cheaper
BACK_S = (0.0, 1.0, 4.0, 16.0, 64.0)  # how far before a frame its keyframe is looked for; then the file's beginning


class VideoFile:
    """Frames of one video. Reading on costs one decoding a frame, a jump the frames since the keyframe before it.

    A seek may land behind the keyframe that a frame needs: containers seek by the time of decoding, and files lie about
    their index. What comes out after it tells: then it is tried from further back, last from the beginning, so that
    every frame `video.scan` found is reached. Reading in order of time keeps one frame. Safe for several threads.

    Raises:
        ImageFileError: as `video.opened`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock, self._reformatter = Lock(), VideoReformatter()
        self._upright: Upright | None = None  # until a frame has been read
        self._kept: OrderedDict[int, VideoFrame] = OrderedDict()
        self._kept_bytes = 0
        self._newest: tuple[int, VideoFrame] | None = None  # the last one decoded
        self._stack = ExitStack()
        self._open()

    def close(self) -> None:
        """Give the file back."""
        self._stack.close()

    def read(self, pts: int) -> NDArray[np.uint8]:
        """Return the frame shown at `pts` ticks, upright, H x W x 3 RGB uint8.

        Raises:
            ImageFileError: there is no whole frame of that time.
        """
        with self._lock:
            newest = self._newest[1] if self._newest is not None and self._newest[0] == pts else None
            frame = self._kept.get(pts) or newest or self._reach(pts)
            if frame is None:
                raise ImageFileError(
                    f"{self._path}: no whole frame at {float(pts * self._tick_s):.3f} s ({pts} ticks). "
                    "Run `frugalseg init` again: it lists what can be decoded."
                )
            self._upright = self._upright or Upright.of(self._path, frame)
            return self._upright.apply(rgb(frame, self._reformatter))

    def _open(self) -> None:
        self._stack.close()
        self._container, self._stream = self._stack.enter_context(opened(self._path))
        self._begin()

    def _begin(self) -> None:
        way = Way(self._path, self._container, self._stream)
        self._tick_s = way.tick_s
        self._frames = way.frames()
        self._last: int | None = None

    def _reach(self, pts: int) -> VideoFrame | None:
        if self._last is not None and 0 < (pts - self._last) * self._tick_s <= AHEAD_S:
            frame = self._go_on(pts)
            if frame is not None:
                return frame
        for back_s in BACK_S:
            try:
                self._container.seek(pts - int(back_s / self._tick_s), stream=self._stream)
            except av.FFmpegError:  # its index knows of no keyframe before that
                continue
            self._begin()
            if (frame := self._go_on(pts)) is not None:
                return frame
        self._open()
        return self._go_on(pts)

    def _go_on(self, pts: int) -> VideoFrame | None:
        """Decode until that frame; None once it has been passed."""
        for passed, frame in self._frames:
            self._last, self._newest = passed, (passed, frame)
            if passed >= pts:
                return frame if passed == pts else None
            self._keep(passed, frame)
        return None

    def _keep(self, pts: int, frame: VideoFrame) -> None:
        if pts in self._kept:
            return
        self._kept[pts] = frame
        self._kept_bytes += _bytes(frame)
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= _bytes(self._kept.popitem(last=False)[1])


def _bytes(frame: VideoFrame) -> int:
    return sum(plane.buffer_size for plane in frame.planes)
