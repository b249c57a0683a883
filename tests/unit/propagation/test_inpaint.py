"""Warp-inpaint: equations 3-7 and the cycle of 9-12."""

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import DataError
from frugalseg.propagation.chain import Anchor
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.flow import Flow
from frugalseg.propagation.inpaint import (
    GUESSED,
    NOWHERE,
    WARPED,
    InpaintConfig,
    Inpainted,
    cycle,
    inpaint,
)  # fmt: skip
from frugalseg.propagation.motion import Neighbours, Picture
from frugalseg.propagation.semantic import Guess

CLASSES = 11


class Says:
    """A semantic network that says one class everywhere, or the truth of known frames."""

    def __init__(self, class_id: int = 0, truth=None) -> None:
        self._class_id, self._truth, self.asked = class_id, truth or {}, []

    def guess(self, picture: Picture) -> Guess:
        self.asked.append(picture.key)
        first = self._truth.get(picture.key, np.full(picture.size_HW, self._class_id, np.uint8))
        return Guess(first, np.zeros_like(first), np.full_like(first, 255), np.full_like(first, 255))


def test_a_guess_keeps_the_two_best_classes_and_their_distance() -> None:
    probability = np.array([[[0.1, 0.4]], [[0.75, 0.4]], [[0.15, 0.2]]])
    guess = Guess.of(probability)
    assert guess.first_HW.tolist() == [[1, 0]] and guess.second_HW.tolist() == [[2, 1]]
    assert guess.margin_HW.tolist() == [[153, 0]]
    shares = guess.shares(3)
    assert shares[:, 0, 0] == pytest.approx([0, 0.8, 0.2], abs=1 / 255)
    assert shares[:, 0, 1] == pytest.approx([0.5, 0.5, 0])
    with pytest.raises(DataError, match="two classes"):
        Guess.of(np.ones((1, 2, 2)))


def test_equations_5_and_6_against_a_naive_loop(noise) -> None:
    rng = np.random.default_rng(0)
    warped, first = rng.integers(0, 5, (2, 48, 64), np.uint8)
    warped[0, 0] = IGNORE
    error = rng.uniform(0, 60, (48, 64)).astype(np.float32)
    error[0, 0], error[5, 5], error[6, 6] = 0, np.inf, 30
    draft = inpaint(noise(0), warped, error, Guess(first, first, first, first), 30.0, 4)
    for r in range(48):
        for c in range(64):
            mixing = error[r, c] < 30
            assert draft.label_HW[r, c] == (warped if mixing else first)[r, c] and draft.trusted_HW[r, c] == mixing
            assert draft.source_HW[r, c] == (WARPED if mixing else GUESSED) or (r, c) == (0, 0)
    assert draft.label_HW[0, 0] == IGNORE and draft.source_HW[0, 0] == NOWHERE, "what a person left out stays out"
    assert not draft.trusted_HW[5, 5] and not draft.trusted_HW[6, 6] and draft.k == 4


def moving(noise, frames: int, columns: int) -> list[Picture]:
    """The same texture pushed to the left each frame, with new texture coming in at the right."""
    wide = noise(7, (48, 64 + columns * frames)).rgb_HWC
    return [Picture(f"f{n}", wide[:, n * columns : n * columns + 64]) for n in range(frames)]


@pytest.mark.parametrize("recursion", ["paper", "composed"])
def test_what_comes_into_view_is_guessed_and_the_rest_is_the_anchors(noise, shift, recursion) -> None:
    frames = moving(noise, 4, 3)
    label = np.ones(frames[0].size_HW, np.uint8)
    inpainted = Inpainted(
        Anchor(frames[0], label), Neighbours(shift(3, 0)), Says(5), InpaintConfig(recursion=recursion)
    )
    for k, frame in enumerate(frames[1:], 1):
        draft = inpainted.advance(frame)
        assert (draft.label_HW[:, : -3 * k] == 1).all() and (draft.label_HW[:, -3 * k :] == 5).all()
        assert (draft.source_HW == np.where(draft.label_HW == 1, WARPED, GUESSED)).all() and draft.k == k


def test_the_papers_recursion_goes_on_from_a_replaced_label_and_the_composed_one_does_not(noise, shift) -> None:
    frames = moving(noise, 3, 0)
    label = np.ones(frames[0].size_HW, np.uint8)
    for recursion, expected in (("paper", 7), ("composed", 1)):
        config = InpaintConfig(recursion=recursion)
        inpainted = Inpainted(Anchor(frames[0], label), Neighbours(shift(0, 0)), Says(5), config)
        draft = inpainted.advance(frames[1])
        inpainted.replace(np.full_like(label, 7), draft.source_HW)
        assert (inpainted.advance(frames[2]).label_HW == expected).all()


def test_the_papers_error_is_of_the_last_step_and_the_composed_one_of_the_whole_way(noise, shift) -> None:
    shades = [Picture(f"f{n}", np.full((48, 64, 3), 10 * n, np.uint8)) for n in range(4)]
    anchor, errors = Anchor(shades[0], np.ones((48, 64), np.uint8)), {}
    for recursion in ("paper", "composed"):
        inpainted = Inpainted(anchor, Neighbours(shift(0, 0)), Says(5), InpaintConfig(recursion=recursion, tau=500))
        errors[recursion] = [inpainted.advance(shade).error_HW[0, 0] for shade in shades[1:]]
    one = 10 * np.sqrt(3)
    assert errors == {"paper": pytest.approx([one] * 3), "composed": pytest.approx([one, 2 * one, 3 * one])}


class Directed:
    """Remembers which flows were asked for."""

    identity = "directed"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def flow(self, target: Picture, source: Picture, start: Flow | None = None) -> Flow:
        self.asked.append((target.key, source.key))
        return Flow.still(target.size_HW)


@pytest.mark.parametrize("recursion", ["paper", "composed"])
def test_a_cycle_goes_there_and_back_with_flow_of_its_own(noise, recursion) -> None:
    frames, motion = moving(noise, 3, 0), Directed()
    anchor = Anchor(frames[0], np.ones(frames[0].size_HW, np.uint8))
    draft = cycle(anchor, frames[1:], Neighbours(motion), Says(5), InpaintConfig(recursion=recursion))
    assert motion.asked == [("f1", "f0"), ("f2", "f1"), ("f1", "f2"), ("f0", "f1")]
    assert draft.picture.key == "f0" and draft.k == 4 and (draft.label_HW == 1).all()


def test_cycles_on_the_toy_city_are_noisy_but_mostly_right_and_noisier_the_longer(clip, pictures) -> None:
    anchor = Anchor(pictures[0], clip[0].label)
    says = Says(truth={frame.key: frame.label for frame in clip})
    wrong = [
        (
            cycle(anchor, pictures[1 : 1 + length], Neighbours(Dis()), says, InpaintConfig()).label_HW != clip[0].label
        ).mean()
        for length in (1, 4)
    ]
    assert 0 < wrong[0] < wrong[1] < 0.2


def test_inpainting_with_a_perfect_network_is_better_than_the_warp_alone(clip, pictures) -> None:
    says = Says(truth={frame.key: frame.label for frame in clip})
    inpainted = Inpainted(Anchor(pictures[0], clip[0].label), Neighbours(Dis()), says, InpaintConfig())
    for picture in pictures[1:]:
        draft = inpainted.advance(picture)
    right = [(label == clip[-1].label).mean() for label in (draft.label_HW, draft.warped_HW)]
    assert right[0] > right[1] + 0.02
