"""`label`: a selection's questions go into the store of answers, and people's answers come out as a `label` stage.

Nothing here loads torch: the page is to start in a second.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.annotation import history as told
from frugalseg.annotation.annotators import Annotators, people_figures
from frugalseg.annotation.events import canonical
from frugalseg.annotation.history import History
from frugalseg.annotation.media import MediaFolder
from frugalseg.annotation.questions import Question, Selection
from frugalseg.annotation.store import Store
from frugalseg.core.chance import generator, key_hash
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import StageOrderError
from frugalseg.core.records import Manifest, Point, Query, QueryKind
from frugalseg.core.table import read_records
from frugalseg.data.labels import LabelReader
from frugalseg.workflow.drawing import MEDIA, Shown, by_frame, draw, drawn
from frugalseg.workflow.evidence import guesses
from frugalseg.workflow.project import ANNOTATORS, LEDGER, QUESTIONS, Project
from frugalseg.workflow.round_labels import round_inputs, write_round
from frugalseg.workflow.stage import Options, StageResult, run_stage

STORE = "answers.db"  # in the project's folder
INSIDE_PX = 5  # a gold question lies farther than that from every other class and every other gold question
GOLD_TRIES = 40


def prepare(
    project: Project, selection: Path, store: Store, overlap: float, gold: float, options: Options
) -> Selection:
    """Put a `select` stage's questions into the store, with what they show; done once.

    Raises:
        StageOrderError: they are about whole images, or not one of its frames can be read.
    """
    run = project.run(str(selection))
    if (found := store.selection(run.fingerprint)) is not None:
        return found
    queries = read_records(selection / QUESTIONS, Query)
    if any(query.kind is QueryKind.IMAGE for query in queries):
        raise StageOrderError(
            f"{selection}: these questions are about whole images, and the page asks about single pixels.\n"
            f"Hand the images out: frugalseg tasks export {project.folder} FOLDER; then: frugalseg tasks import …"
        )
    target, media = project.manifest("target"), MediaFolder(project.folder / MEDIA)
    shown, refused = drawn(project, selection), list[str]()
    if missing := [query for query in queries if query.id not in shown]:
        options.say(f"{run.folder.name}: drawing {len(missing)} questions …")
        more, refused = draw(target, missing, media)
        shown |= more
        for reason in refused:
            options.say(f"left out: {reason}")
    if not shown:
        raise StageOrderError(f"{selection}: there is nothing to ask; {len(refused)} frame(s) cannot be read.")
    guessed = {query: guess.class_id for query, guess in guesses(selection).items()}
    asked = _questions(target, queries, shown, guessed, {})
    checks = _gold(project, media, store, run.fingerprint, math.ceil(gold * len(asked)))
    return store.add(run.fingerprint, run.folder.name, project.classes, asked + checks, overlap, gold)


def open_store(project: Project, database: str | None) -> Store:
    """Open the project's store of answers: a file in its folder, or the PostgreSQL database given."""
    return Store(database or project.folder / STORE)


def waiting(project: Project, selection: Path, store: Store, known: Selection) -> StageResult:
    """Say how far people have come with a selection."""
    progress = store.progress(known)
    found = {"questions": progress.questions, "answered": progress.answered, "waiting": str(selection)}
    return StageResult("label", project.folder / STORE, found, left=progress.left)


def export(project: Project, selection: Path, store: Store, options: Options) -> StageResult:
    """Fold the answers so far into a `label` stage, like the one of `label --simulate`.

    Raises:
        StageOrderError: nobody has answered anything.
    """
    run = project.run(str(selection))
    known = store.selection(run.fingerprint)
    histories = store.histories(known) if known else []
    if known is None or not any(history.lines for history in histories):
        raise StageOrderError(
            f"{selection}: nobody has answered these questions yet. Run: frugalseg label {project.folder}"
        )
    events = sorted(event.uuid for h in histories for line in h.lines.values() for event in line.applied)
    digest = hashlib.sha256(canonical(events).encode()).hexdigest()
    config = {"simulate": False, "events": len(events), "events_sha256": digest}
    if options.dry_run:
        return StageResult("label", None, {"questions": str(selection), **config})

    inputs = round_inputs(project, selection, simulated=False)

    def work(folder: Path) -> dict[str, Any]:
        return _write(project, inputs, folder, histories)

    return run_stage(project, "label", inputs, config, work, options)


def figures(project: Project, selection: Path, store: Store) -> dict[str, Any]:
    """Return what the answers to a selection cost so far, and how far they can be trusted.

    Raises:
        StageOrderError: nobody has been asked anything.
    """
    known = store.selection(project.run(str(selection)).fingerprint)
    if known is None:
        raise StageOrderError(f"{selection}: nobody has been asked yet. Run: frugalseg label {project.folder}")
    histories = store.histories(known)
    return measured(histories, Annotators.of(histories, len(known.classes)))


def measured(histories: Sequence[History], annotators: Annotators) -> dict[str, Any]:
    """Return what the answers cost and how far they can be trusted, as it stands in ledger.json."""
    given = told.replies(histories)
    kinds = {"point": [reply for _, h, reply in given if h.truth is None and reply.kind == "answer"]}
    kinds |= {"gold": [reply for _, h, reply in given if h.truth is not None]}
    kinds |= {"decision": [reply for _, _, reply in given if reply.kind == "decision"]}
    kinds = {kind: replies for kind, replies in kinds.items() if replies}
    verdicts = [str(history.result.verdict) for history in histories if history.truth is None and history.result]
    return {
        "answers": {kind: len(replies) for kind, replies in kinds.items()},
        "seconds": {kind: math.fsum(map(told.seconds, replies)) for kind, replies in kinds.items()},
        "each_s": {kind: told.spread([told.seconds(reply) for reply in replies]) for kind, replies in kinds.items()},
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        "agreement": told.agreement(histories),
        "undecided": sum(history.differs for history in histories),
        "people": people_figures(histories, annotators),
    }


def _write(project: Project, inputs: Mapping[str, Path], folder: Path, histories: Sequence[History]) -> dict[str, Any]:
    rows = {history.query: history.rows() for history in histories if history.truth is None}
    queries = read_records(inputs["questions"] / QUESTIONS, Query)
    write_round(project, inputs, [row for query in queries for row in rows.get(query.id, [])], folder)
    annotators = Annotators.of(histories, len(project.classes))
    found = measured(histories, annotators)
    (folder / LEDGER).write_text(json.dumps(found, indent=1))
    (folder / ANNOTATORS).write_text(json.dumps(annotators.to_json(), indent=1))
    return {
        "answers": sum(found["answers"].values()),
        "human_seconds": math.fsum(found["seconds"].values()),
        "verdicts": found["verdicts"],
        "each_s": found["each_s"].get("point", {}).get("median"),
        "agreement": found["agreement"],
        "undecided": found["undecided"],
        "simulated": False,
    }


def _questions(
    manifest: Manifest,
    queries: Sequence[Query],
    shown: Mapping[str, Shown],
    guess: Mapping[str, int],
    truth: Mapping[str, int],
) -> list[Question]:
    """Return the questions that can be shown, in the order of their frames."""
    return [
        Question(query, (frame.height, frame.width), shown[query.id], truth.get(query.id), guess.get(query.id))
        for frame, asked in by_frame(manifest, queries)
        for query in asked
        if query.id in shown
    ]


def _gold(project: Project, media: MediaFolder, store: Store, fingerprint: str, count: int) -> list[Question]:
    """Return questions with known answers: pixels well inside their class, in labelled frames of the project.

    Each selection (`fingerprint`) draws its own, and none where an earlier one did: who answers a pixel again
    remembers it, and it would count as a second measurement of that person.
    """
    if project.gold_domain is None:
        return []
    manifest = project.manifest(project.gold_domain)
    reader = LabelReader(manifest.classes, project.classes)
    frames = sorted((f for f in manifest if f.label), key=lambda frame: key_hash(f"gold {fingerprint} {frame.key}"))
    queries: list[Query] = []
    truth: dict[str, int] = {}
    taken = store.gold()
    for number in range(count if frames else 0):
        frame = frames[number % len(frames)]
        rng = generator(project.settings.seed, "gold", fingerprint, frame.key, number)
        point = _inside(reader.read(frame), rng, taken.get(frame.key, []))
        if point is not None:
            name = f"gold-{number}"
            queries.append(Query(name, frame.key, QueryKind.POINT, "gold", 0.0, point[0]))
            truth[name] = point[1]
            taken.setdefault(frame.key, []).append(point[0])
    shown, _ = draw(manifest, queries, media)
    return _questions(manifest, queries, shown, {}, truth)


def _inside(label_HW: NDArray[np.uint8], rng: np.random.Generator, taken: Sequence[Point]) -> tuple[Point, int] | None:
    """Draw a pixel well inside its class and as far from all that are `taken`; None where `GOLD_TRIES` find none."""
    for _ in range(GOLD_TRIES):
        row, column = (int(rng.integers(length)) for length in label_HW.shape)
        around = label_HW[max(0, row - INSIDE_PX) : row + INSIDE_PX + 1, max(0, column - INSIDE_PX) :][
            :, : 2 * INSIDE_PX + 1
        ]
        near = any(max(abs(row - other.row), abs(column - other.column)) <= INSIDE_PX for other in taken)
        if not near and label_HW[row, column] != IGNORE and (around == label_HW[row, column]).all():
            return Point(row, column), int(label_HW[row, column])
    return None
