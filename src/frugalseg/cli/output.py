"""What verbs print: one JSON object, or short aligned text (with rich's tables where stdout is a terminal)."""

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from frugalseg.workflow.stage import StageResult

NOTHING = "–"  # a cell without a value


@dataclass(frozen=True)
class Table:
    """Rows of values under a header; columns of numbers are aligned to the right. No header: name and value pairs."""

    rows: Sequence[Sequence[Any]]
    header: tuple[str, ...] = ()


@contextlib.contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Send what the body prints to stderr, so that stdout holds the result and nothing else."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def show(found: Mapping[str, Any], as_json: bool, *parts: str | Table) -> None:
    """Print `found` as one JSON object, or the `parts` for people."""
    if as_json:
        print(json.dumps(jsonable(found), allow_nan=False, indent=1))
        return
    terminal = sys.stdout.isatty()
    for part in parts:
        if isinstance(part, str):
            print(printable(part, sys.stdout))
        elif part.rows and terminal:
            _print_rich(part)
        elif part.rows:
            print(printable(_plain(part), sys.stdout))


def show_stage(result: "StageResult", as_json: bool, *parts: str | Table, next_command: str | None = None) -> None:
    """Print a stage: its folder, whether it had been done before, what it found (or `parts`), and what comes next."""
    dry = result.folder is None
    found = {"stage": result.name, "folder": result.folder, "dry_run": dry, "done_before": result.done_before}
    found |= {"next": next_command} if next_command and not dry else {}
    if dry:
        head = f"{result.name} would run:"
    elif result.left:
        questions = "1 question still needs" if result.left == 1 else f"{result.left} questions still need"
        head = f"{result.name} not done: {questions} an answer. Those given are kept: {result.folder}"
    elif result.done_before:
        head = f"{result.name} had been done before: {result.folder}"
    else:
        head = f"{result.name} done: {result.folder}"
    tail = [f"Next: {next_command}"] if next_command and not dry else []
    shown = parts if parts and not dry else (pairs(result.found),)
    show({**result.found, **found}, as_json, head, *shown, *tail)


def pairs(found: Mapping[str, Any]) -> Table:
    """Return the short facts of `found` as name and value; mappings one level deep are spelled `name.key`."""
    rows = []
    for name, value in found.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}.{key}", inner) for key, inner in value.items() if not isinstance(inner, Mapping)]
        else:
            rows.append((name, value))
    return Table(rows)


def jsonable(value: Any) -> Any:
    """Return `value` made of what JSON holds: NaN and infinity become null, paths and anything else text."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(inner) for inner in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # arrays, and numpy's scalars
        return jsonable(value.tolist())
    return str(value)


def printable(text: str, stream: TextIO) -> str:
    """Return `text` with everything escaped that could steer a terminal (escapes, marks that turn the line round)."""
    safe = "".join(letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1] for letter in text)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return safe.encode(encoding, "backslashreplace").decode(encoding)


def _cells(table: Table) -> list[list[str]]:
    """Return all cells as text; numbers of one column under a header have the same number of decimals."""
    formats = []
    for column in zip(*table.rows, strict=True):
        largest = max((abs(value) for value in column if isinstance(value, float)), default=0.0)
        formats.append(".4g" if not table.header else ".3f" if largest <= 1 else ".1f")
    return [[_cell(value, form) for value, form in zip(row, formats, strict=True)] for row in table.rows]


def _cell(value: Any, form: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if form == ".4g" and 1000 <= abs(value) < 1e15 else f"{value:{form}}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(inner, form) for inner in value)
    return str(value).replace("\n", " ")


def _numeric(table: Table) -> list[bool]:
    columns = zip(*table.rows, strict=True)
    return [bool(table.header) and all(value is None or isinstance(value, int | float) for value in c) for c in columns]


def _plain(table: Table) -> str:
    cells = [list(table.header), *_cells(table)] if table.header else _cells(table)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = _numeric(table)
    lines = []
    for row in cells:
        aligned = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        lines.append(f"  {'  '.join(aligned)}".rstrip())
    return "\n".join(lines)


def _print_rich(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=None, show_header=bool(table.header), header_style="bold", pad_edge=False)
    for number, right in enumerate(_numeric(table)):
        drawn.add_column(table.header[number] if table.header else "", justify="right" if right else "left")
    for row in _cells(table):
        drawn.add_row(*(Text(printable(cell, sys.stdout)) for cell in row))  # Text: no markup in names
    Console(file=sys.stdout).print(drawn)
