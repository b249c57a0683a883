"""What adaptation stages wrote down that is worth a picture: IntraDA's ranking, self-training's spatial priors.

Of each the newest is shown. What cannot be read any more costs a section and not the report.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frugalseg.adaptation.intrada import INTRA, RANKING, RankedFrame
from frugalseg.adaptation.self_training import PRIOR
from frugalseg.core.arrays import check_npz
from frugalseg.core.errors import ArtifactError, FrugalsegError
from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records
from frugalseg.data.batches import ImageCache
from frugalseg.evaluation.exhibits import Ranking, SpatialPriors
from frugalseg.workflow.project import Project

LeftOut = list[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class AdaptationExhibits:
    """What there is to show; `left_out` are sections with the reason why they are not there."""

    ranking: Ranking | None
    priors: SpatialPriors | None
    left_out: tuple[tuple[str, str], ...]


def adaptation_exhibits(project: Project, runs: list[RunInfo]) -> AdaptationExhibits:
    """Read the newest ranking and the newest spatial priors of a project's stages."""
    ranking, priors, left_out = None, None, LeftOut()
    ranked = [run for run in runs if (run.folder / INTRA / RANKING).is_file()]
    drawn = [(run, found[0]) for run in runs if (found := sorted(run.folder.glob(f"*/{PRIOR}")))]
    if ranked:
        try:
            ranking = _ranking(project, ranked[-1], left_out)
        except FrugalsegError as error:
            left_out.append(("Easy and hard target frames", str(error)))
    if drawn:
        try:
            priors = _priors(project, *drawn[-1])
        except FrugalsegError as error:
            left_out.append(("Where the source shows each class", str(error)))
    return AdaptationExhibits(ranking, priors, tuple(left_out))


def _ranking(project: Project, run: RunInfo, left_out: LeftOut) -> Ranking:
    frames = read_records(run.folder / INTRA / RANKING, RankedFrame)
    ranking = Ranking(
        stage=run.folder.name,
        keys=tuple(frame.key for frame in frames),
        entropy_01_N=np.array([frame.entropy_01 for frame in frames]),
        easy=sum(frame.easy for frame in frames),
    )
    target, cache, images = project.manifest("target").by_key, ImageCache(0), {}
    for key in (ranking.keys[place] for places in ranking.ends for place in places):
        if key not in target:
            left_out.append((f"Frame {key}", "no longer among the target frames"))
            continue
        try:
            images[key] = cache.read(target[key])
        except FrugalsegError as error:  # one bad file costs its frame
            left_out.append((f"Frame {key}", str(error)))
    return Ranking(ranking.stage, ranking.keys, ranking.entropy_01_N, ranking.easy, images)


def _priors(project: Project, run: RunInfo, path: Path) -> SpatialPriors:
    try:
        check_npz(path)
        with np.load(path) as content:
            prior_Chw = content["prior_Chw"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path}: these are no spatial priors ({error}). Adapt again.") from error
    return SpatialPriors(run.folder.name, prior_Chw, project.classes)
