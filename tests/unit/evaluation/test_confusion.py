"""Counts and scores against hand-worked numbers, a naive loop, torchmetrics and cityscapesScripts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ArtifactError, ConfigError, DataError, LabelShapeError, UnknownIdError
from frugalseg.evaluation.confusion import Confusions, confusion, scores


def random_pair(seed, classes, size=(24, 31), ignored=0.15, silent=0.0):
    """A label and a prediction that agrees with it about half the time; `silent` is the share of predicted IGNORE."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, size).astype(np.uint8)
    prediction = np.where(rng.random(size) < 0.5, label, rng.integers(0, classes, size)).astype(np.uint8)
    label[rng.random(size) < ignored] = IGNORE
    prediction[rng.random(size) < silent] = IGNORE
    return label, prediction


def naive_confusion(label, prediction, classes):
    matrix = [[0] * (classes + 1) for _ in range(classes)]
    for truth, predicted in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if truth != IGNORE:
            matrix[truth][classes if predicted == IGNORE else predicted] += 1
    return matrix


def test_hand_worked():
    label = np.array([[0, 0, 0, 1], [1, 1, IGNORE, IGNORE]], np.uint8)
    prediction = np.array([[0, 0, 1, 1], [IGNORE, 1, 0, 2]], np.uint8)
    matrix = confusion(label, prediction, 3)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 2, 0, 1], [0, 0, 0, 0]]
    assert matrix.dtype == np.int64
    got = scores(matrix)
    assert got.iou_C[:2].tolist() == [2 / 3, 2 / 4]  # the silent pixel is a miss of class 1
    assert math.isnan(got.iou_C[2])
    assert got.miou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert got.pixel_accuracy == pytest.approx(4 / 6)
    assert got.mean_accuracy == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert got.truth_px_C.tolist() == [3, 3, 0]
    assert got.predicted_px_C.tolist() == [2, 3, 0]


@pytest.mark.parametrize("classes", [1, 2, 11, 254])
def test_equals_a_naive_loop(classes):
    label, prediction = random_pair(classes, classes, silent=0.1)
    assert confusion(label, prediction, classes).tolist() == naive_confusion(label, prediction, classes)


def test_any_integer_type_counts_alike():
    label, prediction = random_pair(3, 5)
    expected = confusion(label, prediction, 5)
    assert (confusion(label.astype(np.int64), prediction.astype(np.int32), 5) == expected).all()


def test_everything_ignored_scores_nothing():
    label = np.full((4, 5), IGNORE, np.uint8)
    matrix = confusion(label, np.zeros((4, 5), np.uint8), 3)
    assert matrix.sum() == 0
    got = scores(matrix)
    assert np.isnan([got.miou, got.pixel_accuracy, got.mean_accuracy, *got.iou_C]).all()


def test_perfect_and_hopeless_are_the_limits():
    label, _ = random_pair(1, 4)
    assert scores(confusion(label, np.where(label == IGNORE, 0, label).astype(np.uint8), 4)).miou == 1
    wrong = np.where(label == IGNORE, 0, (label + 1) % 4).astype(np.uint8)
    assert scores(confusion(label, wrong, 4)).miou == 0
    assert scores(confusion(label, np.full_like(label, IGNORE), 4)).miou == 0


def test_a_class_that_is_only_predicted_harms_others_but_is_not_in_the_mean():
    matrix = np.array([[6, 2, 2], [0, 10, 0], [0, 0, 0]])
    got = scores(matrix)
    assert got.iou_C.tolist() == [6 / 10, 10 / 12, 0.0]
    assert got.miou == pytest.approx((6 / 10 + 10 / 12) / 2)


def test_subset_only_changes_the_means():
    label, prediction = random_pair(5, 6)
    matrix = confusion(label, prediction, 6)
    all_classes, some = scores(matrix), scores(matrix, ids=[4, 1])
    assert (some.iou_C == all_classes.iou_C).all()
    assert some.miou == pytest.approx(all_classes.iou_C[[1, 4]].mean())
    assert some.mean_accuracy == pytest.approx(all_classes.accuracy_C[[1, 4]].mean())
    assert some.pixel_accuracy == pytest.approx((matrix[1, 1] + matrix[4, 4]) / matrix[[1, 4]].sum())


@pytest.mark.parametrize("ids", [[], [0, 0], [3], [-1]])
def test_nonsense_subsets_are_refused(ids):
    with pytest.raises(ConfigError, match="0–2"):
        scores(np.eye(3, dtype=np.int64), ids)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), classes=st.integers(2, 7))
def test_scores_do_not_depend_on_how_classes_are_numbered(seed, classes):
    label, prediction = random_pair(seed, classes, silent=0.05)
    order = np.random.default_rng(seed + 1).permutation(classes)
    table = np.full(256, IGNORE, np.uint8)
    table[:classes] = order
    old = scores(confusion(label, prediction, classes))
    new = scores(confusion(table[label], table[prediction], classes))
    np.testing.assert_array_equal(new.iou_C[order], old.iou_C)
    assert new.miou == pytest.approx(old.miou)
    assert new.pixel_accuracy == pytest.approx(old.pixel_accuracy)


def test_pixel_order_does_not_matter():
    label, prediction = random_pair(8, 5)
    shuffle = np.random.default_rng(0).permutation(label.size)
    shuffled = confusion(label.ravel()[shuffle][None], prediction.ravel()[shuffle][None], 5)
    assert (shuffled == confusion(label, prediction, 5)).all()


@pytest.mark.slow  # its import takes seconds
def test_agrees_with_torchmetrics():
    import torch
    import torchmetrics.classification as metrics

    classes = 7
    pairs = [random_pair(seed, classes) for seed in range(4)]
    total = sum(confusion(label, prediction, classes) for label, prediction in pairs)
    label = torch.from_numpy(np.stack([label for label, _ in pairs]).astype(np.int64))
    prediction = torch.from_numpy(np.stack([prediction for _, prediction in pairs]).astype(np.int64))
    got = scores(total)

    def oracle(metric, average):
        made = metric(num_classes=classes, average=average, ignore_index=IGNORE)
        return made(prediction, label).numpy()

    matrix = metrics.MulticlassConfusionMatrix(num_classes=classes, ignore_index=IGNORE)(prediction, label)
    assert matrix.tolist() == total[:, :classes].tolist()
    np.testing.assert_allclose(got.iou_C, oracle(metrics.MulticlassJaccardIndex, "none"), rtol=1e-6)
    np.testing.assert_allclose(got.miou, oracle(metrics.MulticlassJaccardIndex, "macro"), rtol=1e-6)
    np.testing.assert_allclose(got.accuracy_C, oracle(metrics.MulticlassAccuracy, "none"), rtol=1e-6)
    np.testing.assert_allclose(got.mean_accuracy, oracle(metrics.MulticlassAccuracy, "macro"), rtol=1e-6)
    np.testing.assert_allclose(got.pixel_accuracy, oracle(metrics.MulticlassAccuracy, "micro"), rtol=1e-6)


def test_agrees_with_cityscapes_scripts(monkeypatch):
    for name in ("CITYSCAPES_DATASET", "CITYSCAPES_RESULTS", "CITYSCAPES_EXPORT_DIR"):
        monkeypatch.delenv(name, raising=False)  # its import looks at them
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official

    raw = [label for label in official.labels if label.id >= 0]
    table = np.full(256, IGNORE, np.uint8)
    for label in raw:
        if not label.ignoreInEval:
            table[label.id] = label.trainId
    truth, prediction = random_pair(2, len(raw), size=(64, 64), ignored=0)
    matrix = official.generateMatrix(official.args)
    np.add.at(matrix, (truth, prediction), 1)

    got = scores(confusion(table[truth], table[prediction], 19))
    theirs = {label.id: official.getIouScoreForLabel(label.id, matrix, official.args) for label in raw}
    for label in raw:
        if not label.ignoreInEval:
            assert got.iou_C[label.trainId] == pytest.approx(theirs[label.id])
    assert got.miou == pytest.approx(official.getScoreAverage(theirs, official.args))
    assert (table[truth] == IGNORE).any() and ((table[prediction] == IGNORE) & (table[truth] != IGNORE)).any()


def test_sizes_must_agree():
    with pytest.raises(LabelShapeError, match="4x6.*6x4"):
        confusion(np.zeros((4, 6), np.uint8), np.zeros((6, 4), np.uint8), 2)


@pytest.mark.parametrize("which", ["label", "prediction"])
@pytest.mark.parametrize(("value", "dtype"), [(3, np.uint8), (254, np.uint8), (300, np.int64), (-1, np.int64)])
def test_ids_that_are_no_class_are_refused_by_name_value_and_count(which, value, dtype):
    good, bad = np.zeros((2, 3), np.uint8), np.zeros((2, 3), dtype)
    bad[0, :2] = value
    with pytest.raises(UnknownIdError, match=rf"{which} holds .*{value}( \(2 px\)| to|;)"):
        confusion(*((bad, good) if which == "label" else (good, bad)), 3)


def filled(keys, classes=3):
    return Confusions(
        classes, [(key, confusion(*random_pair(number, classes), classes)) for number, key in enumerate(keys)]
    )


def test_total_is_the_sum_and_the_order_of_frames_is_none():
    ours = filled(["b", "a", "c"])
    assert ours.keys == ("a", "b", "c")
    assert (ours.total() == ours["a"] + ours["b"] + ours["c"]).all()
    assert (ours.stack() == np.stack([ours["a"], ours["b"], ours["c"]])).all()


def test_a_frame_counts_once():
    ours = filled(["a", "b"])
    total = ours.total()
    ours.add("a", ours["a"].copy())
    assert len(ours) == 2 and (ours.total() == total).all()
    with pytest.raises(DataError, match="'a' was scored twice"):
        ours.add("a", ours["a"] + 1)


@settings(max_examples=20)
@given(cut=st.integers(0, 6), overlap=st.integers(0, 3))
def test_merging_parts_equals_counting_once(cut, overlap):
    whole = filled([f"frame {number}" for number in range(6)])
    keys = whole.keys
    left = Confusions(3, [(key, whole[key]) for key in keys[: cut + overlap]])
    right = Confusions(3, [(key, whole[key]) for key in keys[cut:]])
    for merged in (left.merge(right), right.merge(left)):
        assert merged.keys == keys
        assert (merged.stack() == whole.stack()).all()


def test_merging_different_class_counts_is_refused():
    with pytest.raises(DataError, match="3 and of 4"):
        filled(["a"], 3).merge(filled(["b"], 4))


@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3), np.int64), np.zeros((3, 4), np.float64), np.full((3, 4), -1, np.int64)]
)
def test_only_proper_matrices_are_taken(matrix):
    with pytest.raises(DataError, match="expected"):
        Confusions(3).add("a", matrix)


@pytest.mark.parametrize("keys", [[], ["a"], ["straße/図 1", "b\nc", "a"]])
def test_saved_and_loaded_is_the_same(tmp_path, keys):
    ours = filled(keys)
    ours.save(tmp_path / "one.npz")
    loaded = Confusions.load(tmp_path / "one.npz")
    assert loaded.keys == ours.keys and loaded.classes == 3
    assert (loaded.stack() == ours.stack()).all()
    loaded.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_counts_beyond_32_bits_survive(tmp_path):
    huge = np.full((2, 3), 6_300_000_000, np.int64)
    ours = Confusions(2, [("a", huge), ("b", huge)])
    ours.save(tmp_path / "c.npz")
    assert (Confusions.load(tmp_path / "c.npz").total() == 12_600_000_000).all()


def test_damaged_and_foreign_files_are_refused(tmp_path):
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    filled(["a", "b"]).save(good)
    whole = good.read_bytes()
    contents = [b"", b"hello", whole[: len(whole) // 2]]
    for content in contents:
        bad.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"bad\.npz"):
            Confusions.load(bad)
    with pytest.raises(ArtifactError, match=r"none\.npz"):
        Confusions.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "arrays",
    [
        {"matrices": np.zeros((1, 2, 3), np.int64)},
        {"keys": np.frombuffer(b'["a"]', np.uint8), "matrices": np.zeros((2, 2, 3), np.int64)},
        {"keys": np.frombuffer(b'["a", "a"]', np.uint8), "matrices": np.zeros((2, 2, 3), np.int64)},
        {"keys": np.frombuffer(b'["a"]', np.uint8), "matrices": np.zeros((1, 2, 2), np.int64)},
        {"keys": np.frombuffer(b'["a"', np.uint8), "matrices": np.zeros((1, 2, 3), np.int64)},
        {"keys": np.frombuffer(b"[1]", np.uint8), "matrices": np.zeros((1, 2, 3), np.int64)},
        {"keys": np.array(["a"], object), "matrices": np.zeros((1, 2, 3), np.int64)},
    ],
)
def test_other_arrays_and_pickles_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ArtifactError, match=r"x\.npz"):
        Confusions.load(tmp_path / "x.npz")
