"""Choice by name: a plain dict is the registry, an unknown name gets the nearest and the list."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from frugalseg.core.errors import UnknownNameError

Entry = TypeVar("Entry")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the entry of `known` that looks most like `name`, or None if none does."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence for a `name` that is no `kind`: what, got, nearest, all that there is."""
    known = sorted(known)
    guess = nearest(name, known)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"There is no {kind} named {name!r}.{hint} Known: {', '.join(known) or '(none)'}."


def choose(kind: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """Return `table[name]`.

    Raises:
        UnknownNameError: with the nearest name and the whole list.
    """
    if name not in table:
        raise UnknownNameError(unknown_name(kind, name, table))
    return table[name]
