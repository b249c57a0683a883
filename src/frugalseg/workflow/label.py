"""`label --simulate`: an oracle answers the questions from ground truth; answers become partial labels."""

import json
import shlex
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from frugalseg.annotation.answers import fold
from frugalseg.annotation.oracle import Oracle
from frugalseg.core.cost import CostModel, Ledger
from frugalseg.core.errors import StageOrderError
from frugalseg.core.records import Answer, Frame, PartialLabel, Query, Region, Verdict
from frugalseg.core.table import read_records, write_records
from frugalseg.data.batches import human_masks
from frugalseg.data.labels import LabelReader
from frugalseg.data.partial import write_partial
from frugalseg.workflow.project import ANSWERS, PARTIAL, QUESTIONS, Project
from frugalseg.workflow.stage import Options, StageResult, run_stage

SHOWN = 20  # frames named in one message


def label(
    project: Project, simulate: bool, selection: Path | None, options: Options, everything: bool = False
) -> StageResult:
    """Answer the questions of a `select` stage (the newest by default).

    Args:
        project: The project.
        simulate: Answer from ground truth, with the seconds and doubts of `core.cost.CostModel`.
        selection: The folder of a `select` stage.
        options: Dry run, quiet.
        everything: Simulate people who label every target frame in full: the ceiling that selection is measured
        against.

    Raises:
        StageOrderError: there are no questions, or nobody is to answer them, or the truth is not on disk.
    """
    if selection is None and not everything:
        selection = project.latest(("select",), "a selection", f"frugalseg select {project.folder}").folder
    if not simulate:
        raise StageOrderError(
            f"{selection or project.folder}: the questions wait for people: frugalseg label {project.folder}\n"
            "Where the target's labels are on disk, `--simulate` answers from them."
        )
    _need_truth(project)
    inputs = {"target": project.manifest_folder("target"), "classes": project.folder / "classes.toml"}
    inputs |= {"questions": selection} if selection is not None and not everything else {}
    config = {"simulate": True, "everything": everything, "seed": project.settings.seed}
    if options.dry_run:
        return StageResult("label", None, {"questions": str(inputs.get("questions", "every frame in full")), **config})

    def work(folder: Path) -> dict[str, Any]:
        return (
            _label_everything(project, folder)
            if "questions" not in inputs
            else _simulate(project, inputs["questions"], folder)
        )

    return run_stage(project, "label", inputs, config, work, options, seed=project.settings.seed)


def _need_truth(project: Project) -> None:
    target = project.manifest("target")
    missing = [frame.key for frame in target if frame.label is None]
    if missing:
        raise StageOrderError(
            f"--simulate answers from ground truth, but {len(missing)} of {len(target)} target frames have no label "
            f"(first: {missing[0]}). Give a target with labels; they are used for nothing else."
        )


def _label_everything(project: Project, folder: Path) -> dict[str, Any]:
    target = project.manifest("target")
    reader = LabelReader(target.classes, project.classes)
    read = human_masks(reader.read)
    for frame in target:
        write_partial(folder / PARTIAL, PartialLabel(frame.key, *read(frame)))
    seconds = CostModel().seconds("image", len(target))
    return {"answers": len(target), "human_seconds": seconds, "everything": True, "simulated": True}


def _simulate(project: Project, selection: Path, folder: Path) -> dict[str, Any]:
    target = project.manifest("target")
    reader = LabelReader(target.classes, project.classes)
    oracle = Oracle(CostModel(), project.settings.seed)
    queries = read_records(selection / QUESTIONS, Query)
    by_key: dict[str, list[Query]] = defaultdict(list)
    for query in queries:
        by_key[query.key].append(query)
    answers: list[Answer] = []
    for frame in target:
        asked = by_key.get(frame.key, [])
        replies = oracle.answer(asked, reader.read(frame)) if asked else []
        write_partial(folder / PARTIAL, fold(asked, replies, (frame.height, frame.width), frame.key))
        answers += replies
    write_records(folder / ANSWERS, answers, Answer)
    ledger = Ledger.of(queries, answers)
    verdicts = {str(verdict): sum(answer.verdict is verdict for answer in answers) for verdict in Verdict}
    (folder / "ledger.json").write_text(
        json.dumps({"answers": dict(ledger.answers), "seconds": dict(ledger.seconds), "verdicts": verdicts}, indent=1)
    )
    return {"answers": len(answers), "human_seconds": ledger.total_s, "verdicts": verdicts, "simulated": True}


def cells_by_key(project: Project, answers: Path) -> dict[str, tuple[Region, ...]]:
    """Return the cells that each frame was asked about, in the round that `answers` belongs to."""
    cells: dict[str, dict[Region, None]] = defaultdict(dict)
    run = project.run(str(answers))
    if not run.has_input("questions"):
        return {}
    for query in read_records(run.input("questions") / QUESTIONS, Query):
        if query.cell is not None:
            cells[query.key][query.cell] = None
    return {key: tuple(regions) for key, regions in cells.items()}


def answered(project: Project, answers: Path, frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Return the frames that were there when `answers` were given; the others are named on stderr.

    Raises:
        StageOrderError: there is not one of them.
    """
    there = [(answers / PARTIAL / "labels" / f"{frame.key}.png").is_file() for frame in frames]
    others = [frame.key for frame, was in zip(frames, there, strict=True) if not was]
    if others:
        folder = shlex.quote(str(project.folder))
        what = (
            f"{len(others)} of {len(frames)} target frames came, or were let in from quarantine, after {answers.name}: "
            f"{', '.join(others[:SHOWN])}{' …' if len(others) > SHOWN else ''}."
        )
        mend = f"To learn from them: frugalseg select {folder} && frugalseg label {folder}, then retrain."
        if len(others) == len(frames):
            raise StageOrderError(f"{what} None is left.\n{mend}")
        print(f"{what} They are left out.\n{mend}", file=sys.stderr, flush=True)
    return tuple(frame for frame, was in zip(frames, there, strict=True) if was)
