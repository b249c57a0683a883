import itertools

import pytest

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import UnknownNameError
from frugalseg.data import class_sets
from frugalseg.data.label_kinds import color_table

ALL = class_sets.names()


def renamed(source, target):
    """What changes its name on the way, and what is dropped or has no source."""
    source, target = class_sets.load(source), class_sets.load(target)
    mapped = source.map_to(target)
    names = {
        name: target.names[mapped.table[index]] for index, name in enumerate(source.names) if mapped.table[index] < 255
    }
    return {name: new for name, new in names.items() if new != name}, set(mapped.dropped), set(mapped.missing)


@pytest.mark.parametrize("name", ALL)
def test_each_set_loads_under_its_name_and_survives_toml(name, tmp_path):
    found = class_sets.load(name)
    assert found.name == name
    (tmp_path / "classes.toml").write_text(found.to_toml())
    assert ClassSet.from_toml(tmp_path / "classes.toml") == found
    assert ClassSet.from_dict(found.to_dict(), "here") == found


@pytest.mark.parametrize("name", ALL)
def test_no_two_classes_look_alike(name):
    found = class_sets.load(name)
    assert len({entry.color for entry in found.classes}) == len(found)
    assert set(color_table(found).values()) <= {
        *itertools.chain(*(e.raw_ids for e in found.classes)),
        *found.ignored_ids,
    }


def test_sizes_and_orders_of_the_papers():
    sizes = {"cityscapes19": 19, "synthia16": 16, "synthia13": 13, "nthu13": 13, "camvid11": 11, "gta5": 19}
    assert {name: len(class_sets.load(name)) for name in sizes} == sizes
    city = class_sets.load("cityscapes19")
    assert class_sets.load("cityscapes19_train_ids").names == city.names == class_sets.load("gta5").names
    assert [entry.raw_ids[0] for entry in class_sets.load("cityscapes19_train_ids").classes] == list(range(19))
    for subset in ("synthia16", "synthia13"):
        assert city.subsets[subset] == class_sets.load(subset).names  # in Cityscapes' order


def test_cityscapes_ids_agree_with_cityscapesscripts():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    city, gta5 = class_sets.load("cityscapes19"), class_sets.load("gta5")
    for label in labels:
        if label.id < 0:
            continue
        expected = label.trainId if 0 <= label.trainId < 19 else 255
        assert city.lookup[label.id] == gta5.lookup[label.id] == expected, label
        if expected < 255:
            assert (city.names[expected], city.classes[expected].color) == (label.name, label.color)


def test_sources_to_cityscapes():
    assert renamed("gta5", "cityscapes19") == ({}, set(), set())
    assert renamed("synthia", "cityscapes19") == ({}, {"parking slot", "road work", "lane marking"}, set())
    assert renamed("synthia16", "cityscapes19") == ({}, set(), {"terrain", "truck", "train"})
    assert renamed("cityscapes19", "synthia16") == ({}, {"terrain", "truck", "train"}, set())
    lost = {"terrain", "truck", "train", "wall", "fence", "pole"}
    assert renamed("cityscapes19", "synthia13") == ({}, lost, set())  # left out, not merged


def test_the_merges_of_cbst_for_nthu():
    merges = {"wall": "building", "fence": "building", "pole": "building", "truck": "car", "terrain": "vegetation"}
    assert renamed("cityscapes19", "nthu13") == (merges, {"train"}, set())
    assert renamed("nthu13", "cityscapes19")[:2] == ({}, set())


def test_carla_and_camvid_meet():
    names, dropped, missing = renamed("carla", "camvid11")
    assert {
        key: names[key] for key in ("road line", "sidewalk", "terrain", "bus", "rider", "traffic light", "bridge")
    } == {
        "road line": "road",
        "sidewalk": "pavement",
        "terrain": "tree",
        "bus": "car",
        "rider": "bicyclist",
        "traffic light": "sign",
        "bridge": "building",
    }
    assert dropped == {"static", "dynamic", "other", "water", "ground", "rail track", "guard rail"}
    assert not missing
    assert renamed("carla_old", "camvid11")[2] == {"bicyclist"}  # two-wheelers are vehicles there
    assert renamed("carla", "cityscapes19")[0] == {"road line": "road"}
    assert renamed("carla_old", "cityscapes19")[0] == {"road line": "road", "vehicle": "car"}


def test_segnets_merges_are_the_same_by_raw_id_and_by_alias():
    fine, coarse = class_sets.load("camvid32"), class_sets.load("camvid11")
    assert (fine.map_to(coarse).raw_lookup() == coarse.lookup).all()
    assert renamed("camvid32", "camvid11")[1:] == (set(), set())


def test_categories_and_object_sizes_agree_with_cityscapesscripts():
    helpers = pytest.importorskip("cityscapesscripts.helpers.labels")
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    expected = {
        name: [label.name for label in labels if not label.ignoreInEval]
        for name, labels in helpers.category2labels.items()
    }
    expected = {name: tuple(members) for name, members in expected.items() if members}
    for name in ("cityscapes19", "cityscapes19_train_ids", "kitti19"):
        found = class_sets.load(name)
        assert dict(found.categories) == expected
        assert set(found.instance_px) == {
            label.name for label in helpers.labels if label.hasInstances and not label.ignoreInEval
        }
    sizes = {name: size for name, size in official.args.avgClassSize.items() if name not in ("caravan", "trailer")}
    assert dict(class_sets.load("cityscapes19").instance_px) == sizes
    assert class_sets.load("kitti19").classes == class_sets.load("cityscapes19").classes


def test_camvid_and_cityscapes_meet():
    assert renamed("camvid11", "cityscapes19")[0] == {
        "pavement": "sidewalk",
        "tree": "vegetation",
        "sign": "traffic sign",
        "pedestrian": "person",
        "bicyclist": "rider",
    }
    assert renamed("cityscapes19", "camvid11")[1:] == (set(), set())


def test_every_pair_of_streets_shares_a_road():
    streets = [found for found in map(class_sets.load, ALL) if found.name != "nyu40"]  # which is of rooms
    for one, other in itertools.permutations(streets, 2):
        assert one.map_to(other).table[one.index("road")] == other.index("road"), (one.name, other.name)


def test_a_name_that_is_none_gets_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="named 'camvid_11'. Did you mean 'camvid11'"):
        class_sets.load("camvid_11")
    with pytest.raises(UnknownNameError, match="mine.toml: there is no such file. .* Known: apolloscape22, camvid11"):
        class_sets.find("mine.toml", tmp_path)


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(class_sets.find("camvid11")) == 11
    (tmp_path / "camvid11").write_text('[[class]]\nname = "mine"\ncolor = [1, 2, 3]\n')
    assert class_sets.find("camvid11").names == ("mine",)
