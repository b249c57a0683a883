"""What is learned before labels spread: on tracks alone, in little memory, and what guesses there has not seen them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import write_label_png
from frugalseg.data.toycity import CLASSES, render
from frugalseg.propagation import train_sdc
from frugalseg.propagation.dis import Dis
from frugalseg.propagation.motion import Neighbours
from frugalseg.workflow import propagate_files
from frugalseg.workflow.project import read_spec
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_motion import learn_motion
from frugalseg.workflow.propagate_plan import LabelSource, Plan, stretches
from frugalseg.workflow.propagate_prepare import labelled_places, window
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
