"""What an ordinary prediction pass can tell of a frame besides its classes: confidence, entropy, features, light."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from frugalseg.core.records import Frame
from frugalseg.data.batches import ImageCache
from frugalseg.evaluation.domain_sample import FrameSummary, light_of
from frugalseg.models.network import Network, Outputs
from frugalseg.models.store import load_model, read_model_info
from frugalseg.training.losses import entropy_NHW
from frugalseg.training.predict import PredictConfig, Predictor


@dataclass(frozen=True, eq=False)
class Look:
    """A frame as the network sees it: class ids, their probability and the normalised entropy of each pixel."""

    frame: Frame
    prediction_HW: NDArray[np.uint8]
    confidence_HW: NDArray[np.float32]
    entropy_HW: NDArray[np.float32]
    summary: FrameSummary


class Viewer:
    """A model of a folder, ready to look at one frame after the other.

    The features of a summary are the mean over the grid of what the last 1x1 convolution sees, averaged over views and
    tiles; of a network that shows no features, the mean logits.
    """

    def __init__(self, model: Path, config: PredictConfig) -> None:
        info, network = read_model_info(model), load_model(model)
        self.classes = network.classes
        self._predictor = Predictor(network, (info["input_height"], info["input_width"]), config)
        self._cache = ImageCache(0)
        self._pooled: list[torch.Tensor] = []
        network.register_forward_hook(self._pool)

    def look(self, frame: Frame) -> Look:
        """Predict a frame.

        Raises:
            ImageFileError: its image cannot be read.
        """
        image_HWC = self._cache.read(frame)
        self._pooled.clear()
        logits_CHW = self._predictor.logits(image_HWC)
        confidence_HW = logits_CHW.softmax(dim=0).amax(dim=0).cpu().numpy()
        entropy_HW = entropy_NHW(logits_CHW[None])[0].cpu().numpy()
        ids = logits_CHW.argmax(dim=0).cpu().numpy().astype(np.uint8)
        summary = FrameSummary(
            key=frame.key,
            sequence=frame.sequence,
            features=torch.stack(self._pooled).mean(dim=0).numpy(),
            entropy=float(entropy_HW.mean(dtype=np.float64)),
            shares=(np.bincount(ids.ravel(), minlength=len(self.classes)) / ids.size).astype(np.float32),
            light=light_of(image_HWC),
        )
        return Look(frame, ids, confidence_HW, entropy_HW, summary)

    def _pool(self, _: Network, __: object, outputs: Outputs) -> None:
        shown_NFhw = outputs.logits if outputs.features is None else outputs.features
        self._pooled.append(shown_NFhw.detach().float().mean(dim=(0, 2, 3)).cpu())
