"""Frozen records <-> Parquet. Nested records become columns `point.row`; None is null; enums are text."""

import csv
import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from frugalseg.core.errors import ArtifactError, FrugalsegError
from frugalseg.core.files import write_atomic

Record = TypeVar("Record")
BATCH = 512  # rows


@dataclasses.dataclass(frozen=True)
class _Column:
    path: tuple[str, ...]
    kind: type  # str, int, float, bool or an Enum
    nullable: bool
    has_default: bool = False  # tables written before the field was there, and users' own, may lack it

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def may_lack(self) -> bool:
        return self.nullable or self.has_default


def write_records(path: Path, records: Iterable[Record], kind: type[Record]) -> None:
    """Write records of one type as a Parquet file; an empty sequence writes the columns and no row."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, records = _columns(kind), list(records)
    types_by_kind = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    arrays = {
        column.name: pa.array(
            [_plain(_dig(record, column.path)) for record in records],
            pa.string() if issubclass(column.kind, Enum) else types_by_kind[column.kind],
        )
        for column in columns
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays), buffer)
    write_atomic(path, buffer.getvalue())


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Read records that `write_records` wrote, or a CSV file with the same columns (flat types).

    Raises:
        ArtifactError: the file is missing, is no table, lacks a column without default, has one too many, or a row does
            not fit.
    """
    columns = _columns(kind)
    found, rows = _csv_rows(path, columns) if path.suffix == ".csv" else _parquet_rows(path)
    missing = [column.name for column in columns if column.name not in found and not column.may_lack]
    extra = [name for name in found if name not in {column.name for column in columns}]
    if missing or extra:
        raise ArtifactError(
            f"{path}: columns do not fit {kind.__name__}: missing {missing or 'none'}, unknown {extra or 'none'}. "
            f"Expected {', '.join(column.name for column in columns)}."
        )
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise ArtifactError(f"{path}: columns named twice: {', '.join(twice)}.")
    records = []
    for number, row in enumerate(rows, 1):
        try:
            if len(row) != len(found):
                raise ValueError(f"{len(row)} values for {len(found)} columns")
            records.append(_build(kind, dict(zip(found, row, strict=True)), ()))
        except (FrugalsegError, ValueError) as error:
            raise ArtifactError(f"{path}, row {number}: {error}") from error
    return typing.cast(list[Record], records)


def _parquet_rows(path: Path) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """Return the columns, and the rows, a few of which are in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows(table: "pq.ParquetFile") -> Iterator[Sequence[Any]]:
        try:
            for batch in table.iter_batches(BATCH):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ArtifactError(f"{path}: cannot read this table: {error}") from error

    try:
        # A path would be searched for columns: split=train/x.parquet.
        table = pq.ParquetFile(pa.BufferReader(path.read_bytes()))
        return table.schema_arrow.names, rows(table)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: cannot read this table: {error}") from error


def _csv_rows(path: Path, columns: list[_Column]) -> tuple[list[str], list[list[Any]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path}: cannot read this table: {error}") from error
    header = lines[0] if lines else []
    may_lack = {column.name for column in columns if column.may_lack}
    empty = {place for place, name in enumerate(header) if name in may_lack}  # CSV has no null
    return header, [
        [None if cell == "" and place in empty else cell for place, cell in enumerate(row)] for row in lines[1:]
    ]


def _columns(kind: type, path: tuple[str, ...] = (), nullable: bool = False) -> list[_Column]:
    hints = typing.get_type_hints(kind)
    columns = []
    for entry in dataclasses.fields(kind):
        inner, optional = _unwrap(hints[entry.name])
        here = (*path, entry.name)
        if dataclasses.is_dataclass(inner):
            columns += _columns(inner, here, nullable or optional)
        else:
            columns.append(_Column(here, inner, nullable or optional, entry.default is not dataclasses.MISSING))
    return columns


def _unwrap(hint: Any) -> tuple[type, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        return inner[0], True
    return hint, False


def _dig(record: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        record = None if record is None else getattr(record, name)
    return record


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _build(kind: type, row: dict[str, Any], path: tuple[str, ...]) -> Any:
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for entry in dataclasses.fields(kind):
        inner, optional = _unwrap(hints[entry.name])
        here = (*path, entry.name)
        name = ".".join(here)
        if dataclasses.is_dataclass(inner):
            filled = any(row.get(column.name) is not None for column in _columns(inner, here))
            values[entry.name] = _build(inner, row, here) if filled or not optional else None
        elif row.get(name) is not None:
            values[entry.name] = _convert(row[name], inner, name)
        elif optional:
            values[entry.name] = None
        elif entry.default is not dataclasses.MISSING:
            values[entry.name] = entry.default
        else:
            raise ValueError(f"{name} is empty")
    return kind(**values)


def _convert(value: Any, kind: type, name: str) -> Any:
    """Return a cell as the field's type; nothing is cut or guessed (1.5 is no 1, "False" is not true)."""
    if issubclass(kind, Enum):
        known = {str(member.value): member for member in kind}
        if value not in known:
            raise ValueError(f"{name} = {value!r} is none of {', '.join(known)}")
        return known[value]
    if kind is bool:
        known_bools = {"true": True, "1": True, "false": False, "0": False}
        if str(value).lower() not in known_bools:
            raise ValueError(f"{name} = {value!r} is neither true nor false")
        return known_bools[str(value).lower()]
    try:
        if kind is int and isinstance(value, float):
            raise ValueError
        return typing.cast(Any, kind)(value)
    except (ValueError, TypeError):
        raise ValueError(f"{name} = {value!r} is no {'whole ' if kind is int else ''}number") from None
