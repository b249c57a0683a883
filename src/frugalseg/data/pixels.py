"""A frame's pixels, whether it is an image file or lies in a video."""

import atexit
import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.codec import read_image
from frugalseg.core.errors import ImageFileError
from frugalseg.core.files import file_hash
from frugalseg.core.records import Frame

MOST_OPEN = 4  # videos of a process, each with a decoder and 64 MiB of passed frames


def read_pixels(frame: Frame, strict: bool = False, verify: bool = True) -> NDArray[Any]:
    """Return a frame's image, H x W x 3 RGB, uint8 or uint16.

    Frames of one video read in order of time are decoded one after the other; any other order gives the same pixels.

    Args:
        frame: Which.
        strict: As for `codec.read_image`.
        verify: Refuse a file that is another than the manifest's.

    Raises:
        ImageFileError: the file is missing, damaged, or no longer what the manifest says.
    """
    if frame.pts is None:
        return read_image(Path(frame.image), sha256=frame.sha256 if verify else "", strict=strict)
    opened = _videos.find(frame.image)
    if verify and frame.sha256 and shot_sha256(opened.digest, frame.pts) != frame.sha256:
        raise ImageFileError(f"{frame.image}: the file has changed since it was listed. Run `frugalseg init` again.")
    return opened.video.read(frame.pts)


def read_frame(frame: Frame) -> NDArray[np.uint8]:
    """Return a frame's image at the size that the manifest says, H x W x 3 uint8 (16 bits lose their low byte).

    Raises:
        ImageFileError: as `read_pixels`; also for another size.
    """
    image = to_uint8(read_pixels(frame))
    if image.shape[:2] != (frame.height, frame.width):  # a manifest of the user's own has no hash, or a wrong size
        raise ImageFileError(
            f"{frame.image}: {image.shape[0]}x{image.shape[1]} (height x width), but the manifest says "
            f"{frame.height}x{frame.width}. Correct the manifest, or run `frugalseg init` again."
        )
    return image


def to_uint8(image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return a 16-bit image as 8 bits by its high byte; 8-bit images stay as they are."""
    return (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image.astype(np.uint8, copy=False)


def shot_sha256(file_digest: str, pts: int) -> str:
    """Return what stands for a video's frame where an image has its file's hash: of the file's hash and the time."""
    return hashlib.sha256(f"{file_digest} {pts}".encode()).hexdigest()


class _Opened:
    def __init__(self, path: str, digest: str | None) -> None:
        from frugalseg.data.video_file import VideoFile  # FFmpeg is loaded by those who have a video

        self.video = VideoFile(Path(path))  # first: it refuses what is no regular file
        self.digest = digest or file_hash(Path(path))


class _Videos:
    """The videos this process reads; one that was written anew, or was opened before a fork, is opened again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._opened: OrderedDict[tuple[object, ...], _Opened] = OrderedDict()
        self._digests: dict[tuple[object, ...], str] = {}  # of closed ones too: to hash a video is to read it whole

    def close(self) -> None:
        while self._opened:
            self._opened.popitem()[1].video.close()

    def find(self, path: str) -> _Opened:
        try:
            state = os.stat(path)
        except (OSError, ValueError) as error:
            raise ImageFileError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}.") from error
        version = (os.getpid(), path, state.st_mtime_ns, state.st_size, state.st_ino)
        with self._lock:
            if version not in self._opened:
                self._opened[version] = _Opened(path, self._digests.get(version))
                self._digests[version] = self._opened[version].digest
            self._opened.move_to_end(version)
            while len(self._opened) > MOST_OPEN:
                self._opened.popitem(last=False)
            return self._opened[version]


_videos = _Videos()
atexit.register(_videos.close)  # while FFmpeg is still there
