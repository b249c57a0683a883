"""Labels spread along a video as a stream: frames go in by time, labels of the unlabelled ones come out by time.

Memory is that of a window: a frame waits at most until one of the next `reach` frames is labelled. A track is a stretch
of frames that belong together; it ends where a frame is missing, where the size changes and at a scene cut, and no
label crosses its ends.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from frugalseg.core.classes import IGNORE
from frugalseg.core.config import Config
from frugalseg.propagation.chain import Anchor, Chain, Reached, nearest
from frugalseg.propagation.confidence import Confidence, pixel_features
from frugalseg.propagation.cuts import scene_cut
from frugalseg.propagation.fuse import ERROR_SCALE, Fused, Warp, agreed, fuse
from frugalseg.propagation.inpaint import GUESSED, REFINED, Draft, inpaint
from frugalseg.propagation.learned_fusion import choose
from frugalseg.propagation.motion import Motion, Neighbours, Picture
from frugalseg.propagation.recurrent import Recurrent, Refines, Walk, carried_source
from frugalseg.propagation.semantic import Semantic
from frugalseg.propagation.warp import warp_picture

# Where a pixel's label comes from; values of origin maps.
NOTHING, BEFORE, AFTER, EXTENDED, SEMANTIC, REFINEMENT, TRUTH = range(7)
ORIGINS = ("nothing", "before", "after", "extended", "semantic", "refined", "truth")


class SpreadConfig(Config):
    """How labels spread."""

    anchors: Literal[1, 2] = Field(
        2, description="labelled frames a label comes from: the nearest, or one on each side"
    )
    reach: int = Field(10, ge=1, le=200, description="frames a label is carried at most")
    quality: bool = Field(
        False, description="mend composed flow by flow straight to the labelled frame where that fits better; slower"
    )
    extend: bool = Field(
        False, description="repeat the border's label where no labelled frame looks; off: such pixels stay without"
    )
    error_scale: float = Field(ERROR_SCALE, gt=0, description="RGB distance at which a warp's vote falls to 1/e")
    cut_share: float = Field(
        0.5, ge=0, le=1, description="a scene cut: less than this share of a frame is found again in the one before"
    )
    fusion: Literal["auto", "photometric", "learned"] = Field(
        "auto",
        description="where two labelled frames differ: votes by how the pictures fit, or a choice learned on generated "
        "video, some 25 ms a frame of 480x360; auto: learned with quality or a network, which take longer anyway",
    )
    tau: float = Field(30.0, gt=0, description="warp_inpaint: RGB distance from which a warped label is not trusted")
    recursion: Literal["composed", "paper"] = Field(
        "composed",
        description="compose the flows and warp the labelled frame's own label once, or carry each frame's finished "
        "label on to the next",
    )
    joint: bool = Field(
        False,
        description="also write the labelled frame's picture as warped with its label: the two fit, and training sees "
        "that picture (Zhu et al., CVPR 2019); for warp with anchors = 1",
    )
    point_error: float = Field(
        20.0, gt=0, description="points: RGB distance (over 5 x 5) to the answered point's picture that ends their way"
    )


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame of the stream: key, picture (None: it could not be read, for `reason`), and its label if it has one."""

    key: str
    picture: Picture | None
    label_HW: NDArray[np.uint8] | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Spread:
    """A frame's label: class ids and origins, H x W uint8; confidence (0–1; 0: no label) where there is a model for it.

    `before` and `after` are the labelled frames it comes from, with how many frames they are away. `warped_HWC` is the
    nearest one's picture as seen from here, where that is asked for; out of view its border is repeated.
    """

    key: str
    label_HW: NDArray[np.uint8]
    origin_HW: NDArray[np.uint8]
    confidence_HW: NDArray[np.float32] | None
    before: tuple[str, int] | None
    after: tuple[str, int] | None
    warped_HWC: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Break:
    """The track ended before the frame `key`, and why."""

    key: str
    reason: str


@dataclass(frozen=True, eq=False)
class Unreached:
    """A frame that no labelled frame within reach lies on the track of."""

    key: str


Event = Spread | Break | Unreached


@dataclass(frozen=True)
class Tools:
    """What spreading works with; without a semantic network labels are warped only.

    With `alone` nothing is warped: the network's guess is the label where its probability is at least that.
    """

    neighbours: Neighbours
    classes: int
    direct: Motion | None = None
    semantic: Semantic | None = None
    refiner: Refines | None = None
    confidence: Confidence | None = None
    alone: float | None = None


@dataclass(eq=False)
class _Waiting:
    picture: Picture
    before: Reached | None
    after: Reached | None = field(default=None)


class Spreader:
    """Spreads the labels of one stream; `run` may be called for one stream after another."""

    def __init__(self, tools: Tools, config: SpreadConfig) -> None:
        self._tools, self._config = tools, config

    def run(self, shots: Iterable[Shot]) -> Iterator[Event]:
        """Yield what became of each unlabelled frame, and each break of the track."""
        chain: Walk | None = None
        waiting: deque[_Waiting] = deque()
        last: Shot | None = None
        for shot in shots:
            reason = broken(last, shot)
            if not reason and chain is not None and shot.picture is not None and shot.label_HW is None:
                reason = self._advance(chain, shot.picture)
            if reason:
                yield from self._emit(waiting)
                yield Break(shot.key, reason)
                chain = None
            last = shot
            if shot.picture is None:
                continue
            if shot.label_HW is not None:
                anchor = Anchor(shot.picture, shot.label_HW)
                cuts = self._look_back(anchor, waiting)
                yield from self._emit(waiting)
                yield from cuts
                chain = self.walk(anchor)
                continue
            waiting.append(_Waiting(shot.picture, chain.here if chain is not None else None))
            if chain is not None and chain.here.steps == self._config.reach:
                chain = None
            if len(waiting) == self._config.reach + 1:  # the oldest is out of any later frame's reach
                yield from self._emit(waiting, 1)
        yield from self._emit(waiting)

    def walk(self, anchor: Anchor) -> Walk:
        """Return the way of a labelled frame's label, at its start."""
        tools, config = self._tools, self._config
        if config.recursion == "composed":
            return Chain(anchor, tools.neighbours, tools.direct if config.quality else None)
        return Recurrent(
            anchor, tools.neighbours, tools.classes, config.extend, config.tau, tools.semantic, tools.refiner
        )

    def bring(self, pictures: Sequence[Picture], label_HW: NDArray[np.uint8], start: int, end: int) -> Reached:
        """Return the label of the frame at place `start` as it comes to the one at `end`, another place."""
        walk, side = self.walk(Anchor(pictures[start], label_HW)), 1 if end > start else -1
        for place in range(start + side, end + side, side):
            walk.advance(pictures[place])
        return walk.here

    def _advance(self, chain: Walk, picture: Picture) -> str:
        """Go on with a chain; return why it must not, if so."""
        before = chain.here.picture
        step = chain.advance(picture)
        return scene_cut(before, picture, step, self._config.cut_share)

    def _look_back(self, anchor: Anchor, waiting: Sequence[_Waiting]) -> list[Break]:
        """Bring the label of `anchor` to the frames that wait before it, up to a cut; return that cut."""
        chain, crossed = self.walk(anchor), False  # by the chain from before, which found no cut there
        for frame in reversed(waiting):
            if chain.here.steps == self._config.reach:
                break
            key = chain.here.picture.key
            if crossed and frame.before is not None:
                chain.advance(frame.picture)
            elif reason := self._advance(chain, frame.picture):
                return [Break(key, reason)]
            crossed, frame.after = frame.before is not None, chain.here
        return []

    def _emit(self, waiting: deque[_Waiting], count: int | None = None) -> Iterator[Event]:
        for _ in range(len(waiting) if count is None else count):
            frame = waiting.popleft()
            reached = [there for there in (frame.before, frame.after) if there is not None]
            if self._config.anchors == 1:
                reached = sorted(reached, key=lambda there: there.steps)[:1]
            yield self.spread(frame.picture, reached, frame.before) if reached else Unreached(frame.picture.key)

    def spread(self, picture: Picture, reached: Sequence[Reached], before: Reached | None) -> Spread:
        """Return the label of a frame that labels have been brought to; `before` tells which one was the earlier."""
        label_HW, origin_HW, warps = self.label(picture, reached, before)
        confidence_HW = None
        if self._tools.confidence is not None:
            confidence_HW = self._tools.confidence.of(pixel_features(label_HW, warps, nearest(reached)))
            confidence_HW[label_HW == IGNORE] = 0.0
        ends = {there is before: (there.anchor.picture.key, there.steps) for there in reached}
        warped_HWC = warp_picture(reached[0].anchor.picture.rgb_HWC, reached[0].flow) if self._config.joint else None
        return Spread(picture.key, label_HW, origin_HW, confidence_HW, ends.get(True), ends.get(False), warped_HWC)

    def label(
        self, picture: Picture, reached: Sequence[Reached], before: Reached | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[Warp]]:
        """Return a frame's label, its origins, and the warps it was made from."""
        tools, config = self._tools, self._config
        warps = [there.warp() for there in reached]
        guessed = config.recursion == "paper" and tools.semantic is not None  # out of view too there is a label
        fused = self._fused(picture, warps, guessed)
        origins = [BEFORE if there is before else AFTER for there in reached]
        by_warp = np.array([*origins, *[EXTENDED] * (256 - len(origins))], np.uint8)
        origin_HW = np.asarray(cv2.LUT(fused.warp_HW, by_warp), np.uint8)
        label_HW = fused.label_HW
        if tools.semantic is not None and tools.alone is not None:
            guess = tools.semantic.guess(picture)
            label_HW = np.where(guess.sure_HW >= 255 * tools.alone, guess.first_HW, np.uint8(IGNORE))
            origin_HW = np.full_like(label_HW, SEMANTIC)
        elif guessed:
            origin_HW = _with_sources(origin_HW, carried_source(label_HW, reached))
        elif tools.semantic is not None:
            label_HW, origin_HW = self._finish(picture, label_HW, origin_HW, warps, nearest(reached))
        return label_HW, np.where(label_HW == IGNORE, np.uint8(NOTHING), origin_HW), warps

    def _finish(
        self, picture: Picture, label_HW: NDArray[np.uint8], origin_HW: NDArray[np.uint8], warps: Sequence[Warp], k: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return label and origins after inpainting, and after refinement where there is a network for it."""
        draft = self._inpainted(picture, label_HW, warps, k)
        label_HW, source_HW = draft.label_HW, draft.source_HW
        if self._tools.refiner is not None:
            label_HW, source_HW = self._tools.refiner.refine(draft)
        return label_HW, _with_sources(origin_HW, source_HW)

    def draft(self, picture: Picture, reached: Sequence[Reached]) -> Draft:
        """Return a frame's label as a refinement network gets it; not with the paper's recursion, which has others."""
        warps = [there.warp() for there in reached]
        return self._inpainted(picture, self._fused(picture, warps, False).label_HW, warps, nearest(reached))

    def _fused(self, picture: Picture, warps: Sequence[Warp], everywhere: bool) -> Fused:
        classes, config, extend = self._tools.classes, self._config, self._config.extend or everywhere
        fused = fuse(warps, classes, config.error_scale, extend)
        slow = config.quality or self._tools.semantic is not None
        if config.fusion == "learned" or (config.fusion == "auto" and slow):
            return choose(fused, picture, warps, classes, config.error_scale, extend)
        return fused

    def _inpainted(self, picture: Picture, label_HW: NDArray[np.uint8], warps: Sequence[Warp], k: int) -> Draft:
        assert self._tools.semantic is not None
        error_HW = np.min([warp.seen_error_HW for warp in warps], axis=0)
        draft = inpaint(picture, label_HW, error_HW, self._tools.semantic.guess(picture), self._config.tau, k)
        return replace(draft, agreed_HW=agreed(warps, label_HW))


def _with_sources(origin_HW: NDArray[np.uint8], source_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return origins with what a network gave in place of the labelled frame."""
    origin_HW = np.where(source_HW == GUESSED, SEMANTIC, origin_HW)
    return np.where(source_HW == REFINED, REFINEMENT, origin_HW)


def broken(last: Shot | None, shot: Shot) -> str:
    """Return why `shot` cannot go on from `last`, or nothing."""
    if shot.picture is None:
        return shot.reason or "it could not be read"
    if last is None or last.picture is None or last.picture.size_HW == shot.picture.size_HW:
        return ""
    sizes = ["x".join(map(str, s.picture.size_HW)) for s in (last, shot) if s.picture is not None]
    return f"frames were {sizes[0]} and are {sizes[1]} (height x width) from here on"
