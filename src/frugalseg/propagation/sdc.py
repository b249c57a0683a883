"""The reconstruction network as a motion source: see `sdc_net.py` (network), `sdc_loss.py` and `train_sdc.py`."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frugalseg.core.files import file_hash
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.motion import Motion, Picture, check_sizes
from frugalseg.propagation.networks import SDC
from frugalseg.propagation.sdc_net import Reconstructor
from frugalseg.propagation.stored import load_network, save_network


class Sdc:
    """A trained network in a folder that mends the motion `start` finds (None: it begins with no motion).

    Raises:
        ModelError: there is none, or it is damaged.
    """

    def __init__(self, folder: Path, start: Motion | None) -> None:
        self._network = load_network(folder, SDC, lambda sizes: Reconstructor(sizes["channels"], sizes["levels"]))
        self._hash, self._start = file_hash(folder / f"{SDC}.safetensors"), start

    @property
    def identity(self) -> str:
        """The hash of the weights, and what it starts from."""
        return f"sdc {self._hash} from {self._start.identity if self._start is not None else 'still'}"

    @torch.no_grad()
    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        """Return the flow target → source, mended from `start` where one is given.

        Raises:
            DataError: the pictures differ in size.
        """
        check_sizes(target, source)
        if start is None:
            start = Flow.still(target.size_HW) if self._start is None else self._start.flow(target, source)
        images = [_tensor(picture.rgb_HWC) / 255 for picture in (target, source)]
        return Flow.of(self._network(*images, _tensor(start.px_HW2))[-1][0].permute(1, 2, 0).numpy())


def save_sdc(folder: Path, network: Reconstructor) -> None:
    """Write a trained network for `Sdc`."""
    save_network(folder, SDC, network, {"channels": network.channels, "levels": network.levels})


def _tensor(array_HWC: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array_HWC)).permute(2, 0, 1)[None].float()
