import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.core.chance import generator, key_hash, pixel_hash, seed_for

MASK = 2**64 - 1


def splitmix_finaliser(z):
    """As in Steele, Lea and Flood, OOPSLA 2014, figure 17, with whole numbers of Python."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_a_stream_is_the_same_on_every_machine():
    assert seed_for(0, "crop", 3, 1) == 8820050170399551036
    assert seed_for(0) >> 63 == 0


def test_a_stream_depends_on_seed_and_every_name():
    seeds = [seed_for(*names) for names in [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", "1"), (0, 1, "a")]]
    assert len(set(seeds)) == len(seeds)


def test_numbers_of_numpy_name_the_same_stream():
    assert seed_for(np.int64(3), "crop", np.int64(7)) == seed_for(3, "crop", 7)


def test_generators_are_fresh_and_independent():
    first = generator(7, "crop", 0).random(4)
    generator(7, "flip", 0).random(1000)
    assert np.array_equal(generator(7, "crop", 0).random(4), first)
    assert not np.array_equal(generator(7, "crop", 1).random(4), first)


@given(key=st.text(min_size=1), index=st.lists(st.integers(0, 2**40), min_size=1, max_size=8))
def test_pixel_hash_is_the_published_mix(key, index):
    expected = [splitmix_finaliser((pixel + key_hash(key)) & MASK) for pixel in index]
    assert pixel_hash(key, np.array(index)).tolist() == expected


def test_pixel_hash_orders_pixels_without_ties_and_differently_for_each_key():
    pixels = np.arange(10_000)
    first, second = pixel_hash("a", pixels), pixel_hash("b", pixels)
    assert len(np.unique(first)) == len(pixels)
    assert abs(np.corrcoef(first.argsort().argsort(), second.argsort().argsort())[0, 1]) < 0.05


@pytest.mark.filterwarnings("error")
def test_pixel_hash_wraps_without_a_warning():
    assert pixel_hash("frame", np.array([2**62])).dtype == np.uint64
