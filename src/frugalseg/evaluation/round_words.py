"""The rounds of a report as rows and sentences: what each brought and cost, whether selection paid, what is left."""

import math
from dataclasses import dataclass

from frugalseg.evaluation import wording
from frugalseg.evaluation.asked_rounds import AskedRound
from frugalseg.evaluation.calibration import ClassTrust
from frugalseg.evaluation.compare import Interval, paired_bootstrap, paired_bootstrap_classes
from frugalseg.evaluation.panels import css_color
from frugalseg.evaluation.reliability import PIXELS
from frugalseg.evaluation.report_data import EvaluatedModel, ReportData, Role
from frugalseg.evaluation.surprise import SliceResult

MOVED = 3  # classes named a round, either way
UNSURE_CLASSES = 5
FEW = 30  # answers of the control that name a class; below, its rate is said to be rough
CLASS_FLOOR = 1e-4  # of all pixels: the confidence of rarer predictions is noise
UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class RoundRow:
    """One line of the table of rounds; `gain` is mIoU against the model that asked, `per_hour` that gain an hour."""

    asked: AskedRound
    miou: Interval
    gain: Interval
    per_hour: float
    up: tuple[tuple[str, float], ...]
    down: tuple[tuple[str, float], ...]
    role: Role = Role.STEP

    @property
    def off(self) -> float:
        """How much more people needed than was forecast, as a share; NaN where nothing was forecast."""
        known = self.asked.planned_s > 0 and self.asked.spent_s > 0
        return self.asked.spent_s / self.asked.planned_s - 1 if known else math.nan


def round_rows(data: ReportData) -> tuple[RoundRow, ...]:
    """Return one row a round."""
    models = {model.name: model for model in data.models}
    return tuple(_row(asked, models.get(asked.before), models.get(asked.model), data) for asked in data.rounds)


def _row(asked: AskedRound, before: EvaluatedModel | None, after: EvaluatedModel | None, data: ReportData) -> RoundRow:
    if after is None:
        return RoundRow(asked, UNKNOWN, UNKNOWN, math.nan, (), ())
    if before is None:
        return RoundRow(asked, after.miou, UNKNOWN, math.nan, (), (), after.role)
    gain = paired_bootstrap(before.confusions, after.confusions, before.scores.ids)
    per_hour = gain.value / (asked.spent_s / 3600) if asked.spent_s > 0 else math.nan
    moved = paired_bootstrap_classes(before.confusions, after.confusions)
    sure = [
        (name, one.value) for name, one in zip(data.classes.names, moved, strict=True) if one.low > 0 or one.high < 0
    ]
    up = sorted((pair for pair in sure if pair[1] > 0), key=lambda pair: -pair[1])
    down = sorted((pair for pair in sure if pair[1] < 0), key=lambda pair: pair[1])
    return RoundRow(asked, after.miou, gain, per_hour, tuple(up[:MOVED]), tuple(down[:MOVED]), after.role)


def selection_words(data: ReportData) -> tuple[str, ...]:
    """Say whether selection paid: what the answers show, what they cannot show, and what a control model shows."""
    found = [] if data.slice is None else [*_slice_words(data.slice)]
    after = data.steps[-1] if data.steps else None
    controls = [model for model in data.models if model.role is Role.CONTROL]
    if after is not None and controls:
        pairs = ((step, data.control_of(step)) for step in reversed(data.steps))
        step, control = next(((one, other) for one, other in pairs if other is not None), (None, None))
        if step is not None and control is not None:
            found.append(_control_words(step, control))
        if step is not after:
            found.append(_no_control_words(after, max(controls, key=lambda one: one.human_seconds)))
    elif found:
        found.append(
            "More surprise is not more gain: noise and object edges surprise too. The proof is a second model, trained "
            "on the same budget spent at random: control = true in project.toml."
        )
    return tuple(found)


def _slice_words(result: SliceResult) -> tuple[str, ...]:
    chosen, control, gap = result.chosen, result.control, result.difference
    if math.isnan(gap.value):
        return (f"{chosen.answers} chosen and {control.answers} random questions were answered: too few to compare.",)
    told = (
        f"Of {wording.whole(chosen.named)} chosen answers {wording.share(chosen.surprise.value)} "
        f"({wording.span(chosen.surprise)}) differed from what the model had said, of {wording.whole(control.named)} "
        f"at random pixels {wording.share(control.surprise.value)} ({wording.span(control.surprise)}): "
        f"{wording.points(gap.value)} points ({wording.signed_span(gap)})."
    )
    if gap.low > 0:
        meaning = "The selection found what the model gets wrong more often than chance does."
    elif gap.high < 0:
        meaning = "The selection found what the model gets wrong less often than chance does: it did not pay."
    else:
        meaning = "That is no certain difference: the answers do not show that the selection paid."
    few = f" The control is small ({control.named} answers), so its rate is rough." if control.named < FEW else ""
    return told, meaning + few


def _control_words(after: EvaluatedModel, control: EvaluatedModel) -> str:
    gain = paired_bootstrap(control.confusions, after.confusions, control.scores.ids)
    told = (
        f"{after.name} has {wording.points(gain.value)} points of mIoU ({wording.signed_span(gain)}) against "
        f"{control.name}, {wording.duration(after.human_seconds)} against {wording.duration(control.human_seconds)} of "
        "people's time"
    )
    if not (gain.low > 0 or gain.high < 0):
        return f"{told}: no certain difference."
    fair = after.took_as_long(control)
    if gain.low > 0 and (fair or after.human_seconds < control.human_seconds):
        return f"{told}: selection paid."
    if gain.high < 0 and (fair or after.human_seconds > control.human_seconds):
        return f"{told}: selection did not pay."
    return (
        f"{told}. The round is the same, the time is not, so that does not show what an hour buys: let the cheaper "
        'series answer another round, or give budgets in time (budget = "2h" in project.toml).'
    )


def _no_control_words(after: EvaluatedModel, control: EvaluatedModel) -> str:
    behind = "the control's" if control.human_seconds < after.human_seconds else "the project's own"
    return (
        f"{after.name} cannot be compared with the random control yet: {wording.duration(after.human_seconds)} of "
        f"people's time went into it, {wording.duration(control.human_seconds)} into {control.name}. Answer {behind} "
        "next rounds until both took about as long: frugalseg run stops where answers are due, and a larger --rounds "
        "adds rounds."
    )


def unsure_classes(data: ReportData) -> tuple[ClassTrust, ...]:
    """Return the classes that the last model is least sure of where it predicts them on the validation frames."""
    last = data.steps[-1] if data.steps else None
    if last is None or last.name not in data.reliability:
        return ()
    reliability, found = data.reliability[last.name], []
    whole = max(1, int(reliability.counts[..., PIXELS].sum()))
    for class_id, name in enumerate(data.classes.names):
        curve = reliability.curve([class_id])
        if curve.pixels_B.sum() >= CLASS_FLOOR * whole:
            color = css_color(data.classes.colors[class_id])
            found.append(ClassTrust(name, color, curve.confidence, curve.accuracy))
    return tuple(sorted(found, key=lambda trust: (trust.confidence, trust.name))[:UNSURE_CLASSES])
