"""Training of the reconstruction network on neighbouring frames of the user's own video; no label is looked at.

Both ways of a pair are learned together: what is hidden from one shows where the other does not lead home. Until a
quarter of the steps is done only what is out of view is left out: before, no way leads home anywhere.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frugalseg.core.chance import generator, seed_for
from frugalseg.core.errors import TrainingError
from frugalseg.propagation.motion import Motion, Picture, check_sizes
from frugalseg.propagation.networks import SdcConfig
from frugalseg.propagation.sdc_loss import loss_of
from frugalseg.propagation.sdc_net import Reconstructor

UNCHECKED = 0.25  # of the steps


@dataclass(frozen=True, eq=False)
class Pair:
    """A crop of two neighbouring frames, P x P x 3 uint8, and the flows there and back that are to be mended."""

    pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    flows: tuple[NDArray[np.float16], NDArray[np.float16]]


def crops(neighbours: Iterable[tuple[Picture, Picture]], start: Motion | None, config: SdcConfig) -> list[Pair]:
    """Return a random crop of each pair of frames: of them alone memory is needed, however large the frames are.

    Raises:
        DataError: two neighbours differ in size.
    """
    pairs = []
    for number, (one, other) in enumerate(neighbours):
        check_sizes(one, other)
        rng = generator(config.seed, "crop", number)
        part = tuple(
            slice(begin := int(rng.integers(max(1, length - config.sdc_crop_px + 1))), begin + config.sdc_crop_px)
            for length in one.size_HW
        )
        ways = ((one, other), (other, one))
        flows = [np.zeros((*one.size_HW, 2), np.float32) if start is None else start.flow(*way).px_HW2 for way in ways]
        there, back = (flow[part].astype(np.float16) for flow in flows)
        pairs.append(Pair((one.rgb_HWC[part].copy(), other.rgb_HWC[part].copy()), (there, back)))
    return pairs


def train_sdc(pairs: Sequence[Pair], config: SdcConfig) -> Reconstructor:
    """Return a network trained on crops; the same arguments give the same weights.

    Raises:
        TrainingError: there is no pair, their sizes differ, or the loss is no longer finite.
    """
    sizes = {pair.pictures[0].shape[:2] for pair in pairs}
    if len(sizes) != 1:
        raise TrainingError(
            f"sdc: {len(pairs)} pairs of neighbouring frames to learn motion from, of sizes {sorted(sizes)} (height x "
            f"width); expected at least one, of one size. Give consecutive frames, or sdc_crop_px below {min(sizes)}."
            if sizes
            else "sdc: no two neighbouring frames can be read and show one scene, so there is no motion to learn. Give "
            "consecutive frames, or a smaller cut_share."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(config.seed, "sdc"))
        network = Reconstructor(config.sdc_channels, config.sdc_levels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.sdc_lr, weight_decay=1e-4)
    network.train()
    for step in range(config.sdc_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.sdc_lr * (1 + math.cos(math.pi * step / config.sdc_steps)) / 2
        images, flows = _batch(pairs, config, step)
        found = network(images, images.flip(0), flows)
        backs = [flow.detach().flip(0) for flow in found]
        checked = step >= UNCHECKED * config.sdc_steps
        loss = loss_of(images, images.flip(0), found, backs, config.sdc_smoothness, checked)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"sdc: the loss is {float(loss.detach())} at step {step} of {config.sdc_steps}. Lower sdc_lr."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()


def _batch(pairs: Sequence[Pair], config: SdcConfig, step: int) -> tuple[Tensor, Tensor]:
    """Return images and flows to mend of a step, mirrored half the time: reversed, they are the other way's."""
    rng = generator(config.seed, "batch", step)
    chosen = [pairs[int(number)] for number in rng.integers(len(pairs), size=config.sdc_batch_size)]
    ways = [(pair, 0) for pair in chosen] + [(pair, 1) for pair in reversed(chosen)]
    images = torch.from_numpy(np.stack([pair.pictures[way] for pair, way in ways])).permute(0, 3, 1, 2).float() / 255
    flows = torch.from_numpy(np.stack([pair.flows[way] for pair, way in ways])).permute(0, 3, 1, 2).float()
    if rng.random() < 0.5:
        return images.flip(3), flows.flip(3) * torch.tensor([-1.0, 1.0])[:, None, None]
    return images, flows
