"""Single objects from the files of both encodings."""

from dataclasses import replace

import numpy as np
import pytest

from frugalseg.core.errors import LabelShapeError, MissingPairError
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.objects import ObjectReader
from frugalseg.data.readers import cityscapes, kitti

CITY = class_sets.load("cityscapes19")
CAR, PERSON = CITY.index("car"), CITY.index("person")


def test_cityscapes_values_above_a_thousand_are_objects(miniatures, tmp_path):
    miniatures.cityscapes(tmp_path)
    frame = cityscapes.read(Spec("cityscapes", str(tmp_path), {"limit": "1"})).frames[0]
    miniatures.deep(tmp_path / "i.png", miniatures.columns(26, 26_000, 26_001, 24_000, 29_000, 7))
    found = ObjectReader(CITY, CITY).read(replace(frame, instances=str(tmp_path / "i.png")))
    assert found.numbers_HW[0, ::4].tolist() == [0, 26_000, 26_001, 24_000, 29_000, 0]
    assert found.class_of == {26_000: CAR, 26_001: CAR, 24_000: PERSON}  # a caravan is not evaluated, a group no object


def test_kitti_counts_from_one(miniatures, tmp_path):
    miniatures.kitti(tmp_path)
    frame = kitti.read(Spec("kitti", str(tmp_path), {"limit": "1"})).frames[0]
    miniatures.deep(tmp_path / "i.png", miniatures.columns(26 * 256, 26 * 256 + 1, 26 * 256 + 2, 11 * 256 + 1))
    found = ObjectReader(class_sets.load("kitti19"), CITY).read(replace(frame, instances=str(tmp_path / "i.png")))
    assert found.numbers_HW[0, ::6].tolist() == [0, 26 * 256 + 1, 26 * 256 + 2, 11 * 256 + 1]
    assert found.class_of == {26 * 256 + 1: CAR, 26 * 256 + 2: CAR, 11 * 256 + 1: CITY.index("building")}


def test_nothing_under_the_ego_mask(miniatures, tmp_path):
    miniatures.kitti(tmp_path)
    miniatures.grey(tmp_path / "mask.png", miniatures.columns(1, 1, 0, 0))
    frame = kitti.read(Spec("kitti", str(tmp_path), {"limit": "1", "mask": "mask.png"})).frames[0]
    found = ObjectReader(class_sets.load("kitti19"), CITY).read(frame)
    assert found.class_of == {11 * 256 + 1: CITY.index("building")}


def test_a_missing_or_misfit_file_is_told(miniatures, tmp_path):
    miniatures.kitti(tmp_path)
    frame = kitti.read(Spec("kitti", str(tmp_path), {"limit": "1"})).frames[0]
    reader = ObjectReader(class_sets.load("kitti19"), CITY)
    with pytest.raises(MissingPairError, match="000000_10.png: there is no file of single objects"):
        reader.read(replace(frame, instances=None, instance_base=None))
    miniatures.deep(tmp_path / "i.png", np.zeros((4, 4), np.uint16))
    with pytest.raises(LabelShapeError, match=r"i.png: \(4, 4\) but its image .* is \(16, 24\)"):
        reader.read(replace(frame, instances=str(tmp_path / "i.png")))
