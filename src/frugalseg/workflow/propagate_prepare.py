"""What is learned from the labelled frames before labels spread: how far to believe a label, and how to mend one."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Frame
from frugalseg.data.sequences import Run
from frugalseg.propagation.calibrate import examples
from frugalseg.propagation.confidence import Confidence, Examples
from frugalseg.propagation.inpaint import InpaintConfig
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.networks import RefineConfig
from frugalseg.propagation.semantic import Semantic
from frugalseg.propagation.spread import SpreadConfig, Tools
from frugalseg.propagation.warp import WINDOW_PX
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_files import shots
from frugalseg.workflow.propagate_plan import ACCEPT, CONFIDENCE, REFINER, LabelSource
from frugalseg.workflow.stage import Options

Window = tuple[list[Picture], dict[int, NDArray[np.uint8]], int]


def windows(runs: Sequence[Run], source: LabelSource, reach: int, most: int | None) -> Iterator[Window]:
    """Yield pictures around labelled frames, the labels among them, and the frame's place.

    At most `most` of them, spread evenly. A window ends where a frame cannot be read.
    """
    places = [(run, place) for run in runs for place, frame in enumerate(run.frames) if source.has(frame)]
    places = [(run, place) for run, place in places if len(run.frames) > 1]
    if most is not None and len(places) > most:
        places = [places[round(number)] for number in np.linspace(0, len(places) - 1, most)]
    for run, place in places:
        after = _readable(run.frames[place : place + reach + 1], source)
        before = _readable(run.frames[max(0, place - reach) : place][::-1], source)[::-1]
        shown = [*before, *after]
        if after:
            pictures = [picture for picture, _ in shown]
            labels = {number: label for number, (_, label) in enumerate(shown) if label is not None}
            yield pictures, labels, len(before)


def calibrate(
    folder: Path, runs: Sequence[Run], source: LabelSource, tools: Tools, config: PropagateConfig, options: Options
) -> None:
    """Fit confidence on labelled frames and write it, with the confidence from which `precision` is reached."""
    spread = config.part(SpreadConfig)
    parts: list[Examples] = []
    for pictures, labels, place in windows(runs, source, config.reach, config.calibration_frames):
        parts += examples(pictures, labels, place, tools, spread, config.seed)
    try:
        every = Examples.joined(parts) if parts else None
        if every is None:
            raise DataError("confidence: no labelled frame has a neighbour.")
        model = Confidence.fit(every)
    except DataError as error:
        if config.precision is not None:
            raise DataError(f"{error}\nWithout it there is no `precision`: leave it out, or label more.") from error
        options.say(f"{error}\nLabels are written without confidence.")
        return
    if config.precision is not None:
        threshold = model.threshold(every.carried, config.precision)
        if not np.isfinite(threshold):
            raise DataError(
                f"precision = {config.precision}: no confidence is so often right on the labelled frames. Ask for less."
            )
        write_atomic(folder / ACCEPT, json.dumps({"precision": config.precision, "threshold": threshold}).encode())
    model.save(folder / CONFIDENCE)  # last: it says that all is there


def learn_refiner(
    folder: Path,
    runs: Sequence[Run],
    source: LabelSource,
    tools: Tools,
    config: PropagateConfig,
    semantic_for: Callable[[str], Semantic],
) -> None:
    """Train the refinement network on cycles of all labelled frames and write it.

    Args:
        folder: Where it goes.
        runs: Stretches of video.
        source: The labels among them.
        tools: What labels are made with.
        config: How.
        semantic_for: The network that guesses in the cycles of the frame with this key.

    Raises:
        TrainingError: no labelled frame has a neighbour.
    """
    from frugalseg.propagation.refine import save_refiner
    from frugalseg.propagation.train_refine import Pair, make_cycles, train_refiner

    refine = config.part(RefineConfig)
    inpaint = InpaintConfig(tau=config.tau, window_px=WINDOW_PX, recursion=config.recursion)  # as labels are spread
    pairs: list[Pair] = []
    for pictures, labels, place in windows(runs, source, refine.longest_cycle, None):
        own = {place: labels[place]}
        pairs += make_cycles(pictures, own, tools.neighbours, semantic_for, inpaint, refine)
    save_refiner(folder / REFINER, train_refiner(pairs, tools.classes, refine))


def _readable(frames: Sequence[Frame], source: LabelSource) -> list[tuple[Picture, NDArray[np.uint8] | None]]:
    """Return pictures and labels up to the first frame that cannot be read."""
    found = []
    for shot in shots(frames, source.read_if_any):
        if shot.picture is None:
            break
        found.append((shot.picture, shot.label_HW))
    return found
