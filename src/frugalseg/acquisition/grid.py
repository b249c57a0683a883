"""What selectors share: the grid over a frame, drawing points, and meeting a budget exactly.

A selector offers for each frame a list of candidate points, the most wanted first, of which `Shortlist` in the end
takes as many from the front as the frame's share of the budget is. So a larger budget asks what a smaller one asks, and
more.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import key_hash, seed_for
from frugalseg.core.errors import BudgetError, DataError
from frugalseg.core.records import Point, Query, QueryKind, Region

NO_CELL = -1
CANDIDATE = np.dtype([("row", "<i4"), ("column", "<i4"), ("cell", "<i4"), ("score", "<f4")])
Candidates = NDArray[Any]  # one-dimensional, of dtype CANDIDATE
FIXED_POINT = 2.0**30  # 64 million pixels of entropy 1 still sum to 2^56


@dataclass(frozen=True)
class Grid:
    """`rows` x `columns` cells over a frame of any size, numbered row by row; their sizes differ by at most one pixel.

    A frame with fewer pixel rows (or columns) than the grid has one cell a pixel row (or column).
    """

    rows: int
    columns: int

    def edges(self, size_HW: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where cells begin, down and across, with the frame's height and width as the last entries."""
        counts = (min(self.rows, size_HW[0]), min(self.columns, size_HW[1]))
        down, across = (np.arange(n + 1) * length // n for n, length in zip(counts, size_HW, strict=True))
        return down, across

    def cell(self, size_HW: tuple[int, int], number: int) -> Region:
        """Return the pixels of cell `number`."""
        down, across = (edges.tolist() for edges in self.edges(size_HW))
        row, column = divmod(number, len(across) - 1)
        top, left = down[row], across[column]
        return Region(top, left, down[row + 1] - top, across[column + 1] - left)

    def askable_pixels(self, view: FrameView) -> NDArray[np.int64]:
        """Return how many pixels of each cell may be asked."""
        if view.askable_HW is not None:
            return self._sums(view.askable_HW)
        down, across = self.edges(view.size_HW)
        return np.outer(np.diff(down), np.diff(across)).ravel()

    def mean(self, view: FrameView, map_HW: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return each cell's mean of a map of the view over the pixels that may be asked, 0 for cells without any.

        Sums are of whole numbers (2^-30 steps), hence exact: equal cells tie whatever the order of their pixels.
        """
        fixed_HW = np.rint(map_HW.astype(np.float32) * FIXED_POINT).astype(np.int64)
        if view.askable_HW is not None:
            fixed_HW[~view.askable_HW] = 0
        return self._sums(fixed_HW) / np.maximum(self.askable_pixels(view), 1) / FIXED_POINT

    def _sums(self, values_HW: NDArray[np.integer | np.bool_]) -> NDArray[np.int64]:
        height, width = values_HW.shape
        down, across = self.edges((height, width))
        sums = np.add.reduceat(values_HW, down[:-1], axis=0, dtype=np.int64)
        return np.add.reduceat(sums, across[:-1], axis=1).ravel()


def draw(rng: np.random.Generator, population: int, count: int) -> NDArray[np.int64]:
    """Return the first `count` of a uniformly random order of 0 … population - 1; a larger count only appends.

    Fisher and Yates's shuffle, keeping only the entries it moved: O(count) for any population.
    """
    targets = rng.integers(np.arange(count), population).tolist() if count else []
    moved: dict[int, int] = {}
    drawn = []
    for position, target in enumerate(targets):
        drawn.append(moved.get(target, target))
        moved[target] = moved.get(position, position)
    return np.array(drawn, np.int64)


def draw_in(view: FrameView, region: Region, rng: np.random.Generator, count: int) -> Candidates:
    """Return up to `count` different askable pixels of `region`, uniformly drawn; fewer if there are fewer."""
    if view.askable_HW is None:
        flat = draw(rng, region.height * region.width, min(count, region.height * region.width))
    else:
        askable = np.flatnonzero(view.askable_HW[region.slices])
        flat = askable[draw(rng, len(askable), min(count, len(askable)))]
    candidates: Candidates = np.zeros(len(flat), CANDIDATE)
    rows, columns = np.divmod(flat, region.width)
    candidates["row"], candidates["column"], candidates["cell"] = rows + region.top, columns + region.left, NO_CELL
    return candidates


def draw_in_cells(
    view: FrameView,
    grid: Grid,
    ranked_cells: NDArray[np.int64],
    points_per_cell: int,
    count: int,
    generator_for: Callable[[int], np.random.Generator],
) -> Candidates:
    """Return up to `count` candidates: `points_per_cell` in the first of `ranked_cells`, as many in the second, ….

    After the last cell the first gets `points_per_cell` more, so candidates run out only with the askable pixels.
    `generator_for` gives the generator of a cell, by number, so what is drawn in a cell does not depend on its rank.
    """
    drawn: list[Candidates] = [np.zeros(0, CANDIDATE)]
    left, begin = count, 0
    while left > 0:
        left_before = left
        for cell in ranked_cells.tolist():
            region = grid.cell(view.size_HW, cell)
            points = draw_in(view, region, generator_for(cell), begin + points_per_cell)[begin:][:left]
            points["cell"] = cell
            drawn.append(points)
            left -= len(points)
            if left == 0:
                break
        if left == left_before:
            break
        begin += points_per_cell
    return np.concatenate(drawn)


class Shortlist:
    """The candidates of all frames, and in the end the `total` best placed of them as questions.

    Each frame's share is total / frames; the frames with the smallest key hashes get one more until the total is met. A
    frame offers up to `depth` candidates, twice its share (or `at_least` so many), so that the others can make up for
    frames that have too few pixels to ask about. That is all that is kept: 32 bytes a point of the budget.
    """

    def __init__(
        self, strategy: str, seed: int, total: int, frames: int, grid: Grid | None = None, at_least: int = 0
    ) -> None:
        self.depth = max(at_least, 2 * -(-total // max(frames, 1)))
        self._strategy, self._seed, self._total, self._frames, self._grid = strategy, seed, total, frames, grid
        self._offers: dict[str, tuple[tuple[int, int], Candidates]] = {}

    def offer(self, view: FrameView, candidates: Candidates) -> None:
        """Keep a frame's candidates, the most wanted first.

        Raises:
            DataError: this frame was seen before.
        """
        if view.key in self._offers:
            raise DataError(f"{self._strategy}: frame {view.key} was scored twice. Give every frame once.")
        self._offers[view.key] = view.size_HW, candidates[: self.depth].copy()

    def merge(self, other: "Shortlist") -> None:
        """Take over the candidates of frames that another shortlist was offered.

        Raises:
            DataError: both saw the same frame.
        """
        if twice := sorted(self._offers.keys() & other._offers.keys()):
            raise DataError(f"{self._strategy}: frame {twice[0]} was scored twice. Give every frame once.")
        self._offers |= other._offers

    def queries(self, frames_first: Collection[str] = ()) -> list[Query]:
        """Return as many questions as the budget pays for, in key order, then in the order of the candidates.

        Frames whose keys are in `frames_first` share the budget among themselves; others get what they cannot take.

        Raises:
            DataError: not all frames were seen.
            BudgetError: too many frames have too few pixels to ask about.
        """
        if len(self._offers) != self._frames:
            raise DataError(f"{self._strategy}: {len(self._offers)} of {self._frames} frames scored. Score them all.")
        offered = {key: len(candidates) for key, (_, candidates) in self._offers.items()}
        shares = exact_shares(self._total, {key: count for key, count in offered.items() if key in frames_first})
        others = {key: count for key, count in offered.items() if key not in shares}
        shares |= exact_shares(self._total - sum(shares.values()), others)
        missing = self._total - sum(shares.values())
        if missing:
            raise BudgetError(self._shortage(missing, offered))
        return [query for key in sorted(shares) for query in self._questions(key, shares[key])]

    def _questions(self, key: str, share: int) -> list[Query]:
        size_HW, candidates = self._offers[key]
        cells: dict[int, Region] = {}
        if self._grid is not None:
            cells = {number: self._grid.cell(size_HW, number) for number in set(candidates["cell"][:share].tolist())}
        return [
            Query(
                id=f"{seed_for(self._seed, self._strategy, key, row, column):016x}",
                key=key,
                kind=QueryKind.POINT,
                strategy=self._strategy,
                score=score,
                point=Point(row, column),
                cell=cells.get(cell),
            )
            for row, column, cell, score in candidates[:share].tolist()
        ]

    def _shortage(self, missing: int, offered: Mapping[str, int]) -> str:
        poor = sorted(key for key, count in offered.items() if count < self.depth)
        more = f" and {len(poor) - 5} more" if len(poor) > 5 else ""
        return (
            f"{self._strategy}: {missing} of the budget's {self._total} points find no place, for there are too few "
            f"pixels to ask about in {', '.join(poor[:5])}{more}. Lower the budget, or check the masks of these frames."
        )


def exact_shares(total: int, offered: Mapping[str, int]) -> dict[str, int]:
    """Split `total` over frames as evenly as what each has `offered` allows, exactly; all of it where it is too little.

    What does not divide goes to the frames with the smallest key hashes, one each.
    """
    most = max(offered.values(), default=0)
    level = total // max(len(offered), 1)  # what everybody gets, if he has as many
    while level < most and sum(min(count, level + 1) for count in offered.values()) <= total:
        level += 1
    shares = {key: min(count, level) for key, count in offered.items()}
    left = total - sum(shares.values())
    for key in sorted(offered, key=lambda key: (key_hash(key), key)):
        if left > 0 and offered[key] > level:
            shares[key] += 1
            left -= 1
    return shares
