"""What is learned from the labelled frames before labels spread: how far to believe a label, and how to mend one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError, TrainingError
from frugalseg.core.files import write_atomic
from frugalseg.data.sequences import Run
from frugalseg.propagation.calibrate import examples
from frugalseg.propagation.confidence import Confidence, Examples
from frugalseg.propagation.cuts import scene_cut
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.networks import REFINE, RefineConfig, is_stored
from frugalseg.propagation.recurrent import Refines
from frugalseg.propagation.semantic import Semantic
from frugalseg.propagation.spread import Shot, SpreadConfig, Tools, broken
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_files import shots
from frugalseg.workflow.propagate_plan import ACCEPT, CONFIDENCE, REFINER, LabelSource, Plan
from frugalseg.workflow.stage import Options

Place = tuple[Run, int]
Window = tuple[list[Picture], dict[int, NDArray[np.uint8]], int]


def labelled_places(runs: Sequence[Run], source: LabelSource) -> list[Place]:
    """Return where labelled frames lie that are not alone in their stretch."""
    places = [(run, place) for run in runs for place, frame in enumerate(run.frames) if source.has(frame)]
    return [(run, place) for run, place in places if len(run.frames) > 1]


def window(place: Place, source: LabelSource, reach: int, neighbours: Neighbours, cut_share: float) -> Window | None:
    """Return the pictures around a labelled frame that lie on its track, the labels among them, and its place.

    The track ends where it does for labels that are spread (`spread.broken`, `cuts.scene_cut`). None if the frame
    cannot be read. Each frame is read once, by time.
    """
    run, own = place
    first = max(0, own - reach)
    shown = list(shots(run.frames[first : own + reach + 1], source.read_if_any))
    own -= first
    if shown[own].picture is None:
        return None
    begin, last = own, own
    while begin > 0 and not _parted(shown[begin], shown[begin - 1], neighbours, cut_share):
        begin -= 1
    while last + 1 < len(shown) and not _parted(shown[last], shown[last + 1], neighbours, cut_share):
        last += 1
    track = shown[begin : last + 1]
    pictures = [shot.picture for shot in track if shot.picture is not None]  # that is all of them
    labels = {number: shot.label_HW for number, shot in enumerate(track) if shot.label_HW is not None}
    return pictures, labels, own - begin


def calibrate(
    folder: Path,
    places: Sequence[Place],
    source: LabelSource,
    tools: Tools,
    plan: Plan,
    semantic_for: Callable[[str], Semantic] | None,
    options: Options,
) -> None:
    """Fit confidence on labelled frames and write it, with the confidence from which `precision` is reached.

    Args:
        folder: Where it goes.
        places: The labelled frames.
        source: Their labels.
        tools: What labels are made with.
        plan: How, and why that may be too kind.
        semantic_for: The network that guesses on the frame with this key; None where none does.
        options: Whether to be quiet.

    Raises:
        DataError: there is no confidence, or none that reaches `precision`.
    """
    config = plan.config
    refiners, problem = dict.fromkeys(map(_key, places), tools.refiner), ""
    if tools.refiner is not None and semantic_for is not None:
        refiners, problem = _held_out(folder, places, source, tools, config, semantic_for)
    parts: list[Examples] = []
    for place in _spread_evenly(places, config.calibration_frames):
        if shown := window(place, source, config.reach, tools.neighbours, config.cut_share):
            semantic = semantic_for(_key(place)) if semantic_for is not None else None
            unseen = replace(tools, semantic=semantic, refiner=refiners[_key(place)])
            parts += examples(*shown, unseen, config.part(SpreadConfig), config.seed)
    if problem:
        options.say(problem)
    try:
        every = Examples.joined(parts) if parts else None
        if every is None:
            raise DataError("confidence: no labelled frame has a neighbour.")
        model = replace(Confidence.fit(every), caution=f"{plan.caution} {problem}".strip())
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


def _held_out(
    folder: Path,
    places: Sequence[Place],
    source: LabelSource,
    tools: Tools,
    config: PropagateConfig,
    semantic_for: Callable[[str], Semantic],
) -> tuple[dict[str, Refines | None], str]:
    """Return refinement networks that have not learned from a frame, by its key, and why some have, if so.

    Each half of the labelled frames, in order of time, gets one that learns from the other half.
    """
    from frugalseg.propagation.refine import load_refiner

    middle, problem = len(places) // 2, ""
    halves, found = (places[:middle], places[middle:]), dict[str, Refines | None]()
    for number, (half, others) in enumerate(zip(halves, halves[::-1], strict=True)):
        where, refiner = folder / f"{REFINER}-without-{number}", tools.refiner
        try:
            if half and not is_stored(where, REFINE):
                learn_refiner(where, others, source, tools, config, semantic_for)
            refiner = load_refiner(where, config.overrule) if half else None
        except TrainingError as error:
            problem = (
                f"No refinement network could be held out from {_key(half[0])} to {_key(half[-1])}: these frames are "
                f"calibrated on with one that has learned from them, and confidence is too kind. {error}"
            )
        found |= dict.fromkeys(map(_key, half), refiner)
    return found, problem


def _spread_evenly(places: Sequence[Place], most: int) -> list[Place]:
    if len(places) <= most:
        return list(places)
    return [places[round(number)] for number in np.linspace(0, len(places) - 1, most)]


def learn_refiner(
    where: Path,
    places: Sequence[Place],
    source: LabelSource,
    tools: Tools,
    config: PropagateConfig,
    semantic_for: Callable[[str], Semantic],
) -> None:
    """Train the refinement network on cycles of labelled frames and on labels that come from others, and write it.

    Args:
        where: The folder it goes to; what is learned from waits beside it.
        places: The labelled frames.
        source: Their labels.
        tools: What labels are made with.
        config: How.
        semantic_for: The network that guesses on the frame with this key, and in its cycles.

    Raises:
        TrainingError: no labelled frame has a neighbour, or networks that guess differ in the number of their features.
    """
    from frugalseg.propagation.cycle_crops import Crops
    from frugalseg.propagation.refine import save_refiner
    from frugalseg.propagation.train_refine import make_drafts, train_refiner

    refine, spread = config.part(RefineConfig), config.part(SpreadConfig)
    reach = max(refine.longest_cycle, config.reach if refine.pairs else 0)
    with Crops(where.parent, len(places), refine) as crops:
        for number, place in enumerate(places):
            wanted = crops.wanted(number)
            shown = window(place, source, reach, tools.neighbours, config.cut_share) if wanted else None
            if shown is None:
                continue
            pictures, labels, own = shown
            unseen = replace(tools, semantic=semantic_for(pictures[own].key), refiner=None)
            for count, draft in make_drafts(pictures, labels, own, unseen, spread, refine, wanted):
                crops.add(number, count, draft, labels[own])
        save_refiner(where, train_refiner(crops, tools.classes, refine))


def _key(place: Place) -> str:
    run, number = place
    return run.frames[number].key


def _parted(last: Shot, shot: Shot, neighbours: Neighbours, least_share: float) -> str:
    """Return why no label may go from `last`, which could be read, to its neighbour `shot`; nothing if it may."""
    if reason := broken(last, shot):
        return reason
    assert last.picture is not None and shot.picture is not None  # else it were broken
    return scene_cut(last.picture, shot.picture, neighbours.flow(shot.picture, last.picture), least_share)
