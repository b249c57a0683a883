"""The scoring pass: one look of a network at every frame gives what selectors see; one frame in memory at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frugalseg.acquisition.view import MARGIN, SECOND, Asked, FrameView
from frugalseg.core.records import Frame
from frugalseg.data.batches import ImageCache
from frugalseg.data.masks import askable
from frugalseg.models.network import Network
from frugalseg.models.store import load_model, read_model_info
from frugalseg.training.losses import entropy_NHW
from frugalseg.training.predict import PredictConfig, Predictor

SECOND_SCALE = 0.75  # the second look is mirrored and at three quarters of the size: about half the cost of the first


@dataclass(frozen=True)
class Scorer:
    """Turns frames into views with one network; computes only those optional maps that are in `needs`."""

    network: Network
    input_hw: tuple[int, int] | None
    needs: frozenset[str] = frozenset()
    device: str = "cpu"

    def views(
        self,
        frames: Iterable[Frame],
        read: Callable[[Frame], NDArray[np.uint8]],
        asked: Mapping[str, tuple[Asked, ...]] | None = None,
    ) -> Iterator[FrameView]:
        """Yield each frame's view, in order; `asked` is what was asked before, by key."""
        look = Predictor(self.network, self.input_hw, device=self.device)
        again = Predictor(self.network, self.input_hw, PredictConfig(scales=(SECOND_SCALE,)), self.device)
        for frame in frames:
            image_HWC = read(frame)
            logits_CHW = look.logits(image_HWC)
            second_HW = None
            if SECOND in self.needs:
                mirrored_HWC = np.ascontiguousarray(image_HWC[:, ::-1])
                second_HW = np.ascontiguousarray(_classes(again.logits(mirrored_HWC))[:, ::-1])
            yield FrameView(
                key=frame.key,
                entropy_HW=entropy_NHW(logits_CHW[None])[0].cpu().numpy(),
                prediction_HW=_classes(logits_CHW),
                askable_HW=askable(frame),
                margin_HW=margin(logits_CHW).cpu().numpy() if MARGIN in self.needs else None,
                second_HW=second_HW,
                sequence=frame.sequence,
                index=frame.index,
                asked=(asked or {}).get(frame.key, ()),
            )


def views(
    model: Path,
    frames: Iterable[Frame],
    needs: frozenset[str] = frozenset(),
    asked: Mapping[str, tuple[Asked, ...]] | None = None,
) -> Iterator[FrameView]:
    """Yield the frames' views by the network of the folder `model`; see `Scorer`."""
    network, info = load_model(model), read_model_info(model)
    scorer = Scorer(network, (info["input_height"], info["input_width"]), needs)
    return scorer.views(frames, ImageCache(0).read, asked)


def margin(logits_CHW: Tensor) -> Tensor:
    """Return p1 - p2 of each pixel (H x W): 1 where the network is certain, 0 where two classes tie at the top."""
    if logits_CHW.shape[0] == 1:
        return torch.ones_like(logits_CHW[0])
    first_HW, winner_HW = logits_CHW.max(dim=0)
    others_CHW = logits_CHW.scatter(0, winner_HW[None], -torch.inf)
    total_HW = logits_CHW.logsumexp(dim=0)
    return (first_HW - total_HW).exp() - (others_CHW.amax(dim=0) - total_HW).exp()


def _classes(logits_CHW: Tensor) -> NDArray[np.uint8]:
    return logits_CHW.argmax(dim=0).to(torch.uint8).cpu().numpy()
