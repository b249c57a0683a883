"""A small invented report: two looks of blocky streets, four models, questions with every kind of answer."""

from types import SimpleNamespace

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.records import Answer, Point, Query, QueryKind, Region, Verdict
from frugalseg.evaluation.compare import CurvePoint
from frugalseg.evaluation.confusion import Confusions, confusion
from frugalseg.evaluation.report import EvaluatedModel, LedgerRow, ReportData, Role, ShownFrame, StageRecord

NAMES = ("sky", "building", "road", "car", "tram")  # tram occurs nowhere
QUALITY = {"source only": 0.35, "cbst": 0.5, "point_da": 0.8, "random": 0.7, "all labels": 0.95}
ROLES = {"random": Role.CONTROL, "all labels": Role.UPPER_BOUND}
SECONDS = {"source only": 0.0, "cbst": 0.0, "point_da": 1500.0, "random": 1500.0, "all labels": 270_000.0}


def make_label(rng, size_HW):
    """Sky over building over road, a car, and a corner that nobody labelled."""
    height, width = size_HW
    label = np.zeros(size_HW, np.uint8)
    label[height // 3 :] = 1
    label[int(rng.integers(height // 2, 3 * height // 4)) :] = 2
    left = int(rng.integers(0, width // 2))
    label[height // 2 : 3 * height // 4, left : left + width // 4] = 3
    label[: height // 8, : width // 8] = IGNORE
    return label


def make_prediction(rng, label, quality):
    """The label with blocks of 8 x 8 pixels called something else."""
    height, width = label.shape
    wrong = (rng.random((height // 8 + 1, width // 8 + 1)) > quality).repeat(8, 0).repeat(8, 1)[:height, :width]
    return np.where(wrong | (label == IGNORE), (label + 1) % 4, label).astype(np.uint8)


def make_frame(rng, key, label, predictions):
    height, width = label.shape
    cell = Region(0, width // 4, height // 4, width // 4)
    verdicts = [Verdict.CLASS, Verdict.AMBIGUOUS, Verdict.NONE, Verdict.SKIP]
    queries = tuple(
        Query(f"{key}-{number}", key, QueryKind.POINT, "entropy_patches", 0.5, Point(number, width // 4 + number), cell)
        for number in range(len(verdicts) + 1)  # the last one stays unanswered
    )
    answers = tuple(
        Answer(query.id, verdict, 3 if verdict is Verdict.CLASS else None, "ann", 3.0)
        for query, verdict in zip(queries, verdicts, strict=False)
    )
    image = np.clip(label[..., None] / 5 + 0.03 * rng.standard_normal((height, width, 3)), 0, 1).astype(np.float32)
    return ShownFrame(key, image, label, predictions, rng.random((height, width)), queries, answers)


def make_report(names=NAMES, size_HW=(48, 64), frames=6, shown=2, title="Toy city", label="point_da", seed=0):
    """A complete ReportData; `names` are the classes' names, `label` the name of the model after the questions."""
    rng = np.random.default_rng(seed)
    colors = [(70, 130, 180), (70, 70, 70), (128, 64, 128), (0, 0, 142), (0, 80, 100)]
    classes = ClassSet(
        "toy",
        tuple(
            SemanticClass(name, color, (number,))
            for number, (name, color) in enumerate(zip(names, colors, strict=True))
        ),
        subsets={"frequent": (names[0], names[2])},
    )
    called = {name: label if name == "point_da" else name for name in QUALITY}
    confusions = {name: Confusions(len(names)) for name in QUALITY}
    exhibits = []
    for number in range(frames):
        truth = make_label(rng, size_HW)
        predictions = {name: make_prediction(rng, truth, quality) for name, quality in QUALITY.items()}
        for name, prediction in predictions.items():
            confusions[name].add(f"val_{number}", confusion(truth, prediction, len(names)))
        steps = {called[name]: predictions[name] for name in QUALITY if name not in ROLES}
        if number < shown:
            exhibits.append(make_frame(rng, f"val_{number}", truth, steps))
    models = tuple(
        EvaluatedModel.measure(called[name], found, SECONDS[name], ROLES.get(name, Role.STEP), resamples=100)
        for name, found in confusions.items()
    )
    curve = tuple(
        CurvePoint(m.human_seconds / 60, m.miou.value, m.miou.low, m.miou.high, m.name, str(m.role)) for m in models
    )
    queries = [query for frame in exhibits for query in frame.queries]
    answers = [answer for frame in exhibits for answer in frame.answers]
    return ReportData(
        title=title,
        project="toy",
        classes=classes,
        models=models,
        curve=curve,
        frames=tuple(exhibits),
        ledger=(LedgerRow.count("round 1", queries, answers, simulated=True),),
        stages=(
            StageRecord("adapt", ("frugalseg", "adapt", "my city"), {"rounds": 3, "name": "x"}, 7, 61.0, 5.0, "ab12"),
        ),
        environment={"python": "3.11"},
        budget="50points/image",
        notes=("Answers were simulated.",),
        created="1 May 2026",
    )


@pytest.fixture(scope="session")
def made():
    """The makers, for tests that want another report."""
    return SimpleNamespace(report=make_report, label=make_label, frame=make_frame)


@pytest.fixture(scope="session")
def data():
    """The standard report."""
    return make_report()
