"""The pictures of questions: drawn when a selector has chosen its pixels, looked up when people are asked.

Nothing here loads torch: `label` is to start in a second.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from frugalseg.annotation.media import MediaFolder, Renderer
from frugalseg.core.chance import key_hash
from frugalseg.core.errors import ArtifactError, ImageFileError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Frame, Manifest, Query
from frugalseg.workflow.project import SHOWN, Project

MEDIA = "media"  # in the project's folder: the files that questions show

Shown = Mapping[str, Any]  # what one question shows: names of files, and where in the frame they lie


def by_frame(manifest: Manifest, queries: Sequence[Query]) -> Iterator[tuple[Frame, list[Query]]]:
    """Yield each frame that is asked about, neighbours of a sequence one after the other, with its questions."""
    asked: dict[str, list[Query]] = defaultdict(list)
    for query in queries:
        asked[query.key].append(query)
    for frame in sorted((f for f in manifest if f.key in asked), key=lambda f: (f.sequence, f.index, f.key)):
        yield frame, asked[frame.key]


def most_asked(queries: Iterable[Query]) -> list[str]:
    """Return the keys of the frames that are asked about: most questions first, ties in an order that mixes drives."""
    counts = Counter(query.key for query in queries)
    return sorted(counts, key=lambda key: (-counts[key], key_hash(key), key))


def draw(manifest: Manifest, queries: Sequence[Query], media: MediaFolder) -> tuple[dict[str, Shown], list[str]]:
    """Draw questions about pixels. Return what each shows, by its id, and why frames were left out."""
    renderer = Renderer(media, manifest.frames)
    shown: dict[str, Shown] = {}
    refused: list[str] = []
    for frame, asked in by_frame(manifest, queries):
        try:
            shown |= renderer.render(frame.key, asked)
        except ImageFileError as error:
            refused.append(str(error))
    return shown, refused


def draw_selection(project: Project, queries: Sequence[Query], folder: Path) -> None:
    """Draw a selection's questions into the project's media, and note in the stage's folder what each shows."""
    shown, _ = draw(project.manifest("target"), queries, MediaFolder(project.folder / MEDIA))
    write_atomic(folder / SHOWN, json.dumps(shown).encode())


def drawn(project: Project, selection: Path) -> dict[str, Shown]:
    """Return what `draw_selection` noted, without the questions of which a file is no longer there.

    Raises:
        ArtifactError: the note cannot be read.
    """
    path = selection / SHOWN
    if not path.is_file():
        return {}
    try:
        noted = json.loads(path.read_text())
        there = {entry.name for entry in (project.folder / MEDIA).glob("*")}
        return {query: shown for query, shown in noted.items() if there.issuperset(_files(shown))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path}: cannot read what the questions show: {error}. Remove this file; they are then drawn anew."
        ) from error


def _files(shown: Shown) -> set[str]:
    beside = {shown["earlier"], shown["later"]} - {None}
    return {shown["window"]["name"], shown["lens"]["name"], *beside}
