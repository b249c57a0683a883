"""Random crops of cycles, kept in a file until the refinement network learns from them.

Which crops training will see depends on settings alone, so they are drawn before any cycle is made: a cycle that no
crop is drawn from need not be made, and neither memory nor the number of cycles grows with the labelled frames. A
cycle's draft is kept whole where its crops would take more room. What the semantic network's last layer saw of a frame
is kept once, for all its crops.
"""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.core.errors import TrainingError
from frugalseg.propagation.inpaint import Draft
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.networks import RefineConfig
from frugalseg.propagation.refine import EDGE_REACH_PX, QUARTER, deep_features, features
from frugalseg.propagation.semantic import Guess

REACH_PX = int(EDGE_REACH_PX) + 2  # what lies farther from a crop counts nothing in it
CONSTANT = 1e-3  # spread of a feature, against its mean, below which it is the same everywhere
MAPS = ("label_HW", "warped_HW", "trusted_HW", "source_HW")
GUESSED = ("first_HW", "second_HW", "margin_HW", "sure_HW")

Part = tuple[slice, slice]


@dataclass(frozen=True)
class _Kept:
    """Where a draft, or a part of one, begins in the file, its k, the crop in it, whose, and where in the frame."""

    begin: int
    k: int
    crop: Part
    mirrored: bool
    frame: int
    place: Part


class Crops:
    """The crops of a training, in one unnamed file of `folder` that is gone at the end; a context manager.

    Args:
        folder: Where there is room: some 16 bytes a pixel of crops and their surroundings.
        frames: How many labelled frames cycles can begin with.
        config: How many cycles a frame, how many crops, how large.
    """

    def __init__(self, folder: Path, frames: int, config: RefineConfig) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed in __exit__)
        self._frames, self._config = frames, config
        self._kept: dict[int, _Kept] = {}
        self._deep: dict[int, tuple[int, tuple[int, int]]] = {}  # of a frame: where it begins, the frame's size
        self._sums: NDArray[np.float64] | None = None  # of g's features over frames: numbers, sum, sum of squares
        self._drawn: dict[int, dict[int, list[int]]] = {}
        for crop in range(config.steps * config.batch_size if frames else 0):
            frame, cycle = divmod(self._cycle(self._rng(crop)), config.cycles)
            self._drawn.setdefault(frame, {}).setdefault(cycle, []).append(crop)

    def __enter__(self) -> "Crops":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def wanted(self, frame: int) -> Collection[int]:
        """Return the numbers of a labelled frame's cycles that crops are drawn from."""
        return self._drawn.get(frame, {}).keys()

    def add(self, frame: int, cycle: int, draft: Draft, truth_HW: NDArray[np.uint8]) -> None:
        """Keep the crops of one wanted cycle: of the draft that came back, and of the label that was sent.

        Raises:
            TrainingError: the network that guesses here has another number of features than on other frames.
        """
        crops = self._drawn[frame][cycle]
        self._keep_deep(frame, draft)
        whole = len(crops) * (self._config.crop_px + 2 * REACH_PX) ** 2 >= truth_HW.size
        begin = self._write(draft, truth_HW) if whole else 0
        for crop in crops:
            rng = self._rng(crop)
            self._cycle(rng)
            part = place = self._place(rng, truth_HW.shape[0]), self._place(rng, truth_HW.shape[1])
            mirrored = bool(rng.random() < 0.5)
            if not whole:
                wide, inner = around(part)
                begin, part = self._write(cut(draft, wide), truth_HW[wide]), inner
            self._kept[crop] = _Kept(begin, draft.k, part, mirrored, frame, place)

    @property
    def deep(self) -> int:
        """Return D, how many features of g's are read; 0 without any."""
        return 0 if self._sums is None else self._sums.shape[1]

    @property
    def deep_spread(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and standard deviation of each of g's features over all frames; infinite where they are the same.

        A feature that has told nothing so far, such as one that a ReLU cuts off, is not to be listened to later.
        """
        if self._sums is None:
            return np.zeros(0, np.float32), np.ones(0, np.float32)
        count, total, squares = self._sums
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
        spread[spread < CONSTANT * (1 + np.abs(mean))] = np.inf
        return mean.astype(np.float32), spread.astype(np.float32)

    def batch(self, step: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """Return features N x F x H x W, g's N x D x h x w, and labels N x H x W of a step.

        In place of a crop whose cycle could not be made there is another one.

        Raises:
            TrainingError: no cycle could be made.
        """
        if not self._kept:
            raise TrainingError(
                f"refinement: none of {self._frames} labelled frames has a neighbour on its track that can be read, so "
                "no label can go away and come back. Give the frames around a labelled one."
            )
        size = self._config.batch_size
        found = [self._read(self._kept[self._there(step * size + slot)], classes) for slot in range(size)]
        parts, deep, truths = zip(*found, strict=True)
        return np.stack(parts), np.stack(deep), np.stack(truths)

    def _rng(self, crop: int) -> np.random.Generator:
        return generator(self._config.seed, "crop", *divmod(crop, self._config.batch_size))

    def _cycle(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self._frames * self._config.cycles))

    def _place(self, rng: np.random.Generator, length: int) -> slice:
        start = QUARTER * int(rng.integers(max(1, (length - self._config.crop_px) // QUARTER + 1)))
        return slice(start, min(length, start + self._config.crop_px))

    def _there(self, crop: int) -> int:
        """Return a crop's number, or that of one that there is."""
        if crop in self._kept:
            return crop
        others = sorted(self._kept)
        return others[int(generator(self._config.seed, "instead", crop).integers(len(others)))]

    def _keep_deep(self, frame: int, draft: Draft) -> None:
        """Keep what g's last layer saw of a frame, unless it is there, or is not to be read."""
        deep_Dhw = draft.guess.deep_Dhw
        if frame in self._deep or not self._config.deep or not len(deep_Dhw):
            return
        flat_DN = deep_Dhw.reshape(len(deep_Dhw), -1).astype(np.float64)
        numbers = np.full(len(flat_DN), float(flat_DN.shape[1]))
        sums = np.stack([numbers, flat_DN.sum(axis=1), (flat_DN**2).sum(axis=1)])
        if self._sums is not None and sums.shape != self._sums.shape:
            raise TrainingError(
                f"{draft.picture.key}: the network that guesses here has {len(flat_DN)} features, those before had "
                f"{self.deep}. Give networks of one kind, or let the refinement read none (deep = false)."
            )
        self._sums = sums if self._sums is None else self._sums + sums
        self._deep[frame] = self._file.seek(0, 2), draft.picture.size_HW
        np.save(self._file, deep_Dhw, allow_pickle=False)

    def _read_deep(self, kept: _Kept) -> NDArray[np.float32]:
        if kept.frame not in self._deep:
            return np.zeros((0, 1, 1), np.float32)
        begin, size_HW = self._deep[kept.frame]
        self._file.seek(begin)
        found: NDArray[np.float32] = deep_features(np.load(self._file, allow_pickle=False), size_HW)
        return found[:, *quarter(kept.place)]

    def _write(self, draft: Draft, truth_HW: NDArray[np.uint8]) -> int:
        """Write a draft and its label and return where they begin."""
        begin = self._file.seek(0, 2)
        maps = [getattr(draft, name) for name in MAPS] + [getattr(draft.guess, name) for name in GUESSED]
        planes = [*maps, *draft.picture.rgb_HWC.transpose(2, 0, 1), truth_HW]
        np.save(self._file, np.stack([plane.astype(np.uint8) for plane in planes]), allow_pickle=False)
        np.save(self._file, draft.error_HW, allow_pickle=False)
        return begin

    def _read(self, kept: _Kept, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """Return a crop's features, g's, and its label."""
        deep = self._read_deep(kept)
        self._file.seek(kept.begin)
        planes, error_HW = (np.load(self._file, allow_pickle=False) for _ in range(2))
        label_HW, warped_HW, trusted_HW, source_HW, *guessed = planes[: len(MAPS) + len(GUESSED)]
        picture = Picture("", np.ascontiguousarray(planes[-4:-1].transpose(1, 2, 0)))
        draft = Draft(
            picture, label_HW, warped_HW, error_HW, trusted_HW.astype(np.bool_), source_HW, Guess(*guessed), kept.k
        )
        part, truth = features_of_part(draft, kept.crop, classes), planes[-1][kept.crop]
        if kept.mirrored:
            part, deep, truth = part[:, :, ::-1], deep[:, :, ::-1], truth[:, ::-1]
        return np.ascontiguousarray(part), np.ascontiguousarray(deep), np.ascontiguousarray(truth)


def features_of_part(draft: Draft, part: Part, classes: int) -> NDArray[np.float32]:
    """Return what `features` gives of a part of a draft, without making the rest.

    They are made again for each crop: kept, they would take 25 MB a VGA draft.
    """
    wide, inner = around(part)
    found_FHW: NDArray[np.float32] = features(cut(draft, wide), classes)[:, *inner]
    return found_FHW


def quarter(part: Part) -> Part:
    """Return where a part that begins at a multiple of four lies at a quarter of the size."""
    rows, columns = (slice(one.start // QUARTER, -(-one.stop // QUARTER)) for one in part)
    return rows, columns


def around(part: Part) -> tuple[Part, Part]:
    """Return a part with what counts around it, and where it lies in that."""
    rows, columns = (slice(max(0, one.start - REACH_PX), one.stop + REACH_PX) for one in part)
    top, left = (
        slice(one.start - wide.start, one.stop - wide.start) for one, wide in zip(part, (rows, columns), strict=True)
    )
    return (rows, columns), (top, left)


def cut(draft: Draft, part: Part) -> Draft:
    """Return a part of a draft."""
    guess = Guess(*(getattr(draft.guess, name)[part] for name in GUESSED))
    maps = {name: getattr(draft, name)[part] for name in (*MAPS, "error_HW")}
    picture = Picture(draft.picture.key, draft.picture.rgb_HWC[part])
    return replace(draft, picture=picture, guess=guess, agreed_HW=None, warped_source_HW=None, **maps)
