"""SPEC: where data comes from, in one line, `reader:path?option=value&option=value`.

Examples: `folder:/data/frames?split=train&limit=5`, `cityscapes:/data/cs?split=val`. Characters with a meaning of their
own (`%` and `?` in the path, `%`, `&` and `=` in options) and unprintable ones are written %XX.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from frugalseg.core.choose import unknown_name
from frugalseg.core.errors import ReaderError

EXAMPLE = "folder:/data/frames?split=train"
_READER = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Spec:
    """One source of data: the reader's name, the path it reads, and its options as text.

    Raises:
        ReaderError: a reader's name that is no name, no path, or an option without a name.
    """

    reader: str
    path: str
    options: dict[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", dict(self.options))
        if not _READER.fullmatch(self.reader):
            raise ReaderError(f"SPEC: {self.reader!r} is no reader's name. Write reader:path, e.g. {EXAMPLE}")
        if not self.path or "\0" in self.path:
            raise ReaderError(f"SPEC {self.reader}: path {self.path!r} is empty or holds a NUL. Write e.g. {EXAMPLE}")
        if "" in self.options:
            raise ReaderError(f"SPEC {self.reader}:{self.path}: an option has no name. Write e.g. {EXAMPLE}")

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Read `reader:path?option=value&…`.

        Raises:
            ReaderError: no reader, no path, an option without `=` or given twice.
        """
        reader, colon, rest = text.partition(":")
        if not colon:
            raise ReaderError(f"SPEC {text!r} names no reader. Did you mean 'folder:{text}'?")
        path, _, query = rest.partition("?")
        options: dict[str, str] = {}
        for part in query.split("&") if query else []:
            name, equals, value = part.partition("=")
            if not equals:
                raise ReaderError(f"SPEC {text!r}: option {part!r} has no value. Write {part}=VALUE.")
            name = _decode(name)
            if name in options:
                raise ReaderError(f"SPEC {text!r}: option {name!r} is given twice.")
            options[name] = _decode(value)
        return cls(reader, _decode(path), options)

    def __str__(self) -> str:
        options = "&".join(f"{_encode(name, '%&=')}={_encode(value, '%&=')}" for name, value in self.options.items())
        return f"{self.reader}:{_encode(self.path, '%?')}" + (f"?{options}" if options else "")

    def only(self, known: Iterable[str]) -> None:
        """Refuse options that the reader does not have.

        Raises:
            ReaderError: naming each unknown option, the nearest one and all that there are.
        """
        known = tuple(known)
        unknown = [
            unknown_name(f"option of reader {self.reader!r}", name, known) for name in self.options if name not in known
        ]
        if unknown:
            raise ReaderError(f"SPEC {self}: " + "\n".join(unknown))

    def positive(self, name: str) -> int | None:
        """Return option `name` as a whole number from 1 up, or None where it is not given.

        Raises:
            ReaderError: it is no such number.
        """
        value = self.options.get(name)
        if value is None:
            return None
        if not re.fullmatch(r"[0-9]{1,12}", value) or int(value) < 1:
            raise ReaderError(f"SPEC {self}: option {name!r} must be a whole number from 1 up, got {value!r}.")
        return int(value)


def _encode(text: str, reserved: str) -> str:
    return "".join(
        letter if letter.isprintable() and letter not in reserved else quote(letter, safe="", errors="surrogateescape")
        for letter in text
    )


def _decode(text: str) -> str:
    return unquote(text, errors="surrogateescape")
