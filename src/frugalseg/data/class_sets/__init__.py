"""Class sets of public data sets, one `NAME.toml` each, in the form of a `classes.toml`.

Where a set is made for a coarser look at the world (`camvid11`, `nthu13`), its aliases are the merges of its papers: a
Cityscapes `wall` meets `building` of `nthu13` through the alias. Sets are loaded by name, never by path.
"""

from importlib import resources
from pathlib import Path

from frugalseg.core.choose import unknown_name
from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import UnknownNameError
from frugalseg.core.toml import parse_toml


def names() -> tuple[str, ...]:
    """Return the names of all class sets that come with the product."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in files if entry.name.endswith(".toml")))


def load(name: str) -> ClassSet:
    """Return the class set of that name.

    Raises:
        UnknownNameError: with the nearest name.
    """
    if name not in names():
        raise UnknownNameError(unknown(name))
    entry = resources.files(__package__) / f"{name}.toml"
    return ClassSet.from_dict(parse_toml(entry.read_bytes(), entry.name), entry.name)


def find(name_or_file: str | Path, root: Path | None = None) -> ClassSet:
    """Return the class set in a file (relative to the working directory, else to `root`), or the one of that name.

    Raises:
        UnknownNameError: neither a file nor a name we know.
        ConfigError: the file's content does not fit.
    """
    for path in (Path(name_or_file), *([root / name_or_file] if root else [])):
        if path.is_file():
            return ClassSet.from_toml(path)
    if str(name_or_file) not in names():
        raise UnknownNameError(f"{name_or_file}: there is no such file. {unknown(str(name_or_file))}")
    return load(str(name_or_file))


def unknown(name: str) -> str:
    """Return the sentence for a name that is no class set of ours."""
    return unknown_name("class set", name, names())
