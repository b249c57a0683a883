"""Whole images in the report: the map against principal components by hand, thumbnails, names that are hostile."""

import dataclasses
import re

import numpy as np
import pytest

from frugalseg.core.anchors import Anchors, ImageVectors
from frugalseg.core.errors import ArtifactError
from frugalseg.evaluation.chosen_images import chosen_panels, chosen_words, map_svg
from frugalseg.evaluation.exhibits import ChosenImage, ChosenImages
from frugalseg.evaluation.report import render
from frugalseg.evaluation.vector_map import SHOWN, VectorMap, draw_map, principal_plane


def images(prefix, count, at=0.0, seed=0):
    rng = np.random.default_rng(seed)
    means = (rng.normal(at, 1, (count, 3, 4)) * np.array([5, 1, 0.2])[:, None]).astype(np.float32)
    return ImageVectors(tuple(f"{prefix}{n:04}" for n in range(count)), means, np.ones((count, 3), bool))


def anchors(found, count=2):
    return Anchors(found.vectors_NCF[:count], found.present_NC[:count], np.ones(count, np.int64))


def make(count=6, strategy="multi_anchor", prefix="t"):
    source, target = images("s", 5), images(prefix, 8, at=2, seed=1)
    scores = np.linspace(8, 1, 8)
    chosen = tuple(ChosenImage(key, float(scores[n]), n + 1, n % 2) for n, key in enumerate(target.keys[:count]))
    drawn = draw_map(source, target, anchors(source), np.arange(8) % 2, [one.key for one in chosen])
    pictures = {one.key: np.full((12, 20, 3), 90, np.uint8) for one in chosen}
    return ChosenImages("0003-select-multi_anchor-1a", strategy, chosen, scores, pictures, drawn)


def test_the_plane_is_that_of_a_singular_value_decomposition():
    found = images("a", 30)
    places, explained = principal_plane(found.vectors_NCF, found.present_NC)
    flat = found.vectors_NCF.reshape(30, -1).astype("f8")
    left, values, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * values[:2]
    expected *= np.sign(expected[np.abs(expected).argmax(axis=0), [0, 1]])
    assert places == pytest.approx(expected, abs=1e-3)
    assert explained == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())


def test_an_absent_class_pulls_nowhere():
    found = images("a", 20)
    present = found.present_NC.copy()
    present[3, 0] = False
    vectors = np.where(present[..., None], found.vectors_NCF, 0)
    mean = vectors[:, 0].sum(axis=0) / 19
    filled = vectors.copy()
    filled[3, 0] = mean
    assert principal_plane(vectors, present)[0] == pytest.approx(
        principal_plane(filled, np.ones_like(present))[0], abs=1e-4
    )


@pytest.mark.parametrize("count", [1, 2])
def test_few_or_equal_images_are_no_trouble(count):
    vectors = np.ones((count, 2, 3), np.float32)
    places, explained = principal_plane(vectors, np.ones((count, 2), bool))
    assert places.shape == (count, 2) and not places.any() and explained == 1


def test_of_many_images_a_sample_is_shown_and_every_chosen_one():
    source, target = images("s", SHOWN + 50), images("t", SHOWN + 50, seed=1)
    chosen = target.keys[::60]
    drawn = draw_map(source, target, anchors(source), np.zeros(len(target), np.int64), chosen)
    assert len(drawn.source_S2) == SHOWN and SHOWN <= len(drawn.target_T2) <= SHOWN + len(chosen)
    assert {key for key, one in zip(drawn.keys, drawn.chosen_T, strict=True) if one} == set(chosen)


def test_a_map_comes_back_as_it_was_saved(tmp_path):
    drawn = make().map
    drawn.save(tmp_path / "map.npz")
    again = VectorMap.load(tmp_path / "map.npz")
    for name in (field.name for field in dataclasses.fields(VectorMap)):
        assert np.array_equal(getattr(again, name), getattr(drawn, name)), name
    (tmp_path / "map.npz").write_bytes(b"?")
    with pytest.raises(ArtifactError, match="no map of image vectors"):
        VectorMap.load(tmp_path / "map.npz")


def test_words_say_whether_the_highest_scores_were_taken():
    assert "chose 6 of 8 target frames" in chosen_words(make()) and "the highest scores" in chosen_words(make())
    shown = make(2)
    passed = dataclasses.replace(shown, chosen=(shown.chosen[0], dataclasses.replace(shown.chosen[1], rank=5)))
    assert "is number 5 by score" in chosen_words(passed)


def test_thumbnails_have_score_and_anchor_and_those_that_cannot_be_read_are_left_out():
    shown = make(3)
    del shown.images[shown.chosen[1].key]
    panels = chosen_panels(shown)
    assert [panel.key for panel in panels] == ["t0000", "t0002"]
    assert [panel.panels[0].caption for panel in panels] == ["8, anchor 0", "6, anchor 0"]


def test_the_map_draws_every_image_once():
    svg = map_svg(make().map, (5.6, 5.6), "salt")
    assert svg.startswith("<svg role=") and svg.count("<use") == 5 + 8 + 2
    assert map_svg(make().map, (5.6, 5.6), "salt") == svg


def test_hostile_names_stay_text(data):
    evil = '<img src=x onerror="alert(1)">&{{ 7 * 7 }}'
    html = render(dataclasses.replace(data, chosen=make(3, strategy=evil, prefix=evil)))
    assert '<section id="chosen-images"' in html and "<img src=x" not in html and "49" not in re.findall(r">49<", html)
    assert '<section id="chosen-images"' not in render(data)
