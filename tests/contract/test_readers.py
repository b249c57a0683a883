"""What holds for every reader; one is tested by being listed in the table of contents."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ReaderError
from frugalseg.core.records import Frame
from frugalseg.core.spec import Spec
from frugalseg.core.table import read_records, write_records
from frugalseg.data.labels import LabelReader
from frugalseg.workflow import catalog

pytestmark = pytest.mark.parametrize("name", sorted(catalog.READERS))
PAGE = Path(__file__).parents[2] / "docs" / "readers.md"


def read(name, path, **options):
    return catalog.entry("reader", name).load()(Spec(name, str(path), options))


def module_of(name):
    return importlib.import_module(catalog.READERS[name].target.partition(":")[0])


@pytest.fixture
def layouts(name, miniatures, tmp_path):
    """A miniature of each layout the reader knows, with the options that it needs."""
    found = []
    for number, (write, options) in enumerate(miniatures.WRITERS[name]):
        root = tmp_path / f"layout{number}"
        write(root)
        found.append((root, options))
    return found


def test_each_layout_reads_with_labels_and_nothing_refused(name, layouts):
    for root, options in layouts:
        manifest = read(name, root, **options)
        assert manifest.labelled, root
        assert not manifest.refused
        assert manifest.name == root.name
        labels = LabelReader(manifest.classes, manifest.classes)
        for frame in manifest:
            assert Path(frame.image).is_absolute()
            assert (frame.height, frame.width, len(frame.sha256)) == (16, 24, 64)
            assert len(np.unique(labels.read(frame))) > 1
            assert (labels.read(frame) != IGNORE).any()


def test_reading_twice_and_in_another_order_of_the_folder_gives_the_same(name, layouts, monkeypatch):
    import os

    walk = os.walk

    def turned(top, **given):
        for place, folders, names in walk(top, **given):
            yield place, folders, names[::-1]

    for root, options in layouts:
        first = read(name, root, **options)
        monkeypatch.setattr(os, "walk", turned)
        assert read(name, root, **options) == first
        monkeypatch.undo()


def test_a_manifest_survives_the_disk(name, layouts, tmp_path):
    for root, options in layouts:
        frames = read(name, root, **options).frames
        write_records(tmp_path / "m.parquet", frames, Frame)
        assert tuple(read_records(tmp_path / "m.parquet", Frame)) == frames


def test_reading_writes_nothing(name, layouts):
    for root, options in layouts:
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
        read(name, root, **options)
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_an_empty_folder_and_none_at_all_say_what_was_expected(name, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "gone"):
        with pytest.raises(ReaderError, match=r"(?s)Expected:\n  PATH/") as caught:
            read(name, path)
        assert str(path) in str(caught.value)


def test_a_file_in_place_of_the_folder(name, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ReaderError, match="is no folder"):
        read(name, tmp_path / "file")


def test_unknown_options_are_refused_with_the_nearest(name, layouts):
    root, options = layouts[0]
    with pytest.raises(ReaderError, match="named 'limt'. Did you mean 'limit'"):
        read(name, root, **options, limt="5")


def test_one_broken_image_is_refused_and_the_rest_goes_on(name, layouts):
    for root, options in layouts:
        frames = read(name, root, **options).frames
        Path(frames[0].image).write_bytes(b"no image")
        manifest = read(name, root, **options)
        left = tuple(frame for frame in frames if frame.image != frames[0].image)  # a video holds several
        assert left
        assert manifest.frames == left
        assert [entry.path for entry in manifest.refused] == [frames[0].image]


def test_labels_can_be_left_away(name, layouts):
    for root, options in layouts:
        given = {key: value for key, value in options.items() if key != "version"}
        assert {frame.label for frame in read(name, root, **given, labels="none")} == {None}


def test_common_options(name, layouts, tmp_path):
    root, options = layouts[0]
    keys = [frame.key for frame in read(name, root, **options)]
    assert [frame.key for frame in read(name, root, **options, limit="1")] == keys[:1]
    assert [frame.key for frame in read(name, root, **options, exclude=keys[0])] == keys[1:]
    (root / "mine.txt").write_text(f"{keys[-1]}\n")
    assert [frame.key for frame in read(name, root, **options, list="mine.txt")] == keys[-1:]
    (tmp_path / "ego.png").write_bytes(Path(read(name, root, **options).frames[0].image).read_bytes())
    assert read(name, root, **options, mask=str(tmp_path / "ego.png")).frames[0].mask == str(tmp_path / "ego.png")


def test_every_option_is_documented_in_the_module_and_on_the_page(name):
    module = module_of(name)
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.partition("\n")[0].strip() == f"`{name}`"]
    common = next(text for text in sections if text.startswith("Options of every reader"))
    for option in module.OPTIONS:
        if option in ("include", "exclude", "list", "limit", "mask"):
            assert f"`{option}=" in common
        else:
            assert re.search(rf"^[*] .*\b{option}\b.*:", module.__doc__, re.MULTILINE), option
            assert f"`{option}" in section, option


def test_the_module_is_short_and_shows_its_layout(name):
    module = module_of(name)
    assert module.__doc__.startswith(f"{name}: ")
    assert f"    {name}:PATH" in module.__doc__
    assert len(Path(module.__file__).read_text(encoding="utf-8").splitlines()) <= 120
