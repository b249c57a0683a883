import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.training.class_weights import median_frequency_weights


def test_by_hand() -> None:
    # frequencies .6 .3 .1, median .3
    weights = median_frequency_weights(np.array([600, 300, 100]), power=1.0)
    assert weights.tolist() == pytest.approx([0.5, 1.0, 3.0])
    assert median_frequency_weights(np.array([600, 300, 100])).tolist() == pytest.approx([0.5**0.5, 1.0, 3**0.5])


def test_an_even_number_of_classes_takes_the_mean_of_the_middle_two() -> None:
    # frequencies .4 .3 .2 .1, median .25
    weights = median_frequency_weights(np.array([40, 30, 20, 10]), power=1.0)
    assert weights.tolist() == pytest.approx([0.25 / 0.4, 0.25 / 0.3, 1.25, 2.5])


def test_absent_classes_weigh_one_and_do_not_count_for_the_median() -> None:
    weights = median_frequency_weights(np.array([0, 600, 300, 100, 0]), power=1.0)
    assert weights.tolist() == pytest.approx([1.0, 0.5, 1.0, 3.0, 1.0])


def test_limits() -> None:
    assert median_frequency_weights(np.array([7, 7, 7])).tolist() == [1.0, 1.0, 1.0]
    assert median_frequency_weights(np.array([900, 5, 1]), power=0.0).tolist() == [1.0, 1.0, 1.0]
    assert median_frequency_weights(np.zeros(3, np.int64)).tolist() == [1.0, 1.0, 1.0]
    assert median_frequency_weights(np.array([10**12, 10**12, 1])).max() == 10.0
    assert median_frequency_weights(np.array([10**12, 10**12, 1]), largest=3.0).max() == 3.0


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=8), st.integers(1, 1000))
def test_only_shares_matter_and_rarer_is_never_lighter(pixels: list[int], factor: int) -> None:
    counts = np.array(pixels, np.int64)
    weights = median_frequency_weights(counts)
    assert np.allclose(weights, median_frequency_weights(counts * factor))
    present = counts > 0
    by_frequency = weights[present][np.argsort(counts[present])]
    assert (np.diff(by_frequency) <= 1e-6).all()
