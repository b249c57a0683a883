"""Writes the toy city to disk as the `folder` reader reads it."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.data.toycity.classes import CLASSES
from frugalseg.data.toycity.render import render


def write_dataset(
    folder: Path,
    look: str,
    seed: int,
    sequences: int | range,
    frames_per_sequence: int,
    size_HW: tuple[int, int] = (180, 240),
    *,
    labels: bool = True,
    flow: bool = False,
    step: int = 1,
) -> tuple[str, ...]:
    """Write images/KEY.png, labels/KEY.png (class ids), flow/KEY.npz (`flow_px`) and classes.toml; return the keys.

    `sequences` is how many, or which. Of each sequence every `step`-th frame is written; a frame's flow points to the
    frame written before it, so a sequence's first frame has none.

    Raises:
        DataError: `folder` already holds something, or nothing was asked for.
        UnknownNameError: no look of that name.
    """
    wanted = range(sequences) if isinstance(sequences, int) else sequences
    if not wanted or frames_per_sequence < 1:
        raise DataError(
            f"toycity: {len(wanted)} sequences of {frames_per_sequence} frames are no data set; "
            "expected 1 or more of each."
        )
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty. Choose an empty or a new folder for the toy city.")
    for part in ("images", *["labels"] * labels, *["flow"] * flow):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "classes.toml").write_text(CLASSES.to_toml(), encoding="utf-8")
    keys = []
    for sequence in wanted:
        for index in range(0, frames_per_sequence * step, step):
            frame = render(look, seed, sequence, index, size_HW, flow=flow, step=step)
            _write_png(folder / "images" / f"{frame.key}.png", frame.image[..., ::-1])
            if labels:
                _write_png(folder / "labels" / f"{frame.key}.png", frame.label)
            if frame.flow_px is not None:
                np.savez_compressed(folder / "flow" / f"{frame.key}.npz", flow_px=frame.flow_px)
            keys.append(frame.key)
    return tuple(keys)


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    written, data = cv2.imencode(".png", picture)
    assert written, path
    path.write_bytes(data.tobytes())
