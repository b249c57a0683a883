"""The files of a data set on disk: found by name, links never followed to outside, what cannot be used refused by name.

One bad file never stops the rest (RELIABILITY, promise 3), so nothing here raises for a single file or sub-folder.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from frugalseg.core.errors import ReaderError
from frugalseg.core.records import Refused

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
LABEL_SUFFIXES = (".png", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg")
# Kinds of pictures that we do not read: passed over in silence, they would be missing without anybody knowing.
OTHER_PICTURES = (
    *(".gif", ".apng", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".jfif", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".exr", ".hdr", ".svg", ".eps", ".psd", ".dng", ".raw", ".cr2", ".nef", ".arw", ".npy", ".npz"),
)


@dataclass
class Listing:
    """Files below a folder by key (the path below it without suffix), and what lies there but cannot be used."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


def list_files(
    folder: Path,
    suffixes: tuple[str, ...],
    ending: str = "",
    others: bool = False,
    without: Iterable[Path | None] = (),
) -> Listing:
    """Return the files below `folder` whose name is `KEY` + `ending` + one of `suffixes`.

    Args:
        folder: Where to look, in any depth. It may itself be a link.
        suffixes: Endings of the file kinds that are read.
        ending: What each name ends in before the suffix, e.g. `_leftImg8bit`; it is no part of the key.
        others: Whether files without that ending belong there (other products of the same data set) or are refused.
        without: Files and folders that are left out.

    Raises:
        ReaderError: `folder` itself cannot be listed.
    """
    found = Listing(folder)
    twice: dict[str, list[Path]] = {}
    for entry in _walk(folder, {os.path.realpath(path) for path in without if path}):
        if isinstance(entry, Refused):
            found.refused.append(entry)
            continue
        if entry.suffix.lower() not in suffixes:
            if entry.suffix.lower() in (*OTHER_PICTURES, *IMAGE_SUFFIXES):
                found.refused.append(Refused(str(entry), f"{entry.suffix} is not read here: {' '.join(suffixes)} are."))
            continue
        key = entry.relative_to(folder).with_suffix("").as_posix()
        if key.endswith(ending):
            twice.setdefault(key.removesuffix(ending), []).append(entry)
        elif not others:
            found.refused.append(Refused(str(entry), f"the name does not end in {ending}{entry.suffix}."))
    for key, paths in twice.items():
        if len(paths) == 1:
            found.files[key] = paths[0]
        else:
            found.refused += [Refused(str(path), _same_key(path, paths)) for path in paths]
    return found


def _like_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _same_key(path: Path, paths: list[Path]) -> str:
    others = ", ".join(other.name for other in paths if other != path)
    return f"{others} is of the same name, and one of them would be lost. Keep one."


def inside(folder: Path, shown: int = 5) -> str:
    """Return the names of some entries of a folder, for a message."""
    names = sorted(entry.name for entry in folder.iterdir())
    return (", ".join(names[:shown]) + (" …" if len(names) > shown else "")) or "nothing"


def _walk(folder: Path, left_out: set[str]) -> Iterator[Path | Refused]:
    """Yield files below a folder by name; hidden ones are left out, links followed only to files inside the folder."""
    root = os.path.realpath(folder)
    unlisted: list[Refused] = []

    def refuse(error: OSError) -> None:
        if error.filename == str(folder):
            raise ReaderError(f"{error.filename}: this folder cannot be listed: {error.strerror}.") from error
        unlisted.append(Refused(error.filename, f"this folder cannot be listed: {error.strerror}."))

    for place, folders, names in os.walk(folder, onerror=refuse):
        visible = [Path(place) / name for name in sorted(folders) if not name.startswith(".")]
        visible = [path for path in visible if os.path.realpath(path) not in left_out]
        folders[:] = [path.name for path in visible if not path.is_symlink() and not _like_image(path)]
        for path in visible:
            if path.is_symlink():  # its files would be missing, or come twice
                yield Refused(str(path), "a link to a folder. Copy the folder, or point the SPEC at it.")
            elif _like_image(path):
                yield Refused(str(path), "a folder with the name of an image. Rename it, or copy the image again.")
        for path in (Path(place) / name for name in sorted(names)):
            real = os.path.realpath(path)  # (Path.resolve raises RuntimeError for a loop)
            if path.name.startswith(".") or real in left_out:
                continue
            if path.is_symlink() and not Path(real).is_relative_to(root):
                yield Refused(
                    str(path), f"a link to outside of {folder}. Copy the file, or point the SPEC at its folder."
                )
            else:
                yield path
    yield from unlisted
