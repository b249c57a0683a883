"""What a `propagate` stage left, as a training takes it."""

import csv
from pathlib import Path

from frugalseg.core.errors import ArtifactError, StageOrderError
from frugalseg.training.domain_data import Propagated
from frugalseg.workflow.project import PARTIAL, Project
from frugalseg.workflow.propagate_plan import PICTURES, TABLE


def propagation_of(project: Project, answers: Path, given: Path | None) -> Path | None:
    """Return the folder of the newest `propagate` stage that spread the labels of `answers`; None without any.

    Raises:
        StageOrderError: `given` is a stage, and spread other labels or none.
    """
    labels = answers / PARTIAL / "labels"
    runs = [project.run(str(given))] if given is not None else project.list()
    spread = [run for run in runs if run.name.startswith("propagate") and run.has_input("labels")]
    found = [run for run in spread if run.input("labels") == labels]
    if given is not None and not found:
        raise StageOrderError(
            f"{given}: not labels that were spread from the answers of {answers.name}.\nGive a propagate "
            f"stage of these answers, or begin with: frugalseg propagate {project.folder}"
        )
    return found[-1].folder if found else None


def read_propagated(folder: Path) -> Propagated:
    """Return the labels that a `propagate` stage wrote.

    Raises:
        ArtifactError: its table of frames is missing or damaged.
    """
    try:
        with open(folder / TABLE, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
            away = {row["key"]: [int(row[side]) for side in ("before_k", "after_k") if row[side]] for row in rows}
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder / TABLE}: not what `frugalseg propagate` writes ({error!r}).") from error
    steps = {key: min(frames) for key, frames in away.items() if frames}
    return Propagated(folder, steps, folder / PICTURES if (folder / PICTURES).is_dir() else None)
