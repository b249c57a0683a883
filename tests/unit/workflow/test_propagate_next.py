"""Frames to label next against an exhaustive loop, and on videos where the answer can be seen."""

import numpy as np
import pytest

from frugalseg.workflow.propagate_next import label_next


def naive(stretches, known_01, labelled, reach, count):
    doubt = {key: 0.0 if key in labelled else 1 - known_01.get(key, 0.0) for keys in stretches for key in keys}
    found = []
    for _ in range(count):
        gains = []
        for keys in stretches:
            for place, key in enumerate(keys):
                if key not in labelled and key not in found:
                    around = keys[max(place - reach, 0) : place + reach + 1]
                    gains.append((round(sum(doubt[one] for one in around), 9), doubt[key], key, around))
        best = max(gains, key=lambda one: one[:2], default=(0, 0, None, ()))
        if best[0] <= 0:
            break
        found.append(best[2])
        doubt |= dict.fromkeys(best[3], 0.0)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_it_equals_an_exhaustive_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = [f"f{n:02}" for n in range(40)]
    cuts = sorted(rng.choice(np.arange(1, 40), 2, replace=False).tolist())
    stretches = [keys[: cuts[0]], keys[cuts[0] : cuts[1]], keys[cuts[1] :]]
    known = {key: float(rng.random()) for key in keys if rng.random() < 0.6}
    labelled = set(rng.choice(keys, 4, replace=False).tolist())
    assert label_next(stretches, known, labelled, 3, 6) == naive(stretches, known, labelled, 3, 6)


def test_what_no_label_reaches_comes_first_and_each_gap_once() -> None:
    keys = [f"s_{n:03}" for n in range(30)]
    known = {f"s_{n:03}": 0.9 for n in range(1, 6)}  # one label on frame 0, five frames far
    assert label_next([keys], known, {"s_000"}, 5, 5) == ["s_011", "s_022", "s_028", "s_001"]


def test_a_label_does_not_help_behind_a_cut() -> None:
    assert label_next([["a", "b"], ["c", "d", "e"]], {}, (), 9, 9) == ["c", "a"]


def test_where_all_is_labelled_or_known_nothing_is_named() -> None:
    assert label_next([["a", "b"]], {"b": 1.0}, {"a"}, 2, 5) == []
    assert label_next([], {}, (), 2, 5) == []
