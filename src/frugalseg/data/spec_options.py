"""What readers ask of a SPEC: its data folder, and options that are words, files, splits, groups or class sets."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from frugalseg.core.choose import nearest
from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import ReaderError
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.listing import inside

UNLABELLED = ClassSet("unlabelled", (SemanticClass("anything", (128, 128, 128), (0,)),))
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def folder_of(spec: Spec, needed: str, tree: str, root: Path | None = None) -> Path:
    """Return the data folder of a SPEC (or `root`), which must hold the folder `needed`.

    Raises:
        ReaderError: it does not; says what was found, what was expected, and which folder nearby would fit.
    """
    root = root or Path(spec.path)
    if not root.is_dir():
        raise ReaderError(f"SPEC {spec}: {root} is no folder. Check the path. Expected:\n{tree}")
    if (root / needed).is_dir():
        return root
    children = sorted(entry for entry in root.iterdir() if entry.is_dir())
    close = [path for path in (*root.absolute().parents[:3], *children) if (path / needed).is_dir()]
    remedy = f"Did you mean {close[0]}?" if close else "Give the folder that holds these."
    raise ReaderError(f"SPEC {spec}: {root} has no {needed}/. It holds: {inside(root)}.\nExpected:\n{tree}\n{remedy}")


def choice(spec: Spec, option: str, known: Iterable[str], default: str) -> str:
    """Return an option that is one of a few words.

    Raises:
        ReaderError: it is another one.
    """
    value, known = spec.options.get(option, default), tuple(known)
    if value not in known:
        guess = nearest(value, known)
        hint = f" Did you mean {guess!r}?" if guess else ""
        raise ReaderError(f"SPEC {spec}: {option} must be {' or '.join(known)}, got {value!r}.{hint}")
    return value


def splits(spec: Spec, folder: Path, default: str, together: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the names in `split=`, each a folder of `folder`; several with commas, or one that stands for several.

    Raises:
        ReaderError: there is no such folder.
    """
    given = spec.options.get("split", default)
    wanted = together.get(given) or tuple(given.split(","))
    there = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if absent := [name for name in wanted if name not in there]:
        raise ReaderError(
            f"SPEC {spec}: there is no {folder / absent[0]}. Splits here: {', '.join(there) or 'none'}. "
            "Write split=NAME, or several with commas between."
        )
    return wanted


def split_list(spec: Spec, root: Path) -> Spec:
    """Return a SPEC whose `split=NAME` has become `list=NAME.txt`, where a data set publishes its splits as lists.

    Raises:
        ReaderError: there is no such list.
    """
    split = spec.options.get("split")
    if split is None or "list" in spec.options:
        return spec
    path = root / f"{split}.txt"
    if not path.is_file():
        raise ReaderError(
            f"SPEC {spec}: split={split} needs the list {path}, a text file with one frame's name a line, and there is "
            "none. Write it, or leave split= out for all frames."
        )
    return Spec(spec.reader, spec.path, {**spec.options, "list": str(path.absolute())})


def option_file(spec: Spec, option: str, root: Path) -> Path | None:
    """Return the file that an option names, relative to the working directory or else to `root`; None if not given.

    Raises:
        ReaderError: there is no such file.
    """
    if option not in spec.options:
        return None
    for path in (Path(spec.options[option]), root / spec.options[option]):
        if path.is_file():
            return path
    raise ReaderError(f"SPEC {spec}: {option}={spec.options[option]} is no file, neither here nor in {root}.")


def own_classes(spec: Spec, root: Path) -> ClassSet:
    """Return the class set of a user's own data: `classes=` (a file, or one of ours), `classes.toml`, or one for none.

    Raises:
        ReaderError: `classes=` is neither a file nor one of ours.
        ConfigError: the file's content does not fit.
    """
    name = spec.options.get("classes")
    if name is None:
        return ClassSet.from_toml(root / "classes.toml") if (root / "classes.toml").is_file() else UNLABELLED
    if not any(path.is_file() for path in (Path(name), root / name)) and name not in class_sets.names():
        raise ReaderError(f"SPEC {spec}: classes={name} is no file. {class_sets.unknown(name)}")
    return class_sets.find(name, root)


def number(spec: Spec, option: str, above_zero: bool = False) -> float | None:
    """Return an option that is a number from 0 up, or above 0 (seconds; frames a second); None if not given.

    Raises:
        ReaderError: it is no such number.
    """
    value = spec.options.get(option)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value) or (above_zero and not float(value)):
        least = "above 0" if above_zero else "from 0 up"
        raise ReaderError(f"SPEC {spec}: {option} must be a number {least}, e.g. 2.5, got {value!r}.")
    return float(value)
