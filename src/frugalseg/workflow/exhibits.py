"""What the report shows besides scores, read from what `evaluate` and `check` wrote down; nothing is computed anew.

A stage of an older version, or one that kept nothing of the kind, costs a section and not the report: the section is
left out with the reason.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from frugalseg.core.codec import read_label_png
from frugalseg.core.errors import ArtifactError, FrugalsegError
from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records
from frugalseg.data.batches import ImageCache
from frugalseg.data.labels import LabelReader
from frugalseg.evaluation.coarse import CoarseScores
from frugalseg.evaluation.drift_findings import DriftFindings
from frugalseg.evaluation.exhibits import CheckedDomain, DataCheck, Gallery, GalleryFrame
from frugalseg.evaluation.frame_scores import FrameScore, extremes
from frugalseg.evaluation.reliability import Reliability
from frugalseg.workflow.measure import DRIFT, FRAMES, GALLERY, RELIABILITY
from frugalseg.workflow.project import Project

CHECK = "check.json"  # in the folder of a `check` stage


@dataclass(frozen=True, eq=False)
class Exhibits:
    """What there is to show; `left_out` are sections with the reason why they are not there."""

    gallery: Gallery | None
    drift: DriftFindings | None
    check: DataCheck | None
    left_out: tuple[tuple[str, str], ...]


def exhibits(project: Project, runs: list[RunInfo], last: tuple[str, RunInfo] | None) -> Exhibits:
    """Collect what the evaluation of the last step's model (its name and its evaluation) and the last check left."""
    left_out = []
    gallery = drift = None
    if last is not None:
        name, run = last
        again = f"{run.folder.name} holds none; run `frugalseg evaluate` once more with this version"
        if not (run.folder / RELIABILITY).is_file():
            left_out.append(("How far its confidence can be believed", again))
        if not run.config.get("gallery_frames", 1):
            left_out.append(("Frames worth a look", f"{run.folder.name} ran with gallery_frames = 0"))
        elif not (run.folder / FRAMES).is_file():
            left_out.append(("Frames worth a look", again))
        else:
            gallery, missing = _gallery(project, run, name)
            left_out += [(f"Frame {key}", reason) for key, reason in missing]
        if not run.config.get("drift_frames", 1):
            left_out.append(("How far the domains are apart", f"{run.folder.name} ran with drift_frames = 0"))
        elif not (run.folder / DRIFT).is_file():
            left_out.append(("How far the domains are apart", again))
        else:
            drift = DriftFindings.load(run.folder / DRIFT)
    return Exhibits(gallery, drift, _check(project, runs), tuple(left_out))


def reliabilities(scored: list[tuple[str, RunInfo]]) -> dict[str, Reliability]:
    """Return the reliability counts of each model that has them, by its name."""
    return {
        name: Reliability.load(run.folder / RELIABILITY) for name, run in scored if (run.folder / RELIABILITY).is_file()
    }


def coarse_scores(scored: list[tuple[str, RunInfo]]) -> dict[str, CoarseScores]:
    """Return the scores of categories and objects of each model whose data have them, by its name."""
    return {name: found for name, run in scored if (found := CoarseScores.of(run.extra)) is not None}


def _gallery(project: Project, run: RunInfo, name: str) -> tuple[Gallery, list[tuple[str, str]]]:
    """Return the gallery and the frames that cannot be shown any more, each with the reason."""
    scores = tuple(read_records(run.folder / FRAMES, FrameScore))
    groups = extremes(scores, int(run.config["gallery_frames"]))
    validation, cache = project.manifest("validation"), ImageCache(0)
    reader = LabelReader(validation.classes, project.classes)
    frames, missing = {}, []
    for score in scores:
        if not any(score.key in group for group in groups):
            continue
        frame = validation.by_key.get(score.key)
        if frame is None:
            missing.append((score.key, "no longer among the validation frames; evaluate again"))
            continue
        prediction, entropy = (run.folder / GALLERY / kind / f"{score.key}.png" for kind in ("prediction", "entropy"))
        try:
            frames[score.key] = GalleryFrame(
                score=score,
                image=cache.read(frame),
                prediction=read_label_png(prediction),
                truth=reader.read(frame),
                entropy_01=read_label_png(entropy).astype(np.float32) / 255,
            )
        except FrugalsegError as error:  # one bad file costs its frame
            missing.append((score.key, str(error)))
    return Gallery(name, groups, frames, scores), missing


def _check(project: Project, runs: list[RunInfo]) -> DataCheck | None:
    """Return what the newest `check` found, or None; what the file does not tell is left open."""
    found = [run for run in runs if (run.folder / CHECK).is_file()]
    if not found:
        return None
    path = found[-1].folder / CHECK
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        domains = [_domain(project, name, numbers) for name, numbers in content.get("domains", {}).items()]
        return DataCheck(
            stage=found[-1].folder.name,
            domains=tuple(domains),
            problems=tuple(_problem(entry) for entry in content.get("problems", [])),
            remarks=tuple(
                f"{entry.get('domain', '')}: {entry.get('text', '')}" for entry in content.get("remarks", [])
            ),
            gap=str(content.get("gap", "")),
        )
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ArtifactError(
            f"{path}: this is not what `frugalseg check` writes ({error}). Run the check again."
        ) from error


def _domain(project: Project, name: str, numbers: Mapping[str, Any]) -> CheckedDomain:
    return CheckedDomain(
        name=name,
        frames=numbers.get("frames"),
        labelled=numbers.get("labelled"),
        refused=numbers.get("refused"),
        quarantined=project.quarantined(name) if project.has(name) else 0,
        light=_light(numbers.get("light", {})),
    )


def _light(numbers: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return each mean with its standard deviation, which stands beside it as NAME_sd."""
    means = {kind: value for kind, value in numbers.items() if not kind.endswith("_sd") and value is not None}
    deviations = {kind: numbers.get(f"{kind}_sd") for kind in means}
    return {
        kind: tuple(float(number) for number in (mean, deviations[kind]) if number is not None)
        for kind, mean in means.items()
    }


def _problem(entry: Mapping[str, Any]) -> str:
    where = ": ".join(str(entry[name]) for name in ("domain", "path") if entry.get(name))
    return " ".join(part for part in (f"{where}: {entry.get('what', '')}", str(entry.get("mend", ""))) if part)
