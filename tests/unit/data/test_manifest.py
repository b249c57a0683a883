import dataclasses

import pytest

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ArtifactError, ConfigError, DataError, ReaderError
from frugalseg.core.records import Frame, Manifest, Refused
from frugalseg.data.manifest import read_manifest, write_manifest

CLASSES = ClassSet("two", (SemanticClass("road", (0, 0, 0), (0,)), SemanticClass("car", (1, 1, 1), (1,))))
FRAME = Frame("a_1", "/data/a_1.png", "/data/labels/a_1.png", "a", 1, "", 4, 3, "0" * 64)
HEADER = "key,image,label,sequence,index,split,width,height,sha256,mask"


def test_a_manifest_reads_back_as_itself(tmp_path):
    bare = dataclasses.replace(FRAME, key="town/b 🚗", label=None, mask="/data/mask.png")
    manifest = Manifest("street", (bare, FRAME), CLASSES)
    write_manifest(tmp_path / "deep" / "street", manifest)
    assert read_manifest(tmp_path / "deep" / "street") == manifest


def test_what_was_refused_stands_beside_the_frames_whatever_the_names(tmp_path):
    names = ["/a/line\nbreak.png", "/a/rtl\u202e.png", '/a/"quoted", with comma.png', "/a/bytes\udcff.png", "/a/\r.png"]
    manifest = Manifest("m", (FRAME,), CLASSES, tuple(Refused(name, "damaged,\n  twice") for name in names))
    write_manifest(tmp_path / "m", manifest)
    assert read_manifest(tmp_path / "m") == manifest
    assert [entry.path for entry in manifest.refused if "udcff" in entry.path] == [r"/a/bytes\udcff.png"]
    write_manifest(tmp_path / "m", dataclasses.replace(manifest, refused=()))
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["classes.toml", "manifest.parquet"]


def test_a_users_csv_may_have_names_with_newlines_and_marks(tmp_path):
    (tmp_path / "classes.toml").write_text(CLASSES.to_toml())
    row = 'a,"line\nbreak\u202e.png",,,0,,4,3,x,'
    (tmp_path / "manifest.csv").write_text(f"{HEADER}\n{row}\n", encoding="utf-8")
    (frame,) = read_manifest(tmp_path)
    assert frame.image == str(tmp_path / "line\nbreak\u202e.png")
    assert frame.label_kind == "ids"


def test_a_csv_may_say_where_labels_hold_their_ids(tmp_path):
    (tmp_path / "classes.toml").write_text(CLASSES.to_toml())
    (tmp_path / "manifest.csv").write_text(
        f"{HEADER},label_kind\na,a.png,a_l.png,,0,,4,3,x,,red\nb,b.png,,,0,,4,3,x,,\n"
    )
    assert [frame.label_kind for frame in read_manifest(tmp_path)] == ["red", "ids"]


def test_writing_again_replaces(tmp_path):
    write_manifest(tmp_path, Manifest("m", (FRAME,), CLASSES))
    write_manifest(tmp_path, Manifest("m", (), CLASSES))
    assert len(read_manifest(tmp_path)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.toml", "manifest.parquet"]


def test_a_users_own_csv_with_paths_relative_to_it(tmp_path):
    (tmp_path / "classes.toml").write_text(CLASSES.to_toml())
    (tmp_path / "manifest.csv").write_text(
        f"{HEADER}\na,a.png,,,0,,4,3,x,\nb,/abs/b.png,../b.png,s,7,val,4,3,x,m.png\n"
    )
    first, second = read_manifest(tmp_path)
    assert first == Frame("a", str(tmp_path / "a.png"), None, "", 0, "", 4, 3, "x")
    assert (second.image, second.label, second.mask) == ("/abs/b.png", f"{tmp_path}/../b.png", f"{tmp_path}/m.png")
    assert (second.sequence, second.index, second.split) == ("s", 7, "val")


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ("a,a.png,,,0,,4,0,x,", ArtifactError, r"manifest\.csv, row 1: .*size 4x0"),
        ("a,a.png,,,0,,4.5,3,x,", ArtifactError, r"row 1: width = '4\.5' is no whole number"),
        (",a.png,,,0,,4,3,x,", ArtifactError, "row 1: .*frame key"),
        ("a,a.png,,,0,,4,3,x,\na,b.png,,,0,,4,3,x,", DataError, "frame keys must differ; twice: a"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path, row, error, message):
    (tmp_path / "classes.toml").write_text(CLASSES.to_toml())
    (tmp_path / "manifest.csv").write_text(f"{HEADER}\n{row}\n")
    with pytest.raises(error, match=message):
        read_manifest(tmp_path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ReaderError, match=r"no manifest\.parquet or manifest\.csv here"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text(f"{HEADER}\n")
    with pytest.raises(ConfigError, match=r"classes\.toml: cannot read"):
        read_manifest(tmp_path)
