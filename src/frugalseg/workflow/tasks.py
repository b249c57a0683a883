"""`tasks`: questions about whole images go out to other tools, and what people drew comes back as a `label` stage.

Nothing here loads torch.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frugalseg.annotation.events import canonical
from frugalseg.annotation.exchange.folder import Returned
from frugalseg.annotation.history import spread
from frugalseg.core.codec import file_sha256
from frugalseg.core.cost import Ledger
from frugalseg.core.errors import ConfigError, StageOrderError
from frugalseg.core.records import Answer, Frame, Query, QueryKind, Verdict
from frugalseg.core.table import read_records
from frugalseg.workflow import catalog
from frugalseg.workflow.project import LEDGER, QUESTIONS, Project
from frugalseg.workflow.round_labels import round_inputs, write_mask, write_round
from frugalseg.workflow.stage import Options, StageResult, run_stage


def export_tasks(project: Project, selection: Path | None, name: str, folder: Path, options: Options) -> dict[str, Any]:
    """Write the frames that a `select` stage (default: the newest) asks about to `folder`, in the format `name`.

    Raises:
        StageOrderError: nothing is asked, or not about whole images.
        DataError: the folder holds something already, or a frame cannot be read.
    """
    found = catalog.entry("format", name).load()()
    selection = selection or _newest(project)
    frames = _frames(project, _questions(project, selection))
    told = {"format": name, "folder": str(folder), "questions": str(selection), "frames": len(frames)}
    if not options.dry_run:
        found.write(folder, frames, project.classes)
    return told


def import_tasks(
    project: Project,
    selection: Path | None,
    name: str,
    folder: Path,
    options: Options,
    *,
    annotator: str = "import",
    minutes_each: float | None = None,
    label_kind: str = "ids",
) -> StageResult:
    """Take the labels in `folder` as answers to a `select` stage (default: the newest); a `label` stage as any other.

    All labels that are there count, so a later import of the same folder holds what an earlier one held, and more.

    Raises:
        StageOrderError: nothing is asked, or not about whole images.
        ConfigError: the minutes are none, or the format is unknown.
        DataError: labels that do not fit; all of them are listed.
    """
    if minutes_each is not None and not minutes_each > 0:
        raise ConfigError(f"--minutes {minutes_each:g} is no time. Give the minutes that one image took.")
    found = catalog.entry("format", name).load()()
    selection = selection or _newest(project)
    queries = _questions(project, selection)
    back: Returned = found.read(folder, _frames(project, queries), project.classes, label_kind, minutes_each)
    if back.missing:
        options.say(f"{len(back.missing)} of {len(queries)} frames have not come back yet; they may still be imported.")
    digest = hashlib.sha256(canonical(_content(back)).encode()).hexdigest()
    config = {"simulate": False, "format": name, "masks": len(back.frames), "masks_sha256": digest}
    config |= {"annotator": annotator}
    if options.dry_run:
        return StageResult("label", None, {"questions": str(selection), "missing": list(back.missing), **config})

    inputs = round_inputs(project, selection, simulated=False)

    def work(stage: Path) -> dict[str, Any]:
        return _write(project, inputs, queries, back, annotator, stage)

    return run_stage(project, "label", inputs, config, work, options)


def _newest(project: Project) -> Path:
    return project.latest(("select",), "a selection", f"frugalseg select {project.folder}").folder


def _questions(project: Project, selection: Path) -> list[Query]:
    """Return the questions of a selection.

    Raises:
        StageOrderError: they are not about whole images.
    """
    queries = list(read_records(selection / QUESTIONS, Query))
    if any(query.kind is not QueryKind.IMAGE for query in queries):
        raise StageOrderError(
            f"{selection}: these questions are about single pixels, and people answer them on a page: "
            f"frugalseg label {project.folder}\nWhole images are chosen by {', '.join(catalog.IMAGE_SELECTORS)}."
        )
    return queries


def _frames(project: Project, queries: Sequence[Query]) -> list[Frame]:
    """Return the frames that are asked about.

    Raises:
        StageOrderError: one of them is no longer in the target.
    """
    by_key = project.manifest("target").by_key
    gone = sorted(query.key for query in queries if query.key not in by_key)
    if gone:
        raise StageOrderError(
            f"{len(gone)} of {len(queries)} chosen frames are no longer in the target, or in quarantine: "
            f"{', '.join(gone[:5])}. Select again: frugalseg select {project.folder}"
        )
    return [by_key[query.key] for query in queries]


def _content(back: Returned) -> list[list[Any]]:
    """Return what an import depends on: each label file's content, what its numbers mean, and its seconds."""
    files = [[frame.key, file_sha256(Path(str(frame.label))), back.seconds[frame.key]] for frame in back.frames]
    return [[back.classes.to_dict(), back.frames[0].label_kind], *files]


def _write(
    project: Project,
    inputs: Mapping[str, Path],
    queries: Sequence[Query],
    back: Returned,
    annotator: str,
    folder: Path,
) -> dict[str, Any]:
    for key, mask_HW in back.masks(project.classes):
        write_mask(folder, key, mask_HW)
    answers = [
        Answer(query.id, Verdict.MASK, None, annotator, back.seconds[query.key])
        for query in queries
        if query.key in back.seconds
    ]
    ledger = Ledger.of(write_round(project, inputs, answers, folder), answers)
    each = spread([answer.seconds for answer in answers])
    found = {"answers": dict(ledger.answers), "seconds": dict(ledger.seconds), "each_s": {"image": each}}
    verdicts = {str(Verdict.MASK): len(answers)}
    (folder / LEDGER).write_text(json.dumps({**found, "verdicts": verdicts}, indent=1))
    return {
        "answers": len(answers),
        "human_seconds": ledger.total_s,
        "verdicts": verdicts,
        "each_s": each["median"],
        "missing": list(back.missing),
        "simulated": False,
    }
