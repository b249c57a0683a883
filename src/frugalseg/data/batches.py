"""Endless source and target batches whose content is a pure function of (seed, step, rank, slot).

Nothing here remembers anything between steps, so mid-epoch state is one integer and any number of loading threads gives
the same batches.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import read_label_png
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import Frame, Provenance
from frugalseg.data.pixels import read_frame
from frugalseg.data.rare_classes import RareClassSampler, Wish
from frugalseg.data.transforms import AugmentConfig, Labels, Window, augment, draw_view

LabelSource = Callable[[Frame], Labels]
TRIES = 10  # windows of a frame that are looked at for the class it was drawn for (DAFormer's number)


@dataclass(frozen=True)
class DomainBatch:
    """What one training step sees. Images N x C x h x w float32 in [0, 1]; labels N x h x w int64, provenance uint8.

    `selected` are target frames that people labelled, for methods that draw them apart from the others. Confidence
    (uint8, 255ths) is there where labels were spread through video.
    """

    step: int
    source_images: torch.Tensor | None = None
    source_labels: torch.Tensor | None = None
    target_images: torch.Tensor | None = None
    target_labels: torch.Tensor | None = None
    target_provenance: torch.Tensor | None = None
    target_confidence: torch.Tensor | None = None
    selected_images: torch.Tensor | None = None
    selected_labels: torch.Tensor | None = None
    selected_provenance: torch.Tensor | None = None
    selected_confidence: torch.Tensor | None = None
    keys: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "DomainBatch":
        """Return the batch on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        moved: dict[str, Any] = {name: value.to(device, non_blocking=True) for name, value in tensors.items()}
        return replace(self, **moved)


class ImageCache:
    """Decoded frames, least recently used out first, at most `limit_bytes` of them."""

    def __init__(self, limit_bytes: int = 1 << 30) -> None:
        self._limit_bytes, self._held_bytes = limit_bytes, 0
        self._frames: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    def read(self, frame: Frame) -> NDArray[np.uint8]:
        """Return the frame's image, H x W x C uint8 (16-bit images lose their low byte here).

        Raises:
            ImageFileError: it is missing, damaged, or no longer the file or the size that the manifest says.
        """
        with self._lock:
            if frame.key in self._frames:
                self._frames.move_to_end(frame.key)
                return self._frames[frame.key]
        image = read_frame(frame)
        with self._lock:
            if frame.key not in self._frames and image.nbytes <= self._limit_bytes:
                self._frames[frame.key] = image
                self._held_bytes += image.nbytes
            while self._held_bytes > self._limit_bytes:
                self._held_bytes -= self._frames.popitem(last=False)[1].nbytes
        return image


@dataclass(frozen=True)
class FramePool:
    """Frames of one domain and where their labels come from (None: unlabelled)."""

    frames: tuple[Frame, ...]
    labels: LabelSource | None = None
    cache: ImageCache = field(default_factory=ImageCache, repr=False, compare=False)

    def with_labels(self, labels: LabelSource) -> "FramePool":
        """Return the same frames with other labels; decoded images are shared."""
        return FramePool(self.frames, labels, self.cache)


class PartialLabelFolder:
    """Reads what `core.records.PartialLabel` is on disk: `labels/<key>.png` and `provenance/<key>.png`.

    And how sure each pixel is, in 255ths, where there is a `confidence/<key>.png`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, frame: Frame) -> Labels:
        """Return label and provenance of a frame, and its confidence where there is one."""
        sure = self.folder / "confidence" / f"{frame.key}.png"
        paths = [self.folder / kind / f"{frame.key}.png" for kind in ("labels", "provenance")]
        return tuple(read_label_png(path) for path in (*paths, *([sure] if sure.is_file() else [])))


def human_masks(read_label: Callable[[Frame], NDArray[np.uint8]]) -> LabelSource:
    """Return a label source for frames that people labelled in full."""

    def read(frame: Frame) -> Labels:
        label = read_label(frame)
        return label, np.where(label == IGNORE, Provenance.UNKNOWN, Provenance.HUMAN_MASK).astype(np.uint8)

    return read


@dataclass(frozen=True)
class Mixture:
    """Frames drawn in between others: `ratio` of all draws are from `pool` (0 to 1)."""

    pool: FramePool
    ratio: float


@dataclass(frozen=True)
class Mining:
    """Hard-sample mining: with `ratio` a target window is centred on a pixel labelled with one of `classes`."""

    classes: tuple[int, ...]
    ratio: float


class DomainBatches:
    """Batches of `size` source and `size` target frames at `input_hw`, and as many selected ones where there are any.

    Frames come in an order that shows each once an epoch; with `rare` some source frames are drawn by class instead.
    Among the selected ones `mixture` draws others, evenly: of n draws floor(n x ratio) are its, each pool in an order
    of its own.

    Raises:
        TrainingError: a pool without frames, or no pool at all.
    """

    def __init__(
        self,
        source: FramePool | None,
        target: FramePool | None,
        *,
        size: int,
        input_hw: tuple[int, int],
        seed: int,
        augment_config: AugmentConfig,
        mining: Mining | None = None,
        rare: RareClassSampler | None = None,
        selected: FramePool | None = None,
        mixture: Mixture | None = None,
        rank: int = 0,
        world: int = 1,
        threads: int = 1,
    ) -> None:
        others = mixture.pool if mixture else None
        pools = [pool for pool in (source, target, selected, others) if pool is not None]
        if not pools or not all(pool.frames for pool in pools):
            raise TrainingError("There are no frames to train on. Check --source and --target with `frugalseg check`.")
        self._source, self._target, self._selected, self._mixture = source, target, selected, mixture
        self._size, self._input_hw, self._seed = size, input_hw, seed
        self._augment, self._mining, self._rare = augment_config, mining, rare
        self._target_augment = augment_config.for_target()
        self._rank, self._world, self._threads = rank, world, threads

    def batch(self, step: int) -> DomainBatch:
        """Return the batch of one step; the same step always gives the same batch."""
        source = self._draw(self._source, "source", step)
        target = self._draw(self._target, "target", step)
        selected = self._draw(self._selected, "selected", step)
        return DomainBatch(
            step=step,
            source_images=source.images,
            source_labels=source.labels,
            target_images=target.images,
            target_labels=target.labels,
            target_provenance=target.provenance,
            target_confidence=target.confidence,
            selected_images=selected.images,
            selected_labels=selected.labels,
            selected_provenance=selected.provenance,
            selected_confidence=selected.confidence,
            keys=source.keys + target.keys + selected.keys,
        )

    def stream(self, start: int, stop: int) -> Iterator[DomainBatch]:
        """Yield the batches of steps start … stop-1, the next ones being prepared in the background."""
        with ThreadPoolExecutor(self._threads) as pool:
            waiting: list[Future[DomainBatch]] = []
            try:
                for step in range(start, stop):
                    ahead = min(stop, step + 1 + self._threads)
                    waiting += [pool.submit(self.batch, later) for later in range(step + len(waiting), ahead)]
                    yield waiting.pop(0).result()
            finally:
                for future in waiting:
                    future.cancel()

    def _draw(self, pool: FramePool | None, domain: str, step: int) -> "_Side":
        if pool is None:
            return _Side()
        images, every, keys = [], [], []
        vary = self._augment if domain == "source" else self._target_augment
        for slot in range(self._size):
            wish = self._rare.draw(step, self._rank, slot) if self._rare and domain == "source" else None
            drawn, number = (pool, wish.frame) if wish else self._next(pool, domain, step, slot)
            frame = drawn.frames[number]
            maps = drawn.labels(frame) if drawn.labels else None
            rng = self._generator((domain, step, self._rank, slot), maps, wish)
            centre = mining_centre(maps[0], self._mining, rng) if maps and domain == "target" else None
            image, seen = augment(drawn.cache.read(frame), maps, self._input_hw, vary, rng, centre)
            images.append(image)
            keys.append(frame.key)
            every.append((seen[0].long(), *seen[1:]) if seen else seen)
        return _Side(tuple(keys), torch.stack(images), *(torch.stack(kind) for kind in zip(*every, strict=True)))

    def _generator(
        self, place: tuple[str, int, int, int], maps: Labels | None, wish: Wish | None
    ) -> np.random.Generator:
        """Return the generator of one sample: the first whose window grants the wish, or the last that was tried."""
        names = (self._seed, "augment", *place)
        if wish is None or maps is None:
            return generator(*names)
        for attempt in range(TRIES):
            window = draw_view(_size(maps[0]), self._input_hw, self._augment, generator(*names, attempt))
            if class_share(maps[0], window, wish.class_id) >= wish.share:
                break
        return generator(*names, attempt)

    def _next(self, pool: FramePool, domain: str, step: int, slot: int) -> tuple[FramePool, int]:
        """Return which frame comes next: an endless run through permutations, one an epoch of its pool."""
        position = (step * self._world + self._rank) * self._size + slot
        if self._mixture and domain == "selected":
            others, other = (math.floor(count * self._mixture.ratio) for count in (position, position + 1))
            if other > others:
                pool, domain, position = self._mixture.pool, "mixture", others
            else:
                position -= others
        count = len(pool.frames)
        return pool, int(_permutation(self._seed, domain, position // count, count)[position % count])


@dataclass(frozen=True)
class _Side:
    keys: tuple[str, ...] = ()
    images: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    provenance: torch.Tensor | None = None
    confidence: torch.Tensor | None = None


@lru_cache(maxsize=16)
def _permutation(seed: int, domain: str, epoch: int, count: int) -> NDArray[np.int64]:
    return generator(seed, "order", domain, epoch).permutation(count)


def _size(label_HW: NDArray[np.uint8]) -> tuple[int, int]:
    return label_HW.shape[0], label_HW.shape[1]


def class_share(label_HW: NDArray[np.uint8], window: Window, class_id: int) -> float:
    """Return the share of a window's pixels that have a class; what lies outside of the frame has none."""
    bottom, right = window.top + window.height, window.left + window.width
    inside = label_HW[max(0, window.top) : max(0, bottom), max(0, window.left) : max(0, right)]
    return float((inside == class_id).sum() / (window.height * window.width))


def mining_centre(
    label_HW: NDArray[np.uint8], mining: Mining | None, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return a pixel of a rare class to centre the window on, or None where there is none or chance says no."""
    if mining is None or rng.random() >= mining.ratio:
        return None
    flat = np.flatnonzero(np.isin(label_HW, mining.classes))
    if not flat.size:
        return None
    row, column = divmod(int(rng.choice(flat)), label_HW.shape[1])
    return row, column
