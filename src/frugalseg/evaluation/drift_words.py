"""Drift as the report tells it: a sentence and a table for each pair of domains, and the classes that moved most."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from frugalseg.core.classes import ClassSet
from frugalseg.evaluation.domain_sample import LIGHT
from frugalseg.evaluation.drift import Drift, Shift
from frugalseg.evaluation.panels import css_color
from frugalseg.evaluation.wording import percent

MOVES = 8
LEAST_MOVE = 0.005  # of all pixels
FAR = 2.0  # times the zero level


@dataclass(frozen=True)
class ShiftRow:
    """One measure: the domains' own means as text, the shift, its zero level and the 95 % level."""

    name: str
    means: tuple[str, str]
    value: str
    zero: str
    level: str
    certain: bool


@dataclass(frozen=True)
class Move:
    """A class that the network predicts more or less often in the other domain; fractions of all pixels."""

    name: str
    color: str
    before: float
    after: float


@dataclass(frozen=True)
class DriftCard:
    """One pair of domains, the reference first: the score as text ("2.5", "–"), a sentence, measures, moved classes."""

    names: tuple[str, str]
    title: str
    score: str
    tone: str
    sentence: str
    basis: str
    rows: tuple[ShiftRow, ...]
    moves: tuple[Move, ...]


def drift_card(drift: Drift, classes: ClassSet) -> DriftCard:
    """Return what to print for one pair."""
    reference, other = drift.reference, drift.other
    split = "by sequence" if drift.by_sequence else "frame by frame"
    basis = (
        f"{other.frames} {other.domain} and {reference.frames} {reference.domain} frames; {drift.splits} random "
        f"splits, {split}, into halves of {drift.half} frames."
    )
    certain = drift.features.certain
    return DriftCard(
        names=(reference.domain, other.domain),
        title=f"{other.domain} against {reference.domain}",
        score=f"{drift.score:.1f}" if math.isfinite(drift.score) else "–",
        tone="bad" if certain else "good",
        sentence=_sentence(drift),
        basis=basis,
        rows=_rows(drift),
        moves=_moves(drift, classes),
    )


def _sentence(drift: Drift) -> str:
    names = drift.other.domain, drift.reference.domain
    if not drift.features.certain:
        return f"The {names[0]} looks to the network no more unlike the {names[1]} than halves of the {names[1]} do."
    if not math.isfinite(drift.score):
        return f"The {names[0]} differs from the {names[1]}, whose own frames are all alike to the network."
    far = "much " if drift.score >= FAR else ""
    because = _because(drift)
    return (
        f"To the network the {names[0]} is {far}farther from the {names[1]} than chance: {drift.score:.1f} times as "
        f"far as two halves of the {names[1]} are from each other.{because}"
    )


def _because(drift: Drift) -> str:
    """Name the plain differences that are certain."""
    before, after = (dict(zip(LIGHT, means.light, strict=True)) for means in (drift.reference, drift.other))
    found = []
    if drift.brightness.certain:
        found.append("brighter" if after["brightness"] > before["brightness"] else "darker")
    if drift.contrast.certain:
        found.append("of stronger contrast" if after["contrast"] > before["contrast"] else "of weaker contrast")
    if drift.colour.certain:
        found.append("of another colour cast")
    if drift.shares.certain:
        found.append("of other predicted contents")
    if drift.entropy.certain:
        surer = drift.other.entropy < drift.reference.entropy
        found.append("easier for it to decide on" if surer else "harder for it to decide on")
    if not found:
        return ""
    listed = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
    return f" The {drift.other.domain} is {listed}."


def _rows(drift: Drift) -> tuple[ShiftRow, ...]:
    before, after = drift.reference, drift.other
    light = [dict(zip(LIGHT, means.light, strict=True)) for means in (before, after)]
    tints = [" / ".join(percent(of[band], 0) for band in LIGHT[2:]) for of in light]
    entropy = (f"{before.entropy:.2f}", f"{after.entropy:.2f}")
    return (
        _row("features, Fréchet distance", ("", ""), drift.features, "{:.3g}".format),
        _row("mean entropy, 0–1", entropy, drift.entropy, "{:.3f}".format),
        _row("predicted classes, pixels that moved", ("", ""), drift.shares, _fraction),
        _row("brightness", _two(light, "brightness"), drift.brightness, _fraction),
        _row("contrast", _two(light, "contrast"), drift.contrast, _fraction),
        _row("colour cast (red / green / blue)", (tints[0], tints[1]), drift.colour, _fraction),
    )


def _two(light: list[dict[str, float]], name: str) -> tuple[str, str]:
    return _fraction(light[0][name]), _fraction(light[1][name])


def _row(name: str, means: tuple[str, str], shift: Shift, write: Callable[[float], str]) -> ShiftRow:
    return ShiftRow(name, means, write(shift.value), write(shift.zero), write(shift.level), shift.certain)


def _fraction(value: float) -> str:
    return f"{percent(value)}\N{NO-BREAK SPACE}%"


def _moves(drift: Drift, classes: ClassSet) -> tuple[Move, ...]:
    """Return the classes whose predicted share changed most; none where the change is within chance."""
    if not drift.shares.certain:
        return ()
    rows = zip(classes.names, classes.colors, drift.reference.shares, drift.other.shares, strict=True)
    moves = [Move(name, css_color(color), before, after) for name, color, before, after in rows]
    moves.sort(key=lambda move: -abs(move.after - move.before))
    return tuple(move for move in moves[:MOVES] if abs(move.after - move.before) >= LEAST_MOVE)
