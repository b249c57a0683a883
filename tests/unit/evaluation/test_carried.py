"""Counts of carried labels: Ignore as a class and as a miss, blocks, and gains by hand."""

import shutil

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ArtifactError, DataError, UnknownIdError
from frugalseg.evaluation.carried import CASES, ORIGINS, CarriedCase, CarriedCounts, gain, mean_over, merged
from frugalseg.evaluation.confusion import confusion, scores

WARP, NETWORK = 0, 1


def case(target: int, k: int = 1, anchors: int = 1, block: str = "a") -> CarriedCase:
    return CarriedCase(f"f{target}", "f0" if anchors == 1 else "f0 f9", anchors, k, block)


def row(*ids: int) -> np.ndarray:
    return np.array([ids], np.uint8)


def counted(*cases, classes: int = 3) -> CarriedCounts:
    counts = CarriedCounts(classes, 2)
    for one, truth, label in cases:
        counts.add(one, truth, label, np.zeros_like(label))
    return counts


def test_miou_counts_255_as_a_miss_and_class_iou_as_a_class() -> None:
    counts = counted((case(1), row(0, 0, 1, 1, IGNORE), row(0, IGNORE, 1, 1, IGNORE)))
    assert counts.miou(1) == {1: pytest.approx((1 / 2 + 1) / 2)}  # class 2 is nowhere
    assert counts.class_iou(1) == pytest.approx([1 / 2, 1, np.nan, 1 / 2], nan_ok=True)


def test_miou_is_that_of_all_cases_of_a_distance_together() -> None:
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.choice([0, 1, 2, IGNORE], (2, 6, 7)).astype(np.uint8)) for _ in range(4)]
    counts = counted(*((case(n, k=1 + n % 2), truth, label) for n, (truth, label) in enumerate(pairs)))
    for k in (1, 2):
        matrices = [confusion(truth, label, 3) for n, (truth, label) in enumerate(pairs) if 1 + n % 2 == k]
        assert counts.miou(1)[k] == pytest.approx(scores(np.sum(matrices, axis=0)).miou)
    assert mean_over(counts.miou(1)) == pytest.approx(np.mean(list(counts.miou(1).values())))


def test_one_and_two_labelled_frames_are_kept_apart() -> None:
    counts = counted((case(1), row(0), row(0)), (case(1, anchors=2), row(0), row(1)))
    assert counts.miou(1) == {1: 1.0} and counts.miou(2) == {1: 0.0}


def test_origins_are_counted_with_what_is_right_where_the_truth_is_known() -> None:
    counts = CarriedCounts(3, 2)
    counts.add(case(1), row(0, 0, 1, IGNORE), row(0, 1, 1, 1), np.array([[WARP, WARP, NETWORK, NETWORK]], np.uint8))
    counts.add(case(1), row(0, 0, 1, IGNORE), row(0, 1, 1, 1), np.array([[WARP, WARP, NETWORK, NETWORK]], np.uint8))
    assert counts.origins.tolist() == [[2, 1], [1, 1]], "the same case again counts once"


def test_a_case_is_worth_its_own_miou() -> None:
    counts = CarriedCounts(3, 2)
    assert counts.add(case(1), row(0, 0, 1), row(0, 1, 1), row(0, 0, 0)) == pytest.approx(0.5)
    assert np.isnan(counts.add(case(2), row(IGNORE), row(0), row(0)))


@pytest.mark.parametrize("strange", [3, 77, 254])
def test_ids_that_are_no_class_are_refused(strange: int) -> None:
    with pytest.raises(UnknownIdError):
        counted((case(1), row(0, strange), row(0, 0)))


def test_gains_by_hand_and_an_interval_that_comes_from_blocks() -> None:
    truth, wrong = row(0, 1), row(1, 0)
    cases = [case(n, k, block=f"b{n // 5}") for n in range(10) for k in (1, 2)]
    base = counted(*((one, truth, truth if one.block == "b0" else wrong) for one in cases))
    better = counted(*((one, truth, truth) for one in cases))
    found = gain(base, [better], 1)
    assert found.value == pytest.approx(1 - 1 / 3)  # half the pixels right: IoU 1 / 3
    # two blocks: drawn both, one twice, or the other twice; with single frames the extremes would never be seen
    assert (found.low, found.high) == pytest.approx((0, 1))
    assert gain(base, [better, base], 1).value == pytest.approx(found.value / 2)
    same = gain(base, [base], 1)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert gain(base, [better], 1, (2,)).value == pytest.approx(found.value)
    assert gain([base, better], [better, better], 1).value == pytest.approx(found.value / 2)  # seed by seed
    with pytest.raises(DataError, match="cannot compare 1 runs with 2"):
        gain([base, better], [better], 1)


def test_a_block_without_a_case_of_some_distance_is_drawn_all_the_same() -> None:
    cases = [case(1, 1, block="a"), case(2, 1, block="b"), case(3, 2, block="b")]
    base = counted(*((one, row(0, 1), row(0, 0)) for one in cases))
    better = counted(*((one, row(0, 1), row(0, 1)) for one in cases))
    assert base.by_block(1, 2).keys == ("a", "b") and base.by_block(1, 2)["a"].sum() == 0
    assert gain(base, [better], 1).value == pytest.approx(1 - 1 / 4)


def test_only_the_same_cases_are_compared_and_none_is_merged_twice() -> None:
    one, other = (counted((case(n), row(0), row(0))) for n in (1, 2))
    with pytest.raises(DataError, match="different cases"):
        gain(one, [other], 1)
    assert len(merged([one, other]).cases) == 2
    with pytest.raises(DataError, match="scored in two rounds"):
        merged([one, one])


def test_what_is_saved_is_read_back(tmp_path) -> None:
    counts = counted((case(1), row(0, IGNORE), row(0, 1)), (case(2, 3, 2, "b"), row(1, 1), row(2, 1)))
    counts.save(tmp_path)
    again = CarriedCounts.load(tmp_path)
    assert again.cases == counts.cases and again.miou(2) == counts.miou(2)
    assert (again.origins == counts.origins).all() and again.classes == 3
    (tmp_path / "other").mkdir()
    counted((case(5), row(0), row(0))).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / CASES, tmp_path)
    with pytest.raises(ArtifactError, match="different cases"):
        CarriedCounts.load(tmp_path)
    (tmp_path / ORIGINS).write_bytes(b"no archive")
    with pytest.raises(ArtifactError, match="damaged"):
        CarriedCounts.load(tmp_path)
