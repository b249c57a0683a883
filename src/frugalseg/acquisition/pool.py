"""Questions that compete over the whole pool: strata (say, predicted classes) that share the budget by weight.

A selector offers for each frame pixels with a stratum and a place in its queue (an order, the smallest first). In the
end the strata take turns: the k-th of a stratum with weight w has the turn (k + ½) / w (Sainte-Laguë), and the `total`
earliest turns are asked. So shares are in proportion to the weights, what one stratum lacks the others get, and a
larger budget asks what a smaller one asks, and more.

What is dropped on the way. Weights and delays are known only when all frames are: a stratum may turn out to weigh more
than all others together, so of each its best `total` are held, and no fewer would do. Where all strata weigh the same
and nothing is delayed (`equal`), an offer has its turn after the k better ones of its stratum and the k best of each
other; so once all strata together have `total` offers among their best k (a stratum of N counts min(N, k)), only the
best k of each are held, about `total` in all. N counts offers that came, dropped ones too: it only grows, whatever
other frames and other pools bring, and so k only falls. In both cases who is dropped is behind those who are chosen in
his own stratum, and these keep their turns.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import key_hash, pixel_hash, seed_for
from frugalseg.core.errors import BudgetError, DataError
from frugalseg.core.records import Point, Query, QueryKind

# `place` is the order's float32 bits (as unsigned numbers they sort as the non-negative numbers do) above 32 bits of
# the pixel's hash, so that ties fall as they do whatever came first.
OFFER = np.dtype([("place", "<u8"), ("frame", "<i4"), ("flat", "<i4"), ("score", "<f4")])
Offers = NDArray[Any]  # one-dimensional, of dtype OFFER
FEWEST = 128  # a frame may offer at least so many of a stratum, or twice an even share of the budget
WAIT = 0.1  # offers that wait to be sorted in, as a share of those that may be asked
STRATA = 512  # two for each class id
NONE_YET = np.uint64(2**64 - 1)
RARE = 1e-12  # the weight of a stratum of none: asked only when nothing else is left


class Pool:
    """The offers of all frames that may be asked (20 bytes each), and in the end the questions.

    Those of the last frames wait side by side until they are a share `WAIT` of all; only then are they sorted into
    their strata. So what a frame costs does not grow with what is held: at most (1 + `WAIT`) x `total` a stratum, or
    with `equal` in all, and one frame's offers.
    """

    def __init__(self, strategy: str, seed: int, total: int, frames: int, equal: bool = False) -> None:
        self.per_frame = max(FEWEST, 2 * -(-total // max(frames, 1)))
        self._strategy, self._seed, self._total, self._frames, self._equal = strategy, seed, total, frames, equal
        self._numbers: dict[str, int] = {}  # frames in the order they came
        self._widths: list[int] = []
        self._strata: dict[int, Offers] = {}
        self._waiting: list[tuple[NDArray[np.integer], Offers]] = []  # with the stratum of each
        self._waits = 0  # how many these are
        self._came = np.zeros(STRATA, np.int64)  # offers by stratum, with those that were dropped
        self._last = np.full(STRATA, NONE_YET)  # by stratum: places after this one are not asked

    def offer(
        self,
        view: FrameView,
        strata: NDArray[np.integer],
        flat: NDArray[np.integer],
        order: NDArray[np.float32],
        score: NDArray[np.float32],
    ) -> None:
        """Take a frame's pixels (row * width + column), each with its stratum, its order (>= 0) and its score.

        Raises:
            DataError: this frame was seen before.
        """
        if view.key in self._numbers:
            raise DataError(f"{self._strategy}: frame {view.key} was scored twice. Give every frame once.")
        offers: Offers = np.empty(len(flat), OFFER)
        ties = pixel_hash(view.key, flat) >> np.uint64(32)
        offers["place"] = order.astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32) | ties
        offers["frame"], offers["flat"], offers["score"] = len(self._numbers), flat, score
        self._numbers[view.key] = len(self._numbers)
        self._widths.append(view.size_HW[1])
        self._came += np.bincount(strata, minlength=STRATA)
        self._take(strata, offers)

    def merge(self, other: "Pool") -> None:
        """Take over the offers of frames that another pool saw.

        Raises:
            DataError: both saw the same frame.
        """
        if twice := sorted(self._numbers.keys() & other._numbers.keys()):
            raise DataError(f"{self._strategy}: frame {twice[0]} was scored twice. Give every frame once.")
        before = len(self._numbers)
        self._numbers |= {key: before + number for key, number in other._numbers.items()}
        self._widths += other._widths
        self._came += other._came
        settled = [(np.full(len(offers), stratum, np.int16), offers) for stratum, offers in other._strata.items()]
        for strata, offers in settled + other._waiting:
            moved = offers.copy()
            moved["frame"] += before
            self._take(strata, moved)

    def queries(
        self, weights: Mapping[int, float] | None = None, delays: Mapping[str, float] | None = None
    ) -> list[Query]:
        """Return as many questions as the budget pays for, in key order, the most wanted of a frame first.

        Args:
            weights: Each stratum's share of the budget, in any unit; all the same by default, and if they are `equal`.
            delays: By frame, what its orders are multiplied by (1 where it is not named), among the best `total` of
                each stratum; none if strata are `equal`.

        Raises:
            DataError: not all frames were seen.
            BudgetError: there are too few pixels to ask about.
        """
        assert not (self._equal and (weights or delays)), "offers were dropped because there would be none"
        if len(self._numbers) != self._frames:
            raise DataError(f"{self._strategy}: {len(self._numbers)} of {self._frames} frames scored. Score them all.")
        self._settle(self._most())
        turns: list[NDArray[np.float64]] = [np.zeros(0)]
        queues: list[Offers] = [np.zeros(0, OFFER)]
        for stratum in sorted(self._strata):
            queue = self._queue(self._strata[stratum], delays)
            weight = 1.0 if weights is None else max(weights.get(stratum, 0.0), RARE)
            tie = key_hash(f"{self._strategy}/{stratum}") / 2**64 * 1e-9  # equal turns: not always the same stratum
            turns.append(np.arange(0.5 + tie, len(queue) + 0.25) / weight)
            queues.append(queue)
        order = np.argsort(np.concatenate(turns), kind="stable")[: self._total]
        if len(order) < self._total:
            raise BudgetError(self._shortage(self._total - len(order)))
        return self._questions(np.concatenate(queues)[order])

    def _take(self, strata: NDArray[np.integer], offers: Offers) -> None:
        near = offers["place"] <= self._last[strata]
        self._waiting.append((strata[near], offers[near]))
        self._waits += len(self._waiting[-1][1])
        most = self._most()
        if self._waits > WAIT * np.minimum(self._came, most).sum():
            self._settle(most)

    def _most(self) -> int:
        """Return how many of a stratum may be asked at most, by what came so far."""
        came = np.sort(self._came[self._came > 0])
        if not self._equal or came.sum() <= self._total:
            return self._total
        before = np.r_[0, np.cumsum(came)[:-1]]  # offers of smaller strata, of which none is dropped
        levels = -((before - self._total) // np.arange(len(came), 0, -1))  # what larger ones have to give each
        return int(levels[levels <= came][0])

    def _settle(self, most: int) -> None:
        """Sort what waits into its strata, and drop what comes after the best `most` of each."""
        strata = np.concatenate([np.zeros(0, np.int16), *(strata for strata, _ in self._waiting)])
        offers = np.concatenate([np.zeros(0, OFFER), *(offers for _, offers in self._waiting)])
        self._waiting, self._waits = [], 0
        for stratum in np.flatnonzero(self._came).tolist():
            held = np.concatenate([self._strata.get(stratum, offers[:0]), offers[strata == stratum]])
            if len(held) > most:
                last = np.partition(held["place"], most - 1)[most - 1]
                held = held[held["place"] <= last]
                self._last[stratum] = last
            self._strata[stratum] = held

    def _queue(self, offers: Offers, delays: Mapping[str, float] | None) -> Offers:
        keys = sorted(self._numbers)
        ranks = np.empty(len(keys), np.int64)
        ranks[[self._numbers[key] for key in keys]] = np.arange(len(keys))
        best = offers[np.lexsort((offers["flat"], ranks[offers["frame"]], offers["place"]))][: self._total]
        if not delays:
            return best
        delay = np.ones(len(keys))
        for key, factor in delays.items():
            delay[self._numbers[key]] = factor
        order = (best["place"] >> np.uint64(32)).astype(np.uint32).view(np.float32)
        return best[np.argsort(order * delay[best["frame"]], kind="stable")]

    def _questions(self, chosen: Offers) -> list[Query]:
        keys = {number: key for key, number in self._numbers.items()}
        found: dict[str, list[Query]] = {}
        for _, number, flat, score in chosen.tolist():
            key = keys[number]
            row, column = divmod(flat, self._widths[number])
            name = f"{seed_for(self._seed, self._strategy, key, row, column):016x}"
            query = Query(name, key, QueryKind.POINT, self._strategy, score, Point(row, column))
            found.setdefault(key, []).append(query)
        return [query for key in sorted(found) for query in found[key]]

    def _shortage(self, missing: int) -> str:
        held = np.concatenate([np.zeros(0, np.int64), *(offers["frame"] for offers in self._strata.values())])
        counts = np.bincount(held.astype(np.int64), minlength=len(self._numbers))
        poor = sorted(key for key, number in self._numbers.items() if counts[number] < self.per_frame)
        more = f" and {len(poor) - 5} more" if len(poor) > 5 else ""
        return (
            f"{self._strategy}: {missing} of the budget's {self._total} points find no place, for there are too few "
            f"pixels to ask about in {', '.join(poor[:5])}{more}. Lower the budget, or check the masks of these frames."
        )


def first(strata: NDArray[np.integer], order: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the positions of the `count` smallest orders of every stratum (ties at the end included), unsorted."""
    by_stratum = np.argsort(strata, kind="stable")  # 8 and 16 bits: a radix sort
    ends = np.flatnonzero(np.diff(strata[by_stratum])) + 1
    kept = [np.zeros(0, np.int64)]
    for positions in np.split(by_stratum, ends):
        if len(positions) > count:
            values = order[positions]
            positions = positions[values <= np.partition(values, count - 1)[count - 1]]
        kept.append(positions)
    return np.concatenate(kept)


def ranks(groups: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how many earlier entries belong to the same group: `[3, 5, 3, 3]` gives `[0, 0, 1, 2]`."""
    by_group = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(groups[by_group]) != 0]) if len(groups) else by_group
    lengths = np.diff(np.r_[starts, len(groups)])
    found = np.empty(len(groups), np.int64)
    found[by_group] = np.arange(len(groups)) - np.repeat(starts, lengths)
    return found
