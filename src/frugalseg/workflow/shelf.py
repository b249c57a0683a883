"""Prediction maps set aside on disk while a selection runs: which pixels will be asked is known only at its end."""

import tempfile
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray


class Shelf:
    """Holds one class map (H x W uint8) a frame in one unnamed file of `folder`, gone at the end; a context manager.

    zlib's fastest level packs label maps about fiftyfold in a few milliseconds a frame.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed in __exit__)
        self._places: dict[str, tuple[int, int, tuple[int, int]]] = {}

    def __enter__(self) -> "Shelf":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, key: str, ids_HW: NDArray[np.uint8]) -> None:
        """Set a frame's map aside."""
        packed = zlib.compress(np.ascontiguousarray(ids_HW).tobytes(), 1)
        height, width = ids_HW.shape
        self._places[key] = self._file.seek(0, 2), len(packed), (height, width)
        self._file.write(packed)

    def get(self, key: str) -> NDArray[np.uint8]:
        """Return a frame's map."""
        packed, size_HW = self.packed(key)
        return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(size_HW)

    def packed(self, key: str) -> tuple[bytes, tuple[int, int]]:
        """Return a frame's map as zlib packed it, row by row, and its height and width."""
        begin, length, size_HW = self._places[key]
        self._file.seek(begin)
        return self._file.read(length), size_HW
