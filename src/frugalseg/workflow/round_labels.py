"""What every `label` stage writes, whoever answered: this round's answers, and partial labels of all rounds so far.

Nothing here loads torch: the page on which people answer starts without it.
"""

from collections.abc import Iterable
from pathlib import Path

from frugalseg.annotation.answers import by_frame, fold
from frugalseg.core.codec import read_label_png
from frugalseg.core.records import Answer, Query, QueryKind
from frugalseg.core.table import read_records, write_records
from frugalseg.data.partial import write_partial
from frugalseg.workflow.project import ANSWERS, MASKS, PARTIAL, QUESTIONS, Project
from frugalseg.workflow.rounds import EARLIER, chain, questions_and_answers


def round_inputs(project: Project, selection: Path) -> dict[str, Path]:
    """Return the inputs of a label stage that answers `selection`: the questions, and the answers given before."""
    run = project.run(str(selection))
    inputs = {"target": project.manifest_folder("target"), "classes": project.folder / "classes.toml"}
    return {**inputs, "questions": selection} | ({EARLIER: run.input(EARLIER)} if run.has_input(EARLIER) else {})


def write_round(project: Project, selection: Path, answers: list[Answer], folder: Path) -> list[Query]:
    """Write the answers to the questions of `selection`, in the order they came, folded with all answers before.

    About a pixel that was answered twice the last answer counts. The masks of frames that were labelled as a whole lie
    in `folder` already, MASKS/KEY.png. Returns the questions of this round.
    """
    run = project.run(str(selection))
    earlier = chain(run.input(EARLIER)) if run.has_input(EARLIER) else []
    before = questions_and_answers(earlier)
    queries = list(read_records(selection / QUESTIONS, Query))
    paths = mask_paths(queries, folder)
    for past in earlier:
        paths |= mask_paths(questions_and_answers([past])[0], past.folder)
    groups = by_frame([*before[0], *queries], [*before[1], *answers])
    for frame in project.manifest("target"):
        asked, replies = groups.get(frame.key, ([], []))
        masks = {query.id: read_label_png(paths[query.id]) for query in asked if query.id in paths}
        write_partial(folder / PARTIAL, fold(asked, replies, (frame.height, frame.width), frame.key, masks))
    write_records(folder / ANSWERS, answers, Answer)
    return queries


def mask_paths(queries: Iterable[Query], labels: Path) -> dict[str, Path]:
    """Return where the masks lie that a label stage holds of these questions, by the questions' ids."""
    paths = {query.id: labels / MASKS / f"{query.key}.png" for query in queries if query.kind is QueryKind.IMAGE}
    return {name: path for name, path in paths.items() if path.is_file()}
