"""What the report shows of rounds: cost and gain of each, the random control's answers, where the model is unsure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frugalseg.core.runs import RunInfo
from frugalseg.evaluation.asked_rounds import AskedRound, StillUnsure, UnsureFrame
from frugalseg.evaluation.domain_sample import DomainSample
from frugalseg.evaluation.surprise import SliceResult, compare_slice
from frugalseg.workflow.control_slice import CONTROL_STRATEGY
from frugalseg.workflow.evidence import replies
from frugalseg.workflow.measure import SAMPLES
from frugalseg.workflow.plan import forecast_words
from frugalseg.workflow.project import Project
from frugalseg.workflow.rounds import believed, is_control, rounds

UNSURE_FRAMES = 5


@dataclass(frozen=True, eq=False)
class RoundExhibits:
    """What there is to show; empty or None where there were no answers."""

    rounds: tuple[AskedRound, ...]
    slice: SliceResult | None
    unsure: StillUnsure | None
    forecast: str
    left_out: tuple[tuple[str, str], ...]


def round_exhibits(project: Project, names: Mapping[Path, str], last: tuple[str, RunInfo] | None) -> RoundExhibits:
    """Collect; `names` are the scored models' names by stage, `last` is the last step's name with its evaluation."""
    answered = [one for one in rounds(project) if one.labels is not None]
    found = tuple(
        AskedRound(
            number=one.number,
            strategy=one.strategy,
            asked=one.selection.extra["questions"],
            control=one.selection.extra.get("control_points", 0),
            planned_s=one.selection.extra.get("human_seconds_planned", math.nan),
            spent_s=one.labels.extra["human_seconds"],
            entropy_01=one.selection.extra.get("mean_entropy", math.nan),
            model=names.get(one.model.folder, "") if one.model else "",
            before=names.get(one.selection.input("model").parent, ""),
        )
        for one in answered
        if one.labels is not None
    )
    own = [one.labels for one in answered if one.labels and not is_control(one.strategy, project.settings.strategy)]
    said = replies(believed(own))
    control = said.pop(CONTROL_STRATEGY, [])
    chosen = [reply for group in said.values() for reply in group]
    compared = compare_slice(chosen, control) if chosen and control else None
    unsure = _unsure(last)
    left_out = []
    if found and compared is None:
        left_out.append(
            ("Chosen questions against random ones", "no answered round has both (control_share = 0, or whole images)")
        )
    if last is not None and unsure is None:
        left_out.append(("Where the model is still unsure", f"{last[1].folder.name} ran with drift_frames = 0"))
    return RoundExhibits(found, compared, unsure, forecast_words(project) if found else "", tuple(left_out))


def _unsure(last: tuple[str, RunInfo] | None) -> StillUnsure | None:
    """Return the target frames that the last model is least sure of, from the sample that its evaluation looked at."""
    if last is None or not (last[1].folder / SAMPLES / "target.npz").is_file():
        return None
    sample = DomainSample.load(last[1].folder / SAMPLES / "target.npz")
    entropy = sample.stack("entropy")
    order = np.lexsort((np.array(sample.keys), -entropy))[:UNSURE_FRAMES]
    frames = tuple(UnsureFrame(sample.keys[place], float(entropy[place])) for place in order.tolist())
    return StillUnsure(last[0], frames, len(sample), float(entropy.mean()))
