"""Masks as run lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.core.errors import ImageFileError
from frugalseg.core.rle import decode_rle, encode_rle


@given(st.integers(0, 7), st.integers(0, 7), st.data())
def test_every_mask_reads_back_as_itself(height, width, data):
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits, bool).reshape(height, width)
    counts = encode_rle(mask)
    assert np.array_equal(decode_rle(counts, (height, width)), mask)
    assert sum(counts) == mask.size
    assert all(type(count) is int for count in counts)
    assert all(counts[1:]) or mask.size == 0


def test_run_lengths_by_hand():
    assert encode_rle(np.array([[1, 1, 0], [0, 1, 0]], bool)) == [0, 2, 2, 1, 1]


@pytest.mark.parametrize("counts", [[5], [7], [], [-1, 7], [3.0, 3], ["6"], [True, 5], [10**30], [2**63, -(2**63) + 6]])
def test_run_lengths_that_do_not_fit_are_refused(counts):
    with pytest.raises(ImageFileError, match="run lengths"):
        decode_rle(counts, (2, 3))
