"""What all readers share: images and labels of one key become frames, options choose among them, bad files are refused.

Options that every reader has:

* `include=GLOB`, `exclude=GLOB`: only frames whose key fits, or does not; several patterns with commas between.
* `list=FILE`: only the frames named in a text file, one a line (key, file name or path, with or without suffix).
* `limit=N`: the first N of them, in key order.
* `mask=FILE`: an image whose zero pixels are the camera's own car.

Files named in options are relative to the working directory, else to the data folder.
"""

import fnmatch
import os
import re
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from frugalseg.core.classes import ClassSet
from frugalseg.core.codec import ImageFacts, image_facts
from frugalseg.core.errors import DataError, DataProblems, ReaderError
from frugalseg.core.records import Frame, Manifest, Refused
from frugalseg.core.spec import Spec
from frugalseg.data.listing import IMAGE_SUFFIXES, LABEL_SUFFIXES, Listing, inside, list_files
from frugalseg.data.spec_options import option_file

COMMON = ("include", "exclude", "list", "limit", "mask")
_INDEX = re.compile(r"(.*?)_?(\d+)")


@dataclass(frozen=True)
class Pair:
    """One frame as it lies on disk, nothing of it read yet."""

    key: str
    image: Path
    label: Path | None = None
    sequence: str = ""
    index: int = 0
    split: str = ""
    time_s: float | None = None
    pts: int | None = None
    instances: Path | None = None
    facts: ImageFacts | None = None  # of frames that have been looked at already: those of videos


def numbered(key: str) -> tuple[str, int]:
    """Return sequence and index of a key: what comes before the last `_`, and the number behind it."""
    match = _INDEX.fullmatch(key)
    return (match[1], int(match[2][-15:])) if match else (key, 0)


def index_only(key: str) -> tuple[str, int]:
    """Return no sequence, and the number at the end of a key."""
    return "", numbered(key)[1]


class Found:
    """What a reader has found so far: pairs, what is refused, and where it looked. `tree` is the layout it expects."""

    def __init__(self, tree: str) -> None:
        self.tree = tree
        self.pairs: list[Pair] = []
        self.refused: list[Refused] = []
        self.looked: list[Listing] = []

    def add(
        self,
        images: Listing,
        labels: Listing,
        split: str = "",
        prefix: str = "",
        flat: bool = False,
        placed: Callable[[str], tuple[str, int]] = numbered,
        rate_hz: float | None = None,
        instances: Listing | None = None,
    ) -> None:
        """Pair images and labels of one name.

        Args:
            images: The images.
            labels: Their labels; empty where there are none.
            split: Which split they are.
            prefix: What comes before the name in the frame's key.
            flat: Whether the sub-folders are no part of the key.
            placed: Sequence and index from the key.
            rate_hz: Frames a second that the index counts, where that is known.
            instances: Files that tell single objects apart; empty where there are none.
        """
        objects = instances.files if instances else {}
        for name, path in images.files.items():
            key = prefix + (PurePosixPath(name).name if flat else name)
            sequence, index = placed(key)
            time_s = index / rate_hz if rate_hz else None
            label = labels.files.get(name)
            self.pairs.append(Pair(key, path, label, sequence, index, split, time_s, instances=objects.get(name)))
        self._note(images, labels, images.files)

    def take(self, looked: Listing, pairs: list[Pair], labels: Listing, split: str = "") -> None:
        """Take pairs without labels as they are, and give each the label that is named like its key."""
        self.pairs += [replace(pair, label=labels.files.get(pair.key), split=split) for pair in pairs]
        self._note(looked, labels, {pair.key for pair in pairs})

    def _note(self, images: Listing, labels: Listing, names: Container[str]) -> None:
        """Keep what was refused, labels without an image among them, and where we looked."""
        self.refused += images.refused + labels.refused
        self.refused += [
            Refused(str(path), f"a label without an image (no {images.folder / name}.*). Remove it, or add the image.")
            for name, path in labels.files.items()
            if name not in names
        ]
        self.looked.append(images)

    def near_labels(self, spec: Spec, option: str, most: int, anchors: Container[str]) -> None:
        """Keep the frames of `anchors` and as many before and after each as an option says; without it only those.

        Raises:
            ReaderError: the option is no number from 1 to `most`.
        """
        count = spec.positive(option) or 0
        if count > most:
            raise ReaderError(f"SPEC {spec}: {option} must be a number from 1 to {most}, got {count}.")
        centres = [(pair.sequence, pair.index) for pair in self.pairs if pair.key in anchors]
        kept = {(sequence, index + step) for sequence, index in centres for step in range(-count, count + 1)}
        self.pairs = [pair for pair in self.pairs if (pair.sequence, pair.index) in kept]

    def only(self, spec: Spec, option: str, group: Callable[[Pair], str]) -> None:
        """Keep the pairs of the groups (cities, drives) that an option lists with commas between, where it is given.

        Raises:
            ReaderError: there is no such group.
        """
        if option not in spec.options:
            return
        wanted, there = spec.options[option].split(","), sorted({group(pair) for pair in self.pairs})
        if absent := [name for name in wanted if name not in there]:
            known = ", ".join(there) or "none"
            raise ReaderError(f"SPEC {spec}: {option}: there is no {', '.join(absent)} here. Known: {known}.")
        self.pairs = [pair for pair in self.pairs if group(pair) in wanted]


def list_labels(spec: Spec, folder: Path, ending: str = "", others: bool = False) -> Listing:
    """Return the label files of a folder (`listing.list_files`); none where it is missing or the SPEC wants none."""
    if spec.options.get("labels") == "none" or not folder.is_dir():
        return Listing(folder)
    return list_files(folder, LABEL_SUFFIXES, ending, others)


def build(
    spec: Spec,
    found: Found,
    classes: ClassSet,
    label_kind: str = "ids",
    mask: Path | None = None,
    instance_base: int | None = None,
) -> Manifest:
    """Return the manifest of the pairs that the options choose; those that cannot be used are refused by name.

    Raises:
        ReaderError: there is no image, the options fit none, or they name a file that is not there.
        DataProblems: no image can be used at all; lists why.
    """
    root = Path(spec.path)
    if not found.pairs:
        raise _nothing(spec, found)
    by_key = {pair.key: pair for pair in found.pairs}
    keys, missing = _selected(by_key, spec, root)
    mask = option_file(spec, "mask", root) or mask
    frames, refused = [], [*found.refused, *missing, *_shadowed(found.pairs, by_key)]
    for key in keys:
        try:
            frames.append(_frame(by_key[key], label_kind, mask, instance_base))
        except DataError as error:
            image = str(by_key[key].image)
            refused.append(Refused(image, str(error).removeprefix(f"{image}: ")))
    if not frames:
        raise _all_refused(spec, refused)
    return Manifest(root.absolute().name, tuple(frames), classes, tuple(refused))


def _shadowed(pairs: list[Pair], by_key: dict[str, Pair]) -> list[Refused]:
    """Refuse images whose key another folder's image has, too."""
    return [
        Refused(str(pair.image), f"{by_key[pair.key].image} has the same key {pair.key!r}. Keep one.")
        for pair in pairs
        if by_key[pair.key] is not pair
    ]


def _nothing(spec: Spec, found: Found) -> ReaderError | DataProblems:
    if found.refused:
        return _all_refused(spec, found.refused)
    places = "; ".join(f"{listing.folder} holds {inside(listing.folder)}" for listing in found.looked)
    return ReaderError(f"SPEC {spec}: no image ({' '.join(IMAGE_SUFFIXES)}). {places}.\nExpected:\n{found.tree}")


def _all_refused(spec: Spec, refused: list[Refused]) -> DataProblems:
    problems = [DataError(f"{entry.path}: {entry.reason}") for entry in refused]
    return DataProblems(problems, f"{spec}, so that no frame can be used")


def _selected(by_key: dict[str, Pair], spec: Spec, root: Path) -> tuple[list[str], list[Refused]]:
    keys, missing = sorted(by_key), list[Refused]()
    if listed := option_file(spec, "list", root):
        keys, missing = _listed(listed, by_key)
        if not keys:
            raise ReaderError(f"SPEC {spec}: {listed} names none of the {len(by_key)} images (first: {min(by_key)}).")
    include, exclude = (spec.options.get(option) for option in ("include", "exclude"))
    if include is not None:
        keys = [key for key in keys if _fits(key, include)]
    if exclude is not None:
        keys = [key for key in keys if not _fits(key, exclude)]
    if not keys:
        given = "&".join(f"{name}={value}" for name, value in (("include", include), ("exclude", exclude)) if value)
        raise ReaderError(f"SPEC {spec}: {given} fits none of the {len(by_key)} images (first: {min(by_key)}).")
    return keys[: spec.positive("limit")], missing


def _fits(key: str, patterns: str) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns.split(","))


def _listed(path: Path, by_key: dict[str, Pair]) -> tuple[list[str], list[Refused]]:
    called = {PurePosixPath(key).name: key for key in by_key}
    called |= {pair.image.stem: key for key, pair in by_key.items()} | {key: key for key in by_key}
    keys, missing = set(), []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ReaderError(f"{path}: cannot read this list: {error}.") from error
    for number, line in enumerate(lines, 1):
        words = line.split()  # lists of pairs have the image first
        if words:
            name = PurePosixPath(words[0].lstrip("/"))
            key = _whole(line.strip(), called) or _whole(words[0], called) or called.get(name.stem)
            if key is None:
                missing.append(Refused(words[0], f"listed in {path}, line {number}, but there is no such image."))
            else:
                keys.add(key)
    return sorted(keys), missing


def _whole(name: str, called: dict[str, str]) -> str | None:
    """Return the key of a name, which may hold blanks, with or without suffix."""
    path = PurePosixPath(name.lstrip("/"))
    return called.get(name) or called.get(path.as_posix().removesuffix(path.suffix))


def _frame(pair: Pair, label_kind: str, mask: Path | None, instance_base: int | None) -> Frame:
    facts = pair.facts or image_facts(pair.image)
    return Frame(
        key=pair.key,
        image=os.path.abspath(pair.image),
        label=os.path.abspath(pair.label) if pair.label else None,
        sequence=pair.sequence,
        index=pair.index,
        split=pair.split,
        width=facts.width,
        height=facts.height,
        sha256=facts.sha256,
        mask=os.path.abspath(mask) if mask else None,
        label_kind=label_kind,
        time_s=pair.time_s,
        pts=pair.pts,
        instances=os.path.abspath(pair.instances) if pair.instances else None,
        instance_base=instance_base if pair.instances else None,
    )
