"""The scoring pass for selectors of whole images: one look of a network at every frame, one frame in memory at a time.

Frames are seen at the size that the network was trained for; nothing is brought to the frames' own size.
"""

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from frugalseg.acquisition.images import LIKENESS, VECTORS, ImageView
from frugalseg.core.anchors import ImageVectors
from frugalseg.core.classes import IGNORE
from frugalseg.core.records import Frame
from frugalseg.data.masks import askable
from frugalseg.models.network import Network, Outputs
from frugalseg.training.discriminators import SavedDiscriminator
from frugalseg.training.image_vectors import LEAST_PX, image_vectors
from frugalseg.training.losses import entropy_NHW
from frugalseg.training.predict import Predictor

Read = Callable[[Frame], NDArray[np.uint8]]


@dataclass(frozen=True)
class ImageScorer:
    """Turns frames into views with one network; computes only what is in `needs`.

    Pixels of the camera's own car have no entropy and no class.
    """

    network: Network
    input_hw: tuple[int, int] | None
    needs: frozenset[str] = frozenset()
    discriminator: SavedDiscriminator | None = None
    device: str = "cpu"

    def views(self, frames: Iterable[Frame], read: Read, asked: Set[str] = frozenset()) -> Iterator[ImageView]:
        """Yield each frame's view, in order; `asked` holds the keys of frames that people labelled before."""
        predictor = Predictor(self.network, self.input_hw, device=self.device)
        for frame in frames:
            outputs = predictor.outputs(read(frame))
            vectors_CF = present_C = likeness_01 = None
            usable_HW = _usable(frame, outputs)
            if VECTORS in self.needs:
                predicted_NHW = outputs.logits.argmax(dim=1)
                if usable_HW is not None:
                    predicted_NHW = predicted_NHW.masked_fill(~usable_HW, IGNORE)
                vectors_CF, present_C = _vectors(self.network, outputs, predicted_NHW)
            if LIKENESS in self.needs and self.discriminator is not None:
                likeness_01 = float(self.discriminator.likeness(outputs.logits)[0])
            yield ImageView(
                key=frame.key,
                entropy_01=_mean_entropy(outputs, usable_HW),
                sequence=frame.sequence,
                index=frame.index,
                asked=frame.key in asked,
                vectors_CF=vectors_CF,
                present_C=present_C,
                likeness_01=likeness_01,
            )

    def source(
        self,
        frames: Iterable[Frame],
        read: Read,
        truth: Read,
        right_only: bool = False,
        say: Callable[[int], None] = lambda number: None,
    ) -> ImageVectors:
        """Return the vectors of labelled frames by their ground truth; `say` is told how many are done."""
        predictor = Predictor(self.network, self.input_hw, device=self.device)
        keys: list[str] = []
        found: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
        for frame in frames:
            truth_1HW = torch.from_numpy(truth(frame).astype(np.int64)).to(self.device)[None]
            found.append(_vectors(self.network, predictor.outputs(read(frame)), truth_1HW, right_only))
            keys.append(frame.key)
            say(len(keys))
        vectors, present = zip(*found, strict=True)
        return ImageVectors(tuple(keys), np.stack(vectors), np.stack(present))


def _vectors(
    network: Network, outputs: Outputs, labels_1HW: Tensor, right_only: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    means = image_vectors(network, outputs, labels_1HW, LEAST_PX, right_only)
    return means.vectors[0].cpu().numpy(), means.present[0].cpu().numpy()


def _usable(frame: Frame, outputs: Outputs) -> Tensor | None:
    """Return where a frame may be learned from at the view's size, or None for everywhere."""
    usable_HW = askable(frame)
    if usable_HW is None:
        return None
    whole = torch.from_numpy(usable_HW.astype(np.float32))[None, None].to(outputs.logits.device)
    return functional.interpolate(whole, outputs.logits.shape[-2:], mode="nearest-exact")[0, 0] > 0


def _mean_entropy(outputs: Outputs, usable_HW: Tensor | None) -> float:
    """Return the mean over the usable pixels; 0 where none is."""
    entropy_HW = entropy_NHW(outputs.logits.float())[0]
    values = entropy_HW if usable_HW is None else entropy_HW[usable_HW]
    return float(values.double().mean()) if values.numel() else 0.0
