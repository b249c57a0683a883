"""When benchmarks/selection_pass.py reads the memory of its process first."""

import pytest


@pytest.mark.parametrize(("frames", "after"), [(20, 8), (40, 8), (80, 8), (81, 12), (1000, 100)])
def test_memory_is_read_after_a_tenth_in_whole_blocks_but_not_before_the_second(selection_pass, frames, after):
    assert selection_pass.early(frames, block=4) == after
