"""video: a video file, a folder of them, and folders of frames, each a sequence.

    PATH                            drive.mp4, or a folder with
    PATH/drive.mp4                  videos, in any depth
    PATH/walk/000000.png …          folders of frames, numbered
    PATH/labels/drive/000012.png    labels of single frames (may be missing), named like their keys

    video:PATH?every=N&start=SECONDS&end=SECONDS&fps=RATE&labels=FOLDER|none&label_kind=ids|red|colors
        &classes=FILE|NAME&split=NAME

* every: only every N-th frame, counted from the first.
* start, end: only frames from and before these seconds after the first.
* fps: frames a second of folders of frames, whose files do not tell; a video's frames have times of their own.
* labels: another folder for them, relative to PATH; of a single video, to the folder it is in. `none` leaves them away.
* label_kind, classes: as in the `folder` reader.
* split: what to call it.

A frame's key is its video's path below PATH without suffix, and its number in six digits (the file's name, of folders);
sequence: the video, index: its number in order of time. Videos are decoded once from beginning to end here: frames that
are damaged or lean on damaged ones are refused, with their times, and so is a cut-off end.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from frugalseg.core.codec import ImageFacts
from frugalseg.core.errors import ImageFileError, ReaderError
from frugalseg.core.records import LABEL_KINDS, Manifest, Refused
from frugalseg.core.spec import Spec
from frugalseg.data.listing import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Listing, list_files
from frugalseg.data.pairing import COMMON, Found, Pair, build, list_labels, numbered
from frugalseg.data.pixels import shot_sha256
from frugalseg.data.spec_options import choice, number, option_file, own_classes

OPTIONS = ("every", "start", "end", "fps", "labels", "label_kind", "classes", "split", *COMMON)
TREE = (
    "  PATH/drive.mp4\nor\n  PATH/walk/000000.png, PATH/walk/000001.png …\n"
    "  PATH/labels/drive/000012.png   (may be missing)"
)


def read(spec: Spec) -> Manifest:
    """Return the manifest of all frames.

    Raises:
        ReaderError: no video and no frames, or an option that does not fit.
        DataProblems: nothing can be used at all; lists why.
    """
    spec.only(OPTIONS)
    path = Path(spec.path)
    if not path.is_dir() and not (path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES):
        raise ReaderError(f"SPEC {spec}: {path} is no folder and no video. Check the path. Expected:\n{TREE}")
    root = path if path.is_dir() else path.parent
    kind, fps = choice(spec, "label_kind", LABEL_KINDS, "ids"), number(spec, "fps", above_zero=True)
    at_labels = _labels(spec, root)
    found = Found(TREE)
    files = Listing(root, {path.stem: path})
    if path == root:
        mask = option_file(spec, "mask", root)
        files = list_files(root, (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES), without=(at_labels, root / "labels", mask))
    shots = _shots({name: file for name, file in files.files.items() if file.suffix.lower() in VIDEO_SUFFIXES}, found)
    pairs: list[Pair] = []
    for name, file in files.files.items():
        pairs += shots[name] if name in shots else [_still(name, file, root, fps)]
    labels, unread = list_labels(spec, at_labels), set(files.files.values()) - {pair.image for pair in pairs}
    for name in list(labels.files):
        if any(files.files.get(above.as_posix()) in unread for above in Path(name).parents):
            del labels.files[name]  # the video that cannot be read is told, not each of its labels
    found.take(files, pairs, labels, spec.options.get("split", ""))
    found.pairs = _chosen(spec, found.pairs)
    return build(spec, found, own_classes(spec, root), kind)


def _labels(spec: Spec, root: Path) -> Path:
    name = spec.options.get("labels", "labels")
    if "labels" in spec.options and name != "none" and not (root / name).is_dir():
        raise ReaderError(f"SPEC {spec}: {root / name} is no folder. Write labels=none for videos without labels.")
    return root / name


def _shots(videos: Mapping[str, Path], found: Found) -> dict[str, list[Pair]]:
    """Return the frames of each video; what is wrong with one is refused by name."""
    if not videos:
        return {}
    from frugalseg.data.video_scans import scan_all  # FFmpeg is loaded by those who have a video

    shots: dict[str, list[Pair]] = {name: [] for name in videos}
    for (name, path), scanned in zip(videos.items(), scan_all(list(videos.values())), strict=True):
        if isinstance(scanned, ImageFileError):
            found.refused.append(Refused(str(path), str(scanned).removeprefix(f"{path}: ")))
            continue
        found.refused += [Refused(str(path), problem) for problem in scanned.contents.problems]
        for shot in scanned.contents.shots:
            facts = ImageFacts(shot.height, shot.width, shot_sha256(scanned.sha256, shot.pts))
            key = f"{name}/{shot.number:06}"
            pair = Pair(key, path, None, name, shot.number, time_s=shot.time_s, pts=shot.pts, facts=facts)
            shots[name].append(pair)
    return shots


def _still(name: str, path: Path, root: Path, fps: float | None) -> Pair:
    prefix, index = numbered(name)
    return Pair(name, path, None, prefix.strip("/") or root.name, index, time_s=index / fps if fps else None)


def _chosen(spec: Spec, pairs: list[Pair]) -> list[Pair]:
    """Return the frames that `every`, `start` and `end` choose of each sequence."""
    start_s, end_s, every = number(spec, "start"), number(spec, "end"), spec.positive("every") or 1
    if {"start", "end"} & spec.options.keys() and (timeless := [pair for pair in pairs if pair.time_s is None]):
        raise ReaderError(f"SPEC {spec}: {timeless[0].image} has no time; start and end need fps=RATE for such frames.")
    places: dict[str, int] = {}
    kept = []
    for pair in sorted(pairs, key=lambda pair: (pair.sequence, pair.index)):
        place = pair.index if pair.pts is not None else places.get(pair.sequence, 0)
        places[pair.sequence] = place + 1
        time_s = pair.time_s or 0.0
        if place % every == 0 and (start_s or 0.0) <= time_s < (math.inf if end_s is None else end_s):
            kept.append(pair)
    return kept
