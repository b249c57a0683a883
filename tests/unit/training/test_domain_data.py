from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import TrainingError
from frugalseg.core.records import Frame, PartialLabel
from frugalseg.data.batches import PartialLabelFolder
from frugalseg.training.domain_data import DomainData, input_images, predictions, without_own_car, write_partial
from frugalseg.training.settings import TrainConfig


def config(tiny_city: ModuleType, **settings: object) -> TrainConfig:
    return TrainConfig(**{**tiny_city.SETTINGS, **settings})


def test_what_a_method_needs_is_named_where_it_is_missing() -> None:
    empty = DomainData(None, None)
    for need, word in (
        (empty.need_source, "--source"),
        (empty.need_target, "--target"),
        (empty.need_human, "frugalseg label|and `label` first"),
        (empty.need_teacher, "frugalseg adapt"),
    ):
        with pytest.raises(TrainingError, match=f"^my_method (learns|starts).*({word})"):
            need("my_method")


def test_what_is_there_is_given(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path)
    assert data.need_source("m") is data.source and data.need_target("m") is data.target
    assert data.need_human("m") is data.human and data.need_teacher("m") is data.teacher


def test_partial_labels_come_back_as_they_were_written(tmp_path: Path) -> None:
    label = np.array([[0, IGNORE], [7, 3]], np.uint8)
    provenance = np.array([[1, 0], [4, 2]], np.uint8)
    write_partial(tmp_path, PartialLabel("drive/frame_1", label, provenance))
    frame = Frame("drive/frame_1", "image.png", None, "drive", 1, "train", 2, 2, "")
    got_label, got_provenance = PartialLabelFolder(tmp_path)(frame)
    assert np.array_equal(got_label, label) and np.array_equal(got_provenance, provenance)


def test_predictions_are_logits_at_the_frames_size(tiny_city: ModuleType, tmp_path: Path) -> None:
    data = tiny_city.domain_data(tmp_path)
    found = list(predictions(tiny_city.network(), data.target, config(tiny_city), torch.device("cpu")))
    assert [frame.key for frame, _ in found] == [frame.key for frame in data.target.frames]
    assert {tuple(logits.shape) for _, logits in found} == {(4, *tiny_city.SIZE_HW)}


def test_input_images_are_plain_distinct_and_the_same_every_time(tiny_city: ModuleType, tmp_path: Path) -> None:
    pool = tiny_city.domain_data(tmp_path).target
    settings = config(tiny_city, height=24, width=32, color_jitter=0.9, flip_ratio=1.0, zoom_max=3.0)
    batches = list(input_images(settings, pool, 4))
    assert [tuple(batch.shape) for batch in batches] == [(2, 3, 24, 32)] * 2
    whole_frames = [torch.from_numpy(pool.cache.read(frame)).permute(2, 0, 1) / 255 for frame in pool.frames]
    shown = [
        [number for number, frame in enumerate(whole_frames) if torch.allclose(frame, image)]
        for image in torch.cat(batches)
    ]
    assert all(len(match) == 1 for match in shown)  # each is one of the frames, unchanged
    assert len({match[0] for match in shown}) == 4
    again = list(input_images(settings, pool, 4))
    assert all(torch.equal(one, other) for one, other in zip(batches, again, strict=True))


def test_fewer_frames_than_a_batch_still_give_one_batch(tiny_city: ModuleType, tmp_path: Path) -> None:
    pool = tiny_city.domain_data(tmp_path, count=1).target
    assert len(list(input_images(config(tiny_city, batch_size=3), pool, 10))) == 1


def test_the_own_car_is_never_a_pseudo_label(tmp_path: Path) -> None:
    mask = np.array([[255, 255], [0, 0]], np.uint8)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    label = np.array([[1, 2], [3, 0]], np.uint8)
    frame = Frame("f", "f.png", None, "", 0, "train", 2, 2, "", mask=str(tmp_path / "mask.png"))
    assert without_own_car(label, frame).tolist() == [[1, 2], [IGNORE, IGNORE]]
    plain = Frame("f", "f.png", None, "", 0, "train", 2, 2, "")
    assert without_own_car(label, plain).tolist() == label.tolist()
