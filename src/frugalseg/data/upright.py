"""A video's frames as people see them: turned and flipped upright, in the colours that the file means."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from frugalseg.core.errors import ImageFileError

UNSPECIFIED = 2  # colour matrix (ISO/IEC 23091-2)
HD_LINES = 720  # from here on, video without a word about its colours is BT.709, below BT.601
SAME_EVERYWHERE = (
    Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
)


@dataclass(frozen=True)
class Upright:
    """A file's display matrix in quarter turns: first rows and columns swapped, then rows, then columns reversed."""

    swap: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    @classmethod
    def of(cls, path: Path, frame: VideoFrame) -> "Upright":
        """Return what a frame's side data say: the pixel (x, y) is shown at (a x + c y, b x + d y).

        Ask one frame of a file, not each: a frame that has been asked for its side data stays in memory until Python
        looks for cycles.

        Raises:
            ImageFileError: a turn by less than a quarter.
        """
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
        if b == c == 0 and a and d:
            return cls(False, d < 0, a < 0)
        if a == d == 0 and b and c:
            return cls(True, b < 0, c < 0)
        raise ImageFileError(f"{path}: the video is turned by no quarter turn. Write it anew, upright.")

    def size_HW(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after turning."""
        return (width, height) if self.swap else (height, width)

    def apply(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image turned."""
        turned = image_HWC.swapaxes(0, 1) if self.swap else image_HWC
        turned = turned[::-1] if self.rows_reversed else turned
        return np.ascontiguousarray(turned[:, ::-1] if self.columns_reversed else turned)


def rgb(frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """Return a decoded frame as it is stored, H x W x 3 RGB uint8; the same bytes on every processor.

    More than 8 bits lose the rest, pixels that are not square stay as stored, high dynamic range is not mapped. One
    `reformatter` serves all frames of a file: each has tables of its own, of half a megabyte.
    """
    matrix = None
    if frame.colorspace == UNSPECIFIED and not frame.format.is_rgb:
        matrix = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
    flat = reformatter.reformat(frame, format="rgb24", src_colorspace=matrix, interpolation=SAME_EVERYWHERE)
    return np.asarray(flat.to_ndarray(), np.uint8)
