import dataclasses
import math
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalseg.core.errors import ArtifactError
from frugalseg.core.records import Answer, Frame, Point, Query, QueryKind, Region, Verdict
from frugalseg.core.table import read_records, write_records

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SMALL = st.integers(0, 2**40)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POINTS = st.builds(Point, SMALL, SMALL)
REGIONS = st.builds(Region, SMALL, SMALL, st.integers(1, 99), st.integers(1, 99))
QUERIES = (
    st.builds(Query, TEXT, TEXT, st.just(QueryKind.POINT), TEXT, FINITE, POINTS, st.none() | REGIONS)
    | st.builds(Query, TEXT, TEXT, st.just(QueryKind.REGION), TEXT, FINITE, st.none(), REGIONS)
    | st.builds(Query, TEXT, TEXT, st.just(QueryKind.IMAGE), TEXT, FINITE)
)
ANSWERS = st.builds(Answer, TEXT, st.just(Verdict.CLASS), st.integers(0, 253), TEXT, st.floats(0, 1e6)) | st.builds(
    Answer, TEXT, st.just(Verdict.AMBIGUOUS), st.none(), TEXT, st.floats(0, 1e6)
)
KEYS = st.lists(st.text("ab_é🚗 ", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join)
FRAMES = st.builds(
    Frame,
    KEYS,
    TEXT,
    st.none() | TEXT,
    TEXT,
    st.integers(0, 10**15),
    TEXT,
    SMALL.map(lambda n: n + 1),
    st.just(3),
    TEXT,
)


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


@dataclasses.dataclass(frozen=True)
class Flat:
    name: str
    count: int
    ratio: float
    ready: bool
    mood: Mood
    note: str | None = None


FLAT = Flat("a", 1, 0.5, False, Mood.BAD)
HEADER = "name,count,ratio,ready,mood,note"


@settings(max_examples=25)
@given(
    queries=st.lists(QUERIES, max_size=4), answers=st.lists(ANSWERS, max_size=4), frames=st.lists(FRAMES, max_size=4)
)
def test_every_table_reads_back_as_itself(tmp_path_factory, queries, answers, frames):
    path = tmp_path_factory.getbasetemp() / "table.parquet"
    for records, kind in ((queries, Query), (answers, Answer), (frames, Frame)):
        write_records(path, records, kind)
        assert read_records(path, kind) == records


def test_columns_are_named_after_fields(tmp_path):
    write_records(tmp_path / "q.parquet", [Query("q", "a", QueryKind.POINT, "s", 0.5, Point(1, 2))], Query)
    assert pq.read_table(tmp_path / "q.parquet").to_pylist() == [
        {
            **{"id": "q", "key": "a", "kind": "point", "strategy": "s", "score": 0.5},
            **{"point.row": 1, "point.column": 2},
            **{"cell.top": None, "cell.left": None, "cell.height": None, "cell.width": None},
        }
    ]


def test_a_generator_will_do(tmp_path):
    write_records(tmp_path / "t.parquet", (FLAT for _ in range(2)), Flat)
    assert read_records(tmp_path / "t.parquet", Flat) == [FLAT, FLAT]


def test_a_folder_named_like_a_setting_adds_no_column(tmp_path):
    folder = tmp_path / "split=train"
    write_records(folder / "t.parquet", [FLAT], Flat)
    assert read_records(folder / "t.parquet", Flat) == [FLAT]


@pytest.mark.parametrize("rows", [0, 1])
def test_another_tables_columns_are_named(tmp_path, rows):
    write_records(tmp_path / "t.parquet", [FLAT] * rows, Flat)
    with pytest.raises(
        ArtifactError, match=r"t\.parquet: columns do not fit Answer: missing \['query', 'verdict'"
    ) as caught:
        read_records(tmp_path / "t.parquet", Answer)
    assert "unknown ['name', 'count'" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("count", pa.array([1.5]), r"row 1: count = 1\.5 is no whole number"),
        ("count", pa.array([None], pa.int64()), "row 1: count is empty"),
        ("ratio", pa.array(["x"]), "row 1: ratio = 'x' is no number"),
        ("name", pa.array([None], pa.string()), "row 1: name is empty"),
        ("mood", pa.array(["ugly"]), "row 1: mood = 'ugly' is none of good, bad"),
        ("ready", pa.array([7]), "row 1: ready = 7 is neither true nor false"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path, column, value, message):
    write_records(tmp_path / "t.parquet", [FLAT], Flat)
    table = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(table.set_column(table.column_names.index(column), column, value), tmp_path / "t.parquet")
    with pytest.raises(ArtifactError, match=message):
        read_records(tmp_path / "t.parquet", Flat)


def test_a_record_that_contradicts_itself_is_named_by_row(tmp_path):
    good = Answer("q", Verdict.SKIP, None, "ann", 1.0)
    write_records(tmp_path / "t.parquet", [good, good], Answer)
    table = pq.read_table(tmp_path / "t.parquet").to_pydict()
    pq.write_table(pa.table({**table, "seconds": [1.0, math.nan]}), tmp_path / "t.parquet")
    with pytest.raises(ArtifactError, match="row 2: answer to q: nan is not a number of seconds"):
        read_records(tmp_path / "t.parquet", Answer)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"no table at all"])
def test_what_is_no_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"t\.parquet: cannot read this table"):
        read_records(tmp_path / "t.parquet", Answer)


def test_a_cut_table_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    write_records(path, [FLAT] * 100, Flat)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match="cannot read this table"):
        read_records(path, Flat)


@pytest.mark.parametrize("name", ["none.parquet", "none.csv"])
def test_a_missing_table_and_a_folder_are_refused(tmp_path, name):
    with pytest.raises(ArtifactError, match="cannot read this table"):
        read_records(tmp_path / name, Flat)
    (tmp_path / name).mkdir()
    with pytest.raises(ArtifactError, match="cannot read this table"):
        read_records(tmp_path / name, Flat)


def test_csv_of_flat_records(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(f"\ufeff{HEADER}\r\na,1,0.5,False,bad,\r\n,2,1e3,true,good,hi\r\n".encode())
    assert read_records(path, Flat) == [FLAT, Flat("", 2, 1000.0, True, Mood.GOOD, "hi")]


def test_csv_may_leave_out_columns_that_may_be_empty(tmp_path):
    (tmp_path / "t.csv").write_text("count,name,ratio,ready,mood\n1,a,0.5,0,bad\n")
    assert read_records(tmp_path / "t.csv", Flat) == [FLAT]


@dataclasses.dataclass(frozen=True)
class Newer(Flat):
    kind: str = "plain"


def test_a_table_from_before_a_field_takes_its_default(tmp_path):
    write_records(tmp_path / "t.parquet", [FLAT], Flat)
    (newer,) = read_records(tmp_path / "t.parquet", Newer)
    assert newer.kind == "plain"
    (tmp_path / "t.csv").write_text(f"{HEADER},kind\na,1,0.5,0,bad,,\na,1,0.5,0,bad,,odd\n")
    assert [record.kind for record in read_records(tmp_path / "t.csv", Newer)] == ["plain", "odd"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns do not fit Flat: missing"),
        ("name,count\n", "columns do not fit Flat: missing"),
        (f"{HEADER},colour\n", r"unknown \['colour'\]"),
        (f"{HEADER},name\n", "columns named twice: name"),
        (f"{HEADER}\na,1,0.5,0,bad,,x\n", "row 1: 7 values for 6 columns"),
        (f"{HEADER}\na,1,0.5,0,bad,\na,1\n", "row 2: 2 values for 6 columns"),
        (f"{HEADER}\na,,0.5,0,bad,\n", "row 1: count = '' is no whole number"),
        (f"{HEADER}\na,1.0,0.5,0,bad,\n", r"row 1: count = '1\.0' is no whole number"),
        (f"{HEADER}\na,1,0.5,maybe,bad,\n", "row 1: ready = 'maybe' is neither true nor false"),
    ],
)
def test_csv_that_does_not_fit_is_explained(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_records(tmp_path / "t.csv", Flat)


def test_csv_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(HEADER.encode() + b"\n\xe9,1,0.5,0,bad,\n")
    with pytest.raises(ArtifactError, match="cannot read this table: .*utf-8"):
        read_records(tmp_path / "t.csv", Flat)
