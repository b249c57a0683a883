"""Training of the refinement network Ω by cycles: section 3.4 of Warp-Refine Propagation.

A labelled frame's label goes l frames away and back, by warp-inpaint both ways; Ω learns to turn what comes back into
what was sent. l is drawn from 1 to 6. The weakness the paper leaves: each cycle ends by inpainting with g on a frame
that g was trained on, so the noise is too small. Hence a frame's cycles use a g that never saw it.
"""

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from frugalseg.core.chance import generator, seed_for
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.propagation.chain import Anchor
from frugalseg.propagation.cycle_crops import Crops
from frugalseg.propagation.inpaint import Draft, InpaintConfig, cycle
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.networks import RefineConfig
from frugalseg.propagation.refine import Refiner
from frugalseg.propagation.semantic import Semantic


def make_cycles(
    video: Sequence[Picture],
    number: int,
    label_HW: NDArray[np.uint8],
    neighbours: Neighbours,
    semantic: Semantic,
    inpaint: InpaintConfig,
    config: RefineConfig,
    wanted: Collection[int],
) -> Iterator[tuple[int, Draft]]:
    """Yield drafts of a labelled frame that came back, each with its cycle's number; none if it has no neighbour.

    Args:
        video: Consecutive frames of one track.
        number: The labelled frame's in `video`.
        label_HW: Its class ids.
        neighbours: Motion between neighbouring frames.
        semantic: g; one that was not trained on the frame.
        inpaint: How labels are carried.
        config: How many cycles, how long.
        wanted: Numbers of the cycles that are made; each is the same whichever others are.
    """
    anchor = Anchor(video[number], label_HW)
    rng = generator(config.seed, "cycles", anchor.picture.key)
    for count in range(config.cycles):
        length, side = int(rng.integers(1, config.longest_cycle + 1)), int(rng.choice([-1, 1]))
        away = _away(number, side, length, len(video)) or _away(number, -side, length, len(video))
        if away and count in wanted:
            yield count, cycle(anchor, [video[index] for index in away], neighbours, semantic, inpaint)


def train_refiner(crops: Crops, classes: int, config: RefineConfig) -> Refiner:
    """Return Ω trained on crops of cycles; the same arguments give the same weights.

    Raises:
        TrainingError: there is no cycle, or the loss is no longer finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(config.seed, "refiner"))
        refiner = Refiner(classes, config.channels)
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    refiner.train()
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * (1 + math.cos(math.pi * step / config.steps)) / 2
        inputs, truth = (torch.from_numpy(part) for part in crops.batch(step, classes))
        truth = truth.long()
        truth[truth == IGNORE] = classes
        loss = functional.cross_entropy(refiner(inputs), truth)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"refinement: the loss is {float(loss.detach())} at step {step} of {config.steps}. Lower lr."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return refiner.eval()


def _away(number: int, side: int, length: int, frames: int) -> list[int]:
    """Return the numbers of up to `length` frames to one side, nearest first."""
    return [index for index in range(number + side, number + side * (length + 1), side) if 0 <= index < frames]
