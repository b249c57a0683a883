"""From the facts of all frames of a set to what is wrong with it: a finding for each frame and cause, all at once."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import DataError, ImageFileError, LabelShapeError, MissingPairError, UnknownIdError
from frugalseg.core.records import Frame, Manifest
from frugalseg.data import causes
from frugalseg.data.facts import FrameFacts, size_of
from frugalseg.data.findings import Finding, Kind, split_message
from frugalseg.data.workers import LIMITS

ERRORS: dict[Kind, type[DataError]] = {
    Kind.MISSING: MissingPairError,
    Kind.SIZE: LabelShapeError,
    Kind.MASK: LabelShapeError,
    Kind.IDS: UnknownIdError,
    Kind.CLASSES: MissingPairError,
}
INIT = "Run `frugalseg init PROJECT` again, which lists the files afresh."


def diagnose(manifest: Manifest, facts: Sequence[FrameFacts], project: ClassSet, need_labels: bool) -> list[Finding]:
    """Return every problem of a data set, in the order of `Kind`, then of the frames.

    Args:
        manifest: The set.
        facts: Of each of its frames, in the same order.
        project: The project's classes.
        need_labels: Whether a frame without a label is a problem.
    """
    view = _View(manifest, facts, project, need_labels)
    swapped = {fact.image.twin for fact in facts if fact.image is not None}  # explains why they are no labels
    refused = [entry for entry in manifest.refused if entry.path not in swapped]
    found = [Finding(Kind.REFUSED, "", entry.path, *_told(entry.path, entry.reason)) for entry in refused]
    for frame, fact in zip(manifest, facts, strict=True):
        found += view.findings(frame, fact)
    if any(finding.kind is Kind.FOLDER for finding in found):  # the right folder will bring the labels
        found = [finding for finding in found if finding.kind is not Kind.MISSING]
    found += view.of_the_set(found)
    order = list(Kind)
    return sorted(found, key=lambda finding: order.index(finding.kind))


def as_error(finding: Finding) -> DataError:
    """Return the error that says of a finding what stops a training."""
    return ERRORS.get(finding.kind, ImageFileError)(finding.text)


@dataclass(frozen=True)
class _View:
    """A set with all its facts: what one frame's file means often shows in the others only."""

    manifest: Manifest
    facts: Sequence[FrameFacts]
    project: ClassSet
    need_labels: bool

    @cached_property
    def _present(self) -> frozenset[int]:
        """All raw ids that occur in the labels."""
        return frozenset().union(*(fact.label.raw_ids.tolist() for fact in self.facts if fact.label is not None))

    @cached_property
    def _photos(self) -> dict[str, str]:
        """Photographs by the name of their file."""
        pairs = zip(self.manifest, self.facts, strict=True)
        return {Path(f.image).stem: f.image for f, fact in pairs if fact.image and not fact.image.like_label}

    def findings(self, frame: Frame, fact: FrameFacts) -> Iterator[Finding]:
        """Yield what is wrong with one frame."""
        if fact.died:
            what = f"reading it was given up: {LIMITS}."
            yield Finding(
                Kind.IMAGE, frame.key, frame.image, what, "Write the file and its label anew, or remove them."
            )
            return
        astray = self._astray(frame, fact)
        if astray is not None:
            yield astray
            return
        if fact.image_error:
            yield Finding(Kind.IMAGE, frame.key, frame.image, *_told(frame.image, fact.image_error))
        elif fact.changed:
            what = "the image is not the file that init listed (its sha256 differs)."
            yield Finding(Kind.CHANGED, frame.key, frame.image, what, f"If the change was meant: {_lower(INIT)}")
        if fact.mask_error or not fact.usable_ratio:
            yield self._mask(frame, fact)
        yield from self._label(frame, fact)

    def of_the_set(self, found: list[Finding]) -> Iterator[Finding]:
        """Yield what no single frame shows: no class in common, or another numbering whose ids happen to be listed."""
        classes, labelled = self.manifest.classes, [fact.label for fact in self.facts if fact.label is not None]
        if not labelled or any(finding.kind in (Kind.IDS, Kind.SWAPPED) for finding in found):
            return
        path = next(frame.label or "" for frame, fact in zip(self.manifest, self.facts, strict=True) if fact.label)
        if causes.are_train_ids(self._present, classes):
            what = f"all {len(labelled)} labels hold only ids in 0–18 and 255."
            yield Finding(Kind.IDS, "", path, what, causes.ids_mend(labelled[0], {}, self._present, classes, "ids"))
        elif not any(label.class_pixels.any() for label in labelled if not label.colors):
            if any(finding.kind is Kind.LABEL for finding in found):
                return
            names = ", ".join(self.project.names)
            what = f"no labelled pixel of any class of the project ({names}) in {len(labelled)} labels."
            mend = f"The data set's classes are {', '.join(classes.names)}; check the names in both classes.toml."
            yield Finding(Kind.CLASSES, "", path, what, mend)

    def _astray(self, frame: Frame, fact: FrameFacts) -> Finding | None:
        """Return a finding for an image that is a label map."""
        if fact.image is None or not fact.image.like_label:
            return None
        label, mend = fact.label, "Swap the folders, or say so in the SPEC: folder:PATH?images=labels&labels=images"
        photo = label is not None and not label.flat and (bool(label.colors) or len(label.raw_ids) > 64)
        if photo or fact.image.twin:
            other = fact.image.twin or frame.label
            what = f"the image is a label map, and its label {other} is a photograph."
            return Finding(Kind.SWAPPED, frame.key, frame.image, what, mend)
        if frame.label is None:
            return Finding(Kind.FOLDER, frame.key, frame.image, *self._wrong_folder(frame))
        return None

    def _wrong_folder(self, frame: Frame) -> tuple[str, str]:
        what = "this image is a label map, no photograph."
        photo = self._photos.get(Path(frame.image).stem)
        if photo:
            folder = os.path.commonpath([photo, frame.image])
            return what, f"Likely cause: the SPEC names a folder too high. Name the one with images/ in it: {folder}"
        return (
            what,
            "Likely cause: the SPEC names the folder of labels. Name the one with images/ in it, or images=FOLDER.",
        )

    def _mask(self, frame: Frame, fact: FrameFacts) -> Finding:
        path = frame.mask or ""
        if fact.mask_error:
            return Finding(Kind.MASK, frame.key, path, *_told(path, fact.mask_error))
        what = f"the ego mask of {frame.image} is zero everywhere, so nothing of the frame is used."
        return Finding(
            Kind.MASK, frame.key, path, what, "Zero means the camera's own car; write 255 where the road is."
        )

    def _label(self, frame: Frame, fact: FrameFacts) -> Iterator[Finding]:
        path, label = frame.label, fact.label
        if path is None:
            if self.need_labels:
                what = "there is no label for this image, and one is needed here."
                mend = "A label has its image's name. Add it, remove the image, or name the labels' folder: labels=NAME"
                yield Finding(Kind.MISSING, frame.key, frame.image, what, mend)
        elif label is None:
            yield Finding(Kind.LABEL, frame.key, path, *_told(path, fact.label_error))
        elif label.colors:
            what, mend = (
                causes.colors_what(label, self.manifest.classes),
                causes.colors_mend(label, self.manifest.classes),
            )
            yield Finding(Kind.IDS, frame.key, path, what, mend)
        else:
            yield from self._ids_and_size(frame, fact, path)

    def _ids_and_size(self, frame: Frame, fact: FrameFacts, path: str) -> Iterator[Finding]:
        assert fact.label is not None  # the caller's condition
        label, size_HW = fact.label, size_of(frame, fact.image)
        if (label.height, label.width) != size_HW:
            what, mend = causes.size_what(frame, size_HW, label), causes.size_mend(size_HW, label, fact)
            yield Finding(Kind.SIZE, frame.key, path, what, mend)
        unknown = causes.unknown_ids(label, self.manifest.classes)
        if unknown:
            what = causes.ids_what(unknown, self.manifest.classes)
            mend = causes.ids_mend(label, unknown, self._present, self.manifest.classes, frame.label_kind)
            yield Finding(Kind.IDS, frame.key, path, what, mend)


def _told(path: str, message: str) -> tuple[str, str]:
    what, mend = split_message(path, message)
    return what, mend or f"Mend or remove the file. {INIT}"


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
