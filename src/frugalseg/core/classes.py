"""Class sets: which classes there are, in which order, in which colours, and which raw ids in label files mean them.

Three kinds of numbers must never be confused, so each has its own name:
raw id    what stands in a label file (Cityscapes: 7 is road);
class id  the position in a ClassSet, 0 … C-1, what networks predict and what we store;
IGNORE    255, "no class": never learned from, never scored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.choose import unknown_name
from frugalseg.core.class_groups import check_groups, read_groups, toml_table
from frugalseg.core.errors import ConfigError, UnknownNameError
from frugalseg.core.toml import list_of, only_keys, read_toml, toml_string, toml_value

IGNORE = 255  # Cityscapes' value; fits an 8-bit PNG
MAX_CLASSES = 254  # class ids 0 … 253 leave 254 free and 255 = IGNORE in an 8-bit PNG
MAX_RAW_ID = 65_535  # labels come as 8- or 16-bit PNG
UNKNOWN = -1  # in a lookup table: a raw id that the class set does not list

Color = tuple[int, int, int]  # red, green, blue, 0–255


@dataclass(frozen=True)
class SemanticClass:
    """One class: its name, display colour (RGB, 0–255), the raw ids that mean it and other names it goes by."""

    name: str
    color: Color
    raw_ids: tuple[int, ...]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassSet:
    """An ordered set of classes. The position of a class is its class id.

    `ignored_ids` are raw ids that mean "no class"; raw ids listed nowhere are errors, never silently ignored.
    `subsets` are named groups for reporting (e.g. `frequent`), by class name. `label_colors` says what raw ids look
    like in label files made of colours (RGB); a class that it does not mention looks like its own colour there.
    `categories` are classes that count as one in category scores, `instance_px` the mean pixels of an object of a
    class, by which scores weigh single objects.

    Raises:
        ConfigError: no class or too many, a name, alias or raw id twice, a colour or id out of range, a group with
            an unknown name, a label colour of an unlisted raw id.
    """

    name: str
    classes: tuple[SemanticClass, ...]
    ignored_ids: tuple[int, ...] = (IGNORE,)
    subsets: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    label_colors: Mapping[int, Color] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    instance_px: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __post_init__(self) -> None:
        for name in ("subsets", "label_colors", "categories", "instance_px"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        where = f"class set {self.name!r}"
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise ConfigError(f"{where} has {len(self.classes)} classes; expected 1 to {MAX_CLASSES}.")
        owner: dict[int, str] = {}
        for entry in self.classes:
            _check_color(entry.color, entry.name, where)
            if not entry.raw_ids:
                raise ConfigError(f"{where}: class {entry.name!r} lists no raw id. Give `id` or `raw_ids`.")
            for raw_id in entry.raw_ids:
                self._claim(owner, raw_id, entry.name, where)
        for raw_id in self.ignored_ids:
            self._claim(owner, raw_id, "ignore", where)
        for raw_id, color in self.label_colors.items():
            _check_color(color, str(raw_id), where)
            if raw_id not in owner:
                raise ConfigError(f"{where}: label_colors: raw id {raw_id} is neither a class's nor in `ignore`.")
        if len(set(self.names)) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ConfigError(f"{where}: class names must differ; twice: {', '.join(twice)}.")
        called = {name: name for name in self.names}
        for entry in self.classes:
            for alias in entry.aliases:
                if called.setdefault(alias, entry.name) != entry.name:
                    raise ConfigError(f"{where}: alias {alias!r} of {entry.name!r} already means {called[alias]!r}.")
        check_groups(self.names, self.subsets, self.categories, self.instance_px, where)

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy can neither be pickled nor copied
        values = (getattr(self, entry.name) for entry in fields(self))
        return ClassSet, tuple(dict(value) if isinstance(value, MappingProxyType) else value for value in values)

    @staticmethod
    def _claim(owner: dict[int, str], raw_id: int, name: str, where: str) -> None:
        if not 0 <= raw_id <= MAX_RAW_ID:
            raise ConfigError(f"{where}: raw id {raw_id} of {name!r} is outside 0–{MAX_RAW_ID}.")
        if raw_id in owner:
            raise ConfigError(f"{where}: raw id {raw_id} is claimed by both {owner[raw_id]!r} and {name!r}.")
        owner[raw_id] = name

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Class names in class-id order."""
        return tuple(entry.name for entry in self.classes)

    @cached_property
    def colors(self) -> NDArray[np.uint8]:
        """C x 3 RGB display colours in class-id order."""
        return np.array([entry.color for entry in self.classes], np.uint8)

    @cached_property
    def lookup(self) -> NDArray[np.int16]:
        """65,536 entries, raw id → class id, IGNORE, or UNKNOWN for raw ids that are listed nowhere."""
        table = np.full(MAX_RAW_ID + 1, UNKNOWN, np.int16)
        for class_id, entry in enumerate(self.classes):
            table[list(entry.raw_ids)] = class_id
        table[list(self.ignored_ids)] = IGNORE
        return table

    def index(self, name: str) -> int:
        """Return the class id of `name` or of the class with that alias.

        Raises:
            UnknownNameError: with the nearest name.
        """
        for class_id, entry in enumerate(self.classes):
            if name == entry.name or name in entry.aliases:
                return class_id
        raise UnknownNameError(unknown_name(f"class of {self.name!r}", name, self.names))

    def subset_ids(self, subset: str) -> tuple[int, ...]:
        """Return the class ids of a named subset.

        Raises:
            UnknownNameError: no subset of that name.
        """
        if subset not in self.subsets:
            raise UnknownNameError(unknown_name(f"class subset of {self.name!r}", subset, self.subsets))
        return tuple(self.index(name) for name in self.subsets[subset])

    def map_to(self, other: "ClassSet") -> "ClassMap":
        """Return the map from our class ids to those of `other`, by name and alias; the rest becomes IGNORE."""
        table = np.full(256, IGNORE, np.uint8)
        for class_id, entry in enumerate(self.classes):
            match = _matching_id(entry, other)
            if match is not None:
                table[class_id] = match
        hit = set(table[: len(self)].tolist())
        return ClassMap(
            source=self,
            target=other,
            table=table,
            dropped=tuple(name for name, new in zip(self.names, table, strict=False) if new == IGNORE),
            missing=tuple(name for new, name in enumerate(other.names) if new not in hit),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the form `from_dict` reads, made of plain lists, strings and numbers."""
        return {
            "name": self.name,
            "ignore": list(self.ignored_ids),
            "class": [
                {
                    "name": entry.name,
                    "color": list(entry.color),
                    "raw_ids": list(entry.raw_ids),
                    "aliases": list(entry.aliases),
                }
                for entry in self.classes
            ],
            "subsets": {name: list(members) for name, members in self.subsets.items()},
            "label_colors": {str(raw_id): list(color) for raw_id, color in self.label_colors.items()},
            "categories": {name: list(members) for name, members in self.categories.items()},
            "instance_px": dict(self.instance_px),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str) -> "ClassSet":
        """Build a class set from the content of a `classes.toml`; `where` names it in messages.

        Raises:
            ConfigError: unknown or missing keys, or a class set that contradicts itself.
        """
        only_keys(data, {"name", "ignore", "class", "subsets", "label_colors", "categories", "instance_px"}, where)
        rows = data.get("class")
        if not isinstance(rows, list) or not rows:
            raise ConfigError(f"{where}: expected one [[class]] table a class, got none.")
        try:
            classes = tuple(_read_class(row, number, f"{where}, class {number}") for number, row in enumerate(rows))
            return cls(
                name=str(data.get("name", Path(where).stem)),
                classes=classes,
                ignored_ids=list_of(data.get("ignore", [IGNORE]), int, f"{where}: `ignore`"),
                subsets=read_groups(data, "subsets", "subset", where),
                categories=read_groups(data, "categories", "category", where),
                instance_px={name: float(size_px) for name, size_px in data.get("instance_px", {}).items()},
                label_colors={
                    int(raw_id): _color(color, f"{where}: label_colors, {raw_id}")
                    for raw_id, color in data.get("label_colors", {}).items()
                },
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"{where}: {error}. See the file-formats page for a complete classes.toml.") from error

    @classmethod
    def from_toml(cls, path: Path) -> "ClassSet":
        """Read a `classes.toml`.

        Raises:
            ConfigError: the file is missing, is no TOML, or its content does not fit.
        """
        return cls.from_dict(read_toml(path), str(path))

    def to_toml(self) -> str:
        """Return the text of a `classes.toml` that reads back as this class set."""
        lines = [f"name = {toml_string(self.name)}", f"ignore = {list(self.ignored_ids)}"]
        for entry in self.classes:
            lines += [
                "",
                "[[class]]",
                f"name = {toml_string(entry.name)}",
                f"color = {list(entry.color)}",
                f"raw_ids = {list(entry.raw_ids)}",
            ]
            if entry.aliases:
                lines.append(f"aliases = {toml_value(entry.aliases)}")
        if self.label_colors:
            lines += ["", "[label_colors]"]
            lines += [f"{raw_id} = {list(color)}" for raw_id, color in self.label_colors.items()]
        for key in ("subsets", "categories", "instance_px"):
            lines += toml_table(key, getattr(self, key))
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class ClassMap:
    """How class ids of `source` become class ids of `target`: `target_ids = table[source_ids]`.

    `dropped` are source classes that become IGNORE, `missing` are target classes that no source class maps to.
    """

    source: ClassSet
    target: ClassSet
    table: NDArray[np.uint8]  # 256 entries, the last is IGNORE
    dropped: tuple[str, ...]
    missing: tuple[str, ...]

    def raw_lookup(self) -> NDArray[np.int16]:
        """Return 65,536 entries, raw id in a file of `source` → class id of `target`, IGNORE or UNKNOWN."""
        lookup = self.source.lookup.copy()
        known = lookup != UNKNOWN
        lookup[known] = self.table[lookup[known]]
        return lookup


def _matching_id(entry: SemanticClass, other: ClassSet) -> int | None:
    for name in (entry.name, *entry.aliases):
        for class_id, candidate in enumerate(other.classes):
            if name == candidate.name or name in candidate.aliases:
                return class_id
    return None


def _read_class(row: Any, number: int, where: str) -> SemanticClass:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where}: expected a table with `name` and `color`, got {row!r}.")
    only_keys(row, {"name", "id", "raw_ids", "color", "aliases"}, where)
    if not isinstance(row.get("name"), str) or "color" not in row:
        raise ConfigError(f"{where}: `name` (a text) and `color` are needed, got {dict(row)}.")
    if "id" in row and "raw_ids" in row:
        raise ConfigError(f"{where}: give `id` or `raw_ids`, not both.")
    return SemanticClass(
        name=row["name"],
        color=_color(row["color"], f"{where}: `color`"),
        raw_ids=list_of(row.get("raw_ids", [row.get("id", number)]), int, f"{where}: `raw_ids`"),
        aliases=list_of(row.get("aliases", []), str, f"{where}: `aliases`"),
    )


def _color(value: Any, where: str) -> Color:
    color = list_of(value, int, where)
    if len(color) != 3:
        raise ConfigError(f"{where} is three numbers (red, green, blue) in 0–255, got {list(color)}.")
    return color[0], color[1], color[2]


def _check_color(color: Color, name: str, where: str) -> None:
    if len(color) != 3 or not all(0 <= channel <= 255 for channel in color):
        raise ConfigError(f"{where}: colour {color} of {name!r} is not three numbers in 0–255.")
