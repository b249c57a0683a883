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
                seen_HW = top_two(again.logits(mirrored_HWC))[0].cpu().numpy()
                second_HW = np.ascontiguousarray(seen_HW[:, ::-1])
            class_HW, *best = top_two(logits_CHW)
            yield FrameView(
                key=frame.key,
                entropy_HW=entropy_NHW(logits_CHW[None])[0].cpu().numpy(),
                prediction_HW=class_HW.cpu().numpy(),
                askable_HW=askable(frame),
                margin_HW=margin(logits_CHW, *best).cpu().numpy() if MARGIN in self.needs else None,
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


def top_two(logits_CHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each pixel's best class (uint8; the first of equals), its logit, and the second best class's logit.

    All H x W; without a second class its logit is -inf. Class by class: a reduction over the slowest axis takes a CPU
    five times as long.
    """
    first_HW = logits_CHW[0].clone()
    second_HW = torch.full_like(first_HW, -torch.inf)
    class_HW = torch.zeros_like(first_HW, dtype=torch.uint8)
    for class_id, logit_HW in enumerate(logits_CHW[1:], 1):
        torch.maximum(class_HW, (logit_HW > first_HW).to(torch.uint8).mul_(class_id), out=class_HW)
        torch.maximum(second_HW, torch.minimum(first_HW, logit_HW), out=second_HW)
        torch.maximum(first_HW, logit_HW, out=first_HW)
    return class_HW, first_HW, second_HW


def margin(logits_CHW: Tensor, first_HW: Tensor, second_HW: Tensor) -> Tensor:
    """Return p1 - p2 of each pixel (H x W): 1 where the network is certain, 0 where two classes tie at the top."""
    total_HW = logits_CHW.logsumexp(dim=0)
    return (first_HW - total_HW).exp_() - (second_HW - total_HW).exp_()
