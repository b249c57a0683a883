"""folder: `images/` and, where there are labels, `labels/` with files of the same name.

    folder:PATH?images=images&labels=labels|none&classes=FILE&mask=FILE&split=NAME&include=GLOB&sequence=prefix|none&limit=N

* images: PNG, JPEG, TIFF, WebP, BMP, 8 or 16 bits, in any depth of sub-folders; without an `images/` the folder itself.
* labels: `.png` or `.tif` with raw ids; a set without labels has none, and needs none.
* classes: `classes.toml` in the folder, or the file given.
* mask: `mask.png` in the folder, or the file given; its zero pixels are the camera's own car.

A frame's key is its path below the images without suffix; its sequence is the key up to the last `_`, its index the
number behind that.
"""

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.codec import file_sha256, image_size
from frugalseg.core.errors import DataError, DataProblems, MissingPairError, ReaderError
from frugalseg.core.records import Frame, Manifest
from frugalseg.core.spec import Spec

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
LABEL_SUFFIXES = (".png", ".tif", ".tiff")
OPTIONS = ("images", "labels", "classes", "mask", "split", "include", "sequence", "limit")
UNLABELLED = ClassSet("unlabelled", (SemanticClass("anything", (128, 128, 128), (0,)),))
_INDEX = re.compile(r"(.*?)_?(\d+)")


def read(spec: Spec) -> Manifest:
    """Return the manifest of a folder.

    Raises:
        ReaderError: no such folder, no image in it, or an option that does not fit.
        DataProblems: every image that cannot be used, and every label without an image.
    """
    spec.only(OPTIONS)
    root = Path(spec.path)
    if spec.options.get("sequence", "prefix") not in ("prefix", "none"):
        raise ReaderError(f"SPEC {spec}: sequence must be prefix or none, got {spec.options['sequence']!r}.")
    images, labels = _folders(spec, root)
    mask = _optional_file(spec, "mask", root / "mask.png")
    paths = _by_key(images, IMAGE_SUFFIXES, without=(labels or root / "labels", mask))
    if not paths:
        raise ReaderError(_no_image(images))
    keys = _selected(paths, spec)
    problems: list[DataError] = []
    found = _by_key(labels, LABEL_SUFFIXES) if labels else {}
    if "include" not in spec.options and "limit" not in spec.options:
        problems += [
            MissingPairError(
                f"{found[key]}: a label without an image (no {images / key}.*). Remove it, or add the image."
            )
            for key in sorted(set(found) - set(paths))
        ]
    frames = []
    for key in keys:
        try:
            frames.append(_frame(key, paths[key], found.get(key), mask, spec))
        except DataError as error:
            problems.append(error)
    if problems:
        raise DataProblems(problems, str(spec))
    return Manifest(root.absolute().name, tuple(frames), _classes(spec, root))


def _folders(spec: Spec, root: Path) -> tuple[Path, Path | None]:
    if not root.is_dir():
        raise ReaderError(f"SPEC {spec}: {root} is no folder. Check the path.")
    images = root / spec.options.get("images", "images")
    if not images.is_dir():
        if "images" in spec.options:
            raise ReaderError(f"SPEC {spec}: {images} is no folder.")
        images = root
    name = spec.options.get("labels", "labels")
    labels = root / name
    if name == "none" or (not labels.is_dir() and "labels" not in spec.options):
        return images, None
    if not labels.is_dir():
        raise ReaderError(f"SPEC {spec}: {labels} is no folder. Write labels=none for a set without labels.")
    return images, labels


def _by_key(folder: Path, suffixes: tuple[str, ...], without: tuple[Path | None, ...] = ()) -> dict[str, Path]:
    left_out = {os.path.realpath(path) for path in without if path}
    found: dict[str, Path] = {}
    for path in _walk(folder, suffixes, left_out):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in found:
            raise ReaderError(f"{path} and {found[key].name}: two files of one name. Keep one of them.")
        found[key] = path
    return found


def _no_image(folder: Path) -> str:
    inside = sorted(entry.name for entry in folder.iterdir())[:5]
    return (
        f"{folder}: no image here ({' '.join(IMAGE_SUFFIXES)}). It holds: {', '.join(inside) or 'nothing'}.\n"
        "Give the folder that has images/ in it."
    )


def _walk(folder: Path, suffixes: tuple[str, ...], left_out: set[str]) -> Iterator[Path]:
    """Yield files below a folder by name; hidden ones are left out, links followed only to files inside the folder.

    Raises:
        ReaderError: a folder that cannot be listed, a link to a folder (its files would be missing or come twice), or a
            link to outside.
    """
    root = os.path.realpath(folder)
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(place, name)) not in left_out]
        for path in (Path(place) / name for name in folders):
            if path.is_symlink():
                raise ReaderError(f"{path}: a link to a folder. Copy the folder, or point the SPEC at it.")
        for path in (Path(place) / name for name in sorted(names)):
            real = os.path.realpath(path)  # (Path.resolve raises RuntimeError for a loop)
            if path.name.startswith(".") or path.suffix.lower() not in suffixes or real in left_out:
                continue
            if path.is_symlink() and not Path(real).is_relative_to(root):
                raise ReaderError(
                    f"{path}: a link to outside of {folder}. Copy the file, or point the SPEC at its folder."
                )
            yield path


def _refuse(error: OSError) -> None:
    raise ReaderError(f"{error.filename}: this folder cannot be listed: {error.strerror}.") from error


def _selected(paths: dict[str, Path], spec: Spec) -> list[str]:
    pattern = spec.options.get("include", "*")
    keys = sorted(key for key in paths if fnmatch.fnmatchcase(key, pattern))
    if not keys:
        raise ReaderError(f"SPEC {spec}: include={pattern} fits none of the {len(paths)} images (first: {min(paths)}).")
    return keys[: spec.positive("limit")]


def _frame(key: str, image: Path, label: Path | None, mask: Path | None, spec: Spec) -> Frame:
    height, width = image_size(image)
    prefix = spec.options.get("sequence", "prefix") == "prefix"
    match = _INDEX.fullmatch(key)
    return Frame(
        key=key,
        image=str(image.absolute()),
        label=str(label.absolute()) if label else None,
        sequence=(match[1] if match else key) if prefix else "",
        index=int(match[2][-15:]) if match else 0,
        split=spec.options.get("split", ""),
        width=width,
        height=height,
        sha256=file_sha256(image),
        mask=str(mask.absolute()) if mask else None,
    )


def _optional_file(spec: Spec, option: str, default: Path) -> Path | None:
    if option in spec.options:
        path = Path(spec.options[option])
        if not path.is_file():
            raise ReaderError(f"SPEC {spec}: {option}={path} is no file.")
        return path
    return default if default.is_file() else None


def _classes(spec: Spec, root: Path) -> ClassSet:
    path = _optional_file(spec, "classes", root / "classes.toml")
    return ClassSet.from_toml(path) if path else UNLABELLED
