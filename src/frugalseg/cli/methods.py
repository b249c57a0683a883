"""`frugalseg methods`: the product's table of contents."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from frugalseg.cli.options import Json, Quiet
from frugalseg.cli.output import Table, logs_on_stderr, show
from frugalseg.core.choose import unknown_name
from frugalseg.core.errors import UnknownNameError

if TYPE_CHECKING:
    from frugalseg.workflow.entry import Entry

EXAMPLES = ("frugalseg methods", "frugalseg methods cbst")


def command(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="show this one's settings")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List every reader, network, method, selector and format with its source; with NAME, show the settings of one.

    A setting is given with --set KEY=VALUE, or kept in PROJECT/settings/NAME.toml.
    """
    from frugalseg.workflow.catalog import TABLES

    if name is None:
        _list(TABLES, as_json)
        return
    for kind, table in TABLES.items():
        if name in table:
            _describe(kind, name, table[name], as_json)
            return
    raise UnknownNameError(
        unknown_name("reader, network, method, selector or format", name, [n for t in TABLES.values() for n in t])
    )


def _list(tables: "dict[str, dict[str, Entry]]", as_json: bool) -> None:
    found = {
        kind: {name: {"summary": entry.summary, "source": entry.source} for name, entry in table.items()}
        for kind, table in tables.items()
    }
    parts: list[str | Table] = []
    for kind, table in tables.items():
        rows = [(name, entry.summary, entry.source) for name, entry in table.items()]
        parts += [f"{kind}s", Table(rows)]
    show(found, as_json, *parts, "Settings of one: frugalseg methods NAME")


def _describe(kind: str, name: str, entry: "Entry", as_json: bool) -> None:
    settings: list[dict[str, Any]] = []
    if entry.config:
        with logs_on_stderr():
            from frugalseg.core.config import describe

            settings = [setting._asdict() for setting in describe(entry.load_config())]
    found = {"kind": kind, "name": name, "summary": entry.summary, "source": entry.source, "settings": settings}
    table = Table([tuple(setting.values()) for setting in settings], ("setting", "type", "default", "meaning"))
    show(found, as_json, f"{kind} {name}: {entry.summary} ({entry.source})", table)
