"""What is learned before labels spread: on tracks alone, in little memory, and what guesses there has not seen them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import write_label_png
from frugalseg.data.toycity import CLASSES, render
from frugalseg.propagation import refine, train_sdc
from frugalseg.propagation.confidence import FEATURES, Confidence, Examples
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.motion import Neighbours
from frugalseg.propagation.semantic import Guess
from frugalseg.propagation.spread import Tools
from frugalseg.workflow import propagate_files, propagate_prepare, propagate_unseen
from frugalseg.workflow.project import read_spec
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_motion import learn_motion
from frugalseg.workflow.propagate_plan import LabelSource, Plan, stretches
from frugalseg.workflow.propagate_prepare import calibrate, labelled_places, learn_refiner, window
from frugalseg.workflow.propagate_unseen import caution
from frugalseg.workflow.stage import Options

SIZE_HW = (48, 64)
QUIET = Options(quiet=True)


def film(folder: Path, scenes: tuple[int, ...], labelled: dict[int, int]) -> Path:
    """Write a film whose frame n is of scene `scenes[n]`; labels of one class each on some frames."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number, scene in enumerate(scenes):
        if scene == 0:
            image = render("street", 0, 3, 20 + number, SIZE_HW).image
        else:
            patches = np.random.default_rng(scene).integers(0, 256, (4, 5, 3), np.uint8)
            image = np.asarray(Image.fromarray(patches).resize(SIZE_HW[::-1], Image.Resampling.NEAREST))
        Image.fromarray(image).save(folder / "images" / f"film_{number:05d}.png")
    for number, class_id in labelled.items():
        write_label_png(folder / "labels" / f"film_{number:05d}.png", np.full(SIZE_HW, class_id, np.uint8))
    return folder


def opened(folder: Path, config: PropagateConfig | None = None):
    manifest = read_spec(f"folder:{folder}")
    settings = (config or PropagateConfig()).model_dump(mode="json")
    plan = Plan(settings, CLASSES, str(folder / "labels"), None, None, {})
    return stretches(manifest), LabelSource(manifest, plan)


def numbers(keys) -> list[int]:
    return [int(key[-5:]) for key in keys]


def test_a_window_ends_at_a_cut_on_either_side_and_every_frame_is_read_once(tmp_path: Path, monkeypatch) -> None:
    runs, source = opened(film(tmp_path / "film", (0, 0, 0, 0, 1, 1, 2, 2), {1: 3, 4: 2, 7: 5}))
    read, once = Counter(), propagate_files.read_frame
    monkeypatch.setattr(propagate_files, "read_frame", lambda frame: read.update([frame.key]) or once(frame))
    found = {}
    for place in labelled_places(runs, source):
        pictures, labels, own = window(place, source, 5, Neighbours(Dis()), 0.5)
        assert max(read.values()) == 1
        read.clear()
        found[place[1]] = (numbers(picture.key for picture in pictures), set(labels), own)
    assert found == {1: ([0, 1, 2, 3], {1}, 1), 4: ([4, 5], {0}, 0), 7: ([6, 7], {1}, 1)}
    pictures, labels, own = window(labelled_places(runs, source)[0], source, 5, Neighbours(Dis()), 0.0)
    assert len(pictures) == 7 and set(labels) == {1, 4} and own == 1, "without cuts it is as long as the reach"
    assert (labels[4] != IGNORE).all()


def test_a_window_ends_at_a_frame_that_cannot_be_read_and_there_is_none_around_one(tmp_path: Path) -> None:
    folder = film(tmp_path / "film", (0,) * 6, {2: 3, 4: 2})
    runs, source = opened(folder)
    damaged = folder / "images" / "film_00004.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    one, other = labelled_places(runs, source)
    pictures, labels, own = window(one, source, 5, Neighbours(Dis()), 0.0)
    assert numbers(picture.key for picture in pictures) == [0, 1, 2, 3] and set(labels) == {2} and own == 2
    assert window(other, source, 5, Neighbours(Dis()), 0.0) is None


@pytest.mark.parametrize("start", ["dis", "still"])
def test_motion_is_learned_from_no_pair_across_a_cut(tmp_path: Path, monkeypatch, start: str) -> None:
    config = PropagateConfig(motion="sdc", sdc_steps=0, sdc_channels=4, sdc_levels=1, sdc_crop_px=32, sdc_start=start)
    runs, _ = opened(film(tmp_path / "film", (0, 0, 0, 1, 1, 2), {}), config)
    asked = []
    crops = train_sdc.crops

    def kept(neighbours, *rest):
        pairs = list(neighbours)
        asked.extend(numbers((one.key, other.key)) for one, other in pairs)
        return crops(pairs, *rest)

    monkeypatch.setattr(train_sdc, "crops", kept)
    learn_motion(tmp_path / "sdc", runs, config, QUIET)
    assert asked == [[0, 1], [1, 2], [3, 4]]


class Says:
    """A network that says one class everywhere."""

    def __init__(self, class_id: int) -> None:
        self.class_id = class_id

    def guess(self, picture):
        first = np.full(picture.size_HW, self.class_id, np.uint8)
        return Guess(first, first + 1, first, first)


def plan_of(folder: Path, config: PropagateConfig, warning: str = "") -> Plan:
    return Plan(config.model_dump(mode="json"), CLASSES, str(folder / "labels"), None, None, {}, {}, warning)


def test_confidence_is_calibrated_with_networks_that_have_not_seen_the_frame(tmp_path: Path, monkeypatch) -> None:
    folder = film(tmp_path / "film", (0,) * 10, {1: 3, 3: 3, 5: 2, 8: 2})
    config = PropagateConfig(method="warp_refine", reach=2)
    runs, source = opened(folder, config)
    networks = {f"film_{number:05d}": Says(number) for number in (1, 3, 5, 8)}
    learned: dict[str, list[int]] = {}
    asked: dict[int, tuple[object, object]] = {}

    def learn(where, places, *rest):
        learned[where.name] = [place for _, place in places]
        refine.save_refiner(where, refine.Refiner(len(CLASSES), 4))

    def examples(pictures, labels, own, tools, *rest):
        asked[int(pictures[own].key[-5:])] = (tools.semantic, tools.refiner)
        rng = np.random.default_rng(own)
        yield Examples(rng.random((800, len(FEATURES))).astype(np.float32), rng.random(800) < 0.7)

    monkeypatch.setattr(propagate_prepare, "learn_refiner", learn)
    monkeypatch.setattr(propagate_prepare, "examples", examples)
    monkeypatch.setattr(refine, "load_refiner", lambda where, overrule: where.name)
    tools = Tools(Neighbours(Dis()), len(CLASSES), semantic=Says(0), refiner=refine.Refiner(len(CLASSES), 4))
    places = labelled_places(runs, source)
    calibrate(tmp_path, places, source, tools, plan_of(folder, config), networks.__getitem__, QUIET)
    assert {number: semantic.class_id for number, (semantic, _) in asked.items()} == {1: 1, 3: 3, 5: 5, 8: 8}
    assert all(number not in learned[name] for number, (_, name) in asked.items())
    assert learned == {"refiner-without-0": [5, 8], "refiner-without-1": [1, 3]}
    assert Confidence.load(tmp_path / "confidence.json").caution == ""
    learned.clear()
    calibrate(tmp_path, places, source, tools, plan_of(folder, config), networks.__getitem__, QUIET)
    assert not learned, "what was killed later does not learn again"


def test_what_cannot_be_held_out_is_said_in_the_model(tmp_path: Path, monkeypatch) -> None:
    config = PropagateConfig(method="warp_refine", reach=2, steps=1)
    runs, source = opened(film(tmp_path / "film", (0,) * 4, {1: 3}), config)
    deployed, used = refine.Refiner(len(CLASSES), 4), []

    def examples(pictures, labels, own, tools, *rest):
        used.append(tools.refiner)
        rng = np.random.default_rng(own)
        yield Examples(rng.random((1200, len(FEATURES))).astype(np.float32), rng.random(1200) < 0.7)

    monkeypatch.setattr(propagate_prepare, "examples", examples)
    tools = Tools(Neighbours(Dis()), len(CLASSES), semantic=Says(0), refiner=deployed)
    plan = plan_of(tmp_path / "film", config, "It has seen them.")
    calibrate(tmp_path, labelled_places(runs, source), source, tools, plan, lambda key: Says(0), QUIET)
    said = Confidence.load(tmp_path / "confidence.json").caution
    assert used == [deployed] and said.startswith("It has seen them. No refinement network could be held out from")
    assert "none of 0 labelled frames" in said


def test_a_labelled_frame_alone_between_cuts_does_not_stop_learning(tmp_path: Path) -> None:
    config = PropagateConfig(method="warp_refine", steps=4, batch_size=2, channels=4, crop_px=32, longest_cycle=2)
    runs, source = opened(film(tmp_path / "film", (0, 0, 0, 1, 2, 2), {1: 3, 3: 2}), config)
    tools = Tools(Neighbours(Dis()), len(CLASSES))
    learn_refiner(tmp_path / "refiner", labelled_places(runs, source), source, tools, config, lambda key: Says(0))
    assert refine.load_refiner(tmp_path / "refiner", 0.0).channels == 4
    assert {path.name for path in tmp_path.iterdir()} == {"film", "refiner"}, "nothing waits there any more"


def test_a_network_that_may_know_the_labels_is_named(tmp_path: Path, monkeypatch) -> None:
    class Stage:
        def __init__(self, *inputs: str) -> None:
            self.inputs = inputs

        def has_input(self, name: str) -> bool:
            return name in self.inputs

    stages: list[Stage] = []
    monkeypatch.setattr(propagate_unseen, "ancestors", lambda stage: stages)
    config, model = PropagateConfig(method="warp_inpaint"), tmp_path / "model"
    assert "nothing here tells" in caution(config, model, None)
    assert caution(config, model, tmp_path) == "" == caution(PropagateConfig(), None, None)
    assert caution(config.model_copy(update={"calibration_frames": 0}), model, None) == ""
    stages[:] = [Stage("model"), Stage("answers")]  # the model it goes on from has
    assert "has learned from people's answers" in caution(config, model, None)
    assert "mend too little" in caution(PropagateConfig(method="warp_refine", calibration_frames=0), model, None)
    stages[:] = [Stage("model"), Stage("source")]
    assert caution(config, model, None) == ""
