"""What every `label` stage writes, whoever answered: this round's answers, and partial labels of all rounds so far.

Nothing here loads torch: the page on which people answer starts without it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.annotation.annotators import Annotators
from frugalseg.annotation.answers import by_frame, fold
from frugalseg.core.codec import read_label_png, write_label_png
from frugalseg.core.records import Answer, Query, Verdict
from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records, write_records
from frugalseg.data.partial import write_partial
from frugalseg.workflow.project import ANNOTATORS, ANSWERS, MASKS, PARTIAL, QUESTIONS, Project
from frugalseg.workflow.rounds import EARLIER, chain, questions_and_answers
from frugalseg.workflow.series import answers_before


def round_inputs(project: Project, selection: Path, simulated: bool) -> dict[str, Path]:
    """Return the inputs of a label stage that answers `selection`: the questions, and the answers given before."""
    earlier = answers_before(project, project.run(str(selection)), simulated)
    inputs = {"target": project.manifest_folder("target"), "classes": project.folder / "classes.toml"}
    return {**inputs, "questions": selection} | ({EARLIER: earlier} if earlier is not None else {})


def write_round(project: Project, inputs: Mapping[str, Path], answers: list[Answer], folder: Path) -> list[Query]:
    """Write the answers to the questions of a selection, in the order they came, folded with all answers before.

    About a pixel that was answered twice the last answer counts. The masks of this round's answers lie in `folder`
    already (`write_mask`); `inputs` are those of `round_inputs`. Returns the questions of this round.
    """
    earlier = chain(inputs.get(EARLIER))
    before = questions_and_answers(earlier)
    queries = list(read_records(inputs["questions"] / QUESTIONS, Query))
    masks = mask_files(earlier) | _mask_files(folder, queries, answers)
    groups = by_frame([*before[0], *queries], [*before[1], *answers])
    for frame in project.manifest("target"):
        asked, replies = groups.get(frame.key, ([], []))
        size_HW = (frame.height, frame.width)
        label = fold(asked, replies, size_HW, frame.key, lambda query: read_label_png(masks[query]))
        write_partial(folder / PARTIAL, label)
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


def write_mask(folder: Path, key: str, mask_HW: NDArray[np.uint8]) -> None:
    """Keep a frame's mask (class ids) in a label stage's folder."""
    path = folder / MASKS / f"{key}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_png(path, mask_HW)


def mask_files(labels: Iterable[RunInfo]) -> dict[str, Path]:
    """Return the mask of each query of these label stages that was answered by one."""
    found: dict[str, Path] = {}
    for run in labels:
        found |= _mask_files(run.folder, *questions_and_answers([run]))
    return found


def _mask_files(folder: Path, queries: Iterable[Query], answers: Iterable[Answer]) -> dict[str, Path]:
    keys = {query.id: query.key for query in queries}
    masked = [answer.query for answer in answers if answer.verdict is Verdict.MASK]
    return {query: folder / MASKS / f"{keys[query]}.png" for query in masked if query in keys}
