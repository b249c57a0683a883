"""Frozen records <-> Parquet. Nested records become columns `point.row`; None is null; enums are text."""

import csv
import dataclasses
import types
import typing
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from frugalseg.core.artifact import write_atomic
from frugalseg.core.errors import ArtifactError, FrugalsegError

Record = TypeVar("Record")


@dataclasses.dataclass(frozen=True)
class _Column:
    path: tuple[str, ...]
    kind: type  # str, int, float, bool or an Enum
    nullable: bool

    @property
    def name(self) -> str:
        return ".".join(self.path)


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
        ArtifactError: the file is missing, is no table, lacks a column, has one too many, or a row does not fit.
    """
    rows = _csv_rows(path) if path.suffix == ".csv" else _parquet_rows(path)
    columns = _columns(kind)
    names = [column.name for column in columns]
    if rows:
        missing = [column.name for column in columns if column.name not in rows[0] and not column.nullable]
        extra = [name for name in rows[0] if name not in names]
        if missing or extra:
            raise ArtifactError(
                f"{path}: columns do not fit {kind.__name__}: missing {missing or 'none'}, unknown {extra or 'none'}. "
                f"Expected {', '.join(names)}."
            )
    records = []
    for number, row in enumerate(rows, 1):
        try:
            records.append(_build(kind, row, ()))
        except (FrugalsegError, ValueError, TypeError) as error:
            raise ArtifactError(f"{path}, row {number}: {error}") from error
    return typing.cast(list[Record], records)


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return typing.cast(list[dict[str, Any]], pq.read_table(path).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: cannot read this table: {error}") from error


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return [
                {name: value if value != "" else None for name, value in row.items()} for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path}: cannot read this table: {error}") from error


def _columns(kind: type, path: tuple[str, ...] = (), nullable: bool = False) -> list[_Column]:
    hints = typing.get_type_hints(kind)
    columns = []
    for entry in dataclasses.fields(kind):
        inner, optional = _unwrap(hints[entry.name])
        here = (*path, entry.name)
        if dataclasses.is_dataclass(inner):
            columns += _columns(inner, here, nullable or optional)
        else:
            columns.append(_Column(here, inner, nullable or optional))
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
        if dataclasses.is_dataclass(inner):
            filled = any(row.get(column.name) is not None for column in _columns(inner, here))
            values[entry.name] = _build(inner, row, here) if filled or not optional else None
            continue
        value = row.get(".".join(here))
        if value is None:
            if not optional:
                raise ValueError(f"{'.'.join(here)} is empty")
            values[entry.name] = None
        else:
            values[entry.name] = inner(value)
    return kind(**values)
