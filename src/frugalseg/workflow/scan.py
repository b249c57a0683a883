"""One look at every frame of a set, in worker processes, with progress; and what says that its files are the same."""

import hashlib
import os
from dataclasses import dataclass, replace

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import DataProblems
from frugalseg.core.records import Manifest
from frugalseg.data.diagnose import as_error, diagnose
from frugalseg.data.facts import FrameFacts, Inspector
from frugalseg.data.findings import Finding
from frugalseg.data.remarks import Twins
from frugalseg.data.summary import Summary
from frugalseg.data.workers import each
from frugalseg.workflow.progress import Counter
from frugalseg.workflow.stage import Options


@dataclass(frozen=True)
class CheckedSet:
    """One set of the project after the look: its files, numbers, problems and groups of frames that look alike."""

    manifest: Manifest
    summary: Summary
    findings: list[Finding]
    twins: list[Twins]


def look_at(
    name: str, manifest: Manifest, project: ClassSet, options: Options, images: bool = True
) -> list[FrameFacts]:
    """Return the facts of each frame of the set that the project calls `name`; without `images` of its labels only."""
    work = Inspector(manifest.classes, project, images)
    facts = [FrameFacts(died=True)] * len(manifest)
    with Counter(f"check {name}", len(manifest), options.quiet) as counter:
        for position, found in each(work, manifest.frames):
            if found is not None:
                facts[position] = found
            counter.step()
    return facts


def refuse(name: str, manifest: Manifest, facts: list[FrameFacts], project: ClassSet) -> None:
    """Stop where a label cannot be learned from; what the reader refused is no part of the set and does not count.

    Raises:
        DataProblems: listing every missing, unreadable or mismatched label.
    """
    found = diagnose(replace(manifest, refused=()), facts, project, need_labels=True)
    if found:
        raise DataProblems([as_error(finding) for finding in found], name)


def files_state(manifest: Manifest) -> str:
    """Return a digest of size and time of change of all files: while it is the same, another look shows the same."""
    digest = hashlib.sha256()
    for frame in manifest:
        for path in (frame.image, frame.label, frame.mask):
            digest.update(_state(path).encode())
    return digest.hexdigest()


def _state(path: str | None) -> str:
    if path is None:
        return "none;"
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return "gone;"
    return f"{state.st_size},{state.st_mtime_ns};"
