"""Named random generators from one seed, and tie-breaking without any randomness.

A draw depends on the seed and on what it is for (`generator(seed, "crop", step, slot)`), never on how many draws came
before it. So a resumed run, another number of workers and another order of frames all give the same numbers.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def seed_for(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the purpose `names`, e.g. `seed_for(0, "dropout", step)`."""
    text = "\x1f".join([str(seed), *(f"{'str' if isinstance(name, str) else 'int'}:{name}" for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a fresh generator for the purpose `names`; the same arguments give the same stream on every platform."""
    return np.random.Generator(np.random.PCG64(seed_for(seed, *names)))


def key_hash(key: str) -> int:
    """Return 64 bits that depend on a frame's key only."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


def pixel_hash(key: str, flat_index: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Return 64 well-mixed bits for each pixel (row * width + column) of frame `key`; the order that breaks ties.

    The mix is splitmix64's finaliser (Steele et al., OOPSLA 2014).
    """
    mixed = flat_index.astype(np.uint64) + np.uint64(key_hash(key))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def uniform(bits: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return a number in (0, 1) from the highest 23 bits of each hash, exact in single precision."""
    return ((bits >> np.uint64(41)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
