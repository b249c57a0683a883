"""Training of the refinement network Ω by cycles: section 3.4 of Warp-Refine Propagation.

A labelled frame's label goes l frames away and back, by warp-inpaint both ways; Ω learns to turn what comes back into
what was sent. l is drawn from 1 to 6. The weakness the paper leaves: each cycle ends by inpainting with g on a frame
that g was trained on, so the noise is too small. Hence `semantic_for`: a frame's cycles use a g that never saw it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from frugalseg.core.chance import generator, seed_for
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.propagation.chain import Anchor
from frugalseg.propagation.inpaint import Draft, InpaintConfig, cycle
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.networks import RefineConfig
from frugalseg.propagation.refine import EDGE_REACH_PX, Refiner, features
from frugalseg.propagation.semantic import Guess, Semantic

Pair = tuple[Draft, NDArray[np.uint8]]


def make_cycles(
    video: Sequence[Picture],
    labels: dict[int, NDArray[np.uint8]],
    neighbours: Neighbours,
    semantic_for: Callable[[str], Semantic],
    inpaint: InpaintConfig,
    config: RefineConfig,
) -> list[Pair]:
    """Return drafts that came back, each with the label that was sent.

    Args:
        video: Consecutive frames of one size.
        labels: Class ids of labelled frames by their number in `video`.
        neighbours: Motion between neighbouring frames.
        semantic_for: g for the cycles of the frame with this key; one that was not trained on that frame.
        inpaint: How labels are carried.
        config: How many cycles a frame, how long.

    Raises:
        TrainingError: no labelled frame has a neighbour.
    """
    pairs: list[Pair] = []
    for number in sorted(labels):
        anchor = Anchor(video[number], labels[number])
        rng = generator(config.seed, "cycles", anchor.picture.key)
        for _ in range(config.cycles):
            length, side = int(rng.integers(1, config.longest_cycle + 1)), int(rng.choice([-1, 1]))
            away = _away(number, side, length, len(video)) or _away(number, -side, length, len(video))
            if away:
                way = [video[index] for index in away]
                draft = cycle(anchor, way, neighbours, semantic_for(anchor.picture.key), inpaint)
                pairs.append((draft, labels[number]))
    if not pairs:
        raise TrainingError(
            f"refinement: none of {len(labels)} labelled frames has a neighbour among {len(video)} frames, so no label "
            "can go away and come back. Give the frames around a labelled one."
        )
    return pairs


def train_refiner(pairs: Sequence[Pair], classes: int, config: RefineConfig) -> Refiner:
    """Return Ω trained on cycles; the same arguments give the same weights.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(config.seed, "refiner"))
        refiner = Refiner(classes, config.channels)
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    refiner.train()
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * (1 + math.cos(math.pi * step / config.steps)) / 2
        batch = [_crop(pairs, classes, config, step, slot) for slot in range(config.batch_size)]
        inputs = torch.from_numpy(np.stack([part for part, _ in batch]))
        truth = torch.from_numpy(np.stack([part for _, part in batch])).long()
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


def _crop(
    pairs: Sequence[Pair], classes: int, config: RefineConfig, step: int, slot: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return a random crop, mirrored half the time; a function of step and slot alone."""
    rng = generator(config.seed, "crop", step, slot)
    draft, truth_HW = pairs[int(rng.integers(len(pairs)))]
    rows, columns = (
        slice(start := int(rng.integers(max(1, length - config.crop_px + 1))), min(length, start + config.crop_px))
        for length in truth_HW.shape
    )
    part, truth = features_of_part(draft, rows, columns, classes), truth_HW[rows, columns]
    if rng.random() < 0.5:
        part, truth = part[:, :, ::-1], truth[:, ::-1]
    return np.ascontiguousarray(part), np.ascontiguousarray(truth)


def features_of_part(draft: Draft, rows: slice, columns: slice, classes: int) -> NDArray[np.float32]:
    """Return what `features` gives of a part of a draft, without making the rest.

    They are made again for each crop: kept, they would take 25 MB a VGA draft. Around the part is looked as far as the
    distance to an edge counts.
    """
    reach = int(EDGE_REACH_PX) + 2
    wide = tuple(slice(max(0, part.start - reach), part.stop + reach) for part in (rows, columns))
    said = draft.guess
    guess = Guess(*(map_HW[wide] for map_HW in (said.first_HW, said.second_HW, said.margin_HW, said.sure_HW)))
    maps = {
        name: getattr(draft, name)[wide] for name in ("label_HW", "warped_HW", "error_HW", "trusted_HW", "source_HW")
    }
    piece = replace(draft, picture=Picture(draft.picture.key, draft.picture.rgb_HWC[wide]), guess=guess, **maps)
    inner = (
        slice(part.start - grown.start, part.stop - grown.start)
        for part, grown in zip((rows, columns), wide, strict=True)
    )
    found_FHW: NDArray[np.float32] = features(piece, classes)[:, *inner]
    return found_FHW
