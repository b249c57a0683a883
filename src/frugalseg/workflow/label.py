"""`label --simulate`: an oracle answers the questions from ground truth; answers become partial labels.

A partial label holds the answers of all rounds so far; about a pixel that was answered twice the last answer counts.
"""

import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frugalseg.annotation.answers import fold
from frugalseg.annotation.oracle import Oracle, OracleConfig
from frugalseg.core.classes import IGNORE
from frugalseg.core.config import load_config
from frugalseg.core.cost import CostModel, Ledger
from frugalseg.core.errors import StageOrderError
from frugalseg.core.records import Answer, Frame, PartialLabel, Query, Region, Verdict
from frugalseg.core.table import read_records
from frugalseg.data.batches import human_masks
from frugalseg.data.labels import LabelReader
from frugalseg.data.partial import write_partial
from frugalseg.workflow.project import LEDGER, PARTIAL, QUESTIONS, Project
from frugalseg.workflow.round_labels import round_inputs, write_mask, write_round
from frugalseg.workflow.rounds import chain, questions_and_answers
from frugalseg.workflow.stage import Options, StageResult, run_stage

STAGE, UNASKED = "label", "unasked"
SHOWN = 20  # frames named in one message


def label(
    project: Project, simulate: bool, selection: Path | None, options: Options, everything: bool = False
) -> StageResult:
    """Answer the questions of a `select` stage (the newest by default).

    Args:
        project: The project.
        simulate: Answer from ground truth, with the seconds of `core.cost.CostModel` and the mistakes that the settings
        ask for: PROJECT/settings/label.toml or a file of `options`, then its overrides.
        selection: The folder of a `select` stage.
        options: Settings of the simulated annotator, dry run, quiet.
        everything: Simulate people who label every target frame in full: the ceiling that selection is measured
        against.

    Raises:
        StageOrderError: there are no questions, or nobody is to answer them, or the truth is not on disk.
        ConfigError: a setting that the simulated annotator does not have.
    """
    if selection is None and not everything:
        selection = project.latest(("select",), "a selection", f"frugalseg select {project.folder}").folder
    if not simulate:
        raise StageOrderError(
            f"{selection or project.folder}: the questions wait for people: frugalseg label {project.folder}\n"
            "Where the target's labels are on disk, `--simulate` answers from them."
        )
    need_truth(project)
    inputs = {"target": project.manifest_folder("target"), "classes": project.folder / "classes.toml"}
    inputs |= round_inputs(project, selection, simulated=True) if selection is not None and not everything else {}
    config = {"simulate": True, "everything": everything, "seed": project.settings.seed}
    careless = OracleConfig()
    if "questions" in inputs:
        careless = annotator(project, options)
        config |= careless.model_dump(mode="json")
    if options.dry_run:
        return _planned(STAGE, str(inputs.get("questions", "every frame in full")), inputs, config)

    def work(folder: Path) -> dict[str, Any]:
        if "questions" in inputs:
            return _simulate(project, inputs, careless, folder)
        return _label_everything(project, folder)

    return run_stage(project, STAGE, inputs, config, work, options, seed=project.settings.seed)


def label_nothing(project: Project, options: Options) -> StageResult:
    """Make a round in which nobody was asked anything: what is learned from it are pseudo-labels alone (K = 0)."""
    inputs = {"target": project.manifest_folder("target")}
    if options.dry_run:
        return _planned(UNASKED, "none", inputs, {})

    def work(folder: Path) -> dict[str, Any]:
        for frame in project.manifest("target"):
            write_partial(folder / PARTIAL, fold([], [], (frame.height, frame.width), frame.key))
        return {"answers": 0, "human_seconds": 0.0}

    return run_stage(project, UNASKED, inputs, {}, work, options)


def _planned(name: str, asked: str, inputs: dict[str, Path], config: dict[str, Any]) -> StageResult:
    planned = {kind: str(path) for kind, path in inputs.items()}
    return StageResult(name, None, {"questions": asked, "inputs": planned, "config": config})


def annotator(project: Project, options: Options) -> OracleConfig:
    """Return the settings of the simulated annotator: PROJECT/settings/label.toml or a file given, then overrides.

    Raises:
        ConfigError: a setting that it does not have.
    """
    own = project.folder / "settings" / f"{STAGE}.toml"
    return load_config(OracleConfig, options.config or (own if own.is_file() else None), options.overrides)


def need_truth(project: Project) -> None:
    """Make sure that an oracle has something to answer from.

    Raises:
        StageOrderError: a target frame has no label.
    """
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


def _simulate(project: Project, inputs: Mapping[str, Path], careless: OracleConfig, folder: Path) -> dict[str, Any]:
    target = project.manifest("target")
    reader = LabelReader(target.classes, project.classes)
    oracle = Oracle(CostModel(), project.settings.seed, careless)
    by_key: dict[str, list[Query]] = defaultdict(list)
    for query in read_records(inputs["questions"] / QUESTIONS, Query):
        by_key[query.key].append(query)
    answers: list[Answer] = []
    wrong = 0
    for frame in target:
        if frame.key not in by_key:
            continue
        truth_HW, points = reader.read(frame), [query for query in by_key[frame.key] if query.point is not None]
        if points:
            replies = oracle.answer(points, truth_HW)
            said_HW = fold(points, replies, (frame.height, frame.width)).label
            wrong += int((said_HW != truth_HW)[said_HW != IGNORE].sum())
            answers += replies
        for query in by_key[frame.key]:
            if query.point is None:
                answers.append(oracle.answer_image(query))
                write_mask(folder, frame.key, truth_HW)
    ledger = Ledger.of(write_round(project, inputs, answers, folder), answers)
    verdicts = {str(verdict): sum(answer.verdict is verdict for answer in answers) for verdict in Verdict}
    spent = {"answers": dict(ledger.answers), "seconds": dict(ledger.seconds), "verdicts": verdicts, "wrong": wrong}
    (folder / LEDGER).write_text(json.dumps(spent, indent=1))
    return {
        "answers": len(answers),
        "human_seconds": ledger.total_s,
        "verdicts": verdicts,
        "wrong": wrong,
        "simulated": True,
    }


def cells_by_key(answers: Path) -> dict[str, tuple[Region, ...]]:
    """Return the cells that each frame was asked about, in all rounds up to the one that `answers` belongs to."""
    cells: dict[str, dict[Region, None]] = defaultdict(dict)
    for query in questions_and_answers(chain(answers))[0]:
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
