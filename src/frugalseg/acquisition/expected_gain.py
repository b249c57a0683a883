"""expected_gain, our own: what a question is expected to teach per second of human time.

The value of asking about a pixel is

    doubt^sharpness x answerable / seconds

* doubt = 1 - margin (1 - d [two looks disagree]): how probable it is that the answer differs from the prediction. The
  second look costs half as much as the first, and nothing has shown yet that it pays: d = 0 leaves it out;
* answerable = 1 - ambiguous_rate e and seconds = point_s + (boundary_point_s - point_s) e, with e the probability that
  the pixel lies at a true edge, from its distance to the nearest predicted one; lower around past ambiguous answers.

Strictly the most valuable pixels would be the wrong ones: they are alike, lie side by side, and shift the class priors.
So questions are drawn with probability proportional to value (an exponential race on hashes: Efraimidis & Spirakis,
2006), in strata: class c gets a part of the budget proportional to importance_c x (its value in the pool)^(1 - b). With
b = 1 all classes get the same, with b = ½ they get the square root of their share (as in the square root of median
frequency). A part `explore` of each class's questions is uniform over the class. Of several questions about one class
in one region of a frame, also those of earlier rounds, the n-th waits 1 + r (n - 1) times as long; the same over the
frame, and for a frame that looks like others of its drive.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat

from frugalseg.acquisition.grid import Grid
from frugalseg.acquisition.maps import Glance, edge_distance, trust, twins
from frugalseg.acquisition.pool import Pool, first, ranks
from frugalseg.acquisition.view import MARGIN, SECOND, FrameView
from frugalseg.core.chance import pixel_hash, uniform
from frugalseg.core.config import Config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query

STRATEGY = "expected_gain"
LEAST = np.float32(1e-6)  # of a value: nothing is out of the draw altogether
LANE_BITS = 20
FIXED_POINT = 2.0**30  # values are summed as whole numbers, hence exactly in any order


class ExpectedGainConfig(Config):
    """Settings of expected_gain."""

    sharpness: float = Field(
        0.5, ge=0, description="exponent of the doubt; 0 = all pixels alike, large = most doubtful"
    )
    disagreement: float = Field(
        0.0, ge=0, le=1, description="doubt where a mirrored, coarser look predicts otherwise; 0 = no second look"
    )
    explore: float = Field(0.2, ge=0, le=1, description="share of a class's questions that is uniform over the class")
    class_balance: float = Field(
        0.75, ge=0, le=1, description="1 = all predicted classes get the same, 0 = in proportion to their value"
    )
    importance: tuple[NonNegativeFloat, ...] = Field(
        (), description="weight of each class, in the order of the classes; 1 where the list ends"
    )
    boundary_px: int = Field(2, ge=0, description="pixels at most so far from another predicted class come last")
    edge_fade_px: float = Field(
        2.0, gt=0, description="distance from there in which the chance of a true edge falls to 1/e"
    )
    region_redundancy: float = Field(
        1.0, ge=0, description="r for questions about one class in one region of a frame; 0 = no discount"
    )
    frame_redundancy: float = Field(0.25, ge=0, description="r for questions about one class in one frame")
    twin_redundancy: float = Field(
        0.25, ge=0, description="r for questions about frames of one drive that look alike; 0 = no discount"
    )
    twin_tolerance: float = Field(
        0.1,
        ge=0,
        le=1,
        description="frames of one drive look alike if at most this share of them is predicted otherwise",
    )
    rows: int = Field(4, ge=1, le=4096, description="rows of regions over the frame")
    columns: int = Field(8, ge=1, le=4096, description="columns of regions over the frame")
    ambiguous_radius_px: float = Field(
        8.0, ge=0, description="radius in which an earlier ambiguous answer lowers the value; 0 = not at all"
    )


class ExpectedGain:
    """Questions drawn by value per second in class strata; a question's score is its value."""

    even: ClassVar[bool] = False
    chance: ClassVar[bool] = True

    def __init__(self, config: ExpectedGainConfig, budget: Budget, frames: int, cost: CostModel, seed: int) -> None:
        self.config, self._cost, self._seed = config, cost, seed
        self._grid = Grid(config.rows, config.columns)
        self._pool = Pool(STRATEGY, seed, budget.total_points(frames, cost), frames)
        self._mass: dict[int, int] = {}  # by class: the sum of its pixels' values
        self._glances: list[Glance] = []

    @property
    def needs(self) -> frozenset[str]:
        """The margin, and a second look unless its weight is 0."""
        return frozenset({MARGIN, SECOND}) if self.config.disagreement else frozenset({MARGIN})

    def see(self, view: FrameView) -> None:
        """Draw pixels of every class that is predicted in one frame."""
        config, flat = self.config, view.candidates()
        distance_HW = edge_distance(view.prediction_HW)
        value = self.value(view, distance_HW).ravel()[flat]
        classes = view.prediction_HW.ravel()[flat]
        bits = pixel_hash(f"{self._seed}/{STRATEGY}/{view.key}", flat)
        exploring = (bits & np.uint64(2**LANE_BITS - 1)).astype(np.int64) < config.explore * 2**LANE_BITS
        race: NDArray[np.float32] = -np.log(uniform(bits))
        race /= np.where(exploring, np.float32(1), np.maximum(value, LEAST))
        race[distance_HW.ravel()[flat] <= config.boundary_px] /= LEAST
        lanes = classes.astype(np.int16) * 2 + exploring
        regions = Regions(self._grid, view)
        kept, order = draw(lanes, race, regions.number[flat], regions, config, self._pool.per_frame)
        self._pool.offer(view, lanes[kept], flat[kept], order, value[kept])
        self._glances.append(Glance.at(view))
        sums = np.bincount(classes, np.rint(value.astype(np.float64) * FIXED_POINT))
        for class_id in np.flatnonzero(sums).tolist():
            self._mass[class_id] = self._mass.get(class_id, 0) + int(sums[class_id])

    def value(self, view: FrameView, distance_HW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what asking each pixel is worth per second; `distance_HW` is the distance to predicted edges."""
        config = self.config
        second_HW = view.needed(SECOND) if config.disagreement else view.prediction_HW
        doubt_HW = doubt(view.needed(MARGIN), second_HW != view.prediction_HW, config.disagreement)
        edge_HW = edge_probability(distance_HW, self._cost.boundary_px, config.edge_fade_px)
        value_HW = doubt_HW**config.sharpness * answerable(edge_HW, self._cost) / seconds(edge_HW, self._cost)
        trust_HW = trust(view, config.ambiguous_radius_px)
        return value_HW if trust_HW is None else value_HW * trust_HW

    def merge(self, other: "ExpectedGain") -> None:
        """Take over what `other` saw."""
        self._pool.merge(other._pool)
        self._glances += other._glances
        for class_id, mass in other._mass.items():
            self._mass[class_id] = self._mass.get(class_id, 0) + mass

    def finish(self) -> list[Query]:
        """Return the questions; exactly as many as the budget pays for."""
        weights = {}
        for class_id, mass in self._mass.items():
            share = class_share(mass / FIXED_POINT, self.config.class_balance, self._importance(class_id))
            weights[2 * class_id] = share * (1 - self.config.explore)
            weights[2 * class_id + 1] = share * self.config.explore
        earlier = twins(self._glances, self.config.twin_tolerance)
        return self._pool.queries(
            weights, {key: 1 + self.config.twin_redundancy * n for key, n in earlier.items() if n}
        )

    def _importance(self, class_id: int) -> float:
        return self.config.importance[class_id] if class_id < len(self.config.importance) else 1.0


def doubt(margin: NDArray[np.float32], disagree: NDArray[np.bool_], disagreement: float) -> NDArray[np.float32]:
    """Return 1 - margin (1 - d [disagree]), in [0, 1]: margin .8 gives .2, and with d = .5 and disagreement .6."""
    sure = np.where(disagree, np.float32(1 - disagreement), np.float32(1))
    return np.clip(1 - margin * sure, 0, 1)


def edge_probability(distance_px: NDArray[np.float32], boundary_px: int, fade_px: float) -> NDArray[np.float32]:
    """Return how probable a true edge within `boundary_px` is: 1 up to there, 1/e `fade_px` further away."""
    return np.exp(np.minimum(boundary_px - distance_px, 0) / np.float32(fade_px))


def answerable(edge: NDArray[np.float32], cost: CostModel) -> NDArray[np.float32]:
    """Return the probability of an answer that is a class: of those at a true edge `ambiguous_rate` are lost."""
    return 1 - np.float32(cost.ambiguous_rate) * edge


def seconds(edge: NDArray[np.float32], cost: CostModel) -> NDArray[np.float32]:
    """Return the seconds that a person is expected to need."""
    point_s, boundary_s = cost.each("point"), cost.each("boundary_point")
    return np.float32(point_s) + np.float32(boundary_s - point_s) * edge


def class_share(mass: float, class_balance: float, importance: float) -> float:
    """Return a class's part of the budget, in any unit: importance x mass^(1 - b)."""
    return float(importance * mass ** (1 - class_balance))


class Regions:
    """The regions of a frame, numbered row by row, and how often each class was asked about in each before."""

    def __init__(self, grid: Grid, view: FrameView) -> None:
        down, across = grid.edges(view.size_HW)
        self.count = (len(down) - 1) * (len(across) - 1)
        number_HW = np.arange(self.count, dtype=np.int32).reshape(len(down) - 1, len(across) - 1)
        self.number = number_HW.repeat(np.diff(down), axis=0).repeat(np.diff(across), axis=1).ravel()  # of each pixel
        asked = np.array([asked.point.row * view.size_HW[1] + asked.point.column for asked in view.asked], np.int64)
        group = view.prediction_HW.ravel()[asked].astype(np.int64) * self.count + self.number[asked]
        self.asked = np.bincount(group, minlength=256 * self.count).reshape(256, self.count)  # classes x regions


def draw(
    lanes: NDArray[np.int16],
    race: NDArray[np.float32],
    region: NDArray[np.int32],
    regions: Regions,
    config: ExpectedGainConfig,
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the first `count` positions of each lane (2 x class + exploring), in order, and when each of them comes.

    A pixel comes when its `race` time times 1 + r n is up, n being the number of questions about its class and region
    that come before it in its lane or came in earlier rounds.
    """
    groups = lanes.astype(np.int32) * regions.count + region
    if len(groups) and groups.max() < 2**16:
        groups = groups.astype(np.uint16)  # sorted by radix
    kept = first(groups, race, count)  # who is not among these of his region is not among the first of his lane
    kept = kept[np.lexsort((kept, race[kept]))]
    earlier = regions.asked[lanes[kept] // 2, region[kept]]
    waits = race[kept] * (1 + config.region_redundancy * (ranks(groups[kept]) + earlier))
    order = np.lexsort((waits, lanes[kept]))  # a stable sort
    place = ranks(lanes[kept[order]])
    order, place = order[place < count], place[place < count]
    in_frame = place + regions.asked.sum(axis=1)[lanes[kept[order]] // 2]
    return kept[order], (waits[order] * (1 + config.frame_redundancy * in_frame)).astype(np.float32)
