import numpy as np
import pytest

from frugalseg.acquisition.maps import Glance, edge_distance, favoured, trust, trusted, twins, unlike
from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.core.chance import generator, key_hash
from frugalseg.core.records import Point, Verdict


def view(size_HW=(9, 11), asked=()):
    return FrameView("a", np.full(size_HW, 0.5, np.float32), np.zeros(size_HW, np.uint8), asked=asked)


def naive_edge_distance(prediction_HW):
    """Chebyshev distance to the nearest pixel of another class, pixel by pixel."""
    height, width = prediction_HW.shape
    found = np.full((height, width), float(height + width))
    for y, x in np.ndindex(height, width):
        for v, u in np.ndindex(height, width):
            if prediction_HW[v, u] != prediction_HW[y, x]:
                found[y, x] = min(found[y, x], max(abs(v - y), abs(u - x)))
    return found


def test_an_edge_has_distance_1_on_both_sides():
    prediction = np.array([[0, 0, 0, 4, 4]], np.uint8)
    assert edge_distance(prediction).tolist() == [[3, 2, 1, 1, 2]]


def test_without_an_edge_it_is_further_than_anything_in_the_frame():
    assert (edge_distance(np.zeros((3, 5), np.uint8)) == 8).all()
    assert edge_distance(np.zeros((1, 1), np.uint8)) == 2


@pytest.mark.parametrize("seed", range(6))
def test_it_equals_a_search_over_all_pixels(seed):
    rng = generator(seed, "edges")
    coarse = rng.integers(0, 3, (4, 5)).astype(np.uint8)
    prediction = np.kron(coarse, np.ones((4, 3), np.uint8))[: rng.integers(3, 17), : rng.integers(3, 16)]
    assert np.array_equal(edge_distance(prediction), naive_edge_distance(prediction))


def test_an_ambiguous_answer_lowers_its_surroundings():
    asked = (Asked(Point(4, 5), Verdict.AMBIGUOUS),)
    trust_HW = trust(view(asked=asked), 2.0)
    assert trust_HW[4, 5] == 0
    assert trust_HW[4, 7] == pytest.approx(1 - np.exp(-0.5))  # one radius
    assert trust_HW[0, 5] == pytest.approx(1 - np.exp(-2))  # two
    assert trust_HW[3, 4] == trust_HW[5, 6] == pytest.approx(1 - np.exp(-0.25))
    scores = np.full((9, 11), 0.5, np.float32)
    assert np.array_equal(trusted(scores, view(asked=asked), 2.0), scores * trust_HW)


def test_several_doubts_multiply_and_stay_inside_the_frame():
    asked = tuple(Asked(Point(row, column), Verdict.AMBIGUOUS) for row, column in ((0, 0), (0, 2), (8, 10)))
    trust_HW = trust(view(asked=asked), 1.0)
    assert trust_HW[0, 1] == pytest.approx((1 - np.exp(-0.5)) ** 2)
    assert trust_HW[8, 10] == 0 and trust_HW[5, 5] == 1


@pytest.mark.parametrize("verdict", [None, Verdict.CLASS, Verdict.NONE, Verdict.SKIP])
def test_other_answers_lower_nothing(verdict):
    assert trust(view(asked=(Asked(Point(4, 5), verdict),)), 2.0) is None


def test_radius_0_switches_it_off():
    assert trust(view(asked=(Asked(Point(4, 5), Verdict.AMBIGUOUS),)), 0) is None


def test_a_draw_is_favoured_in_proportion_to_trust():
    doubted = view((1, 3), asked=(Asked(Point(0, 0), Verdict.AMBIGUOUS),))
    trust_HW = trust(doubted, 2.0)[:, 1:]  # of the two pixels that may still be asked
    wins = np.zeros(2)
    for seed in range(2000):
        draw = generator(seed, "draw").random((1, 3), dtype=np.float32)
        wins[favoured(draw, doubted, 2.0)[0, 1:].argmax()] += 1
    share = float(trust_HW[0, 0] / trust_HW.sum())  # about .23
    assert wins[0] / 2000 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 2000))


def test_without_doubts_a_draw_stays_as_it_is():
    draw = generator(0, "draw").random((9, 11), dtype=np.float32)
    assert favoured(draw, view(asked=(Asked(Point(4, 5), Verdict.CLASS),)), 2.0) is draw


def glance(key, prediction, sequence="drive", asked=()):
    prediction = np.array(prediction, np.uint8)
    entropy = np.zeros(prediction.shape, np.float32)
    return Glance.at(FrameView(key, entropy, prediction, sequence=sequence, asked=asked))


def test_a_glance_looks_at_the_middle_of_lattice_cells():
    columns = np.broadcast_to(np.arange(64), (32, 64))
    assert glance("a", columns).classes.reshape(16, 32)[3].tolist() == list(range(1, 64, 2))
    assert glance("a", np.full((2, 3), 7)).classes.tolist() == [7] * 512


def test_twins_are_frames_of_one_drive_that_differ_little():
    road, tree, half = np.zeros((32, 64)), np.ones((32, 64)), np.zeros((32, 64))
    half[:16] = 1
    glances = [glance("a", road), glance("b", road), glance("c", tree), glance("d", half), glance("e", road, "other")]
    found = twins(glances, 0.1)
    assert found.pop("a") + found.pop("b") == 1  # one of the two comes first
    assert found == {"c": 0, "d": 0, "e": 0}
    assert sorted(twins(glances[:4], 1.0).values()) == [0, 1, 2, 3]
    assert twins(glances, 0.1) == twins(glances[::-1], 0.1)


def test_only_frames_that_are_kept_take_the_place_of_others():
    first, second, third = sorted("abc", key=key_hash)
    looks = np.zeros((3, 32, 64))
    looks[1, :8], looks[2, :16] = 1, 1  # neighbours differ in a quarter, the outer ones in half
    glances = [glance(key, look) for key, look in zip((first, second, third), looks, strict=True)]
    assert twins(glances, 0.25) == {first: 0, second: 1, third: 1}
    assert unlike(glances, 0.25) == [first, third] == unlike(glances[::-1], 0.25)
    assert unlike(glances, 0.5) == [first]


def test_unlike_frames_look_like_none_of_each_other_and_others_like_one_of_them():
    rng = generator(0, "looks")
    shown = {f"{n:02d}": np.kron(rng.integers(0, 2, (2, 4)), np.ones((16, 16))) for n in range(40)}
    kept = unlike([glance(key, look) for key, look in shown.items()], 0.25)
    assert 1 < len(kept) < 40
    for key, look in shown.items():
        alike = [other for other in kept if other != key and (shown[other] != look).mean() <= 0.25]
        assert bool(alike) == (key not in kept)


def test_a_frame_that_was_asked_before_comes_first():
    road, asked = np.zeros((32, 64)), (Asked(Point(0, 0)),)
    for keys in ("ab", "ba"):
        glances = [glance(keys[0], road, asked=asked), glance(keys[1], road)]
        assert twins(glances, 0.0) == {keys[0]: 0, keys[1]: 1}
