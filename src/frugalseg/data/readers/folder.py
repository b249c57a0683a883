"""folder: `images/` and, where there are labels, `labels/` with files of the same name.

    folder:PATH?images=images&labels=labels|none&classes=FILE|NAME&label_kind=ids|red|colors&split=NAME&sequence=HOW

* images: PNG, JPEG, TIFF, WebP, BMP, 8 or 16 bits, in any depth of sub-folders; without an `images/` the folder itself.
* labels: `.png` or `.tif`; a set without labels has none, and needs none.
* label_kind: where they hold their raw ids: in one channel or a palette's indices (`ids`), in the red channel (`red`),
  or as the colours that the class list gives (`colors`).
* classes: `classes.toml` in the folder, the file given (relative to the working directory, or else to the folder), or
  the name of a class set that comes with the product.
* split: what to call it.
* sequence: `prefix`, the default; `folder` if the frames of a folder are one drive; `none` if there are no drives.
* mask: without `mask=FILE`, `mask.png` in the folder; its zero pixels are the camera's own car.

A frame's key is its path below the images without suffix; its sequence is the key up to the last `_`, its index the
number behind that. Keys that are numbers alone have no sequence; with `folder` it is their sub-folder, else the set's.
"""

from collections.abc import Callable
from pathlib import Path

from frugalseg.core.errors import ReaderError
from frugalseg.core.records import LABEL_KINDS, Manifest
from frugalseg.core.spec import Spec
from frugalseg.data.listing import IMAGE_SUFFIXES, Listing, list_files
from frugalseg.data.pairing import COMMON, Found, build, index_only, list_labels, numbered
from frugalseg.data.spec_options import choice, option_file, own_classes

OPTIONS = ("images", "labels", "label_kind", "classes", "split", "sequence", *COMMON)
TREE = "  PATH/images/….png\n  PATH/labels/….png   (may be missing)\n  PATH/classes.toml   (may be missing)"


def read(spec: Spec) -> Manifest:
    """Return the manifest of a folder.

    Raises:
        ReaderError: no such folder, no image in it, or an option that does not fit.
        DataProblems: no image can be used at all; lists why.
    """
    spec.only(OPTIONS)
    root = Path(spec.path)
    ways = {"prefix": numbered, "folder": _by_folder(root.absolute().name), "none": index_only}
    placed = ways[choice(spec, "sequence", ways, "prefix")]
    kind = choice(spec, "label_kind", LABEL_KINDS, "ids")
    at_images, at_labels = _folders(spec, root)
    mask = option_file(spec, "mask", root) or _if_there(root / "mask.png")
    found = Found(TREE)
    images = list_files(at_images, IMAGE_SUFFIXES, without=(at_labels or root / "labels", mask))
    labels = list_labels(spec, at_labels) if at_labels else Listing(root)
    found.add(images, labels, spec.options.get("split", ""), placed=placed)
    return build(spec, found, own_classes(spec, root), kind, mask)


def _by_folder(name: str) -> Callable[[str], tuple[str, int]]:
    """Return what tells sequence and index of a key; frames in no sub-folder are the sequence `name`."""
    return lambda key: (key.rpartition("/")[0] or name, numbered(key)[1])


def _folders(spec: Spec, root: Path) -> tuple[Path, Path | None]:
    if not root.is_dir():
        raise ReaderError(f"SPEC {spec}: {root} is no folder. Check the path. Expected:\n{TREE}")
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


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None
