"""What a method is given: the frames of both domains, with labels where there are any."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import Frame, PartialLabel, Provenance, Region
from frugalseg.data.batches import DomainBatches, FramePool, Mining, Mixture
from frugalseg.data.masks import askable
from frugalseg.data.partial import write_partial as write_partial  # methods write pseudo-labels with it
from frugalseg.data.rare_classes import RareClassSampler
from frugalseg.models.network import Network, upsample
from frugalseg.training.image_vectors import Means, image_vectors
from frugalseg.training.predict import Predictor
from frugalseg.training.settings import TrainConfig


@dataclass(frozen=True)
class Human:
    """People's answers: a folder of partial labels, and the cells each frame was asked about (none if in full).

    `confusion_CC`, where it was measured, says how often each class (row) is answered as each (column).
    """

    labels: Path
    cells: dict[str, tuple[Region, ...]]
    confusion_CC: NDArray[np.float64] | None = None

    def need_confusion(self, method: str) -> list[list[float]]:
        """Return `confusion_CC` row by row.

        Raises:
            TrainingError: it was not measured, and `method` corrects for it.
        """
        if self.confusion_CC is None:
            raise TrainingError(
                f"{method}: nothing was measured of those who gave the answers in {self.labels.parent}; `frugalseg "
                "label` does so where people answer in the browser.\nWithout it set human_loss = forward, with "
                "human_wrong_rate or human_confusion."
            )
        rows: list[list[float]] = self.confusion_CC.tolist()
        return rows


@dataclass(frozen=True)
class Propagated:
    """Labels spread through the target's video: a folder of partial labels, with `confidence/KEY.png` beside them.

    `steps` says, by key, how far away the nearest frame is that was labelled as a whole; frames that only points came
    to are not in it. In `pictures`, where there is such a folder, lies what to look at instead of the frames: labelled
    pictures warped with their labels.
    """

    labels: Path
    steps: dict[str, int]
    pictures: Path | None = None


@dataclass(frozen=True)
class DomainData:
    """Source frames with labels, target frames without, and people's answers on the target where there are any.

    `pixels_C` are the labelled source pixels of each class; `teacher` is the network of the stage before, which gives
    pseudo-labels (it may be the very network that is to learn: take its predictions first); `pretrained` builds the
    network as it is before it learns anything, where its trunk has pretrained weights.
    """

    source: FramePool | None
    target: FramePool | None
    pixels_C: NDArray[np.int64] | None = None
    human: Human | None = None
    teacher: Network | None = None
    pretrained: Callable[[], Network] | None = None
    propagated: Propagated | None = None

    def need_source(self, method: str) -> FramePool:
        """Return the source frames.

        Raises:
            TrainingError: there are none, and `method` learns from them.
        """
        if self.source is None or self.pixels_C is None:
            raise TrainingError(f"{method} learns from a labelled source. Start the project with --source SPEC.")
        return self.source

    def need_target(self, method: str) -> FramePool:
        """Return the target frames.

        Raises:
            TrainingError: there are none, and `method` learns from them.
        """
        if self.target is None:
            raise TrainingError(f"{method} learns from target images. Start the project with --target SPEC.")
        return self.target

    def need_human(self, method: str) -> Human:
        """Return people's answers.

        Raises:
            TrainingError: there are none, and `method` learns from them.
        """
        if self.human is None:
            raise TrainingError(f"{method} learns from people's answers. Run `frugalseg select` and `label` first.")
        return self.human

    def need_teacher(self, method: str) -> Network:
        """Return the network of the stage before.

        Raises:
            TrainingError: there is none.
        """
        if self.teacher is None:
            raise TrainingError(
                f"{method} starts from an adapted network. Run `frugalseg adapt` first, or give --start."
            )
        return self.teacher


def batches(
    config: TrainConfig,
    source: FramePool | None,
    target: FramePool | None,
    mining: Mining | None = None,
    rare: RareClassSampler | None = None,
    selected: FramePool | None = None,
    mixture: Mixture | None = None,
) -> DomainBatches:
    """Return the batches that a method's settings ask for."""
    return DomainBatches(
        source,
        target,
        size=config.batch_size,
        input_hw=config.input_hw,
        seed=config.seed,
        augment_config=config,
        mining=mining,
        rare=rare,
        selected=selected,
        mixture=mixture,
        threads=config.loader_threads,
    )


def predictions(
    network: Network, pool: FramePool, config: TrainConfig, device: torch.device
) -> Iterator[tuple[Frame, torch.Tensor]]:
    """Yield every frame of a pool with its logits, C x H x W at the frame's size."""
    return Predictor(network, config.input_hw, device=device).frames(pool.frames, pool.cache.read)


def looks(
    network: Network, pool: FramePool, config: TrainConfig, device: torch.device, least_px: int
) -> Iterator[tuple[Frame, torch.Tensor, Means]]:
    """Yield every frame of a pool with its logits, C x H x W at the frame's size, and its image vector, from one look.

    The vector is made of the classes that the network predicts (MADA, equation 4); the camera's own car is left out.
    """
    predictor = Predictor(network, config.input_hw, device=device)
    for frame in pool.frames:
        outputs = predictor.outputs(pool.cache.read(frame))
        logits_CHW = upsample(outputs.logits.float(), (frame.height, frame.width))[0]
        label_1HW = torch.from_numpy(sure_classes(logits_CHW, frame))[None].to(device)
        yield frame, logits_CHW, image_vectors(network, outputs, label_1HW, least_px)


def sure_classes(logits_CHW: torch.Tensor, frame: Frame, threshold: float = 0.0) -> NDArray[np.uint8]:
    """Return the predicted classes; IGNORE where their probability is below `threshold`, and on the own car."""
    classes_HW = logits_CHW.argmax(dim=0)
    if threshold:
        classes_HW.masked_fill_(logits_CHW.float().softmax(dim=0).amax(dim=0) < threshold, IGNORE)
    return without_own_car(classes_HW.to(torch.uint8).cpu().numpy(), frame)


def write_pseudo_label(folder: Path, frame: Frame, label_HW: NDArray[np.uint8]) -> None:
    """Write a label that a network gave as a partial label; IGNORE is unknown."""
    provenance_HW = np.where(label_HW == IGNORE, Provenance.UNKNOWN, Provenance.PSEUDO_LABEL).astype(np.uint8)
    write_partial(folder, PartialLabel(frame.key, label_HW, provenance_HW))


def input_images(config: TrainConfig, pool: FramePool, count: int) -> Iterator[torch.Tensor]:
    """Yield `count` frames (or all), drawn once from the seed and seen plainly, in full batches at the input's size."""
    order = generator(config.seed, "statistics").permutation(len(pool.frames))[:count]
    no_change = {"flip_ratio": 0.0, "color_jitter": 0.0, "hue_jitter": 0.0, "blur_ratio": 0.0}
    plain = config.model_copy(update={"zoom_min": 1.0, "zoom_max": 1.0, **no_change})
    drawn = FramePool(tuple(pool.frames[int(index)] for index in order), cache=pool.cache)
    stream = batches(plain, None, drawn)
    for step in range(max(1, len(drawn.frames) // config.batch_size)):
        images = stream.batch(step).target_images
        assert images is not None  # the pool is the target
        yield images


def without_own_car(label_HW: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Return the label with IGNORE where the frame's mask shows the camera's own car."""
    usable_HW = askable(frame)
    return label_HW if usable_HW is None else np.where(usable_HW, label_HW, np.uint8(IGNORE))
