"""What a check finds: problems that the user must mend, one record each, and the kinds there are."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of problems, in the order in which they are told; the first explain many of the later ones."""

    FOLDER = "folder"
    SWAPPED = "swapped"
    REFUSED = "refused"
    CHANGED = "changed"
    IMAGE = "image"
    MISSING = "missing-label"
    LABEL = "label"
    SIZE = "size"
    IDS = "ids"
    MASK = "mask"
    CLASSES = "classes"


TITLES = {
    Kind.FOLDER: "label maps among the images",
    Kind.SWAPPED: "image and label swapped",
    Kind.REFUSED: "files that init refused",
    Kind.CHANGED: "images that changed since init",
    Kind.IMAGE: "images that cannot be read",
    Kind.MISSING: "images without a label",
    Kind.LABEL: "labels that cannot be read",
    Kind.SIZE: "labels of another size than their image",
    Kind.IDS: "labels with ids or colours that no class has",
    Kind.MASK: "ego masks that do not fit",
    Kind.CLASSES: "no class in common",
}


@dataclass(frozen=True)
class Finding:
    """A problem: of which kind, with which frame (key "" for a file without one), in which file; what, and the mend."""

    kind: Kind
    key: str
    path: str
    what: str
    mend: str

    @property
    def name(self) -> str:
        """What quarantine knows it by: the frame's key, or the refused file; "" for a problem of the whole set."""
        return self.key or (self.path if self.kind is Kind.REFUSED else "")

    @property
    def text(self) -> str:
        """The whole message."""
        return f"{self.path}: {self.what}\n{self.mend}" if self.mend else f"{self.path}: {self.what}"


@dataclass(frozen=True)
class Group:
    """Findings of one set with one mend: what a user does one thing about."""

    domain: str
    kind: Kind
    mend: str
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """What is wrong, in which set and how often."""
        return f"{self.domain}: {TITLES[self.kind]}: {len(self.findings)}"


def grouped(found: Iterable[tuple[str, Finding]]) -> list[Group]:
    """Group (domain, finding) pairs, in the order in which they come first."""
    groups: dict[tuple[str, Kind, str], list[Finding]] = {}
    for domain, finding in found:
        groups.setdefault((domain, finding.kind, finding.mend), []).append(finding)
    return [Group(*key, tuple(members)) for key, members in groups.items()]


def split_message(path: str, message: str) -> tuple[str, str]:
    """Return an error's message as (what, mend): without the path at its beginning, cut at its first line's end."""
    first, _, rest = message.removeprefix(f"{path}: ").partition("\n")
    return first, rest
