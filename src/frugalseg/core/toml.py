"""Reading TOML with readable errors, and writing the little of it that the product writes."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from frugalseg.core.choose import unknown_name
from frugalseg.core.errors import ConfigError

Entry = TypeVar("Entry")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        ConfigError: the file is missing or no TOML; the message names file, line and column.
    """
    try:
        return parse_toml(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it: {error.strerror}.") from error


def parse_toml(data: bytes, where: str) -> dict[str, Any]:
    """Return the content of a TOML file's bytes; `where` names it in messages.

    Raises:
        ConfigError: it is no TOML.
    """
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, bad UTF-8, 10,000-digit numbers, [[[[[…
        raise ConfigError(f"{where}: not valid TOML: {error}") from error


def toml_string(text: str) -> str:
    """Return `text` as a quoted TOML string."""
    escaped = "".join(
        f"\\u{ord(letter):04x}" if ord(letter) < 32 or ord(letter) == 127 else letter
        for letter in text.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{escaped}"'


def toml_value(value: object) -> str:
    """Return a string, number, boolean, list or mapping as a TOML value on one line.

    Raises:
        ConfigError: a value TOML cannot hold (TOML has no null).
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        entries = ", ".join(f"{toml_string(str(key))} = {toml_value(entry)}" for key, entry in value.items())
        return f"{{{entries}}}"
    raise ConfigError(f"TOML cannot hold {value!r}, a {type(value).__name__}.")


def list_of(value: Any, kind: type[Entry], where: str) -> tuple[Entry, ...]:
    """Return a list read from TOML as a tuple of entries of one type.

    Raises:
        ConfigError: text where a list belongs, or numbers that would be cut or counted as true and false.
    """
    if not isinstance(value, list | tuple) or any(type(entry) is not kind for entry in value):
        raise ConfigError(f"{where} must be a list of {'whole numbers' if kind is int else 'texts'}, got {value!r}.")
    return tuple(value)


def only_keys(data: Mapping[str, Any], allowed: set[str], where: str) -> None:
    """Refuse keys that are not allowed.

    Raises:
        ConfigError: naming the nearest.
    """
    for key in data:
        if key not in allowed:
            raise ConfigError(f"{where}: {unknown_name('key', key, allowed)}")
