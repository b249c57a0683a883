"""Training of the refinement network Ω by cycles: section 3.4 of Warp-Refine Propagation.

A labelled frame's label goes l frames away and back, by warp-inpaint both ways; Ω learns to turn what comes back into
what was sent. l is drawn from 1 to 6. Two weaknesses the paper leaves. Each cycle ends by inpainting with g on a frame
that g was trained on, so the noise is too small: here a frame's cycles use a g that never saw it. And where motion errs
the same way there and back, the label comes back clean: a thin pole that flow takes for the wall behind it loses
nothing. So where other labelled frames are within reach, Ω also learns from their labels as they come to the frame,
from one side or both, which is what it will meet in use (`pairs`, ours).
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

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
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.networks import RefineConfig
from frugalseg.propagation.refine import Refiner
from frugalseg.propagation.spread import SpreadConfig, Spreader, Tools
from frugalseg.propagation.warp import WINDOW_PX


def make_drafts(
    video: Sequence[Picture],
    labels: Mapping[int, NDArray[np.uint8]],
    number: int,
    tools: Tools,
    spread: SpreadConfig,
    config: RefineConfig,
    wanted: Collection[int],
) -> Iterator[tuple[int, Draft]]:
    """Yield drafts of a labelled frame, each with its number; none if it has no neighbour.

    Args:
        video: Consecutive frames of one track.
        labels: Class ids of its labelled frames, by number.
        number: The labelled frame's.
        tools: Motion, and g: one that was not trained on the frame.
        spread: How labels are carried, and how far.
        config: How many drafts, how long cycles are.
        wanted: Numbers of the drafts that are made; each is the same whichever others are.
    """
    assert tools.semantic is not None
    anchor, spreader = Anchor(video[number], labels[number]), Spreader(tools, spread)
    inpaint = InpaintConfig(tau=spread.tau, window_px=WINDOW_PX, recursion=spread.recursion)
    rng = generator(config.seed, "cycles", anchor.picture.key)
    for count in range(config.cycles):
        length, side = int(rng.integers(1, config.longest_cycle + 1)), int(rng.choice([-1, 1]))
        if count not in wanted:
            continue
        away = _away(number, side, length, len(video)) or _away(number, -side, length, len(video))
        if others := _others(labels, number, spread, config, count, anchor.picture.key):
            yield count, spreader.draft(anchor.picture, [spreader.bring(video, labels[n], n, number) for n in others])
        elif away:
            yield count, cycle(anchor, [video[index] for index in away], tools.neighbours, tools.semantic, inpaint)


def train_refiner(crops: Crops, classes: int, config: RefineConfig) -> Refiner:
    """Return Ω trained on crops of cycles; the same arguments give the same weights.

    Raises:
        TrainingError: there is no cycle, or the loss is no longer finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(config.seed, "refiner"))
        refiner = Refiner(classes, config.channels, crops.deep)
        mean_D, spread_D = (torch.from_numpy(part)[:, None, None] for part in crops.deep_spread)
        refiner.deep_mean.copy_(mean_D)
        refiner.deep_gain.copy_(1 / spread_D)
    refiner = refiner.to(memory_format=torch.channels_last)  # a CPU step takes .8 of the time
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    refiner.train()
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * (1 + math.cos(math.pi * step / config.steps)) / 2
        inputs, deep, truth = (torch.from_numpy(part) for part in crops.batch(step, classes))
        truth = truth.long()
        truth[truth == IGNORE] = classes
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(refiner(inputs, deep), truth)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"refinement: the loss is {float(loss.detach())} at step {step} of {config.steps}. Lower lr."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return refiner.eval()


def _others(
    labels: Collection[int], number: int, spread: SpreadConfig, config: RefineConfig, count: int, key: str
) -> list[int]:
    """Return the labelled frames, on one side or one on each, whose labels make a draft; none where a cycle does."""
    rng = generator(config.seed, "pairs", key, count)
    if spread.recursion == "paper" or rng.random() >= config.pairs:
        return []
    sides = [[n for n in labels if 0 < (n - number) * side <= spread.reach] for side in (-1, 1)]
    found = [int(rng.choice(side)) for side in sides if side]
    which = int(rng.integers(3))  # the first, the second, or both
    return found if which == 2 else found[which : which + 1] or found[:1]


def _away(number: int, side: int, length: int, frames: int) -> list[int]:
    """Return the numbers of up to `length` frames to one side, nearest first."""
    return [index for index in range(number + side, number + side * (length + 1), side) if 0 <= index < frames]
