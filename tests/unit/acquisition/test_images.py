"""The scores of selectors of whole images against equations 5 and 12 to 14 of MADA, written out."""

import math

import numpy as np
import pytest

from frugalseg.acquisition.aada import Aada, AadaConfig
from frugalseg.acquisition.adversarial import Adversarial, AdversarialConfig
from frugalseg.acquisition.entropy_images import EntropyImages, EntropyImagesConfig
from frugalseg.acquisition.images import ImageSelector, ImageView, odds_against_source
from frugalseg.acquisition.multi_anchor import (
    DiverseImagesConfig,
    MultiAnchor,
    MultiAnchorConfig,
    finite,
    pair_limit,
    places,
)
from frugalseg.core.anchors import ImageVectors
from frugalseg.core.errors import DataError


def line(values, drives=None, asked=()):
    """Views whose one class has one feature, at places on a line; frame n of its drive has index n."""
    return [
        ImageView(
            f"f{n:03}",
            0.5,
            "one drive" if drives is None else drives[n],
            n,
            n in asked,
            np.array([[value]], np.float32),
            np.ones(1, bool),
        )
        for n, value in enumerate(values)
    ]


def vectors(values):
    array = np.array(values, np.float32).reshape(len(values), 1, 1)
    return ImageVectors(tuple(f"s{n:03}" for n in range(len(values))), array, np.ones((len(values), 1), bool))


def keys(config, views, total, source):
    selector = ImageSelector(MultiAnchor(config), total, len(views), 0)
    for view in views:
        selector.see(view)
    return [int(query.key[1:]) for query in selector.finish(source)[0]]


def test_equations_12_to_14_by_hand():
    views = [ImageView("a", 0.5, likeness_01=0.8), ImageView("b", 0.25, likeness_01=0.2)]
    assert EntropyImages(EntropyImagesConfig()).judge(views, 1, 0, None).score_N.tolist() == [0.5, 0.25]
    assert Adversarial(AdversarialConfig()).judge(views, 1, 0, None).score_N == pytest.approx([0.25, 4])
    assert Aada(AadaConfig()).judge(views, 1, 0, None).score_N == pytest.approx([0.125, 1])


def test_the_limits_of_the_odds():
    assert odds_against_source(ImageView("a", 0, likeness_01=1)) == 0
    assert odds_against_source(ImageView("a", 0, likeness_01=0.5)) == 1
    assert math.isfinite(odds_against_source(ImageView("a", 0, likeness_01=0)))


@pytest.mark.parametrize("numbers", [{"entropy_01": math.nan}, {"entropy_01": 3}, {"likeness_01": -1}])
def test_views_that_are_no_numbers_are_refused_by_name(numbers):
    with pytest.raises(DataError, match="frame_7: .* expected 0 to 1"):
        ImageView("frame_7", **{"entropy_01": 0.5, **numbers})


def test_the_furthest_from_the_nearest_anchor_is_asked():
    source = vectors([0, 0, 10, 10])  # two anchors, at 0 and 10
    views = line([0.5, 4.5, 9, 17, -6])
    opinion = MultiAnchor(MultiAnchorConfig(anchors=2)).judge(views, 2, 0, source)
    assert opinion.score_N == pytest.approx([0.25, 20.25, 1, 49, 36])  # equation 5
    at = opinion.anchors.vectors_KCF.ravel()
    assert at[opinion.anchor_N] == pytest.approx([0, 0, 10, 10, 0])
    assert keys(MultiAnchorConfig(anchors=2), views, 2, source) == [3, 4]
    assert keys(MultiAnchorConfig(anchors=1), views, 1, source) == [3]  # the centroid, at 5: 144 against 121


def test_the_targets_own_anchors_can_count_too():
    """Two target scenes, at 20 (many) and 12 (one): both are far from the source, only one is rare in the target."""
    source, views = vectors([0, 0]), line([20, 20, 20, 20, 12])
    assert keys(MultiAnchorConfig(anchors=1), views, 1, source) != [4]
    found = MultiAnchor(MultiAnchorConfig(anchors=1, target_weight=10)).judge(views, 1, 0, source)
    own = np.mean([20, 20, 20, 20, 12])
    assert found.score_N == pytest.approx([value**2 + 10 * (value - own) ** 2 for value in (20, 20, 20, 20, 12)])
    assert int(found.score_N.argmax()) == 4


def test_neighbours_in_time_are_passed_over_until_nothing_else_is_left():
    source, views = vectors([0]), line([9, 10, 9.5, 3, 1, 2])
    config = MultiAnchorConfig(anchors=1, gap_frames=2)  # at least two frames between
    assert keys(config, views, 1, source) == [1]
    assert keys(config, views, 2, source) == [1, 5]  # 0, 2 and 3 are too near to 1; 4 has two between, 5 scores higher
    assert keys(config, views, 3, source) == [1, 3, 5]  # then one between is enough: 3
    assert keys(config, views, 6, source) == [0, 1, 2, 3, 4, 5]


def test_another_drives_frames_are_no_neighbours():
    views = line([9, 10, 8, 1], drives=["b", "b", "a", "a"])
    assert keys(MultiAnchorConfig(anchors=1, gap_frames=3), views, 2, vectors([0])) == [1, 2]
    place_N, drive_N = places(views)
    assert place_N.tolist() == [0, 1, 0, 1] and drive_N.tolist() == [1, 1, 0, 0]


def test_frames_of_no_drive_have_no_neighbours():
    views = line([9, 10, 8, 1], drives=[""] * 4)
    assert keys(MultiAnchorConfig(anchors=1, gap_frames=3), views, 3, vectors([0])) == [0, 1, 2]
    assert places(views)[0].tolist() == [0] * 4 and len(set(places(views)[1].tolist())) == 4


def test_frames_that_look_alike_are_passed_over():
    views = line([10, 10.1, 10.2, 5, 5.1, -3])
    assert keys(MultiAnchorConfig(anchors=1), views, 3, vectors([0])) == [0, 1, 2]
    assert keys(MultiAnchorConfig(anchors=1, apart=0.3), views, 3, vectors([0])) == [2, 4, 5]


def test_what_was_labelled_before_counts_as_chosen():
    views = line([9, 10, 9.5, 3, 1, 2], asked={1})
    assert keys(MultiAnchorConfig(anchors=1, gap_frames=2), views, 1, vectors([0])) == [5]


def test_the_limit_is_a_quantile_of_the_distances_of_pairs():
    assert pair_limit(vectors([0, 1, 3]), 0.5) == 4  # of 1, 4, 9
    assert pair_limit(vectors([0, 1, 3]), 0) == pair_limit(vectors([5]), 0.5) == 0


def test_what_shares_no_class_with_the_source_counts_as_the_furthest():
    assert finite(np.array([1, np.inf, 4])).tolist() == [1, 4, 4]
    assert finite(np.array([np.inf])).tolist() == [0]


def test_absent_classes_as_zeros_is_an_option():
    means = np.array([[[1], [0]]], np.float32)
    source = ImageVectors(("s",), np.array([[[1], [6]]], np.float32), np.ones((1, 2), bool))
    views = [ImageView("a", 0.5, vectors_CF=means[0], present_C=np.array([True, False]))]
    assert MultiAnchor(MultiAnchorConfig()).judge(views, 1, 0, source).score_N.tolist() == [0]
    opinion = MultiAnchor(MultiAnchorConfig(paper_zeros=True)).judge(views, 1, 0, source)
    assert opinion.score_N.tolist() == [18]
    assert opinion.source is not None and opinion.source.present_NC.all()  # the map is drawn of what was compared


def test_diverse_images_is_multi_anchor_that_covers_with_spacing():
    views, source = line([9, 10, 9.5, 3, 1, 2, 7]), vectors([0, 1])
    plain = DiverseImagesConfig(gap_frames=0, choice="furthest")
    assert keys(plain, views, 3, source) == keys(MultiAnchorConfig(), views, 3, source)
    assert keys(DiverseImagesConfig(), views, 3, source) != keys(plain, views, 3, source)


def test_to_cover_is_to_bring_all_images_nearest_to_an_anchor_or_a_chosen_one():
    config = DiverseImagesConfig(anchors=1, gap_frames=0)
    views = line([4, 5, 6, 20, 50])  # the source at 0: costs 16, 25, 36, 400, 2500
    assert keys(config, views, 1, vectors([0])) == [4]  # saves 2500
    assert keys(config, views, 2, vectors([0])) == [3, 4]
    # 5 saves 15 + 25 + 35, 4 saves 16 + 24 + 32, 6 saves 12 + 24 + 36
    assert keys(config, views, 3, vectors([0])) == [1, 3, 4]
    many = line([5, 5.1, 5.2, 4.9, 4.8, 5.05, 8])
    assert keys(config, many, 1, vectors([0])) != [6] == keys(MultiAnchorConfig(anchors=1), many, 1, vectors([0]))
    assert keys(config, line([4, 5, 6, 20, 50], asked={4}), 1, vectors([0])) == [3], "labelled before: nothing to save"


@pytest.mark.parametrize("seed", range(5))
def test_each_choice_saves_most_as_tried_one_by_one(seed):
    rng = np.random.default_rng(seed)
    values, source = rng.normal(3, 4, 23), vectors([0.0, 2.0])
    views = line(values.tolist(), asked={3, 7})
    opinion = MultiAnchor(DiverseImagesConfig(anchors=2, gap_frames=0)).judge(views, 6, 0, source)

    def cost(chosen):
        return sum(min([s, *((values[i] - values[j]) ** 2 for j in chosen)]) for i, s in enumerate(opinion.score_N))

    chosen = [3, 7]
    for number in opinion.order[:6]:
        free = [n for n in range(23) if n not in chosen]
        assert cost([*chosen, number]) == pytest.approx(min(cost([*chosen, n]) for n in free))
        chosen.append(number)
    with_gap = DiverseImagesConfig(anchors=2, gap_frames=2)
    few, more = (MultiAnchor(with_gap).judge(views, total, 0, source).order[:total] for total in (3, 9))
    assert list(more[:3]) == list(few) and len(set(more)) == 9
    assert all(abs(a - b) > 2 for a in few for b in (*few, 3, 7) if a != b)


def two_classes(values, asked=()):
    """Views of two classes of one feature each, at places on two lines; None: the class is absent."""
    means = np.array([[[0 if value is None else value] for value in pair] for pair in values], np.float32)
    present = np.array([[value is not None for value in pair] for pair in values])
    return [
        ImageView(f"f{n:03}", 0.5, "one drive", n, n in asked, means[n], present[n]) for n in range(len(values))
    ], ImageVectors(tuple(f"s{n:03}" for n in range(len(values))), means, present)


def test_the_targets_anchors_are_no_option_that_does_nothing():
    with pytest.raises(ValueError, match="no part in choice = cover_classes"):
        DiverseImagesConfig(target_weight=1.0)
    assert DiverseImagesConfig(target_weight=1.0, choice="cover").target_weight == 1


def test_only_what_has_a_class_stands_for_it():
    views, _ = two_classes([(5, None), (5, None), (5.1, None), (5, None), (6, 7)])
    _, source = two_classes([(0, 0)])
    few = {choice: DiverseImagesConfig(anchors=1, gap_frames=0, choice=choice) for choice in ("cover", "cover_classes")}
    assert keys(few["cover"], views, 1, source) != [4] == keys(few["cover_classes"], views, 1, source)
    _, lacks_it = two_classes([(0, None)])
    assert keys(few["cover_classes"], views, 1, lacks_it) == [4], "a class that the source has not costs most"


@pytest.mark.parametrize("seed", range(5))
def test_each_choice_saves_most_in_the_mean_of_each_class(seed):
    rng = np.random.default_rng(seed)
    values = [tuple(None if rng.random() < gone else rng.normal(3, 4) for gone in (0.1, 0.7)) for _ in range(19)]
    views, images = two_classes(values, asked={2})
    _, source = two_classes([(0, 1), (2, -1)])
    config = DiverseImagesConfig(anchors=2, gap_frames=0, choice="cover_classes")
    opinion = MultiAnchor(config).judge(views, 5, 0, source)

    def cost(chosen):
        found = 0.0
        for c in (0, 1):
            having = [n for n in range(19) if values[n][c] is not None]
            starts = source.vectors_NCF[:, c, 0]
            found += np.mean(
                [
                    min(
                        (values[n][c] - other) ** 2
                        for other in [*starts, *(values[m][c] for m in chosen if m in having)]
                    )
                    for n in having
                ]
            )
        return found

    chosen = [2]
    for number in opinion.order[:5]:
        free = [n for n in range(19) if n not in chosen]
        assert cost([*chosen, number]) == pytest.approx(min(cost([*chosen, n]) for n in free))
        chosen.append(number)
    assert images.present_NC[:, 1].sum() > 2


def test_without_source_vectors_it_refuses():
    with pytest.raises(DataError, match="whose image vectors are missing"):
        MultiAnchor(MultiAnchorConfig()).judge(line([1]), 1, 0, None)
