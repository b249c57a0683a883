"""What a selector's questions and their answers are like: classes, edges, surprise, redundancy, information.

One pass of the start's network over the target serves any number of selections.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frugalseg.core.records import Verdict

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project

NEAR_PX = 2  # Chebyshev distance; the oracle's answers are dearer and less sure so near to a true edge
ALIKE = 0.1  # share of a lattice that may be predicted otherwise in frames that look alike, as in expected_gain
DISTANCES_AT_ONCE = 512

Evidence = dict[str, float | dict[str, float]]


@dataclass(frozen=True)
class Told:
    """One question and its answer: `said` is the class a person named, `guess` the one the start's network predicted.

    `entropy_01` is that network's entropy at the pixel, `near_edge` whether a true edge is near.
    """

    key: str
    row: int
    column: int
    verdict: Verdict
    said: int | None
    guess: int
    entropy_01: float
    near_edge: bool
    seconds: float


def look(
    project: "Project", start: Path, rounds: Mapping[str, tuple[Path, Path]]
) -> tuple[dict[str, Evidence], dict[str, float]]:
    """Return the evidence of each round, given as folders of questions and of answers, and the true class shares."""
    from frugalseg.acquisition.maps import Glance
    from frugalseg.annotation.oracle import near_edge
    from frugalseg.core.classes import IGNORE
    from frugalseg.data.labels import LabelReader
    from frugalseg.workflow.project import MODEL
    from frugalseg.workflow.scoring import views

    target, names = project.manifest("target"), project.classes.names
    read = LabelReader(target.classes, project.classes).read
    asked = {name: questions_and_answers(*folders) for name, folders in rounds.items()}
    told: dict[str, list[Told]] = defaultdict(list)
    glances: list[Glance] = []
    pixels_C = np.zeros(len(names), np.int64)
    for view in views(start / MODEL, target.frames):
        truth_HW = read(target.by_key[view.key])
        pixels_C += np.bincount(truth_HW.ravel(), minlength=IGNORE + 1)[: len(names)]
        glances.append(Glance.at(view))
        for name, by_key in asked.items():
            for query, answer in by_key.get(view.key, ()):
                at = query.point.row, query.point.column
                edge = bool(truth_HW[at] != IGNORE) and near_edge(truth_HW, query.point, NEAR_PX)
                told[name].append(
                    Told(
                        view.key, *at, answer.verdict, answer.class_id, int(view.prediction_HW[at]),
                        float(view.entropy_HW[at]), edge, answer.seconds,
                    )
                )  # fmt: skip
    true_C = pixels_C / pixels_C.sum()
    found = {name: describe(told[name], true_C.tolist(), names, twin_keys(glances, told[name])) for name in rounds}
    return found, dict(zip(names, true_C.tolist(), strict=True))


def questions_and_answers(selection: Path, labels: Path) -> dict[str, list[tuple]]:
    """Return the questions of a select stage with their answers of a label stage, by frame."""
    from frugalseg.core.records import Answer, Query
    from frugalseg.core.table import read_records
    from frugalseg.workflow.project import ANSWERS, QUESTIONS

    answers = {answer.query: answer for answer in read_records(labels / ANSWERS, Answer)}
    found: dict[str, list[tuple]] = defaultdict(list)
    for query in read_records(selection / QUESTIONS, Query):
        found[query.key].append((query, answers[query.id]))
    return found


def twin_keys(glances: Sequence, told: Sequence[Told]) -> set[str]:
    """Return the asked frames that look like another asked one of their drive, all but the first of each such group."""
    from frugalseg.acquisition.maps import twins

    keys = {one.key for one in told}
    return {key for key, count in twins([one for one in glances if one.key in keys], ALIKE).items() if count}


def describe(told: Sequence[Told], true_C: Sequence[float], names: Sequence[str], alike: set[str]) -> Evidence:
    """Return what the questions and answers are like; shares are of all clicks, except where it says "named".

    Args:
        told: The questions with their answers.
        true_C: The share of each class in the target's true labels.
        names: The classes' names.
        alike: Keys of asked frames that look like another one that is asked.

    Returns:
        classes: share of each class among the named answers.
        classes_off: half the sum of |share - true share| (total variation): the part of the answers that would have to
            name another class to mirror the target.
        effective_classes: exp of the entropy of `classes`, as how many equally frequent classes they spread.
        near_edge, ambiguous, unnamed: shares of clicks; unnamed answers teach nothing.
        surprise: share of the named answers that contradict the start's prediction.
        entropy_01: the start's mean entropy at the pixels.
        neighbour_px: mean distance to the nearest other question in the same frame.
        alike: share of clicks in frames that look like another asked one.
        bits: mean bits an answer adds to the start's prediction at its pixel, unnamed answers adding none: the entropy
            of the answer given the prediction, from their joint counts. bits_a_minute: the same per minute.
    """
    clicks, named = len(told), [one for one in told if one.said is not None]
    share_C = np.bincount([one.said for one in named], minlength=len(names)) / max(1, len(named))
    bits = len(named) / clicks * new_bits([(one.guess, one.said) for one in named])
    minutes = math.fsum(one.seconds for one in told) / 60
    return {
        "clicks": clicks,
        "named": len(named),
        "classes": dict(zip(names, share_C.tolist(), strict=True)),
        "classes_off": float(np.abs(share_C - np.asarray(true_C)).sum() / 2),
        "effective_classes": 2 ** entropy_bits(Counter(one.said for one in named)),
        "near_edge": sum(one.near_edge for one in told) / clicks,
        "ambiguous": sum(one.verdict is Verdict.AMBIGUOUS for one in told) / clicks,
        "unnamed": 1 - len(named) / clicks,
        "surprise": sum(one.said != one.guess for one in named) / max(1, len(named)),
        "entropy_01": math.fsum(one.entropy_01 for one in told) / clicks,
        "neighbour_px": neighbour_px(told),
        "alike": sum(one.key in alike for one in told) / clicks,
        "bits": bits,
        "bits_a_minute": bits * clicks / minutes,
    }


def neighbour_px(told: Sequence[Told]) -> float:
    """Return the mean distance of a question to the nearest other one in its frame; NaN where all are alone."""
    frames: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for one in told:
        frames[one.key].append((one.row, one.column))
    nearest: list[float] = []
    for points in (np.array(points, float) for points in frames.values() if len(points) > 1):
        for begin in range(0, len(points), DISTANCES_AT_ONCE):
            here = points[begin : begin + DISTANCES_AT_ONCE]
            distances = np.hypot(*(here[:, None] - points).transpose(2, 0, 1))
            distances[np.arange(len(here)), begin + np.arange(len(here))] = np.inf  # to itself
            nearest += distances.min(axis=1).tolist()
    return float(np.mean(nearest)) if nearest else math.nan


def new_bits(pairs: Sequence[tuple[int, int | None]]) -> float:
    """Return H(answer | prediction) = H(both) - H(prediction) of (prediction, answer) pairs, in bits."""
    return entropy_bits(Counter(pairs)) - entropy_bits(Counter(guess for guess, _ in pairs))


def entropy_bits(counts: Counter) -> float:
    """Return the entropy of the shares of these counts; 0 for none."""
    total = counts.total()
    return -sum(count / total * math.log2(count / total) for count in counts.values())
