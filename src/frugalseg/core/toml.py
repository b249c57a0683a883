"""Reading TOML with readable errors, and writing the little of it that the product writes."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        ConfigError: the file is missing or no TOML; the message names file, line and column.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, bad UTF-8, 10,000-digit numbers, [[[[[…
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


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
