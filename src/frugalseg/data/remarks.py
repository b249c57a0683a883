"""What is worth knowing of the data without being wrong, in sentences; and how the domains differ in look."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame, Manifest
from frugalseg.data import duplicates
from frugalseg.data.facts import THUMB
from frugalseg.data.masks import askable
from frugalseg.data.summary import LIGHT, Summary

SIZES_SHOWN, NAMES_SHOWN = 4, 8
FEW_FRAMES, ENOUGH_FRAMES = 3, 10  # a class in fewer than 3 frames is rare, in a set of 10 labelled frames or more
NEAR, FAR = 0.5, 1.5  # standard deviations between the domains' means: slightly, clearly, far
VISIBLE = 0.03  # of the full scale: between sets of equal frames, less is no difference
SAMENESS = 0.8  # what a mask hides should change less than this share of what the rest does
MASK_FRAMES = 10
EVERYDAY_NAMES = frozenset(
    ("frame", "frames", "image", "images", "img", "photo", "picture", "rgb", "left", "right", "front", "camera", "cam")
    + ("video", "clip", "seq", "sequence", "drive", "run", "scene", "town", "part", "train", "val", "test")
)


@dataclass(frozen=True)
class Remark:
    """A sentence about a data set; a warning may spoil a result, the rest is to be known."""

    domain: str
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Twins:
    """A frame and others that look like it: (domain, key) of each, the first first."""

    members: tuple[tuple[str, str], ...]


def of_set(summary: Summary, manifest: Manifest, project: ClassSet) -> list[Remark]:
    """Return what is to be known of one set."""
    found = [*_sizes(summary), *_partly_labelled(summary), *_classes(summary, project), *_turned(summary, manifest)]
    found += [*_uniform(summary, manifest), *_mask(summary, manifest)]
    return [Remark(summary.name, text, warning) for text, warning in found]


def twins_within(summary: Summary, manifest: Manifest) -> list[Twins]:
    """Return groups of frames of a set that look alike."""
    frames, seen = manifest.frames, summary.seen
    return [
        Twins(tuple((summary.name, frames[seen[place]].key) for place in group))
        for group in duplicates.groups(summary.fingerprints)
    ]


def twins_across(first: Summary, first_manifest: Manifest, second: Summary, second_manifest: Manifest) -> list[Twins]:
    """Return frames of the first set that look like one of the second."""
    return [
        Twins(
            (
                (first.name, first_manifest.frames[first.seen[place]].key),
                (second.name, second_manifest.frames[second.seen[other]].key),
            )
        )
        for place, other in duplicates.across(first.fingerprints, second.fingerprints)
    ]


def say_twins(found: Sequence[Twins], frames: int) -> Remark:
    """Say how many frames of a set of `frames` look like another, in the same set or in one they must not be in."""
    (domain, key), (other_domain, other_key) = found[0].members[:2]
    if domain == other_domain:
        count = sum(len(group.members) - 1 for group in found)
        text = (
            f"{count} of {frames} frames look like an earlier one, first {other_key} like {key}; they teach little new."
        )
        return Remark(domain, text)
    text = (
        f"{len(found)} of {frames} frames look like frames of {other_domain}, first {key} like {other_key}: "
        "scores on them say little about new places."
    )
    return Remark(domain, text, warning=True)


def shared_drives(first: Manifest, second: Manifest, names: tuple[str, str]) -> Remark | None:
    """Say which drives (sequences) have frames in both sets; everyday names count only within one folder."""
    drives = [{frame.sequence: _folder(frame) for frame in manifest if frame.sequence} for manifest in (first, second)]
    shared = sorted(
        drive
        for drive in drives[0].keys() & drives[1].keys()
        if drives[0][drive] == drives[1][drive] or _is_a_drives_name(drive)
    )
    if not shared:
        return None
    drives_also = f"{_count(len(shared), 'drive')} also in {names[1]}: {_listed(shared)}"
    text = f"{drives_also}. Scores on a drive that was seen are too good."
    return Remark(names[0], text, warning=True)


def describe_gap(source: Summary, target: Summary) -> str:
    """Say in plain words how the target's look differs from the source's, in units of the spread between frames."""
    if not len(source.light) or not len(target.light):
        return ""
    words = {
        "brightness": ("brighter", "darker"),
        "contrast": ("richer in contrast", "flatter"),
        "saturation": ("more colourful", "paler"),
        "warmth": ("warmer in colour", "cooler in colour"),
    }
    parts = []
    for column, name in enumerate(LIGHT):
        ours, theirs = source.light[:, column], target.light[:, column]
        spread = float(np.sqrt((ours.var() + theirs.var()) / 2))
        step = float(theirs.mean() - ours.mean()) / max(spread, VISIBLE)
        if abs(step) >= NEAR:
            how = "far " if abs(step) >= FAR else "slightly " if abs(step) < 1 else ""
            parts.append(f"{how}{words[name][step < 0]} ({theirs.mean():.2f} against {ours.mean():.2f})")
    if not parts:
        return "In brightness, contrast and colour the target looks like the source."
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"The target is {listed} than the source."


def of_quarantine(name: str, keys: Collection[str], mended: Collection[str]) -> list[Remark]:
    """Say how many frames are left out, and with which of them nothing is wrong any more."""
    found = [Remark(name, f"{_count(len(keys), 'frame')} quarantined: left out of every stage.")]
    if mended:
        text = f"nothing is wrong any more with {_listed(sorted(mended))}: `check --quarantine` lets them in again."
        found.append(Remark(name, text))
    return found


def _sizes(summary: Summary) -> list[tuple[str, bool]]:
    if len(summary.sizes) < 2:
        return []
    shown = [f"{height}x{width} ({count})" for (height, width), count in summary.sizes.most_common(SIZES_SHOWN)]
    more = f" and {len(summary.sizes) - SIZES_SHOWN} more" if len(summary.sizes) > SIZES_SHOWN else ""
    return [(f"{len(summary.sizes)} sizes of images (height x width): {', '.join(shown)}{more}.", False)]


def _partly_labelled(summary: Summary) -> list[tuple[str, bool]]:
    if not summary.labelled or summary.labelled == summary.frames:
        return []
    return [(f"{summary.labelled} of {summary.frames} frames have a label.", False)]


def _classes(summary: Summary, project: ClassSet) -> list[tuple[str, bool]]:
    if not summary.labelled:
        return []
    found = []
    if summary.dropped:
        found.append((f"classes that the project does not have become `no class`: {_listed(summary.dropped)}.", False))
    if summary.missing:
        effect = "nothing teaches them before people answer" if summary.name == "source" else "they are not scored"
        found.append(
            (f"the project's classes that this set does not have ({effect}): {_listed(summary.missing)}.", True)
        )
    counted = [*zip(project.names, summary.pixels_C.tolist(), summary.frames_C.tolist(), strict=True)]
    empty = [name for name, pixels, _ in counted if not pixels and name not in summary.missing]
    if empty and summary.pixels_C.any():
        found.append((f"not one pixel of {_listed(empty)} in {_count(summary.labelled, 'label')}.", True))
    few = [
        f"{name} ({_count(pixels, 'pixel')} in {_count(n, 'frame')})"
        for name, pixels, n in counted
        if 0 < n < FEW_FRAMES
    ]
    if few and summary.labelled >= ENOUGH_FRAMES:
        found.append((f"in very few frames only: {_listed(few)}.", False))
    return found


def _turned(summary: Summary, manifest: Manifest) -> list[tuple[str, bool]]:
    if not summary.turned:
        return []
    first = manifest.frames[summary.turned[0]].image
    text = (
        f"{_count(len(summary.turned), 'image')} with an EXIF orientation whose label has none (first {first}): "
        "look whether the labels lie right."
    )
    return [(text, True)]


def _uniform(summary: Summary, manifest: Manifest) -> list[tuple[str, bool]]:
    dull = summary.seen[summary.light[:, LIGHT.index("contrast")] < duplicates.UNIFORM / 255]
    if not len(dull):
        return []
    return [(f"{_count(len(dull), 'image')} of hardly any contrast, first {manifest.frames[dull[0]].image}.", True)]


def _mask(summary: Summary, manifest: Manifest) -> list[tuple[str, bool]]:
    """Say what the ego mask leaves, and whether what it hides stands still as one's own car does."""
    if not summary.masked or not len(summary.seen):
        return []
    try:
        usable_HW = askable(manifest.frames[summary.seen[0]])
    except DataError:  # told as a problem
        return []
    if usable_HW is None:
        return []
    found = [(f"the ego mask leaves {100 * summary.usable_ratio:.0f} % of the pixels.", summary.usable_ratio < 0.5)]
    thumbs = summary.fingerprints.thumbs
    one_mask = len({frame.mask for frame in manifest}) == 1
    hidden = cv2.resize((~usable_HW).astype(np.float32), (THUMB, THUMB), interpolation=cv2.INTER_AREA).ravel()
    inside, outside = hidden > 0.99, hidden < 0.01  # cells on the mask's edge are neither
    if one_mask and len(thumbs) >= MASK_FRAMES and inside.any() and outside.any():
        spread = thumbs.std(axis=0, dtype=np.float32)
        if spread[inside].mean() > SAMENESS * spread[outside].mean():
            text = "what the ego mask hides changes from frame to frame as the rest does: is it these frames' mask?"
            found.append((text, True))
    return found


def _folder(frame: Frame) -> str:
    return str(Path(frame.image).parent)


def _is_a_drives_name(name: str) -> bool:
    """Return whether a sequence's name tells a drive from all others: 0016E5 does, frame, seq_03 and a do not."""
    letters = re.sub(r"[^a-z]", "", name.lower())
    return len(name) >= 5 and bool(letters) and letters not in EVERYDAY_NAMES


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
