"""What every `label` stage writes, whoever answered: this round's answers, and partial labels of all rounds so far.

Nothing here loads torch: the page on which people answer starts without it.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from frugalseg.annotation.annotators import Annotators
from frugalseg.annotation.answers import by_frame, fold
from frugalseg.core.records import Answer, Query
from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records, write_records
from frugalseg.data.partial import write_partial
from frugalseg.workflow.project import ANNOTATORS, ANSWERS, PARTIAL, QUESTIONS, Project
from frugalseg.workflow.rounds import EARLIER, chain, questions_and_answers


def round_inputs(project: Project, selection: Path) -> dict[str, Path]:
    """Return the inputs of a label stage that answers `selection`: the questions, and the answers given before."""
    run = project.run(str(selection))
    inputs = {"target": project.manifest_folder("target"), "classes": project.folder / "classes.toml"}
    return {**inputs, "questions": selection} | ({EARLIER: run.input(EARLIER)} if run.has_input(EARLIER) else {})


def write_round(project: Project, selection: Path, answers: list[Answer], folder: Path) -> list[Query]:
    """Write the answers to the questions of `selection`, in the order they came, folded with all answers before.

    About a pixel that was answered twice the last answer counts. Returns the questions of this round.
    """
    run = project.run(str(selection))
    before = questions_and_answers(chain(run.input(EARLIER)) if run.has_input(EARLIER) else ())
    queries = list(read_records(selection / QUESTIONS, Query))
    groups = by_frame([*before[0], *queries], [*before[1], *answers])
    for frame in project.manifest("target"):
        asked, replies = groups.get(frame.key, ([], []))
        write_partial(folder / PARTIAL, fold(asked, replies, (frame.height, frame.width), frame.key))
    write_records(folder / ANSWERS, answers, Answer)
    return queries


def annotators_of(labels: Iterable[RunInfo]) -> Annotators | None:
    """Return how far the people of these label stages can be believed; None where no person answered.

    Raises:
        ArtifactError: a damaged file.
    """
    found = None
    for path in (run.folder / ANNOTATORS for run in labels):
        if path.is_file():
            here = Annotators.from_json(json.loads(path.read_text()), str(path))
            found = here if found is None else found + here
    return found
