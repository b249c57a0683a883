"""What a class set says of several classes at once: groups that scores are given for, and how large objects are."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from frugalseg.core.choose import unknown_name
from frugalseg.core.errors import ConfigError
from frugalseg.core.toml import list_of, toml_string, toml_value

Groups = Mapping[str, tuple[str, ...]]


def check_groups(
    names: Sequence[str], subsets: Groups, categories: Groups, instance_px: Mapping[str, float], where: str
) -> None:
    """Refuse groups that do not fit the classes.

    Raises:
        ConfigError: a name that is no class's, a class in two categories, or a size that is no positive number.
    """
    for kind, groups in (("subset", subsets), ("category", categories)):
        for group, members in groups.items():
            for member in members:
                if member not in names:
                    raise ConfigError(f"{where}, {kind} {group!r}: {unknown_name('class', member, names)}")
    owner: dict[str, str] = {}
    for category, members in categories.items():
        for member in members:
            if owner.setdefault(member, category) != category:
                raise ConfigError(f"{where}: class {member!r} is in the categories {owner[member]!r} and {category!r}.")
    for name, size_px in instance_px.items():
        if name not in names:
            raise ConfigError(f"{where}, instance_px: {unknown_name('class', name, names)}")
        if not (math.isfinite(size_px) and size_px > 0):
            raise ConfigError(f"{where}, instance_px: {name!r} = {size_px}; expected an object's mean pixels, > 0.")


def read_groups(data: Mapping[str, Any], key: str, kind: str, where: str) -> dict[str, tuple[str, ...]]:
    """Return the groups in table `key`, lists of class names; `kind` is what one of them is called."""
    return {name: list_of(members, str, f"{where}: {kind} {name!r}") for name, members in data.get(key, {}).items()}


def toml_table(key: str, values: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of groups or numbers; none if it is empty."""
    if not values:
        return []
    return ["", f"[{key}]", *(f"{toml_string(name)} = {toml_value(value)}" for name, value in values.items())]
