"""A generated world of a few tiny frames in two looks and a tiny network, for tests that train.

Loaded by the fixture `tiny_city` and, by its path, by the worker of the kill tests.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from frugalseg.core.chance import generator
from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.records import Frame, PartialLabel, Provenance, Region
from frugalseg.data.batches import FramePool, human_masks
from frugalseg.models.network import Network, Normalization
from frugalseg.training.domain_data import DomainData, Human, write_partial

SKY, BUILDING, ROAD, SIGN = range(4)
COLORS = ((120, 160, 220), (110, 90, 80), (70, 70, 75), (220, 60, 40))
CLASSES = ClassSet(
    "tiny", tuple(SemanticClass(name, COLORS[c], (c,)) for c, name in enumerate(("sky", "building", "road", "sign")))
)
SIZE_HW = (24, 32)
LOOKS = {"simulator": (1.0, 6.0), "street": (0.7, 14.0)}  # brightness, noise
SETTINGS = {"steps": 4, "batch_size": 2, "height": 16, "width": 24, "save_every": 2, "log_every": 1, "lr": 0.01}


def draw(look: str, seed: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return image (H x W x 3) and label (H x W) of one frame."""
    rng = generator(seed, look, index)
    label = np.full(SIZE_HW, BUILDING, np.uint8)
    label[: rng.integers(5, 9)] = SKY
    label[rng.integers(14, 19) :] = ROAD
    row, column = rng.integers(8, 14), rng.integers(2, 28)
    label[row : row + 3, column : column + 2] = SIGN
    brightness, noise = LOOKS[look]
    image = np.array(COLORS, float)[label] * brightness + rng.normal(0, noise, (*SIZE_HW, 3))
    label[rng.random(SIZE_HW) < 0.02] = IGNORE
    return image.clip(0, 255).astype(np.uint8), label


def write_frames(folder: Path, look: str, count: int, seed: int = 0) -> tuple[Frame, ...]:
    """Write images and labels as PNG and return their frames."""
    frames = []
    for index in range(count):
        key = f"{look}_{index}"
        image, label = (str(folder / look / kind / f"{key}.png") for kind in ("images", "labels"))
        for path, array in zip((image, label), draw(look, seed, index), strict=True):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
        frames.append(Frame(key, image, label, look, index, "train", SIZE_HW[1], SIZE_HW[0], ""))
    return tuple(frames)


def read_label(frame: Frame) -> NDArray[np.uint8]:
    assert frame.label is not None
    return np.array(Image.open(frame.label))


class Body(nn.Module):
    """Two strided convolutions with BatchNorm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.Dropout2d(0.1))
        self.head = nn.Conv2d(8, len(CLASSES), 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.middle(self.encoder(images)).relu()
        return self.head(features), features


class TwoOutputs(Body):
    """The same with an auxiliary output on the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.aux_head = nn.Conv2d(8, len(CLASSES), 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        early = self.encoder(images)
        features = self.middle(early).relu()
        return self.head(features), features, self.aux_head(early)


def network(seed: int = 0, body: type[Body] = Body) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(body(), "tiny", CLASSES, 3, 2, Normalization())


def domain_data(folder: Path, human: bool = True, count: int = 5) -> DomainData:
    """Return both domains; people answered up to ten points in the left half of every target frame."""
    source, target = (write_frames(folder, look, count) for look in LOOKS)
    for frame in target:
        label, provenance = np.full(SIZE_HW, IGNORE, np.uint8), np.zeros(SIZE_HW, np.uint8)
        rng = generator(0, "points", frame.key)
        rows, columns = rng.integers(0, SIZE_HW[0], 10), rng.integers(0, SIZE_HW[1] // 2, 10)
        label[rows, columns] = read_label(frame)[rows, columns]
        provenance[label != IGNORE] = Provenance.HUMAN_POINT
        write_partial(folder / "answers", PartialLabel(frame.key, label, provenance))
    cell = Region(0, 0, SIZE_HW[0], SIZE_HW[1] // 2)
    return DomainData(
        FramePool(source, human_masks(read_label)),
        FramePool(target),
        sum(np.bincount(read_label(frame).ravel(), minlength=256)[:4] for frame in source).astype(np.int64),
        Human(folder / "answers", {frame.key: (cell,) for frame in target}) if human else None,
        network(seed=1),
    )


def fabric(precision: str = "32-true") -> Fabric:
    return Fabric(accelerator="cpu", devices=1, precision=precision)  # type: ignore[arg-type]


def weights(trained: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of everything the network holds, to be compared bit for bit."""
    return {name: value.clone() for name, value in trained.state_dict().items()}


def same_weights(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
