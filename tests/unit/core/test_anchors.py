"""Anchors against loops written from equations 2, 3 and 5, and against scikit-learn under the paper's letter."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.cluster import KMeans

from frugalseg.core import anchors as module
from frugalseg.core.anchors import Anchors, ImageVectors, distances, fit_anchors, nearest
from frugalseg.core.errors import DataError


def images(count=60, classes=4, features=3, absent=0.3, seed=0, scenes=5):
    """Images around some scenes, each lacking some classes but never all."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 10, (scenes, classes, features))
    vectors = (centres[rng.integers(scenes, size=count)] + rng.normal(0, 1, (count, classes, features))).astype("f4")
    present = rng.random((count, classes)) >= absent
    present[~present.any(axis=1), 0] = True
    vectors[~present] = 0
    return ImageVectors(tuple(f"frame_{number:03}" for number in range(count)), vectors, present)


def as_anchors(found, numbers):
    return Anchors(found.vectors_NCF[numbers], found.present_NC[numbers], np.ones(len(numbers), np.int64))


def naive_distance(vector_CF, present_C, anchor_CF, anchor_present_C):
    shared = [c for c in range(len(vector_CF)) if present_C[c] and anchor_present_C[c]]
    if not shared:
        return np.inf
    return sum(float(((vector_CF[c].astype("f8") - anchor_CF[c]) ** 2).sum()) for c in shared) / len(shared)


def naive_k_means(found, first, iterations):
    """Equations 2 and 3, image by image; no anchor may lose all its images."""
    centres, has = first.vectors_KCF.astype("f8"), first.present_KC
    for _ in range(iterations):
        owners = [
            int(np.argmin([naive_distance(v, p, a, h) for a, h in zip(centres, has, strict=True)]))
            for v, p in zip(found.vectors_NCF, found.present_NC, strict=True)
        ]
        new, new_has = np.zeros_like(centres), np.zeros_like(has)
        for k in range(len(centres)):
            for c in range(centres.shape[1]):
                mine = [
                    found.vectors_NCF[n, c].astype("f8")
                    for n in range(len(found))
                    if owners[n] == k and found.present_NC[n, c]
                ]
                if mine:
                    new[k, c], new_has[k, c] = np.mean(mine, axis=0), True
        centres, has = new, new_has
    return centres, has, owners


def test_a_distance_by_hand():
    found = ImageVectors(
        ("a", "b", "c"),
        np.array([[[1, 1], [5, 0]], [[1, 1], [0, 0]], [[0, 0], [2, 2]]], np.float32),
        np.array([[1, 1], [1, 0], [0, 1]], bool),
    )
    anchors = Anchors(
        np.array([[[1, 3], [2, 0]], [[9, 9], [0, 0]]], "f4"), np.array([[1, 1], [1, 0]], bool), np.ones(2)
    )
    assert distances(found, anchors).tolist() == [[(4 + 9) / 2, 128], [4, 128], [4, np.inf]]
    assert [part.tolist() for part in nearest(found, anchors)] == [[6.5, 4, 4], [0, 0, 0]]


def test_distances_equal_a_loop_and_pieces_change_nothing(monkeypatch):
    found = images()
    anchors = as_anchors(found, [0, 7, 13, 20])
    whole = distances(found, anchors)
    for n, k in np.ndindex(whole.shape):
        expected = naive_distance(
            found.vectors_NCF[n], found.present_NC[n], anchors.vectors_KCF[k], anchors.present_KC[k]
        )
        assert whole[n, k] == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(module, "CHUNK_BYTES", 7 * 8 * 12)  # seven images at a time
    assert distances(found, anchors) == pytest.approx(whole, rel=1e-12)


def test_an_image_lies_at_itself():
    found = images(absent=0)
    assert (np.diagonal(distances(found, as_anchors(found, list(range(60))))) == 0).all()


def test_absent_as_zeros_is_equation_5_over_the_classes():
    found = images()
    anchors = as_anchors(found.zeros_for_absent, [3, 4])
    flat = found.vectors_NCF.reshape(60, -1).astype("f8")
    expected = ((flat[:, None] - flat[[3, 4]]) ** 2).sum(axis=2) / 4
    assert distances(found.zeros_for_absent, anchors) == pytest.approx(expected)


def test_k_means_equals_equations_2_and_3_written_out():
    found = images()
    first = as_anchors(found, [0, 1, 2])
    fitted = fit_anchors(found, 3, 20, initial=first)
    centres, has, owners = naive_k_means(found, first, 20)
    assert fitted.members_K.tolist() == np.bincount(owners, minlength=3).tolist()
    assert np.array_equal(fitted.present_KC, has) and fitted.vectors_KCF == pytest.approx(centres, rel=1e-5)


@pytest.mark.parametrize("iterations", [1, 2, 20])
def test_under_the_papers_letter_it_is_scikit_learns(iterations):
    found = images(200, seed=1)
    flat = found.vectors_NCF.reshape(200, -1).astype("f8")
    rows = [0, 1, 2, 3, 4, 5, 6]
    theirs = KMeans(7, init=flat[rows], n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(flat)
    ours = fit_anchors(found.zeros_for_absent, 7, iterations, initial=as_anchors(found.zeros_for_absent, rows))
    assert ours.vectors_KCF.reshape(7, -1) == pytest.approx(theirs.cluster_centers_, rel=1e-5, abs=1e-5)


def test_an_anchor_that_loses_its_images_gets_the_furthest_as_scikit_learns_does():
    values = np.array([0.0, 1.0, 2.0, 50.0, 60.0])
    found = ImageVectors(tuple("abcde"), values.astype("f4").reshape(5, 1, 1), np.ones((5, 1), bool))
    first = np.array([1.0, 1000.0, 55.0])
    theirs = KMeans(3, init=first[:, None], n_init=1, max_iter=20, tol=0).fit(values[:, None])
    ours = fit_anchors(
        found, 3, initial=Anchors(first.reshape(3, 1, 1).astype("f4"), np.ones((3, 1), bool), np.ones(3))
    )
    assert sorted(ours.vectors_KCF.ravel()) == pytest.approx(sorted(theirs.cluster_centers_.ravel()))


def test_an_absent_class_does_not_fade():
    """One of ten images of a scene shows a bicycle: the anchor's bicycle is that one's, not a tenth of it."""
    vectors, present = np.zeros((10, 2, 1), np.float32), np.zeros((10, 2), bool)
    vectors[:, 0], present[:, 0] = 1, True
    vectors[4, 1], present[4, 1] = 8, True
    found = ImageVectors(tuple("abcdefghij"), vectors, present)
    assert fit_anchors(found, 1).vectors_KCF.ravel().tolist() == [1, 8]
    assert fit_anchors(found.zeros_for_absent, 1).vectors_KCF.ravel() == pytest.approx([1, 0.8])


@pytest.mark.parametrize("start", ["k-means++", "random"])
def test_the_order_of_the_images_makes_no_difference(start):
    found = images()
    order = np.random.default_rng(5).permutation(60)
    shuffled = ImageVectors(
        tuple(found.keys[number] for number in order), found.vectors_NCF[order], found.present_NC[order]
    )
    one, other = (fit_anchors(each, 5, seed=3, start=start) for each in (found, shuffled))
    assert np.array_equal(one.vectors_KCF, other.vectors_KCF) and np.array_equal(one.members_K, other.members_K)
    assert all(np.array_equal(a, b) for a, b in zip(nearest(found, one), nearest(shuffled, other), strict=True))


def test_the_seed_decides_and_k_means_plus_plus_finds_separate_scenes():
    found = images(200, absent=0)
    error = {
        start: [nearest(found, fit_anchors(found, 5, seed=seed, start=start))[0].sum() for seed in range(8)]
        for start in ("k-means++", "random")
    }
    assert len({round(value, 6) for value in error["random"]}) > 1
    assert np.mean(error["k-means++"]) < np.mean(error["random"])


def test_iterations_never_make_it_worse():
    found = images(200, seed=2, absent=0)
    first = as_anchors(found, [0, 1, 2, 3])
    errors = [nearest(found, fit_anchors(found, 4, n, initial=first))[0].sum() for n in range(1, 8)]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(errors)) and errors[-1] < errors[0]


def test_there_are_no_more_anchors_than_different_images():
    found = ImageVectors(("a", "b", "c"), np.array([1, 1, 4], "f4").reshape(3, 1, 1), np.ones((3, 1), bool))
    assert sorted(fit_anchors(found, 10).vectors_KCF.ravel()) == [1, 4]


def test_images_without_a_class_take_no_part():
    found = images()
    present = found.present_NC.copy()
    present[10] = False
    vectors = np.where(present[..., None], found.vectors_NCF, 0)
    without = ImageVectors(found.keys, vectors, present)
    anchors = fit_anchors(without, 3)
    assert anchors.members_K.sum() == (present.any(axis=1)).sum() < 60
    assert np.isinf(nearest(without, anchors)[0][10])
    with pytest.raises(DataError, match="no image has a class"):
        fit_anchors(ImageVectors(("a",), np.zeros((1, 2, 3), np.float32), np.zeros((1, 2), bool)))


def test_an_image_that_shares_no_class_with_others_is_no_trouble():
    vectors = np.array([[[1], [0]], [[2], [0]], [[9], [0]], [[0], [5]]], np.float32)
    found = ImageVectors(tuple("abcd"), vectors, vectors[..., 0] > 0)
    for seed in range(5):
        fitted = fit_anchors(found, 2, seed=seed)
        assert fitted.members_K.sum() == 4 and np.isfinite(nearest(found, fitted)[0]).all()


@pytest.mark.parametrize(
    ("vectors", "present", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3), bool), "expected N, N x C x F and N x C"),
        (np.zeros((1, 3, 2)), np.zeros((1, 3), bool), "2 keys"),
        (np.full((2, 3, 2), np.nan), np.ones((2, 3), bool), "left: its feature vector is not a number"),
        (np.ones((2, 3, 2)), np.zeros((2, 3), bool), "left: an absent class has a feature"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(vectors, present, message):
    with pytest.raises(DataError, match=message):
        ImageVectors(("right", "left"), vectors.astype(np.float32), present)


def test_a_frame_twice_and_another_networks_anchors_are_refused():
    with pytest.raises(DataError, match="frame a was seen twice"):
        ImageVectors(("a", "a"), np.zeros((2, 1, 1), np.float32), np.ones((2, 1), bool))
    with pytest.raises(DataError, match="Take both from one network"):
        distances(images(), fit_anchors(images(features=2), 2))
