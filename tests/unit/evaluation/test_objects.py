"""iIoU and category scores: worked by hand, a loop written from the definition, the official script, limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.errors import DataError, LabelShapeError
from frugalseg.data import class_sets
from frugalseg.evaluation.confusion import confusion
from frugalseg.evaluation.objects import Grouping, ObjectHits, object_hits, object_scores

CLASSES = ClassSet(
    "small",
    tuple(SemanticClass(name, (i, 0, 0), (i,)) for i, name in enumerate(("road", "car", "bus", "tree"))),
    categories={"flat": ("road",), "vehicle": ("car", "bus")},
    instance_px={"car": 4.0, "bus": 10.0},
)
ROAD, CAR, BUS, TREE = range(4)
GROUPING = Grouping.of(CLASSES, CLASSES)


def scored(label, objects, class_of, prediction):
    label, objects, prediction = (np.array(a) for a in (label, objects, prediction))
    found = object_hits("f", objects, class_of, prediction.astype(np.uint8), GROUPING)
    matrix = confusion(label.astype(np.uint8), prediction.astype(np.uint8), 4)
    return object_scores(matrix, found, GROUPING)


def test_worked_by_hand():
    # A car of 2 pixels, all found; a car of 8, of which 4 are called bus and 2 road; one road pixel called car.
    label = [[CAR] * 2 + [CAR] * 8 + [ROAD] * 4]
    objects = [[1] * 2 + [2] * 8 + [0] * 4]
    prediction = [[CAR] * 2 + [CAR] * 2 + [BUS] * 4 + [ROAD] * 2 + [CAR] + [ROAD] * 3]
    result = scored(label, objects, {1: CAR, 2: CAR}, prediction)
    # weights 4/2 = 2 and 4/8 = 0.5: iTP = 2*2 + 2*0.5 = 5, iFN = 6*0.5 = 3, FP = 1
    assert result.iiou_C[CAR] == pytest.approx(5 / (5 + 1 + 3))
    assert result.iiou_C[BUS] == 0.0  # 4 false positives, no object
    assert np.isnan(result.iiou_C[[ROAD, TREE]]).all()
    assert result.miiou == pytest.approx(5 / 9)  # of the classes that have an object
    # as vehicles: iTP = 4 + 6*0.5 = 7, iFN = 2*0.5 = 1, FP = 1; without weights 8 of 10 and one false
    assert result.category_iiou_K.tolist() == pytest.approx([math.nan, 7 / 9], nan_ok=True)
    assert result.category_iou_K.tolist() == pytest.approx([3 / 6, 8 / 11])
    assert result.category_miou == pytest.approx((3 / 6 + 8 / 11) / 2)
    assert result.category_miiou == pytest.approx(7 / 9)


def test_a_perfect_prediction_scores_one_and_an_empty_one_nothing():
    label = np.array([[CAR, CAR, BUS, ROAD]])
    perfect = scored(label, [[1, 1, 2, 0]], {1: CAR, 2: BUS}, label)
    assert perfect.iiou_C[[CAR, BUS]].tolist() == [1.0, 1.0]
    assert (perfect.miiou, perfect.category_miiou, perfect.category_miou) == (1.0, 1.0, 1.0)
    nothing = scored(label, [[1, 1, 2, 0]], {1: CAR, 2: BUS}, np.full((1, 4), IGNORE))
    assert (nothing.miiou, nothing.category_miiou, nothing.category_miou) == (0.0, 0.0, 0.0)


def test_truth_that_is_ignored_counts_nowhere_and_without_objects_there_is_no_score():
    result = scored([[IGNORE, IGNORE, ROAD]], [[0, 0, 0]], {}, [[CAR, BUS, ROAD]])
    assert np.isnan(result.iiou_C).all()
    assert np.isnan(result.miiou) and np.isnan(result.category_miiou)
    assert result.category_iou_K.tolist() == pytest.approx([1.0, math.nan], nan_ok=True)


def test_a_class_outside_every_category_is_a_false_positive_of_those():
    result = scored([[TREE, TREE, CAR]], [[0, 0, 1]], {1: CAR}, [[CAR, TREE, CAR]])
    assert result.category_iou_K.tolist() == pytest.approx([math.nan, 1 / 2], nan_ok=True)


def test_a_category_with_a_class_without_objects_is_not_scored_by_object():
    classes = ClassSet(CLASSES.name, CLASSES.classes, categories={"all": ("car", "tree")}, instance_px={"car": 4.0})
    assert Grouping.of(classes, classes).by_object_K.tolist() == [False]


def test_the_project_may_have_other_classes():
    project = ClassSet(
        "p", (SemanticClass("tree", (0, 0, 0), (0,)), SemanticClass("auto", (1, 1, 1), (1,), ("car", "bus")))
    )
    grouping = Grouping.of(CLASSES, project)
    assert grouping.category_C.tolist() == [-1, 1]
    assert grouping.instance_px_C.tolist() == pytest.approx([math.nan, 4.0], nan_ok=True)  # car's, which comes first


def naive(label, objects, class_of, prediction, sizes):
    """The definition, pixel by pixel."""
    tp, fn, fp = dict.fromkeys(sizes, 0.0), dict.fromkeys(sizes, 0.0), dict.fromkeys(sizes, 0)
    for at in np.ndindex(label.shape):
        for c in sizes:
            if prediction[at] == c and label[at] not in (c, IGNORE):
                fp[c] += 1
        c = class_of.get(int(objects[at]))
        if c in sizes:
            weight = sizes[c] / sum(1 for other in objects.ravel() if other == objects[at])
            if prediction[at] == c:
                tp[c] += weight
            else:
                fn[c] += weight
    return {c: tp[c] / (tp[c] + fp[c] + fn[c]) if tp[c] + fp[c] + fn[c] else math.nan for c in sizes}


@given(st.integers(0, 2**32 - 1))
def test_as_the_naive_loop(seed):
    rng = np.random.default_rng(seed)
    objects = rng.integers(0, 5, (6, 7))
    class_of = {1: CAR, 2: CAR, 3: BUS, 4: TREE}
    label = np.vectorize({0: ROAD, **class_of}.get)(objects)
    label[rng.random(label.shape) < 0.1] = IGNORE
    objects[label == IGNORE] = 0
    prediction = rng.choice([ROAD, CAR, BUS, TREE, IGNORE], label.shape)
    result = scored(label, objects, class_of, prediction)
    expected = naive(label, objects, class_of, prediction, {CAR: 4.0, BUS: 10.0})
    assert [result.iiou_C[c] for c in expected] == pytest.approx(list(expected.values()), nan_ok=True)


def test_the_order_of_objects_and_frames_does_not_matter():
    rng = np.random.default_rng(0)
    found = [ObjectHits("f", n, CAR, int(p), int(p) // 3, int(p) // 2) for n, p in enumerate(rng.integers(1, 999, 500))]
    matrix = rng.integers(0, 99, (4, 5))
    one = object_scores(matrix, found, GROUPING)
    other = object_scores(matrix, [found[at] for at in rng.permutation(500)], GROUPING)
    assert one.miiou == other.miiou and one.category_miiou == other.category_miiou


def test_what_does_not_fit_is_refused():
    with pytest.raises(LabelShapeError, match=r"frame f: objects are \(1, 2\), the prediction is \(1, 3\)"):
        object_hits("f", np.zeros((1, 2), int), {}, np.zeros((1, 3), np.uint8), GROUPING)
    with pytest.raises(DataError, match="frame f, object 3: 5 and 4 of 6 pixels"):
        ObjectHits("f", 3, CAR, 6, 5, 4)


def test_as_the_official_script(tmp_path, monkeypatch):
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    if not hasattr(np, "in1d"):  # the script is older than numpy 2.4
        monkeypatch.setattr(np, "in1d", np.isin, raising=False)
    monkeypatch.setattr(official.args, "quiet", True)
    monkeypatch.setattr(official, "CSUPPORT", False)
    city = class_sets.load("cityscapes19")
    grouping, rng = Grouping.of(city, city), np.random.default_rng(3)
    matrix, stats = official.generateMatrix(official.args), official.generateInstanceStats(official.args)
    total, found = np.zeros((19, 20), np.int64), []
    raw_of = np.array([entry.raw_ids[0] for entry in city.classes])
    for number in range(4):
        values = rng.choice(
            [7, 8, 11, 21, 23, 24, 26, 3, 24_000, 24_001, 25_002, 26_000, 26_001, 28_000, 29_000, 33_007], (6, 8)
        )
        values = values.repeat(4, 0).repeat(5, 1)
        raw = np.where(values > 1000, values // 1000, values)
        prediction = np.where(rng.random(raw.shape) < 0.4, rng.integers(0, 19, raw.shape), city.lookup[raw].clip(0, 18))
        for kind, array in (("labelIds", raw.astype(np.uint8)), ("instanceIds", values.astype(np.uint16))):
            Image.fromarray(array).save(tmp_path / f"a_{number:06}_000019_gtFine_{kind}.png")
        Image.fromarray(raw_of[prediction].astype(np.uint8)).save(tmp_path / f"p{number}.png")
        truth = str(tmp_path / f"a_{number:06}_000019_gtFine_labelIds.png")
        official.evaluatePair(str(tmp_path / f"p{number}.png"), truth, matrix, stats, {}, official.args)
        total += confusion(city.lookup[raw].astype(np.uint8), prediction.astype(np.uint8), 19)
        class_of = {v: int(city.lookup[v // 1000]) for v in np.unique(values).tolist() if v > 1000}
        known = {v: c for v, c in class_of.items() if c != IGNORE}
        found += object_hits(
            str(number), np.where(values > 1000, values, 0), known, prediction.astype(np.uint8), grouping
        )
    ours = object_scores(total, found, grouping)
    for name, score in zip(city.names, ours.iiou_C, strict=True):
        raw_id = city.classes[city.index(name)].raw_ids[0]
        assert score == pytest.approx(
            official.getInstanceIouScoreForLabel(raw_id, matrix, stats, official.args), nan_ok=True
        )
    for name, iou, iiou in zip(grouping.categories, ours.category_iou_K, ours.category_iiou_K, strict=True):
        assert iou == pytest.approx(official.getIouScoreForCategory(name, matrix, official.args), nan_ok=True)
        expected = official.getInstanceIouScoreForCategory(name, matrix, stats, official.args)
        assert iiou == pytest.approx(expected, nan_ok=True)
